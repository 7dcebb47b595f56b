"""Rarity of visual words, computed from the word alone.

A few words are in very many pictures: an inverted index spends most of a lookup on them, and they
distinguish little. Only the index knows the frequency of each word, and it changes every hour. But
signs of projections that often go together make common words, so a word's bits predict its
frequency: the pair terms of an Ising model (mean-field couplings: minus the inverse of the signs'
correlations). The result is the same on every machine and at any size, so a picture's common words
need not be stored.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.fingerprint.visual_words import BITS, TABLES

COMMON = 1_450
"""Commonness from which a word is common: 260 of a photo's 370 words are not. Measured among 60,000
pictures: those match a fifth of the postings of all words, and lose 0.3 points of recall."""
EMPTY = 1_962
"""Commonness from which a word is useless even among a few pictures: 20 of 370 words, which match
nearly half of the postings. Among 1,600 pictures more copies were found without them."""

_COUPLINGS = np.frombuffer(
    bytes.fromhex(
        "d9ef0edee814f9fefa01f10f0dfdf7011602fa02edf709ef020a210904dc02fe09f205f0e6fefc15fc01e212"
        "fa1fed0706f9081000e611f8f4ecfd02f5ebe10bf1fa140cef00ff02f702f3e4f3e91ce7131300f2e903f908"
        "0012eaf305e41819ffebf6e9f00bfe03131b17ebe0190ef5d60ee607fc0b03e004fa08fd110605fcfbf803fe"
        "fc1cfffdee0afa110ef2050df0fce1fe05e2f4f9e5f7fc15f3e713e1f8070cf7170801e3f70906f50cfdf7f5"
        "f6f50112e804142a1101f72702fff90dedf007e4f5f912f3ffea1a0a36de10181e19fefcff27f9f9130e16fe"
        "17ee11fafbfbd61ef9ece9eef61d14f60f000ceb0def0704e210faf90a1cef060800f4f0fbfef92506ddf90a"
        "00f6dcf702fdf3e40111fd11"
        "edf418051bfc0ce8f211f30cf4f5051c0b0c100bfa13fe29f5fff3111a06f5f0fc050f0d08fff900f5062301"
        "f3fe0100d918f7e8fc0d190cf00df0f001fe1017f90c03ca010a0cfa21f4f0fde30c12eb0e0f0bc408eced05"
        "110b0e1c031419ee1d0b1112fa0bfa0efc10f4fb0d000b29110ddce3fc00f5fff409040b2602f3eeed110aed"
        "04fcf5fbe1fb1a001803051dfdfc010e03eee6f8fbf8ea031ef91804ef180816ed04f1edfbfefd010919defc"
        "04fc00fff9fc3513012306fce6fa04fcec0bdbdbf8fe0c09fb1d0d01e5fae607ff0af51001fbef16ee06fd24"
        "051702e30b0c05f80303f606f814fc0007070d07f811ea0fee26021d0a11ef03f712ff02dcdf0001010dfd00"
        "0603f9ff22f9030cf1fff1ee"
    ),
    np.int8,
).reshape(TABLES, -1)
"""Couplings, (TABLES, pairs of bits) in 1/128, row after row of the upper triangle: from 600,000
keypoints of 1,500 pictures of `evaluation.synthetic_photos` (seeds 5000 to 6499, 320 x 240), as
they are and mirrored."""


def _matrices() -> NDArray[np.float32]:
    """Return the couplings as symmetric (TABLES, BITS, BITS) matrices with a zero diagonal."""
    made = np.zeros((TABLES, BITS, BITS), np.float32)
    rows, columns = np.triu_indices(BITS, 1)
    made[:, rows, columns] = made[:, columns, rows] = _COUPLINGS
    return made


_MATRICES = _matrices()


def commonness(words: NDArray[np.uint32]) -> NDArray[np.int64]:
    """Compute how common each of (n,) words is: a rising function of its log frequency.

    Whole numbers, so that every machine draws the line at the same words.
    """
    signs = (words[:, None] >> np.arange(BITS, dtype=np.uint32) & 1).astype(np.float32) * 2 - 1
    tables = words >> BITS
    made = np.zeros(len(words), np.int64)
    for table, matrix in enumerate(_MATRICES):
        mine = tables == table
        # Sums of whole numbers below 2 ** 24: exact in float32, in whatever order.
        made[mine] = ((signs[mine] @ matrix) * signs[mine]).sum(axis=1)
    return made


def rare(words: bytes, below: int = COMMON) -> NDArray[np.uint32]:
    """Return the distinct words of stored features (`Features.words`) below that, sorted."""
    every = np.unique(np.frombuffer(words, np.uint32))
    return every[commonness(every) < below]
