"""Per-picture objects: what is written is read back, and nothing outlives a delete or a purge."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from unittest.mock import Mock

import msgspec
import numpy as np
import pytest

from adapters.blobs.opening import open_blobs
from core import keys
from core.errors import MissingError
from core.evidence import Comparison
from core.fingerprint.fingerprint import encode_preview, fingerprint
from core.fingerprint.keypoints import KEYPOINTS_VERSION, DetailKeypoints
from core.matching.alignment import AlignedPicture, align_all
from core.matching.policy import POLICY, Policy
from core.ports import Blobs
from core.records import Fields, LogPlace
from core.storage import picture_loader
from core.storage.picture_loader import PictureLoader
from core.storage.picture_store import PictureStore, StoredFingerprint, StoredVector
from core.types import Hit, Limits, Query, Remade
from tests.doubles.records import record
from tests.samples.pictures import TEMPLATES, jpeg, photo, png


def written(image_id: str, seed: int = 1) -> StoredFingerprint:
    """Return a picture as the fingerprint stage leaves it."""
    canonical, made = fingerprint(jpeg(photo(seed, 320, 240), 90), Limits())
    return StoredFingerprint(
        image_id=image_id,
        fingerprint=made,
        preview=encode_preview(canonical.preview),
        vectors={"visual-1": np.array([0.6, 0.8], np.float32)},
    )


def everything(blobs: Blobs) -> list[str]:
    """Return every key but the marks."""
    return [
        key
        for part in ("blobs", "derived", "vectors", "fields", "kept")
        for key in blobs.keys(f"{part}/t/")
    ]


def test_what_is_written_is_read_back_by_another() -> None:
    """Fingerprint, preview, vector and fields, by a shelf that remembers nothing of them."""
    blobs, item = open_blobs("memory://"), written("a")
    PictureStore(blobs).write("t", [item])
    PictureStore(blobs).write_fields("t", [("a", "op", Fields(title="x", tags=("y",)))])
    other = PictureStore(blobs)
    assert other.fingerprints("t", [("a", None), ("b", None)]) == [item.fingerprint, None]
    assert other.preview("t", "a") == item.preview
    assert other.vectors("t", "a", ["visual-1", "visual-2"])["visual-1"].tolist() == pytest.approx(
        [0.6, 0.8]
    )
    assert other.fields("t", "a", "op") == Fields(title="x", tags=("y",))
    assert other.fields("t", "a", "gone") == Fields()


def test_a_write_after_a_delete_leaves_nothing() -> None:
    """A writer looks for a tombstone afterwards and removes what it wrote."""
    blobs = open_blobs("memory://")
    blobs.create(keys.tombstone("t", "a"), b"{}")
    shelf = PictureStore(blobs)
    shelf.write("t", [written("a")])
    shelf.write_fields("t", [("a", "op", Fields(title="x"))])
    assert everything(blobs) == []
    assert shelf.fingerprints("t", [("a", None)]) == [None]


def test_a_write_after_a_purge_leaves_no_pixels() -> None:
    """Preview and keypoints go; the kept fingerprint stays."""
    blobs, item = open_blobs("memory://"), written("a")
    shelf = PictureStore(blobs)
    blobs.put([(keys.blob("t", "a"), b"bytes")])
    shelf.write("t", [item])
    shelf.purge("t", "a")
    shelf.write("t", [item])
    assert everything(blobs) == ["vectors/t/a/visual-1", "kept/t/a"]
    assert PictureStore(blobs).fingerprints("t", [("a", None)]) == [item.fingerprint]
    with pytest.raises(MissingError):
        shelf.preview("t", "a")


class StopsAfter(PictureStore):
    """A store whose process dies before one of the steps of `hide`."""

    def __init__(self, blobs: Blobs, steps: int) -> None:
        super().__init__(blobs)
        put, create, delete = blobs.put, blobs.create_many, blobs.delete
        self._left = steps
        self._blobs = Mock(wraps=blobs)
        for name, call in (("put", put), ("create_many", create), ("delete", delete)):
            getattr(self._blobs, name).side_effect = partial(self._step, call)

    def _step(self, call: Callable[..., object], *given: object) -> object:
        if not self._left:
            raise KeyboardInterrupt
        self._left -= 1
        return call(*given)


@pytest.mark.parametrize("steps", range(5))
def test_hiding_leaves_the_fingerprint_alone_wherever_it_broke_off(steps: int) -> None:
    """Each step can be the last; a repeat ends it, and late writers leave nothing."""
    blobs, item = open_blobs("memory://"), written("a")
    shelf = PictureStore(blobs)
    blobs.put([(keys.blob("t", "a"), b"bytes")])
    shelf.write("t", [item])
    shelf.write_fields("t", [("a", "op", Fields(owner_id="jane"))])
    with pytest.raises(KeyboardInterrupt) if steps < 4 else nullcontext():
        StopsAfter(blobs, steps).hide("t", "a")
    assert PictureStore(blobs).fingerprints("t", [("a", None)]) == [item.fingerprint]
    shelf.hide("t", "a")
    assert everything(blobs) == ["kept/t/a"]
    assert shelf.vectors("t", "a", ["visual-1"]) == {}
    assert shelf.fields("t", "a", "op") == Fields()
    shelf.write("t", [item])
    shelf.write_fields("t", [("a", "op2", Fields(owner_id="jane"))])
    shelf.write_vectors("t", [StoredVector("a", "visual-2", None, item.vectors["visual-1"])])
    assert everything(blobs) == ["kept/t/a"]
    shelf.remove("t", ["a"])
    assert everything(blobs) == []


def drawn_picture(image_id: str) -> StoredFingerprint:
    """Return a drawn picture, which has a large preview."""
    image = TEMPLATES["receipts"](1).resize((720, 1440))
    canonical, made = fingerprint(png(image), Limits())
    return StoredFingerprint(
        image_id=image_id,
        fingerprint=made,
        preview=encode_preview(canonical.preview),
        large=canonical.large,
    )


def test_large_preview_is_stored_beside_the_preview_and_goes_with_it() -> None:
    """Only a drawn picture has one; a purge and a removal take it."""
    blobs, item = open_blobs("memory://"), drawn_picture("a")
    shelf = PictureStore(blobs)
    shelf.write("t", [item, written("b"), drawn_picture("c")])
    assert shelf.large("t", "a") == item.large
    shelf.purge("t", "a")
    shelf.remove("t", ["c"])
    for image_id in ("a", "b", "c"):
        with pytest.raises(MissingError):
            shelf.large("t", image_id)


def test_large_preview_is_named_by_its_fingerprint() -> None:
    """One that is computed again with the features alone replaces that of the upload."""
    blobs, old = open_blobs("memory://"), drawn_picture("a")
    shelf, remade = PictureStore(blobs), Remade("j")
    shelf.write("t", [old, msgspec.structs.replace(old, op_id="j", preview=b"", vectors={})])
    shelf.drop_large("t", msgspec.structs.replace(record(0, 1).state, image_id="a"))
    assert shelf.large("t", "a", remade) == old.large
    assert shelf.preview("t", "a", remade) == old.preview
    with pytest.raises(MissingError):
        shelf.large("t", "a")


def test_a_removal_takes_every_object_and_memory() -> None:
    """It takes those of that picture, and of no other."""
    blobs = open_blobs("memory://")
    shelf = PictureStore(blobs)
    shelf.write("t", [written("a"), written("ab", 2)])
    shelf.write_fields("t", [("a", "op", Fields(title="x"))])
    shelf.remove("t", ["a"])
    assert [key for key in everything(blobs) if "/a/" in key or key.endswith("/a")] == []
    assert shelf.fingerprints("t", [("a", None), ("ab", None)])[0] is None
    assert shelf.fingerprints("t", [("a", None), ("ab", None)])[1] is not None
    assert shelf.fields("t", "a", "op") == Fields()


# --- the gallery --------------------------------------------------------------------------------


def query(item: StoredFingerprint) -> Query:
    """Return the query of the picture."""
    return Query(image_id=item.image_id, fingerprint=item.fingerprint)


def test_a_comparison_is_the_same_in_hand_and_on_the_shelf() -> None:
    """Held or stored, either side: one result."""
    one, other = written("a"), written("b")
    results = []
    for hands in ([one, other], [one], [other], []):
        blobs = open_blobs("memory://")
        shelf = PictureStore(blobs)
        shelf.write("t", [item for item in (one, other) if item not in hands])
        gallery = PictureLoader(shelf, POLICY, lambda _: None)
        held = [(query(item), item.preview) for item in hands]
        with gallery.holding("t", held, stored=False):
            results.append(gallery.align("t", query(one), [Hit(image_id="b", hamming=0)])[0])
    assert results[0].confirmed
    assert all(result == results[0] for result in results)


@pytest.mark.parametrize("where", ["held", "stored", "lost"])
def test_large_preview_reaches_the_comparison(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is in hand, or read from the store when it is needed; None where there is none."""
    item, other, pairs = drawn_picture("a"), written("b"), list[AlignedPicture]()

    def aligned(
        query: AlignedPicture, candidates: Sequence[tuple[AlignedPicture, Hit]], policy: Policy
    ) -> list[Comparison]:
        pairs.extend((query, *(candidate for candidate, _ in candidates)))
        return align_all(query, candidates, policy)

    monkeypatch.setattr(picture_loader, "align_all", aligned)
    blobs = open_blobs("memory://")
    shelf = PictureStore(blobs)
    shelf.write("t", [other] if where == "held" else [item, other])
    if where == "lost":
        blobs.delete([keys.derived("t", "a", "large")])
    gallery = PictureLoader(shelf, POLICY, lambda _: None)
    held = [(query(item), item.preview)] if where == "held" else []
    with gallery.holding("t", held, stored=False, large={"a": item.large}):
        gallery.align("t", query(item), [Hit(image_id="b", votes=5)])
        large, none = (picture.large() for picture in pairs)
    assert none is None
    assert large is None if where == "lost" else large is not None and large.shape == (1440, 720, 3)


