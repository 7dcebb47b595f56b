"""Pictures as keypoints only: real photos, their edits, and any number of made ones.

A made picture has keypoints of two photos, each mixed with a third's. Among 500 made from 500
photos, a held-out photo meets as many postings as among 500 real ones (0.47 and 0.49 a picture),
and as large a share of its words (22 and 23 %): common words stay common, rare ones stay new.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.progress import Progress

from benchmarks.data import photos
from core.fingerprint import visual_words
from core.fingerprint.visual_words import Keypoints
from core.imaging.decoding import decode
from core.types import Features, Limits
from evaluation.edits import EDITS

MIXED = 0.3
"""Share of a third keypoint in a made one; the squares of both shares are 1."""
FEW = 20
"""Minimum keypoints of a photo that lends some."""
AT_ONCE = 1_000


class KeypointCollection(NamedTuple):
    """The keypoints of some pictures, one picture after another."""

    rooted: NDArray[np.float32]
    """(n, 128) rooted descriptors."""
    starts: NDArray[np.int64]
    """(pictures + 1,) offsets at which each picture's keypoints begin."""

    def words(self) -> list[bytes]:
        """Return the words of each picture, as in `Features.words`."""
        made = visual_words._words(visual_words._projected(self.rooted))
        return [
            made[start:end].tobytes()
            for start, end in zip(self.starts[:-1], self.starts[1:], strict=True)
        ]


class KeypointQuery(NamedTuple):
    """An edited photo to search by."""

    edit: str
    number: int
    """Number of the photo it was made from."""
    found: Keypoints
    features: Features


def detect(data: bytes) -> Keypoints:
    """Return the keypoints of a file."""
    return visual_words.detect(decode(data, Limits()).preview)


def edited(progress: Progress, files: list[bytes], every: int) -> Iterator[KeypointQuery]:
    """Yield all edits of each `every`-th file."""
    numbers = range(0, len(files), every)
    for number in progress.track(numbers, description=f"{len(EDITS)} edits of each photo"):
        upright = photos.upright(files[number])
        for edit in EDITS.values():
            found = detect(edit.apply(upright, number))
            yield KeypointQuery(edit.name, number, found, visual_words.described(found))


def real(found: list[Keypoints]) -> KeypointCollection:
    """Return the collection of these pictures."""
    lengths = [len(one.descriptors) for one in found]
    return KeypointCollection(
        visual_words.rooted(np.concatenate([one.descriptors for one in found])),
        np.cumsum([0, *lengths]),
    )


def made(lenders: KeypointCollection, count: int, seed: int = 1) -> Iterator[KeypointCollection]:
    """Yield `count` pictures in parts, mixed from the keypoints of the lenders."""
    random = np.random.default_rng(seed)
    lengths = np.diff(lenders.starts)
    firsts, lengths = lenders.starts[:-1][lengths >= FEW], lengths[lengths >= FEW]
    for start in range(0, count, AT_ONCE):
        size = min(AT_ONCE, count - start)
        many = lengths[random.integers(0, len(lengths), size)]
        total = int(many.sum())
        picture = np.repeat(np.arange(size), many)
        two = random.integers(0, len(firsts), (size, 2))
        source = two[picture, random.integers(0, 2, total)]
        one = firsts[source] + random.integers(0, 1 << 30, total) % lengths[source]
        third = random.integers(0, len(lenders.rooted), total)
        share = np.float32(MIXED)
        mixed = np.sqrt(1 - share * share) * lenders.rooted[one] + share * lenders.rooted[third]
        yield KeypointCollection(mixed, np.cumsum([0, *many]))
