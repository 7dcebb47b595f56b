"""Edits of light, colour and sharpness that leave every pixel in its place."""

# ruff: noqa: PLR2004 - strengths of filters stand where they are applied

from __future__ import annotations

import cv2
import numpy as np
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from core.evidence import StatementCode
from evaluation.edits.canvas import Canvas, Floats, Step, levels_of, picture

_WEIGHTS = levels_of([0.299, 0.587, 0.114])


def brightness(factor: float) -> Step:
    """Make a step that multiplies all levels."""
    up = factor > 1
    code: StatementCode = "brighter" if up else "darker"
    contrast: StatementCode = "more_contrast" if up else "less_contrast"
    return lambda c: c.toned(
        ImageEnhance.Brightness(c.image).enhance(factor), code, also=(contrast,)
    )


def contrast(factor: float) -> Step:
    """Make a step that multiplies each level's distance from the mean."""
    code: StatementCode = "more_contrast" if factor > 1 else "less_contrast"
    return lambda c: c.toned(ImageEnhance.Contrast(c.image).enhance(factor), code)


def saturation(factor: float) -> Step:
    """Make a step that multiplies the strength of colours."""
    return lambda c: c.toned(ImageEnhance.Color(c.image).enhance(factor), "tinted")


def grey(canvas: Canvas) -> Canvas:
    """Take out all colours."""
    return canvas.toned(canvas.image.convert("L").convert("RGB"), "without_colours")


def inverted(canvas: Canvas) -> Canvas:
    """Make a negative of all channels."""
    return canvas.toned(ImageOps.invert(canvas.image), "negative", also=TONES)


TONES: tuple[StatementCode, ...] = (
    "brighter",
    "darker",
    "more_contrast",
    "less_contrast",
    "tinted",
    "uneven_light",
)


def _luma(levels: Floats) -> Floats:
    return (levels @ _WEIGHTS)[:, :, None]


def sepia(canvas: Canvas) -> Canvas:
    """Replace all colours by browns."""
    tones = levels_of([1.07, 0.92, 0.72])
    levels = _luma(canvas.levels) * tones
    return canvas.toned(levels, "tinted", also=("without_colours", "recoloured"))


def tint(red: float, green: float, blue: float) -> Step:
    """Make a step that multiplies the three channels."""
    factors = levels_of([red, green, blue])
    return lambda c: c.toned(c.levels * factors, "tinted")


def gamma(power: float) -> Step:
    """Make a step that raises levels, as shares of 255, to a power."""
    code: StatementCode = "brighter" if power < 1 else "darker"
    contrasts: tuple[StatementCode, ...] = ("more_contrast", "less_contrast")
    return lambda c: c.toned(255 * (c.levels / 255) ** power, code, also=contrasts)


def clarendon(canvas: Canvas) -> Canvas:
    """Raise contrast and saturation under a blue cast, as the filter of that name."""
    vivid = ImageEnhance.Color(ImageEnhance.Contrast(canvas.image).enhance(1.2)).enhance(1.35)
    levels = np.asarray(vivid, np.float32)
    lit = levels + (levels_of([127, 187, 227]) - levels) * np.float32(0.15)
    return canvas.toned(lit, "tinted", also=TONES)


def light_leak(canvas: Canvas) -> Canvas:
    """Add an orange glow from one corner."""
    rows, columns = np.mgrid[0 : canvas.height, 0 : canvas.width].astype(np.float32)
    x, y = columns / canvas.width, rows / canvas.height
    if canvas.draw.random() < 0.5:
        x = 1 - x
    glow = np.clip(1 - np.hypot(x, y) / 0.9, 0, 1)[:, :, None] ** 1.5
    levels = canvas.levels + glow * levels_of([190, 95, 30])
    return canvas.toned(levels, "uneven_light", also=(*TONES, "laid_over"))


