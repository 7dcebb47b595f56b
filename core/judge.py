"""Whether two pictures laid over each other are one: from the blocks to a yes or no."""

from __future__ import annotations

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from core import regions
from core.blocks import Floats, Laid
from core.policy import Policy
from core.types import Box

Flags = NDArray[np.bool_]

_FEW = 4
"""Blocks under which no line is fitted to the light."""
_GROUND = 0.02
"""Share of plain ground from which a block may be mere outline."""


class Light(Struct, frozen=True):
    """How the picture's greys and colours follow from the original's where blocks agree."""

    gain: float
    offset: float
    """Grey levels."""
    saturation: float
    """Of the picture, as a multiple of the original's; 0: it is grey."""


class Judgement(Struct, frozen=True):
    """What the blocks come to."""

    confirmed: bool
    overlap: float
    """Share of the textured blocks that agree."""
    agreeing: int
    light: Light
    sharpness: float
    """Fine texture of the picture, as a multiple of the original's."""
    changed: tuple[Box, ...]
    changed_share: float
    why: str
    """The first demand that was not met, "" where all were."""


def judge(laid: Laid, policy: Policy) -> Judgement:
    """Decide by the blocks alone; `Policy` says what each number means."""
    telling = laid.inside & (np.maximum(*laid.deviation) >= policy.texture)
    agree = telling & (laid.correlation >= policy.agreeing)
    light = _light(laid, agree)
    disagree = (telling & ~agree) | _recoloured(laid, light, telling, policy)
    agree &= ~disagree
    total, agreeing = int((agree | disagree).sum()), int(agree.sum())
    found = regions.regions(disagree, agree, max(3, round(0.015 * laid.inside.sum())))
    laid_over = [region for region in found if region.solid >= policy.solid]
    covered = np.zeros(agree.shape, bool)
    for region in laid_over:
        covered |= regions.inside(region, agree.shape)
    why = _missing(laid, agree, disagree, covered, policy)
    changed: tuple[Box, ...] = ()
    share = 0.0
    if not why and laid_over:
        differs = _differs(laid, light, policy)
        changed = tuple(regions.box(r, agree.shape, laid.frame, differs) for r in laid_over)
        share = round(min(1.0, sum(b.width * b.height for b in changed)), 4)
    fine0, fine1 = (float(np.median(f[agree])) if agreeing else 0.0 for f in laid.fine)
    return Judgement(
        confirmed=not why,
        overlap=round(agreeing / total, 4) if total else 0.0,
        agreeing=agreeing,
        light=light,
        sharpness=fine1 / fine0 if fine0 else 1.0,
        changed=changed,
        changed_share=share,
        why=why,
    )


def _missing(  # noqa: PLR0911 - one demand after another
    laid: Laid, agree: Flags, disagree: Flags, covered: Flags, policy: Policy
) -> str:
    total, agreeing = int((agree | disagree).sum()), int(agree.sum())
    if max(laid.seen, laid.filled) < policy.whole or min(laid.seen, laid.filled) < policy.part:
        return "reach"
    if laid.drift > policy.drift:
        return "drift"
    if agreeing < policy.blocks:
        return "blocks"
    inner = laid.ground < _GROUND
    if int((agree & inner).sum()) < policy.inner_blocks:
        return "inner blocks"
    clean = agreeing >= policy.share * total
    if clean and _share(agree & inner, disagree & inner) >= policy.inner_share:
        return ""
    if covered.sum() > policy.cover * laid.inside.sum():
        return "cover"
    rest = _share(agree & ~covered, disagree & ~covered)
    if rest < policy.rest_share:
        return "share"
    return (
        ""
        if _share(agree & ~covered & inner, disagree & ~covered & inner) >= policy.rest_share
        else "inner"
    )


def _share(agree: Flags, disagree: Flags) -> float:
    total = int(agree.sum()) + int(disagree.sum())
    return int(agree.sum()) / total if total else 0.0


def _light(laid: Laid, agree: Flags) -> Light:
    if agree.sum() < _FEW:
        return Light(gain=1.0, offset=0.0, saturation=1.0)
    x, y = laid.level[0][agree], laid.level[1][agree]
    open_ = y < 240  # noqa: PLR2004 - what is clipped to white follows no line
    if open_.sum() >= _FEW:
        x, y = x[open_], y[open_]
    spread = x - x.mean()
    gain = float((spread * (y - y.mean())).sum() / max(float((spread * spread).sum()), 1e-3))
    gain = min(3.0, max(0.3, gain))
    colour0, colour1 = laid.chroma[0][agree], laid.chroma[1][agree]
    power = float((colour0 * colour0).sum())
    saturation = float((colour0 * colour1).sum()) / power if power > 0 else 1.0
    return Light(gain=gain, offset=float(y.mean() - gain * x.mean()), saturation=saturation)


def _expected(light: Light, level: Floats) -> Floats:
    expected: Floats = np.clip(light.gain * level + light.offset, 0, 255)
    return expected


def _recoloured(laid: Laid, light: Light, telling: Flags, policy: Policy) -> Flags:
    """Blocks without texture whose grey is not what the light of the others makes of it."""
    far: Flags = np.abs(_expected(light, laid.level[0]) - laid.level[1]) > policy.level
    return laid.inside & ~telling & far


def _differs(laid: Laid, light: Light, policy: Policy) -> Flags:
    differs: Flags = np.abs(_expected(light, laid.grey[0]) - laid.grey[1]) > policy.level
    return differs
