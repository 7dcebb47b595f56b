"""The loader of pictures to compare: what it reads for which candidate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import pytest

from adapters.blobs.opening import open_blobs
from core import keys
from core.errors import DecoderKilledError, SeenitError
from core.evidence import Comparison
from core.fingerprint.fingerprint import decode_preview, encode_preview, fingerprint
from core.fingerprint.keypoints import DetailKeypoints, detail
from core.matching.policy import POLICY
from core.storage.picture_loader import PictureLoader
from core.storage.picture_store import PictureStore, StoredFingerprint
from core.types import Fingerprint, Hit, Limits, Query, Remade
from tests.samples.pictures import jpeg, photo


class Prints:
    """A store with fingerprints, whose previews must not be read."""

    def __init__(self, **prints: Fingerprint) -> None:
        self._prints = prints

    def fingerprints(
        self, _: str, pictures: list[tuple[str, Remade | None]]
    ) -> list[Fingerprint | None]:
        """Return the stored fingerprints, in order."""
        return [self._prints[image_id] for image_id, _ in pictures]


def test_a_hopeless_candidate_ends_before_any_preview_is_read() -> None:
    """Another photo whose hash came near by chance is compared by the stored words alone."""
    canonical, mine = fingerprint(jpeg(photo(0, 320, 240)), Limits())
    other = fingerprint(jpeg(photo(1, 320, 240)), Limits())[1]
    store = cast("PictureStore", Prints(other=other))
    loader = PictureLoader(store, POLICY, lambda _: None)
    query = Query(image_id="mine", fingerprint=mine)
    with loader.holding("t", [(query, encode_preview(canonical.preview))], stored=False):
        found = loader.align("t", query, [Hit(image_id="other", hamming=12, turn=0)])[0]
    assert (found.relation, found.evidence.signals) == ("unrelated", ("phash",))
    assert (found.evidence.hamming, found.evidence.words) == (12, "looks alike")


class Extractor:
    """Extraction in this process that counts previews; it fails if it is broken."""

    def __init__(self, *, broken: bool = False) -> None:
        self.calls: list[tuple[int, bool]] = []
        self._broken = broken

    def keypoints(
        self, previews: Sequence[bytes], *, urgent: bool = False
    ) -> list[DetailKeypoints | SeenitError]:
        """Return keypoints, or an error for each preview."""
        self.calls.append((len(previews), urgent))
        if self._broken:
            return [DecoderKilledError("its decoder crashed") for _ in previews]
        return [detail(decode_preview(preview)) for preview in previews]


def stored(shelf: PictureStore, image_id: str, seed: int, quality: int = 90) -> Query:
    """Store a picture; return its query."""
    canonical, printed = fingerprint(jpeg(photo(seed, 320, 240), quality), Limits())
    preview = encode_preview(canonical.preview)
    shelf.write("t", [StoredFingerprint(image_id=image_id, fingerprint=printed, preview=preview)])
    return Query(image_id=image_id, fingerprint=printed)


def test_keypoints_are_extracted_in_one_call_for_hopeful_candidates() -> None:
    """A hopeless one has none made; those stored are read, in a batch and for a check."""
    blobs = open_blobs("memory://")
    shelf, extractor = PictureStore(blobs), Extractor()
    one, two, _ = stored(shelf, "a", 0), stored(shelf, "b", 0, 60), stored(shelf, "c", 1)
    pairs = [
        (one, Hit(image_id="b", votes=9)),
        (one, Hit(image_id="c", hamming=12, turn=0)),
        (two, Hit(image_id="a", votes=9)),
    ]
    loader = PictureLoader(shelf, POLICY, lambda _: None, extractor=extractor)
    loader.prepare("t", pairs)
    loader.prepare("t", pairs)
    details = [keys.derived("t", name, "detail") for name in "abc"]
    assert (extractor.calls, blobs.exists(details)) == ([(2, False)], [True, True, False])
    assert loader.align("t", pairs[0][0], [pairs[0][1]])[0].confirmed
    canonical, mine = fingerprint(jpeg(photo(0, 320, 240), 70), Limits())
    query = Query(image_id="checked", fingerprint=mine)
    again = PictureLoader(shelf, POLICY, lambda _: None, extractor=extractor)
    held = [(query, encode_preview(canonical.preview))]
    with again.holding("t", held, stored=False):
        again.prepare("t", [(query, Hit(image_id="b", votes=9))], urgent=True)
        assert again.align("t", query, [Hit(image_id="b", votes=9)])[0].confirmed
    assert extractor.calls[1:] == [(1, True)]
    assert blobs.exists([keys.derived("t", "checked", "detail")]) == [False]


@pytest.mark.parametrize("prepared", [False, True])
@pytest.mark.parametrize("broken", [False, True])
def test_comparison_does_not_depend_on_where_keypoints_are_extracted(
    *, broken: bool, prepared: bool
) -> None:
    """Prepared or not, by an extractor that works or fails, or without any: one result."""
    found: list[list[Comparison]] = []
    for extractor in (None, Extractor(broken=broken)):
        shelf = PictureStore(open_blobs("memory://"))
        one = stored(shelf, "a", 0)
        stored(shelf, "b", 0, 50)
        stored(shelf, "c", 1)
        pairs = [(one, Hit(image_id=name, votes=9)) for name in ("b", "c", "gone")]
        loader = PictureLoader(shelf, POLICY, lambda _: None, extractor=extractor)
        if prepared and extractor is not None:
            loader.prepare("t", pairs)
        found.append(loader.align("t", one, [hit for _, hit in pairs]))
    assert [one.confirmed for one in found[0]] == [True, False, False]
    assert found[1] == found[0]
