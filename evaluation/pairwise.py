"""Alignment of every pair of some pictures, in both directions, without candidate search."""

from __future__ import annotations

import functools
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor

import cv2
from msgspec import Struct

from core.errors import SeenitError
from core.evidence import Comparison
from core.fingerprint.fingerprint import decode_preview, encode_preview, fingerprint
from core.fingerprint.keypoints import detail
from core.imaging import large_preview
from core.matching.alignment import AlignedPicture, align
from core.matching.policy import Policy
from core.types import Hit, Limits

_FEW = 40
"""Pictures below which starting other processes takes longer than the work itself."""

_held: list[AlignedPicture | None] = []
"""Pictures of a pool process; filled when it starts."""


class RelatedPair(Struct, frozen=True):
    """Two pictures of which one is a copy or variant of the other, by their numbers."""

    one: int
    other: int
    comparison: Comparison


def prepare(data: bytes, limits: Limits) -> AlignedPicture | None:
    """Prepare a picture for comparison, as it would be stored; None if it cannot be decoded."""
    try:
        canonical, made = fingerprint(data, limits)
    except SeenitError:
        return None
    preview = decode_preview(encode_preview(canonical.preview))
    return AlignedPicture(
        preview=preview,
        width=made.width,
        height=made.height,
        uncompared=made.uncompared,
        turns=made.turns,
        detail=functools.cache(lambda: detail(preview)),
        large=lambda: large_preview.decode(canonical.large) if canonical.large else None,
    )


def related(
    items: Sequence[bytes],
    policy: Policy,
    told: Callable[[int], None],
    limits: Limits,
    *,
    processes: int = 1,
) -> Iterator[RelatedPair]:
    """Align every picture with every other one, and yield copies and variants, in order.

    `told` receives the number of pictures that have been aligned with all others.
    """
    if processes <= 1 or len(items) < _FEW:
        _load(items, limits)
        for row in range(len(items)):
            found = _row(policy, row)
            told(row + 1)
            yield from found
        _held.clear()
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context, _load, (items, limits)) as pool:
        rows = pool.map(functools.partial(_row, policy), range(len(items)))
        for row, found in enumerate(rows, 1):
            told(row)
            yield from found


def _load(items: Sequence[bytes], limits: Limits) -> None:
    cv2.setNumThreads(1)
    _held[:] = [prepare(data, limits) for data in items]


def _row(policy: Policy, row: int) -> list[RelatedPair]:
    """Align one picture with all others."""
    one = _held[row]
    found = []
    for number, other in enumerate(_held):
        if one is None or other is None or number == row:
            continue
        comparison = align(one, other, Hit(image_id=str(number)), policy)
        if comparison.relation != "unrelated":
            found.append(RelatedPair(row, number, comparison))
    return found
