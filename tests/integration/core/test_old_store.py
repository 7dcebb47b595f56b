"""A store of an earlier release: opened, searched, and fingerprinted again from its bytes."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
import numpy as np
import pytest
from msgspec.structs import replace
from PIL import Image, ImageOps

from adapters import wiring
from adapters.reindex import rebuild
from adapters.weaviate_index import WeaviateIndex
from adapters.wiring import Services
from core import clock, keys
from core.embedding import fingerprint_backfill
from core.embedding.pipeline import FingerprintPipeline
from core.errors import MissingError, SeenitError
from core.event_log.decide import Claim
from core.fingerprint.fingerprint import decode_preview
from core.fingerprint.visual_words import FEATURES_VERSION
from core.imaging import large_preview
from core.imaging.decoding import NEWEST_PIXELS_VERSION
from core.index_port import Filters
from core.records import Job, Record
from tests.doubles.toy_embedder import ToyEmbedder
from tests.samples.make_store import TENANT, Maker, drawing, settings
from tests.samples.pictures import TEMPLATES, jpeg, photo, png
from worker.admin_tasks import run_kind

STORE = Path(__file__).parents[2] / "samples" / "store_952f3cd.tar.xz"
SPACE = "visual-f12a8a2e"
"""The toy model's space in that release."""
NEWEST = 9
OpensStore = Callable[..., Services]


@pytest.fixture
def opens(tmp_path: Path) -> Iterator[OpensStore]:
    """Yield a function that opens the old store with some settings."""
    with tarfile.open(STORE) as archive:
        archive.extractall(tmp_path, filter="data")
    held: list[Services] = []

    def opened(**more: str) -> Services:
        held.append(wiring.build(settings(tmp_path / "data", **more), visual=ToyEmbedder()))
        held[-1].models.load()
        return held[-1]

    yield opened
    for one in held:
        one.close()