def test_a_check_leaves_nothing_behind() -> None:
    """A picture held without being stored writes no keypoints, even if they are used."""
    one, other = written("a"), written("b", 3)
    blobs = open_blobs("memory://")
    shelf = PictureStore(blobs)
    shelf.write("t", [other])
    gallery = PictureLoader(shelf, POLICY, lambda _: None)
    with gallery.holding("t", [(query(one), one.preview)], stored=False):
        gallery.align("t", query(one), [Hit(image_id="b", votes=5)])
    assert [key for key in everything(blobs) if "/a/" in key] == []
    with pytest.raises(MissingError):
        gallery.query("t", "a")


def test_a_purged_candidate_confirms_nothing() -> None:
    """There are no pixels to lay the picture over."""
    one, other = written("a"), written("b")
    blobs = open_blobs("memory://")
    shelf = PictureStore(blobs)
    shelf.write("t", [one, other])
    shelf.purge("t", "b")
    told = PictureLoader(shelf, POLICY, lambda _: None).align(
        "t", query(one), [Hit(image_id="b", hamming=0, votes=40)]
    )[0]
    assert (told.confirmed, told.evidence.hamming, told.evidence.votes) == (False, 0, 40)


def test_keypoints_are_made_once_and_then_read() -> None:
    """The first alignment that needs them stores them."""
    one, other = written("a"), written("b", 3)
    blobs = open_blobs("memory://")
    shelf = PictureStore(blobs)
    shelf.write("t", [one, other])
    gallery = PictureLoader(shelf, POLICY, lambda _: None)
    first = gallery.align("t", query(one), [Hit(image_id="b", votes=5)])[0]
    assert blobs.exists([keys.derived("t", n, "detail") for n in ("a", "b")]) == [True, True]
    again = PictureLoader(shelf, POLICY, lambda _: None).align(
        "t", query(one), [Hit(image_id="b", votes=5)]
    )[0]
    assert again == first


