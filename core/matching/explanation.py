"""Evidence in words: the changes to the original, as a person would describe them."""

# ruff: noqa: PLR2004 - the bounds between one word and the next stand where the word does

from __future__ import annotations

from collections.abc import Sequence

from core.types import Box, Transform, Uncompared

_UNCOMPARED: dict[Uncompared, str] = {
    "frames": "only the first frame was compared",
    "transparency": "what is white on a transparent ground was not compared",
}


def words(
    transform: Transform,
    changed: Sequence[Box],
    *,
    framed: bool,
    veiled: bool,
    stretch: float,
    gain: float,
    offset: float,
    saturation: float,
    sharpness: float,
    uncompared: Sequence[Uncompared],
) -> str:
    """Describe the changes, most telling first; "re-encoded or resized" if there is no other.

    `veiled`: a half transparent overlay covers it; `framed`: more than a hundredth of the picture's
    width or height is around the original; `stretch`: ratio of the two scales, at least 1; the rest
    as in `photometric.LightChange` and `block_decision.BlockDecision`.
    """
    said = []
    if transform.mirrored:
        said.append("mirrored")
    degrees = round(abs((transform.rotation + 180) % 360 - 180))
    if degrees > 1:
        said.append(f"turned by {degrees} degrees")
    if transform.seen < 0.97:
        said.append(f"cropped to {round(100 * transform.seen)} %")
    if framed:
        said.append("a frame around it")
    if stretch > 1.06:
        said.append(f"stretched by {stretch:.1f}")
    said.extend(["a watermark over it"] if veiled else map(_over, changed[:3]))
    said.extend(_toned(gain, offset, saturation))
    if sharpness < 0.6:
        said.append("blurred or strongly compressed")
    if transform.scale > 1.15:
        said.append(f"resized to {round(100 / transform.scale)} %")
    elif transform.scale < 0.87:
        said.append(f"enlarged to {round(100 / transform.scale)} %")
    told = ", ".join(said) or "re-encoded or resized"
    return "; ".join((told, *(_UNCOMPARED[one] for one in uncompared)))


def _toned(gain: float, offset: float, saturation: float) -> list[str]:
    said = []
    if saturation < 0.15:
        said.append("without its colours")
    middle = gain * 128 + offset - 128
    if gain > 1.15 and offset < -12:
        said.append("more contrast")
    elif gain < 0.87 and offset > 12:
        said.append("less contrast")
    elif middle > 18:
        said.append("brighter")
    elif middle < -18:
        said.append("darker")
    return said


def _over(box: Box) -> str:
    """Describe a region as a caption if it is a bar across, else as a share of the area."""
    if box.width > 0.9 and box.height < 0.5:
        part = _part(box.height)
        if box.y + box.height > 0.96:
            return f"a caption over the lowest {part}"
        if box.y < 0.04:
            return f"a caption over the highest {part}"
        return f"a bar across {part} of the height"
    return f"something laid over {max(1, round(100 * box.width * box.height))} % of it"


def _part(share: float) -> str:
    """Describe a share of the height in words."""
    named = {0.5: "half", 0.333: "third", 0.25: "quarter", 0.2: "fifth", 0.1: "tenth"}
    near = min(named, key=lambda known: abs(known - share))
    return named[near] if abs(near - share) < 0.03 else f"{round(100 * share)} %"
