"""Colours that a file codes by numbers (ITU-T H.273) or by a gamma, converted to sRGB.

PNG has them in the chunks cICP and gAMA, AVIF and HEIF in the property `colr` of type `nclx`. Only
codes that viewers show otherwise than sRGB are converted: PQ and HLG, linear light, another gamma,
and the primaries of BT.2020 and P3. Curves of BT.601 and BT.709 are shown as sRGB's.
"""

from __future__ import annotations

import io
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core.imaging import isobmff
from core.imaging.byte_reader import ByteReader
from core.types import HDR

_LINEAR, _PQ, _HLG = 8, 16, 18
"""Transfer characteristics of H.273, table 3."""
_HDR: dict[int, HDR] = {_PQ: "pq", _HLG: "hlg"}
_WHITE = 203.0
"""Luminance of SDR white in cd/m² (ITU-R BT.2408, 2.1); brighter parts are clipped to white."""
_HLG_PEAK, _HLG_GAMMA = 1000.0, 1.2
"""Nominal display of HLG: peak in cd/m² and the gamma of its OOTF (ITU-R BT.2100, table 5)."""
_TO_SRGB: dict[int, tuple[tuple[float, float, float], ...]] = {
    9: ((1.6605, -0.5876, -0.0728), (-0.1246, 1.1329, -0.0083), (-0.0182, -0.1006, 1.1187)),
    12: ((1.2249, -0.2247, 0.0), (-0.0420, 1.0419, 0.0), (-0.0197, -0.0786, 1.0979)),
}
"""Linear RGB of BT.2020 and of P3 with D65's white to linear sRGB, by H.273's primaries."""
_KNEE, _SLOPE = 0.04045, 12.92
"""Signal of sRGB up to which it is linear, and its slope there (IEC 61966-2-1)."""
_HALF = 0.5
"""Signal of HLG up to which it is a square root."""
_DISPLAY = 2.2
_GAMMA_SLACK = 0.05
"""Relative distance from sRGB's gamma that libpng ignores (PNG_GAMMA_THRESHOLD)."""
_GAMMAS = (0.1, 4.0)
"""Range of believable gAMA values; damaged ones lie outside."""
_CHUNKS = 64
"""Chunks of a PNG that are examined before its pixels: real files have under twenty."""

_Linear = NDArray[np.float64]


class ColorCoding(NamedTuple):
    """Primaries and transfer characteristics by H.273, or a gamma (then both are 0)."""

    primaries: int
    transfer: int
    gamma: float = 0.0

    @property
    def hdr(self) -> HDR | None:
        """Return the HDR curve, None for an SDR one."""
        return _HDR.get(self.transfer)

    @property
    def converts(self) -> bool:
        """Return whether viewers show it otherwise than sRGB."""
        return bool(
            self.gamma or self.transfer in (_LINEAR, _PQ, _HLG) or self.primaries in _TO_SRGB
        )


def read(data: bytes, format: str, info: dict[str | tuple[int, int], object]) -> ColorCoding | None:  # noqa: A002
    """Read the coding that a file names; None if its pixels are sRGB or have an ICC profile.

    A PNG's cICP comes before its ICC profile, as the specification of PNG has it. `info` is
    Pillow's.
    """
    found: ColorCoding | None = None
    profile = info.get("icc_profile")
    if format == "PNG":
        found = _png(data)
        if found is None and not profile and "srgb" not in info:
            found = _gamma(info.get("gamma"))
    elif format in ("AVIF", "HEIF") and not profile:
        pair = isobmff.color_coding(ByteReader(io.BytesIO(data)))
        found = ColorCoding(*pair) if pair else None
    return found if found and found.converts else None


def to_srgb(image: Image.Image, coding: ColorCoding) -> Image.Image:
    """Convert an RGB picture of that coding to sRGB; what sRGB does not hold is clipped."""
    linear = _decoded(np.arange(256) / 255.0, coding)[np.asarray(image)]
    if coding.transfer == _HLG:
        light = linear @ np.array([0.2627, 0.6780, 0.0593])  # BT.2100's luminance
        linear = linear * (np.maximum(light, 1e-6) ** (_HLG_GAMMA - 1))[..., None]
        linear = linear * (_HLG_PEAK / _WHITE)
    if coding.primaries in _TO_SRGB:
        linear = linear @ np.array(_TO_SRGB[coding.primaries]).T
    held = np.clip(linear, 0.0, 1.0)
    low = held <= _KNEE / _SLOPE
    coded = np.where(low, _SLOPE * held, 1.055 * held ** (1 / 2.4) - 0.055)
    return Image.fromarray((coded * 255 + 0.5).astype(np.uint8))


def _decoded(signal: _Linear, coding: ColorCoding) -> _Linear:
    """Return the light of each signal value, 1 being SDR white; for HLG the scene's, up to 1."""
    if coding.gamma:
        return signal ** (1 / coding.gamma)
    if coding.transfer == _LINEAR:
        return signal
    if coding.transfer == _PQ:  # SMPTE ST 2084
        root = signal ** (1 / 78.84375)
        light = np.maximum(root - 0.8359375, 0.0) / (18.8515625 - 18.6875 * root)
        return light ** (1 / 0.1593017578125) * (10_000 / _WHITE)
    if coding.transfer == _HLG:  # ARIB STD-B67
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        return np.where(signal <= _HALF, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)
    return np.where(signal <= _KNEE, signal / _SLOPE, ((signal + 0.055) / 1.055) ** 2.4)


def _png(data: bytes) -> ColorCoding | None:
    """Read cICP, which precedes the first IDAT."""
    offset = 8
    for _ in range(_CHUNKS):
        kind = data[offset + 4 : offset + 8]
        if kind == b"cICP":
            primaries, transfer = (*data[offset + 8 : offset + 10], 0, 0)[:2]
            return ColorCoding(primaries, transfer)
        if kind in (b"IDAT", b"IEND", b""):
            break
        offset += 12 + int.from_bytes(data[offset : offset + 4], "big")
    return None


def _gamma(value: object) -> ColorCoding | None:
    if not isinstance(value, float) or not _GAMMAS[0] <= value <= _GAMMAS[1]:
        return None
    far = abs(value * _DISPLAY - 1) > _GAMMA_SLACK
    return ColorCoding(0, 0, value) if far else None