def test_keypoints_of_another_version_are_made_anew() -> None:
    """Descriptors of two versions cannot be matched; those stored without a version are older."""
    one, other = written("a"), written("b", 3)
    blobs = open_blobs("memory://")
    shelf = PictureStore(blobs)
    shelf.write("t", [one, other])
    old = DetailKeypoints(b"", b"", 1, 1, KEYPOINTS_VERSION - 1)
    shelf.write_details("t", [("b", None, old)])
    assert shelf.detail("t", "b") == old
    PictureLoader(shelf, POLICY, lambda _: None).align(
        "t", query(one), [Hit(image_id="b", votes=5)]
    )
    made = shelf.detail("t", "b")
    assert made is not None
    assert (made.version, made.width) == (KEYPOINTS_VERSION, 320)
    bare = {"points": b"", "descriptors": b"", "width": 1, "height": 1}
    blobs.put([(keys.derived("t", "b", "detail"), msgspec.msgpack.encode(bare))])
    assert shelf.detail("t", "b") == DetailKeypoints(b"", b"", 1, 1, 1)


def test_a_spoilt_preview_confirms_nothing_and_holds_up_nobody() -> None:
    """It counts as a picture without pixels."""
    one, other = written("a"), written("b")
    blobs = open_blobs("memory://")
    shelf = PictureStore(blobs)
    shelf.write("t", [one, other])
    blobs.put([(keys.derived("t", "b", "preview"), b"not a picture any more")])
    told = PictureLoader(shelf, POLICY, lambda _: None).align(
        "t", query(one), [Hit(image_id="b", hamming=0)]
    )[0]
    assert not told.confirmed


