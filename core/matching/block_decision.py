"""Decision from the measured blocks whether two aligned pictures are one."""

from __future__ import annotations

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from core.matching import changed_regions
from core.matching.block_comparison import OverlaidPair
from core.matching.policy import Policy
from core.types import ChangedRegion

Flags = NDArray[np.bool_]

_REGION = 0.015
"""Share of the overlap's blocks from which a disagreement is a region; at least three blocks."""
_GROUND = 0.02
"""Share of plain ground from which a block may be mere outline."""


class BlockDecision(Struct, frozen=True):
    """Result of the decision on the blocks."""

    confirmed: bool
    overlap: float
    """Share of the textured blocks that agree."""
    agreeing: int
    veiled: bool
    """Whether a half transparent overlay covers it, such as a watermark."""
    changed: tuple[ChangedRegion, ...]
    changed_share: float
    why: str
    """First requirement that was not met, "" if all were."""


def judge(laid: OverlaidPair, policy: Policy) -> BlockDecision:
    """Decide by the blocks alone; `Policy` documents each number."""
    telling = laid.inside & (np.maximum(*laid.deviation) >= policy.texture)
    agree = telling & _agreeing(laid, policy)
    # a block without texture disagrees if its grey is not that of the original in this light
    relit = laid.inside & ~telling & (np.abs(laid.level) > policy.level)
    disagree = (telling & ~agree) | relit
    total, agreeing = int((agree | disagree).sum()), int(agree.sum())
    found = changed_regions.regions(disagree, agree, max(3, round(_REGION * laid.inside.sum())))
    laid_over = [region for region in found if region.solid >= policy.solid]
    covered = np.zeros(agree.shape, bool)
    for region in laid_over:
        covered |= changed_regions.inside(region, agree.shape)
    why = _missing(laid, agree, disagree, covered, policy)
    veiled = why in ("cover", "share", "inner") and _veiled(laid, telling, policy)
    if veiled:
        why, laid_over = "", found
    changed: tuple[ChangedRegion, ...] = ()
    if not why and laid_over:
        differs = np.abs(laid.grey[1] - laid.grey[0]) > policy.level
        changed = tuple(changed_regions.box(r, agree.shape, laid.frame, differs) for r in laid_over)
    return BlockDecision(
        confirmed=not why,
        overlap=round(agreeing / total, 4) if total else 0.0,
        agreeing=agreeing,
        veiled=veiled,
        changed=changed,
        changed_share=round(min(1.0, sum(b.width * b.height for b in changed)), 4),
        why=why,
    )


def _agreeing(laid: OverlaidPair, policy: Policy) -> Flags:
    """Return the blocks that agree as they are, or as closely as strong compression permits.

    Compression preserves coarse texture, and adds only some grey levels to the fine.
    """
    alike = laid.correlation >= policy.agreeing
    first, second, coarse = laid.coarse
    kept = (np.minimum(first, second) >= policy.coarse_texture) & (coarse >= policy.coarse)
    most = np.maximum(*laid.deviation)
    left = most * np.sqrt(np.clip(1.0 - laid.correlation * laid.correlation, 0.0, 1.0))
    spoilt: Flags = alike | (
        (kept | (left <= policy.noise)) & (laid.correlation >= policy.half_agreeing)
    )
    return spoilt


def _missing(  # noqa: PLR0911 - one demand after another
    laid: OverlaidPair, agree: Flags, disagree: Flags, covered: Flags, policy: Policy
) -> str:
    """Return the first requirement that is not met, "" where all are."""
    total, agreeing = int((agree | disagree).sum()), int(agree.sum())
    if max(laid.seen, laid.filled) < policy.whole or min(laid.seen, laid.filled) < policy.part:
        return "reach"
    if laid.drift > policy.drift:
        return "drift"
    if agreeing < policy.block_count:
        return "blocks"
    if _exact(laid, agree, total, policy):
        return ""
    inner = laid.ground < _GROUND
    if int((agree & inner).sum()) < policy.inner_block_count:
        return "inner blocks"
    clean = agreeing >= policy.share * total
    if clean and _share(agree & inner, disagree & inner) >= policy.inner_block_share:
        return ""
    return _missing_besides(laid, agree, disagree, covered, policy)


def _missing_besides(
    laid: OverlaidPair, agree: Flags, disagree: Flags, covered: Flags, policy: Policy
) -> str:
    """Return the first requirement that is not met by what lies beside the covered blocks."""
    if covered.sum() > policy.cover * laid.inside.sum():
        return "cover"
    rest, inner = ~covered, laid.ground < _GROUND
    if _share(agree & rest, disagree & rest) < policy.rest_share:
        return "share"
    if int((agree & rest & inner).sum()) < policy.inner_block_count:
        return "inner blocks"
    if _share(agree & rest & inner, disagree & rest & inner) < policy.rest_share:
        return "inner"
    return ""


def _exact(laid: OverlaidPair, agree: Flags, total: int, policy: Policy) -> bool:
    """Return whether outlines fit as exactly as only copies do; in a thumbnail, all do."""
    if max(laid.grey[0].shape) < policy.exact_side or laid.drift > policy.exact_drift:
        return False
    exact = int((agree & (laid.correlation >= policy.exact)).sum())
    return total >= policy.exact_blocks and exact >= policy.exact_share * total


def _veiled(laid: OverlaidPair, telling: Flags, policy: Policy) -> bool:
    """Return whether all differences are lighter, or all are darker, and most shows through.

    A watermark only lightens, or only darkens. If a form has other words, the old ones are gone and
    new ones are there: both directions.
    """
    inner = telling & (laid.ground < _GROUND)
    if int(inner.sum()) < policy.veil_blocks:
        return False
    for blocks in (telling, inner):
        alike = laid.correlation[blocks]
        if float(np.clip(alike, 0.0, 1.0).mean()) < policy.veil_alike:
            return False
        if float((alike < policy.veil_gone).mean()) > policy.veil_gone_share:
            return False
    height, width = laid.grey[0].shape
    rows, columns = laid.inside.shape
    within = laid.inside.repeat(height // rows, axis=0).repeat(width // columns, axis=1)
    off = (laid.grey[1] - laid.grey[0])[within]
    lighter = float(np.maximum(off - policy.veil_noise, 0.0).sum())
    darker = float(np.maximum(-off - policy.veil_noise, 0.0).sum())
    return min(lighter, darker) <= policy.veil_back * max(lighter, darker)


def _share(agree: Flags, disagree: Flags) -> float:
    total = int(agree.sum()) + int(disagree.sum())
    return int(agree.sum()) / total if total else 0.0
