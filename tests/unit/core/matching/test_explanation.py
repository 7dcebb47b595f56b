"""Explanations: the evidence of a match in words."""

import pytest

from core.matching.explanation import words
from core.types import Box, Transform, Uncompared


def _said(
    *changed: Box,
    mirrored: bool = False,
    rotation: float = 0.0,
    scale: float = 1.0,
    seen: float = 1.0,
    uncompared: tuple[Uncompared, ...] = (),
    **other: float,
) -> str:
    made = Transform(
        mirrored=mirrored,
        rotation=rotation,
        scale=scale,
        seen=seen,
        filled=1.0,
        matrix=(1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
    )
    plain = {"stretch": 1.0, "gain": 1.0, "offset": 0.0, "saturation": 1.0, "sharpness": 1.0}
    framed, veiled = (bool(other.pop(name, False)) for name in ("framed", "veiled"))
    return words(
        made, changed, framed=framed, veiled=veiled, uncompared=uncompared, **(plain | other)
    )


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (_said(), "re-encoded or resized"),
        (_said(mirrored=True, seen=0.62), "mirrored, cropped to 62 %"),
        (_said(rotation=-90.0), "turned by 90 degrees"),
        (_said(rotation=180.0, framed=True), "turned by 180 degrees, a frame around it"),
        (_said(stretch=1.3), "stretched by 1.3"),
        (_said(Box(0.0, 0.8, 1.0, 0.2)), "a caption over the lowest fifth"),
        (_said(Box(0.0, 0.0, 1.0, 0.33)), "a caption over the highest third"),
        (_said(Box(0.0, 0.4, 1.0, 0.15)), "a bar across 15 % of the height"),
        (_said(Box(0.1, 0.1, 0.2, 0.3)), "something laid over 6 % of it"),
        (_said(Box(0.1, 0.1, 0.8, 0.8), veiled=True), "a watermark over it"),
        (_said(saturation=0.0), "without its colours"),
        (_said(gain=1.4, saturation=1.4), "brighter"),
        (_said(gain=1.4, offset=-51.0), "more contrast"),
        (_said(gain=0.6), "darker"),
        (_said(scale=4.0), "resized to 25 %"),
        (_said(scale=0.5), "enlarged to 200 %"),
        (
            _said(seen=0.5, uncompared=("frames",)),
            "cropped to 50 %; only the first frame was compared",
        ),
        (_said(sharpness=0.3), "blurred or strongly compressed"),
    ],
)
def test_each_change_has_its_words(said: str, expected: str) -> None:
    """The words name the change, and nothing else."""
    assert said == expected