def test_what_an_entry_left_is_read_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    """One request after another would cost a batch a second at a bucket's 15 ms each."""
    blobs, ids = open_blobs("memory://"), ["a", "b", "c"]
    shelf = PictureStore(blobs)
    shelf.write("t", [written(image_id) for image_id in ids])
    caption = np.array([1.0, 0.0], np.float32)
    shelf.write_fields("t", [(image_id, "op", Fields(title=image_id)) for image_id in ids])
    shelf.write_vectors(
        "t", [StoredVector(image_id, "caption-1", "op", caption) for image_id in ids]
    )
    states = [
        msgspec.structs.replace(
            record(n, 1).state,
            image_id=image_id,
            fields="op",
            spaces=("visual-1", "caption-1"),
            anchor=None if image_id == "c" else LogPlace(1, n),
        )
        for n, image_id in enumerate(ids)
    ]
    get = blobs.get
    alone: list[str] = []
    monkeypatch.setattr(blobs, "get_many", lambda keys: [get(key) for key in keys])
    monkeypatch.setattr(blobs, "get", alone.append)
    found = PictureStore(blobs).join("t", 1, states)
    assert alone == []
    assert [one.fields.title for one in found] == ids
    assert [list(one.vectors) for one in found] == [["visual-1", "caption-1"]] * 2 + [["caption-1"]]


# --- fingerprinted again ------------------------------------------------------------------------


def test_objects_computed_again_lie_beside_those_of_the_upload() -> None:
    """Each state reads its own; a purge keeps the fingerprint that the newest names."""
    blobs, old, new = open_blobs("memory://"), written("a"), written("a", 3)
    new = msgspec.structs.replace(new, op_id="j")
    shelf, remade = PictureStore(blobs), Remade("j", "j")
    shelf.write("t", [old, new])
    for reader in (shelf, PictureStore(blobs)):
        found = reader.fingerprints("t", [("a", None), ("a", remade)])
        assert found == [old.fingerprint, new.fingerprint]
    assert shelf.preview("t", "a") == old.preview
    assert shelf.preview("t", "a", remade) == new.preview
    loader = PictureLoader(shelf, POLICY, lambda _: "visual-1")
    assert loader.query("t", "a", remade).fingerprint == new.fingerprint
    told = loader.align("t", query(old), [Hit(image_id="a", hamming=0, votes=5, remade=remade)])[0]
    assert not told.confirmed, "other pixels than those of the upload"
    shelf.purge("t", "a", remade)
    assert PictureStore(blobs).fingerprints("t", [("a", remade)]) == [new.fingerprint]
    with pytest.raises(MissingError):
        shelf.preview("t", "a", remade)


def test_pixels_that_were_replaced_are_removed_and_their_fingerprint_stays() -> None:
    """An index that is filled from the log passes the earlier entries too."""
    blobs, old, new = open_blobs("memory://"), written("a"), written("a", 3)
    shelf = PictureStore(blobs)
    shelf.write("t", [old, msgspec.structs.replace(new, op_id="j")])
    state = msgspec.structs.replace(
        record(0, 1, spaces=("visual-1", "caption-1")).state, image_id="a"
    )
    shelf.drop_pixels("t", state)
    assert everything(blobs) == [
        "derived/t/a/fingerprint",
        "derived/t/a/j/fingerprint",
        "derived/t/a/j/preview",
        "vectors/t/a/j/visual-1",
    ]
    shelf.drop_remade("t", "a", "j")
    assert everything(blobs) == ["derived/t/a/fingerprint"]
