"""Small files in every supported format, made from one picture."""

from __future__ import annotations

import base64
import io

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

Array = NDArray[np.uint8]

WIDTH, HEIGHT = 128, 96


def drawn() -> Array:
    """Draw (96, 128, 3) soft ramps with a marked corner, so that no turn or mirror is alike."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    held = np.stack([x * 2 % 256, y * 2 % 256, (x + y) % 256], -1).astype(np.uint8)
    held[:24, :32] = (250, 240, 20)
    return held


def encoded(image: Image.Image, name: str, **how: object) -> bytes:
    """Encode the picture in Pillow's format `name`."""
    held = io.BytesIO()
    image.save(held, name, **how)
    return held.getvalue()


def deep(picture: Array) -> bytes:
    """Encode a PNG of 16 bits per channel, by cv2 because Pillow cannot."""
    wide = picture[..., ::-1].astype(np.uint16) * 257
    written, data = cv2.imencode(".png", wide)
    assert written
    return data.tobytes()


def off(found: Array, expected: Array) -> float:
    """Return the mean difference in grey levels."""
    assert found.shape == expected.shape
    return float(np.abs(found.astype(int) - expected).mean())


def every() -> dict[str, bytes]:
    """Make one file per format and kind, all of the same picture."""
    image = Image.fromarray(drawn())
    high = {"quality": 95, "subsampling": 0}
    return {
        "jpeg": encoded(image, "JPEG", **high),
        "progressive": encoded(image, "JPEG", progressive=True, **high),
        "png": encoded(image, "PNG"),
        "png-16": deep(drawn()),
        "gif": encoded(image.quantize(256), "GIF"),
        "webp": encoded(image, "WEBP", quality=95),
        "webp-lossless": encoded(image, "WEBP", lossless=True),
        "webp-alpha": encoded(image.convert("RGBA"), "WEBP", lossless=True),
        "avif": encoded(image, "AVIF", quality=95),
        "heic": HEIC,
        "tiff": encoded(image, "TIFF"),
        "tiff-lzw": encoded(image, "TIFF", compression="tiff_lzw"),
        "tiff-big": encoded(image, "TIFF", big_tiff=True),
        "bmp": encoded(image, "BMP"),
        "ppm": encoded(image, "PPM"),
    }


NAMES = {
    "jpeg": "JPEG",
    "progressive": "JPEG",
    "png": "PNG",
    "png-16": "PNG",
    "gif": "GIF",
    "webp": "WEBP",
    "webp-lossless": "WEBP",
    "webp-alpha": "WEBP",
    "avif": "AVIF",
    "heic": "HEIF",
    "tiff": "TIFF",
    "tiff-lzw": "TIFF",
    "tiff-big": "TIFF",
    "bmp": "BMP",
    "ppm": "PPM",
}
"""Format of each of the files of `every`."""

HEIC = base64.b64decode(
    """
    AAAAHGZ0eXBoZWljAAAAAG1pZjFoZWljbWlhZgAAAVZtZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAAAA
    AAAAAAAAACJpbG9jAAAAAERAAAEAAQAAAAABegABAAAAAAAAASMAAAAjaWluZgAAAAAAAQAAABVpbmZlAgAAAAABAABo
    dmMxAAAAAA5waXRtAAAAAAABAAAA1mlwcnAAAAC3aXBjbwAAAHhodmNDAQNwAAAAkAAAAAAAHvAA/P34+AAADwNgAAEA
    GEABDAH//wNwAAADAJAAAAMAAAMAHroCQGEAAQArQgEBA3AAAAMAkAAAAwAAAwAeoBAgYWW6kkprm4CGgwIAAAMAMgAA
    AwACEGIAAQAHRAHBcrAiQAAAABNjb2xybmNseAABAA0ABoAAAAAUaXNwZQAAAAAAAACAAAAAYAAAABBwaXhpAAAAAAMI
    CAgAAAAXaXBtYQAAAAAAAAABAAEEgQIDBAAAASttZGF0AAABHygBrwng1hMeB7wjePduP/+eg9DmO3iq78peoscmoSF3
    iPrRF9hxIAWBTPeZzzCX8VbHbgFWxTiNtEFii6ffQRs8tyZ+fZjjhxQAVJcy3fCLrhFTZvSxyJ6Yn0sravCC6a+gwpjG
    iXu7OJQjLqrdXHc8oZMCk1SBIUQT57DtD19sqLf0mVleTav1End8XRhL+ZokoUCgLqxkLszOKSPXL2BkgwZMDmaqo2BC
    yV/+ziY7lVWdg0kTG50GlP1ejq1idH06e6QDGTHJni5T0JkjEYq5cPX7UTH5KKmmU0XJqlbHOUH40T6kacHv+UHTuIak
    mQGGSFWNnF1wtFS9FltyQywG8UDgQZxszrFH1X4flA2ognKW3ipZfhBg2e6O7Sp4
    """
)
"""The picture as HEVC; made elsewhere, as no installed library encodes it."""

HEIC_TURNED = base64.b64decode(
    """
    AAAAHGZ0eXBoZWljAAAAAG1pZjFoZWljbWlhZgAAAaFtZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAAAA
    AAAAAAAAADRpbG9jAAAAAERAAAIAAQAAAAABxQABAAAAAAAAASMAAgAAAAAC6AABAAAAAAAAACQAAAA4aWluZgAAAAAA
    AgAAABVpbmZlAgAAAAABAABodmMxAAAAABVpbmZlAgAAAQACAABFeGlmAAAAAA5waXRtAAAAAAABAAAA4GlwcnAAAADA
    aXBjbwAAAHhodmNDAQNwAAAAkAAAAAAAHvAA/P34+AAADwNgAAEAGEABDAH//wNwAAADAJAAAAMAAAMAHroCQGEAAQAr
    QgEBA3AAAAMAkAAAAwAAAwAeoBAgYWW6kkprm4CGgwIAAAMAMgAAAwACEGIAAQAHRAHBcrAiQAAAABNjb2xybmNseAAB
    AA0ABoAAAAAUaXNwZQAAAAAAAACAAAAAYAAAABBwaXhpAAAAAAMICAgAAAAJaXJvdAMAAAAYaXBtYQAAAAAAAAABAAEF
    gQIDBIUAAAAaaXJlZgAAAAAAAAAOY2RzYwACAAEAAQAAAU9tZGF0AAABHygBrwng1hMeB7wjePduP/+eg9DmO3iq78pe
    oscmoSF3iPrRF9hxIAWBTPeZzzCX8VbHbgFWxTiNtEFii6ffQRs8tyZ+fZjjhxQAVJcy3fCLrhFTZvSxyJ6Yn0sravCC
    6a+gwpjGiXu7OJQjLqrdXHc8oZMCk1SBIUQT57DtD19sqLf0mVleTav1End8XRhL+ZokoUCgLqxkLszOKSPXL2BkgwZM
    Dmaqo2BCyV/+ziY7lVWdg0kTG50GlP1ejq1idH06e6QDGTHJni5T0JkjEYq5cPX7UTH5KKmmU0XJqlbHOUH40T6kacHv
    +UHTuIakmQGGSFWNnF1wtFS9FltyQywG8UDgQZxszrFH1X4flA2ognKW3ipZfhBg2e6O7Sp4AAAABkV4aWYAAE1NACoA
    AAAIAAEBEgADAAAAAQAGAAAAAAAA
    """
)
"""The same picture, to be rotated by 90 degrees clockwise when shown."""