def vignette(strength: float) -> Step:
    """Make a step that darkens towards the corners, down to 1 - `strength`."""

    def run(canvas: Canvas) -> Canvas:
        rows, columns = np.mgrid[0 : canvas.height, 0 : canvas.width].astype(np.float32)
        x, y = columns / canvas.width - 0.5, rows / canvas.height - 0.5
        reach = np.clip((x * x + y * y) / 0.5, 0, 1)[:, :, None]
        shade = 1 - strength * np.clip(reach * 1.6, 0, 1)
        return canvas.toned(canvas.levels * shade, "uneven_light", also=TONES)

    return run


def faded(canvas: Canvas) -> Canvas:
    """Mix it half and half with white."""
    return canvas.toned(canvas.levels * 0.5 + 127.5, "brighter", "less_contrast", also=("tinted",))


def vintage(canvas: Canvas) -> Canvas:
    """Fade the blacks, warm the whites, take some colour and darken the corners."""
    soft = ImageEnhance.Color(canvas.image).enhance(0.7)
    levels = np.asarray(soft, np.float32) * 0.75 + levels_of([52, 40, 24])
    made = canvas.toned(levels, "tinted", also=(*TONES, "laid_over"))
    return vignette(0.55)(made)


def clahe(canvas: Canvas) -> Canvas:
    """Equalise light locally and strongly, as the HDR mode of phones."""
    lab = cv2.cvtColor(np.asarray(canvas.image), cv2.COLOR_RGB2LAB)
    lab[:, :, 0] = cv2.createCLAHE(4.0, (8, 8)).apply(lab[:, :, 0])
    made = Image.fromarray(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB))
    vivid = ImageEnhance.Color(made).enhance(1.3)
    return canvas.toned(vivid, "more_contrast", also=(*TONES, "sharpened"))


def solarised(canvas: Canvas) -> Canvas:
    """Invert all levels above the middle."""
    made = ImageOps.solarize(canvas.image, 128)
    return canvas.toned(made, also=(*TONES, "negative", "recoloured"))


def posterised(canvas: Canvas) -> Canvas:
    """Leave four levels a channel."""
    levels = np.round(canvas.levels / 85) * 85
    return canvas.toned(levels, "more_contrast", also=(*TONES, "sharpened", "reencoded"))


def one_bit(canvas: Canvas) -> Canvas:
    """Leave black and white, parted at the median."""
    luma = _luma(canvas.levels)
    levels = np.where(luma > np.median(luma), np.float32(255), np.float32(0)).repeat(3, axis=2)
    return canvas.toned(levels, "without_colours", "more_contrast", also=(*TONES, "sharpened"))


def sketch(canvas: Canvas) -> Canvas:
    """Leave dark edges on white, as wide as a pencil's."""
    luma = cv2.GaussianBlur(canvas.levels @ _WEIGHTS, (0, 0), 1.2)
    across, down = cv2.Sobel(luma, cv2.CV_32F, 1, 0), cv2.Sobel(luma, cv2.CV_32F, 0, 1)
    strength = np.hypot(across, down)
    line = 255 - np.clip(strength * (255 / max(float(np.percentile(strength, 97)), 1)), 0, 255)
    made = np.repeat(line[:, :, None], 3, axis=2).astype(np.float32)
    return canvas.toned(made, "without_colours", also=(*TONES, "sharpened", "negative"))


def hue_90(canvas: Canvas) -> Canvas:
    """Turn all hues by a quarter of the circle."""
    hsv = np.asarray(canvas.image.convert("HSV")).copy()
    hsv[:, :, 0] += 64
    made = Image.fromarray(hsv, "HSV").convert("RGB")
    return canvas.toned(made, "tinted", also=("recoloured", *TONES))


def channels_swapped(canvas: Canvas) -> Canvas:
    """Swap red and blue, as a program that mistakes their order."""
    made = Image.merge("RGB", canvas.image.split()[::-1])
    return canvas.toned(made, "tinted", also=("recoloured", *TONES))


def duotone(canvas: Canvas) -> Canvas:
    """Replace black by purple and white by yellow."""
    made = ImageOps.colorize(canvas.image.convert("L"), "#3b0f70", "#ffe74a")
    return canvas.toned(made, "tinted", also=("without_colours", "recoloured", *TONES))


