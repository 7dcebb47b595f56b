"""Pictures by their keypoints alone: real photos, their edits, and as many made ones as wanted.

A made picture has keypoints of two photos, each mixed with a third's. Of 500 photos and 500 so made
from 500 others, a held-out photo meets as many postings (0.47 a picture, 0.49 in real ones), and as
large a share of its words (22 and 23 %): common words stay common, and rare ones go on being new.
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
"""A photo of fewer keypoints lends none."""
AT_ONCE = 1_000


class KeypointCollection(NamedTuple):
    """Some pictures' keypoints, one picture after another."""

    rooted: NDArray[np.float32]
    """(n, 128) rooted descriptors."""
    starts: NDArray[np.int64]
    """(pictures + 1,) where those of each picture begin."""

    def words(self) -> list[bytes]:
        """Of each picture, as `Features.words` has them."""
        made = visual_words._words(self.rooted)
        return [
            made[start:end].tobytes()
            for start, end in zip(self.starts[:-1], self.starts[1:], strict=True)
        ]


class KeypointQuery(NamedTuple):
    """An edited photo."""

    edit: str
    number: int
    """Of the photo it was made from."""
    found: Keypoints
    features: Features


def detect(data: bytes) -> Keypoints:
    """Of a file."""
    return visual_words.detect(decode(data, Limits()).preview)


def edited(progress: Progress, files: list[bytes], every: int) -> Iterator[KeypointQuery]:
    """All edits of each `every`-th of the files."""
    numbers = range(0, len(files), every)
    for number in progress.track(numbers, description=f"{len(EDITS)} edits of each photo"):
        upright = photos.upright(files[number])
        for edit in EDITS.values():
            found = detect(edit.apply(upright, number))
            yield KeypointQuery(edit.name, number, found, visual_words.described(found))


def real(found: list[Keypoints]) -> KeypointCollection:
    """These pictures."""
    lengths = [len(one.descriptors) for one in found]
    return KeypointCollection(
        visual_words.rooted(np.concatenate([one.descriptors for one in found])),
        np.cumsum([0, *lengths]),
    )


def made(lenders: KeypointCollection, count: int, seed: int = 1) -> Iterator[KeypointCollection]:
    """So many pictures in portions, mixed of the keypoints of these."""
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