@pytest.fixture
def newer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Install a newer version: it decodes palettes as their negatives, other files as before."""
    today = FingerprintPipeline.decode

    def decode(
        self: FingerprintPipeline,
        items: Sequence[bytes],
        known: Any,  # noqa: ANN401  # as today
        **how: bool,
    ) -> list[Any]:
        seen = [_negative(one) for one in items]
        drawn = [one or data for one, data in zip(seen, items, strict=True)]
        results = today(self, drawn, known, **how)
        return [
            result if isinstance(result, SeenitError) else (result[0], _newest(result[1], one))
            for one, result in zip(seen, results, strict=True)
        ]

    def _newest(found: Any, negative: bytes | None) -> Any:  # noqa: ANN401  # a fingerprint
        version = NEWEST if negative else 1
        return replace(found, pixels_version=version, features_version=NEWEST)

    monkeypatch.setattr(FingerprintPipeline, "decode", decode)
    monkeypatch.setitem(fingerprint_backfill.NEWEST, "pixels", NEWEST)
    monkeypatch.setitem(fingerprint_backfill.NEWEST, "features", NEWEST)
    monkeypatch.setattr(fingerprint_backfill, "BATCH", 2)


def _negative(data: bytes) -> bytes | None:
    if not data.startswith(b"\x89PNG"):
        return None
    with Image.open(io.BytesIO(data)) as image:
        return png(ImageOps.invert(image.convert("RGB"))) if image.mode == "P" else None


def records(services: Services) -> dict[str, Record]:
    """Return the records by their external_id, with their vectors."""
    listed = services.index.list_records(TENANT, Filters(), 50).records
    ids = [one.state.image_id for one in listed]
    found = services.index.read_records(TENANT, ids, vectors=True)
    return {str(one.fields.external_id): one for one in found if one is not None}


def backfill(services: Services, part: str) -> dict[str, Any]:
    """Run a backfill, and return its counts."""
    (counts,) = run_kind(services, f"backfill-{part}", {}, lambda *_: None)["tenants"]
    return {name: count for name, count in counts.items() if name not in ("tenant", "version")}


def check(services: Services, data: bytes) -> tuple[str, str | None, str]:
    """Return kind, original and decision that an upload would get."""
    verdict, decision = services.checker.check(TENANT, data)
    return verdict.kind, verdict.original, decision.value


def assert_same(one: dict[str, Record], other: dict[str, Record]) -> None:
    """Compare two sets of records, vectors included."""
    assert one.keys() == other.keys()
    for name, held in one.items():
        again = other[name]
        assert (held.state, held.fingerprint) == (again.state, again.fingerprint)
        assert held.vectors.keys() == again.vectors.keys()
        for space, vector in held.vectors.items():
            assert np.array_equal(vector, again.vectors[space])


def test_old_store_answers_and_recognises_copies(opens: OpensStore) -> None:
    """By bytes, by pixels, by its vectors; before and after a reindex of its log."""
    services = opens()
    held = records(services)
    assert {name: one.state.verdict.kind for name, one in held.items()} == {
        "original": "new",
        "copy": "near_duplicate",
        "same": "exact",
        "blocked": "new",
        "drawing": "new",
        "purged": "new",
    }
    prints = [one.fingerprint for one in held.values()]
    assert {(one.pixels_version, one.features_version) for one in prints} == {(1, 1)}
    for _ in range(2):
        original, blocked, purged = (
            held[name].state.image_id for name in ("original", "blocked", "purged")
        )
        small = photo(1).resize((192, 144))
        assert check(services, jpeg(small, 85)) == ("exact", original, "allow")
        assert check(services, jpeg(small, 60)) == ("near_duplicate", original, "allow")
        moved = jpeg(photo(2).resize((160, 120)), 80)
        assert check(services, moved) == ("near_duplicate", blocked, "block")
        bytes_ = jpeg(photo(3).resize((160, 120)), 60)
        assert check(services, bytes_) == ("exact", purged, "allow")
        vector = ToyEmbedder().embed_images([photo(1)])[0]
        (near,) = services.index.find_neighbours(TENANT, SPACE, vector, limit=1)
        assert near.image_id == original
        rebuild(services, lambda *_: None)
        assert_same(records(services), held)


@pytest.mark.usefixtures("newer")
def test_old_features_are_computed_again(opens: OpensStore) -> None:
    """From the bytes that are stored; the others keep their version, and a second run says so."""
    services = opens()
    before = records(services)
    kept = {"no_bytes": 2, "left_out": 0, "failed": 0, "unchanged": 0, "pictures": 6}
    assert backfill(services, "features") == {"made": 4, **kept}
    after = records(services)
    old = {name for name, one in after.items() if one.fingerprint.features_version < NEWEST}
    assert old == {"same", "purged"}
    for name, one in after.items():
        was = before[name].state
        assert (one.state.verdict, one.state.decision) == (was.verdict, was.decision)
        assert one.state.anchor == was.anchor
        assert one.vectors.keys() == before[name].vectors.keys()
    assert backfill(services, "features") == {"made": 0, **kept}
    assert_same(records(services), after)


def test_a_drawing_on_a_transparent_ground_is_found_once_it_is_decoded_again(
    opens: OpensStore,
) -> None:
    """The release laid it over white, on which white is not seen."""
    services = opens()
    image_id = records(services)["drawing"].state.image_id
    again = png(drawing().resize((160, 120)))
    assert check(services, again) == ("new", None, "allow")
    assert backfill(services, "pixels")["made"] >= 1
    assert records(services)["drawing"].fingerprint.pixels_version == NEWEST_PIXELS_VERSION
    assert check(services, again) == ("near_duplicate", image_id, "allow")


@pytest.fixture(params=["sqlite", "weaviate"])
def services(request: pytest.FixtureRequest, opens: OpensStore) -> Iterator[Services]:
    """Yield the old store on its own index, and on an index on a server that its log filled."""
    if request.param == "sqlite":
        yield opens()
        return
    server = request.getfixturevalue("weaviate_server")
    prefix = f"T{uuid4().hex[:8]}"
    made = opens(index_url=server.url, index_key=server.key or "", index_prefix=prefix)
    made.projector.advance(TENANT)
    yield made
    assert isinstance(made.index, WeaviateIndex)
    made.index.drop()


@pytest.mark.usefixtures("newer")
def test_old_pixels_are_decoded_again(services: Services) -> None:
    """Where they differ, preview and vector are new and found in place of the old ones."""
    before = records(services)["blocked"]
    counts = {"made": 4, "unchanged": 0, "no_bytes": 2, "left_out": 0, "failed": 0, "pictures": 6}
    assert backfill(services, "pixels") == counts
    held = records(services)
    blocked = held["blocked"]
    state, print_ = blocked.state, blocked.fingerprint
    assert (state.verdict, state.decision) == (before.state.verdict, before.state.decision)
    assert state.spaces == (SPACE,)
    assert (print_.pixels_version, held["copy"].fingerprint.pixels_version) == (NEWEST, 1)
    assert state.pixels == print_.pixels_sha256 != before.fingerprint.pixels_sha256
    shown = decode_preview(services.shelf.preview(TENANT, state.image_id, state.remade))
    seen = ToyEmbedder().embed_images([Image.fromarray(shown)])[0]
    assert blocked.vectors[SPACE] == pytest.approx(seen, abs=0.02)
    assert float(np.dot(blocked.vectors[SPACE], before.vectors[SPACE])) < 0.9
    with pytest.raises(MissingError):
        services.shelf.preview(TENANT, state.image_id)
    (near,) = services.index.find_neighbours(TENANT, SPACE, seen, limit=1)
    assert near.image_id == state.image_id
    again = jpeg(ImageOps.invert(photo(2).resize((160, 120))), 80)
    assert check(services, again) == ("near_duplicate", state.image_id, "block")
    rebuild(services, lambda *_: None)
    assert_same(records(services), held)
    assert check(services, again) == ("near_duplicate", state.image_id, "block")
    assert backfill(services, "pixels") == {**counts, "made": 0, "unchanged": 3}
    assert backfill(services, "features")["made"] == 0, "they were computed with the pixels"


@pytest.mark.usefixtures("newer")
@pytest.mark.parametrize("part", ["pixels", "features"])
def test_backfill_killed_at_any_write_is_ended_by_the_next_run(
    opens: OpensStore, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    """It dies at its first write, then at its second, and so on, until a run survives."""
    services = opens()
    blobs = type(services.blobs)
    alive = 0

    class KilledError(BaseException):
        """Death between two writes."""

    def dying(name: str) -> Callable[..., object]:
        whole = getattr(blobs, name)

        def write(*given: object) -> object:
            nonlocal alive
            alive -= 1
            if alive < 0:
                raise KilledError
            return whole(*given)

        return write

    deaths = 0
    with monkeypatch.context() as patch:
        for name in ("put", "create", "create_many", "delete"):
            patch.setattr(blobs, name, dying(name))
        while True:
            alive = deaths
            try:
                counts = backfill(services, part)
            except KilledError:
                deaths += 1
            else:
                break
    assert deaths >= 5
    assert (counts["pictures"], counts["no_bytes"]) == (6, 2)
    (place,) = services.blobs.get_many([keys.backfill(TENANT, part)])
    assert place is not None
    assert msgspec.json.decode(place)["before"] is None, "it has ended"
    held = records(services)
    versions = [getattr(one.fingerprint, f"{part}_version") for one in held.values()]
    assert versions.count(NEWEST) == (1 if part == "pixels" else 4)
    rebuild(services, lambda *_: None)
    assert_same(records(services), held)


@pytest.mark.usefixtures("newer")
def test_backfill_counts_what_it_cannot_decode(opens: OpensStore) -> None:
    """A format that the setting leaves out, and bytes that are damaged by now."""
    services = opens(formats="jpeg")
    damaged = records(services)["copy"].state.image_id
    services.blobs.put([(keys.blob(TENANT, damaged), b"\xff\xd8\xff\xe0 no picture")])
    counts = backfill(services, "features")
    assert (counts["made"], counts["left_out"], counts["failed"]) == (1, 2, 1)


@pytest.mark.usefixtures("newer")
def test_backfill_decodes_a_picture_once_per_version_and_formats(
    opens: OpensStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unless it could not decode it, or its verdict is newer than the run that has ended."""
    services = opens()
    ids = {name: one.state.image_id for name, one in records(services).items()}
    bytes_ = services.blobs.get(keys.blob(TENANT, ids["copy"]))
    services.blobs.put([(keys.blob(TENANT, ids["copy"]), b"\xff\xd8\xff\xe0 no picture")])
    decoded: list[int] = []
    whole = FingerprintPipeline.decode

    def counting(self: FingerprintPipeline, data: Sequence[bytes], known: Any) -> Any:  # noqa: ANN401  # as it is
        decoded.append(len(data))
        return whole(self, data, known)

    monkeypatch.setattr(FingerprintPipeline, "decode", counting)

    def run(services: Services) -> tuple[int, int, int, int]:
        decoded.clear()
        counts = backfill(services, "pixels")
        return sum(decoded), counts["made"], counts["unchanged"], counts["failed"]

    assert run(services) == (4, 3, 0, 1)
    assert run(services) == (1, 0, 2, 1), "what failed is tried again"
    services.blobs.put([(keys.blob(TENANT, ids["copy"]), bytes_)])
    assert run(services) == (1, 1, 2, 0)
    assert run(services) == (0, 0, 3, 0)
    job = Job(
        job_id="later",
        tenant=TENANT,
        image_id=records(services)["copy"].state.original,
        kind="delete",
        accepted_at=clock.now(),
    )
    services.ledger.settle(TENANT, [Claim(job=job)])
    assert run(services)[0] == 1, "its copy was judged again"
    assert run(services)[0] == 0
    assert run(opens(formats="jpeg,png"))[0] > 0
    monkeypatch.setitem(fingerprint_backfill.NEWEST, "pixels", NEWEST + 1)
    assert run(services)[0] > 0


def test_drawn_picture_gets_the_large_preview_that_a_release_did_not_make(
    opens: OpensStore, tmp_path: Path
) -> None:
    """Its other pixels are the same; the fingerprint stored here is made older."""
    services = opens()
    image_id = Maker(services, tmp_path).upload(
        png(TEMPLATES["receipts"](1).resize((720, 1440))), external_id="form"
    )
    held = records(services)["form"]
    older = replace(held.fingerprint, large=False, features_version=FEATURES_VERSION - 1)
    services.blobs.put(
        [(keys.derived(TENANT, image_id, "fingerprint"), msgspec.msgpack.encode(older))]
    )
    services.blobs.delete([keys.derived(TENANT, image_id, "large")])
    services.close()
    services = opens()
    rebuild(services, lambda *_: None)
    assert not records(services)["form"].fingerprint.large
    backfill(services, "features")
    made = records(services)["form"]
    assert made.fingerprint == held.fingerprint
    remade = made.state.remade
    assert large_preview.decode(services.shelf.large(TENANT, image_id, remade)).shape[0] > 512
    assert decode_preview(services.shelf.preview(TENANT, image_id, remade)).shape[0] <= 512