def flag(canvas: Canvas) -> Canvas:
    """Lay the stripes of a flag over it at 40 %, running into one another."""
    colours = levels_of(
        [[228, 3, 3], [255, 140, 0], [255, 237, 0], [0, 128, 38], [36, 64, 142], [115, 41, 130]]
    )
    stripes = cv2.resize(colours[:, None], (1, canvas.height), interpolation=cv2.INTER_LINEAR)
    levels = canvas.levels * 0.6 + stripes.reshape(canvas.height, 1, 3) * 0.4
    return canvas.toned(levels, "tinted", also=(*TONES, "watermark", "laid_over", "recoloured"))


def blurred(radius: float, *, side: int = 0) -> Step:
    """Make a step that blurs by a radius in pixels, of a picture of `side` pixels if given."""

    def run(canvas: Canvas) -> Canvas:
        factor = max(canvas.width, canvas.height) / side if side else 1.0
        blur = ImageFilter.GaussianBlur(radius * factor)
        return canvas.toned(canvas.image.filter(blur), "blurred", also=("less_contrast",))

    return run


def motion_blurred(pixels: int) -> Step:
    """Make a step that smears along a line, of a picture of 1,000 pixels."""

    def run(canvas: Canvas) -> Canvas:
        length = max(2, round(pixels * max(canvas.width, canvas.height) / 1000))
        kernel = np.zeros((length, length), np.float32)
        kernel[length // 2] = 1
        angle = canvas.draw.choice([0.0, 30.0, 90.0, 135.0])
        middle = ((length - 1) / 2, (length - 1) / 2)
        turn = cv2.getRotationMatrix2D(middle, angle, 1)
        kernel = np.asarray(cv2.warpAffine(kernel, turn, (length, length)), np.float32)
        made = cv2.filter2D(canvas.levels, -1, kernel / kernel.sum())
        return canvas.toned(np.asarray(made, np.float32), "blurred", also=("less_contrast",))

    return run


def sharpened(percent: int) -> Step:
    """Make a step that sharpens by an unsharp mask of radius 2."""
    mask = ImageFilter.UnsharpMask(2, percent, 0)
    return lambda c: c.toned(c.image.filter(mask), "sharpened", also=("more_contrast",))


def noisy(levels: float) -> Step:
    """Make a step that adds noise of a standard deviation in grey levels."""

    def run(canvas: Canvas) -> Canvas:
        rng = np.random.default_rng(canvas.draw.getrandbits(32))
        noise = rng.normal(0, levels, (canvas.height, canvas.width, 3)).astype(np.float32)
        return canvas.toned(canvas.levels + noise, also=("sharpened", "reencoded"))

    return run


def pixelated(pixels: int) -> Step:
    """Make a step that leaves squares of so many pixels."""

    def run(canvas: Canvas) -> Canvas:
        size = (max(1, canvas.width // pixels), max(1, canvas.height // pixels))
        small = canvas.image.resize(size, Image.Resampling.BOX)
        made = small.resize(canvas.image.size, Image.Resampling.NEAREST)
        return canvas.toned(made, "blurred", also=("less_contrast", "sharpened", "reencoded"))

    return run


def deep_fried(canvas: Canvas) -> Canvas:
    """Overdo saturation, contrast, sharpness and compression."""
    image = ImageEnhance.Color(canvas.image).enhance(3.5)
    image = ImageEnhance.Contrast(image).enhance(2.6)
    levels = np.asarray(image.filter(ImageFilter.UnsharpMask(3, 400, 0)), np.float32)
    made = picture(levels * levels_of([1.1, 0.95, 0.7]) + levels_of([20, 0, 0]))
    return canvas.toned(made, "more_contrast", also=(*TONES, "sharpened", "recoloured"))


def deep_fried_mild(canvas: Canvas) -> Canvas:
    """Raise saturation, contrast and sharpness beyond taste."""
    image = ImageEnhance.Color(canvas.image).enhance(2.0)
    image = ImageEnhance.Contrast(image).enhance(1.6)
    made = image.filter(ImageFilter.UnsharpMask(2, 200, 0))
    return canvas.toned(made, "more_contrast", also=(*TONES, "sharpened", "recoloured"))
