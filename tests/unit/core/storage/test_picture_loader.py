"""The loader of pictures to compare: what it reads for which candidate."""

from __future__ import annotations

from typing import cast

from core.fingerprint.fingerprint import encode_preview, fingerprint
from core.matching.policy import POLICY
from core.storage.picture_loader import PictureLoader
from core.storage.picture_store import PictureStore
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
        found = loader.align("t", query, Hit(image_id="other", hamming=12, turn=0))
    assert (found.relation, found.evidence.signals) == ("unrelated", ("phash",))
    assert (found.evidence.hamming, found.evidence.words) == (12, "looks alike")
