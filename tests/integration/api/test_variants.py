"""Variants through the whole embedded service; the comparison of pixels is a stub."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from litestar.testing import TestClient

from adapters import wiring
from adapters.reindex import rebuild
from adapters.settings import Settings
from api.app import create_app
from core.evidence import Comparison, Evidence
from core.storage.picture_loader import PictureLoader
from core.types import Hit, Query
from tests.samples.pictures import jpeg, photo
from worker.embedded import EmbeddedEngine

RECEIPT = photo(40, 400, 300)
FIRST, SECOND, THIRD = (jpeg(RECEIPT, quality) for quality in (95, 80, 65))


def told(_: PictureLoader, _tenant: str, _query: Query, hits: Sequence[Hit]) -> list[Comparison]:
    """Call any two pictures variants."""
    return [Comparison("variant", Evidence(signals=("alignment",), words="other content"))] * len(
        hits
    )


@pytest.fixture
def services(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[wiring.Services]:
    """Yield the embedded default, for which pictures of one layout are variants."""
    monkeypatch.setattr(PictureLoader, "align", told)
    built = wiring.build(
        Settings(
            data=tmp_path / "data",
            model="none",
            caption_model="none",
            durable=False,
            api_keys="key-of-tenant-alpha:alpha:admin,key-of-tenant-beta:beta:admin",
        )
    )
    yield built
    built.close()


def test_a_variant_is_stored_listed_and_rebuilt(services: wiring.Services) -> None:
    """It is an original, reviewed only beside a block; another tenant sees nothing of it."""
    engine = EmbeddedEngine(services)
    engine.start()
    assert engine.wait(60)
    with TestClient(create_app(services)) as client:

        def call(method: str, url: str, tenant: str = "alpha", **more: Any) -> Any:  # noqa: ANN401  # JSON
            headers = {"Authorization": f"Bearer key-of-tenant-{tenant}"}
            answer = client.request(method, f"/v1/{url}", headers=headers, **more)
            assert answer.is_success, answer.text
            return answer.json()

        def send(data: bytes, url: str = "images?wait=60", tenant: str = "alpha") -> dict[str, Any]:
            answer = call("POST", url, tenant, files={"file": ("r.jpg", data)})
            one: dict[str, Any] = answer["items"][0] if "items" in answer else answer
            return one

        first, second = send(FIRST), send(SECOND)
        verdict = second["verdict"]
        assert (verdict["kind"], verdict["original"]) == ("variant", None)
        (match,) = verdict["matches"]
        assert (match["image_id"], match["kind"]) == (first["image_id"], "variant")
        assert (match["confirmed"], match["evidence"]["words"]) == (False, "other content")
        record = call("GET", f"images/{second['image_id']}")
        assert (record["anchor"], record["decision"]["value"]) == (True, "allow")
        assert call("GET", "stats")["total"]["verdicts"] == {"new": 1, "variant": 1}

        call("PUT", f"images/{first['image_id']}/decision", json={"value": "block"})
        kept = call("GET", f"images/{second['image_id']}")["decision"]["value"]
        seen = send(THIRD, "check")
        assert (kept, seen["verdict"]["kind"]) == ("allow", "variant")
        assert seen["decision"]["value"] == "review"

        other = send(SECOND, tenant="beta")
        assert other["verdict"]["kind"] == "new"
        assert call("GET", f"images/{other['image_id']}/variants", "beta")["items"] == []

        def variants() -> list[list[str]]:
            pages = [call("GET", f"images/{one['image_id']}/variants") for one in (first, second)]
            return [[item["image_id"] for item in page["items"]] for page in pages]

        listed = [[second["image_id"]], [first["image_id"]]]
        assert variants() == listed
    engine.close()
    rebuild(services, lambda *_: None)
    entries = [services.log.read("alpha", seq) for seq in (1, 2)]
    assert [entry and entry.format for entry in entries] == [1, 3]
    states = services.index.list_variants("alpha", first["image_id"], 9)
    assert [state.image_id for state in states] == [second["image_id"]]
