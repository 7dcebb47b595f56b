"""The edits by name: those checked by default, and all that people make."""

from __future__ import annotations

import io
from random import Random

from msgspec import Struct
from msgspec.structs import replace
from PIL import Image

from evaluation.edits import cutouts, frames, geometry, lettering, light, stickers
from evaluation.edits.canvas import Canvas, Step, chain, jpeg, saved
from evaluation.edits.frames import screen_photo
from evaluation.edits.geometry import cropped, long_side, mirrored, scaled, turned, turned_either
from evaluation.edits.truth import Truth, truth

_QUALITY = 90


class Edit(Struct, frozen=True):
    """One named edit, and the share of photos whose edited copy has to be recognised."""

    name: str
    title: str
    """Description for a table."""
    expected: float | None
    """Required recall, 0 to 1; None: it is reported only."""
    step: Step
    quality: int = _QUALITY
    """JPEG or WebP quality of the resulting file."""
    format: str = "JPEG"
    """Pillow's name of the file's format: JPEG, PNG, WEBP or GIF."""

    def canvas(
        self, image: Image.Image, seed: int | str = 0, others: tuple[Image.Image, ...] = ()
    ) -> Canvas:
        """Edit an RGB picture; the same seed and others make the same edit.

        `others` are shown by collages, screens and the like; generated photos stand in for those
        that are not given.
        """
        kept = f"{self.name} {seed}".encode("utf-8", "surrogateescape")  # names of files are seeds
        draw = Random(kept)  # noqa: S311 a picture, not a secret
        return self.step(Canvas(image.convert("RGB"), image.size, draw, others))

    def image(
        self, image: Image.Image, seed: int | str = 0, others: tuple[Image.Image, ...] = ()
    ) -> Image.Image:
        """Edit a picture: RGB, or RGBA if the edit makes it transparent."""
        return self.canvas(image, seed, others).image

    def apply(
        self, image: Image.Image, seed: int | str = 0, others: tuple[Image.Image, ...] = ()
    ) -> bytes:
        """Edit a picture and encode it in this edit's format and quality."""
        return self.encode(self.image(image, seed, others))

    def apply_with_truth(
        self, image: Image.Image, seed: int | str = 0, others: tuple[Image.Image, ...] = ()
    ) -> tuple[bytes, Truth]:
        """Edit and encode a picture, and say what is true of it as its file shows it."""
        made = self.canvas(image, seed, others)
        data = self.encode(made.image)
        with Image.open(io.BytesIO(data)) as opened:
            shown = opened.convert(made.image.mode)
        return data, truth(replace(made, image=shown), image)

    def encode(self, image: Image.Image) -> bytes:
        """Encode an edited picture in this edit's format and quality."""
        if self.format == "JPEG":
            return jpeg(image, self.quality)
        held = io.BytesIO()
        image.save(held, self.format, quality=self.quality)
        return held.getvalue()


def _same(canvas: Canvas) -> Canvas:
    return canvas


def _sixteen_colours(canvas: Canvas) -> Canvas:
    """Reduce to 480 pixels and a palette of 16 colours, dithered."""
    small = long_side(480)(canvas)
    made = small.image.quantize(16).convert("RGB")
    return small.toned(made, also=("sharpened", "tinted"))


def _three(canvas: Canvas) -> Canvas:
    """Do three different ones of the edits after one another, each saved as JPEG between."""
    for name in canvas.draw.sample(_CHAINABLE, 3):
        canvas = chain(EDITS[name].step, saved(EDITS[name].quality))(canvas)
    return canvas


_WHATSAPP = chain(long_side(800), saved(60))
_STICKERS = stickers.stickers(3, 0.12)
_CLIP = geometry.cropped_to(1, 1)
_TURN = Image.Transpose

EDITS: dict[str, Edit] = {
    edit.name: edit
    for edit in (
        Edit("jpeg-30", "JPEG 30", 0.98, _same, 30),
        Edit("jpeg-10", "JPEG 10", 0.98, _same, 10),
        Edit("half", "half size", 0.98, scaled(0.5, 0.5)),
        Edit("quarter", "quarter size", 0.95, scaled(0.25, 0.25)),
        Edit("blur-2", "blur, radius 2", 0.98, light.blurred(2)),
        Edit("brightness", "brightness x 1.4", 0.98, light.brightness(1.4)),
        Edit("contrast", "contrast x 1.4", 0.98, light.contrast(1.4)),
        Edit("grey", "grey", 0.98, light.grey),
        Edit("mirror", "mirrored", 0.98, mirrored),
        Edit("quarter-turn", "turned by 90 degrees", 0.98, geometry.transposed(_TURN.ROTATE_90)),
        Edit("turn-10", "turned by 10 degrees", 0.98, turned_either(10)),
        Edit("crop-90", "crop to 90 %", 0.98, cropped(0.9)),
        Edit("crop-70", "crop to 70 %", 0.98, cropped(0.7)),
        Edit("crop-40", "crop to 40 %", 0.98, cropped(0.4)),
        Edit("crop-25", "crop to 25 %", 0.95, cropped(0.25)),
        Edit("caption", "caption over the lowest fifth", 0.98, lettering.caption()),
        Edit("screenshot", "screenshot frame", 0.98, frames.screenshot),
        Edit("border", "border of 40 pixels", 0.98, frames.border),
        Edit("stretch", "stretched x 1.3", 0.98, scaled(1.3, 1.0)),
        Edit("mirror-crop-70", "mirrored, crop to 70 %", 0.95, chain(mirrored, cropped(0.7))),
        # Saved at quality 10 last, so that its blocks are those of the small picture: the harder
        # of the two orders.
        Edit(
            "jpeg-10-half-crop-90",
            "JPEG 10, half size, crop to 90 %",
            0.95,
            chain(cropped(0.9), scaled(0.5, 0.5)),
            10,
        ),
        Edit("caption-top", "caption over the highest fifth", None, lettering.caption(at_top=True)),
        Edit("watermark", "watermark across", None, lettering.watermark),
        Edit("collage", "collage 2 side by side", None, frames.collage),
        Edit("three", "three edits after one another", None, _three),
    )
}
"""The 25 edits that are checked by default, in the order of the table."""

_CHAINABLE = [
    name
    for name, edit in EDITS.items()
    if edit.expected is not None and not name.startswith(("mirror-crop", "jpeg-10-half"))
]

_GEOMETRY = (
    Edit("jpeg-85", "JPEG 85", 0.96, _same, 85),
    Edit("jpeg-5", "JPEG 5", 0.96, _same, 5),
    Edit("webp", "WebP 60", 0.96, _same, 60, "WEBP"),
    Edit("png", "PNG", 0.96, _same, format="PNG"),
    Edit("gif", "GIF 256 colours", 0.96, _same, format="GIF"),
    Edit("gif-16", "gif 16 colours 480px", 0.95, _sixteen_colours, format="GIF"),
    Edit("whatsapp", "WhatsApp: 800 pixels, JPEG 60", 0.96, long_side(800), 60),
    Edit("half-turn", "turned by 180 degrees", 0.96, geometry.transposed(_TURN.ROTATE_180)),
    Edit("turn-270", "turned by 270 degrees", 0.96, geometry.transposed(_TURN.ROTATE_270)),
    Edit("flip", "upside down, mirrored", 0.96, geometry.transposed(_TURN.FLIP_TOP_BOTTOM)),
    Edit("turn-2", "turned by 2 degrees", 0.96, turned_either(2)),
    Edit("turn-7", "turned by 7 degrees", 0.96, turned_either(7)),
    Edit("turn-15", "turned 15, black corners, whole kept", 0.95, turned(15, whole=True)),
    Edit("turn-30", "turned 30, black corners, whole kept", 0.95, turned(30, whole=True)),
    Edit("turn-45", "turned 45, black corners, whole kept", 0.95, turned(45, whole=True)),
    Edit("crop-80", "crop to 80 %", 0.96, cropped(0.8)),
    Edit("crop-60", "crop to 60 %", 0.96, cropped(0.6)),
    Edit("crop-50", "crop to 50 %", 0.96, cropped(0.5)),
    Edit("crop-30", "crop to 30 %", 0.96, cropped(0.3)),
    Edit("crop-20", "crop to 20 %", 0.95, cropped(0.2)),
    Edit("crop-15", "crop to 15 %", 0.95, cropped(0.15)),
    Edit("crop-10", "crop to 10 %", 0.95, cropped(0.1)),
    Edit("crop-5", "crop to 5 %", 0.7, cropped(0.05)),
    Edit("square", "square crop", 0.96, _CLIP),
    Edit("banner", "banner crop 4:1", 0.95, geometry.cropped_to(4, 1)),
    Edit("squeeze-square", "squeezed to 1:1", 0.96, geometry.shaped(1, 1)),
    Edit("squeeze-story", "squeezed to 9:16", 0.96, geometry.shaped(9, 16)),
    Edit("perspective-5", "perspective 5 %", 0.95, geometry.slanted(0.05)),
    Edit("perspective-10", "perspective 10 %", 0.95, geometry.slanted(0.1)),
    Edit("perspective-20", "perspective 20 %", 0.95, geometry.slanted(0.2)),
    Edit("fisheye", "fisheye / barrel", 0.95, geometry.fisheye),
    Edit("wavy", "wavy", 0.95, geometry.wavy),
)
_LIGHT = (
    Edit("sepia", "sepia", 0.96, light.sepia),
    Edit("cold", "cold tint", 0.96, light.tint(0.82, 0.96, 1.18)),
    Edit("warm", "warm tint", 0.96, light.tint(1.15, 1.0, 0.8)),
    Edit("saturation", "saturation x 1.8", 0.96, light.saturation(1.8)),
    Edit("gamma", "gamma 0.6", 0.96, light.gamma(0.6)),
    Edit("clarendon", "clarendon filter", 0.96, light.clarendon),
    Edit("light-leak", "light leak", 0.96, light.light_leak),
    Edit("brightness-1.8", "brightness x 1.8", 0.95, light.brightness(1.8)),
    Edit("brightness-1.3", "brightness x 1.3", 0.96, light.brightness(1.3)),
    Edit("brightness-0.7", "brightness x 0.7", 0.96, light.brightness(0.7)),
    Edit("brightness-0.5", "brightness x 0.5", 0.95, light.brightness(0.5)),
    Edit("contrast-0.5", "contrast x 0.5", 0.95, light.contrast(0.5)),
    Edit("faded", "faded to 50 % white", 0.95, light.faded),
    Edit("inverted", "inverted colours", 0.95, light.inverted),
    Edit("solarised", "solarised", 0.95, light.solarised),
    Edit("posterised", "posterised to 4 levels", 0.95, light.posterised),
    Edit("one-bit", "1 bit, threshold", 0.95, light.one_bit),
    Edit("sketch", "edges only (sketch)", 0.5, light.sketch),
    Edit("hue-90", "hue turned 90", 0.95, light.hue_90),
    Edit("channels-swapped", "channels swapped (BGR)", 0.95, light.channels_swapped),
    Edit("duotone", "duotone purple/yellow", 0.95, light.duotone),
    Edit("vignette", "heavy vignette", 0.95, light.vignette(0.9)),
    Edit("vintage", "vintage filter (fade, warm, vignette)", 0.95, light.vintage),
    Edit("clahe", "phone HDR look (CLAHE)", 0.95, light.clahe),
    Edit("flag", "flag gradient overlay 40 %", 0.95, light.flag),
    Edit("deep-fried", "deep-fried", 0.95, light.deep_fried, 12),
    Edit("deep-fried-mild", "deep-fried mild", 0.95, light.deep_fried_mild, 30),
    Edit("sharpened", "sharpened", 0.96, light.sharpened(120)),
    Edit("sharpened-hard", "sharpened hard", 0.95, light.sharpened(500)),
    Edit("noise", "noise of 12 levels", 0.96, light.noisy(12)),
    Edit("blur-8", "blur 8 at 1000", 0.95, light.blurred(8, side=1000)),
    Edit("motion-blur", "motion blur 25 px", 0.95, light.motion_blurred(25)),
    Edit("pixelated", "pixelated 10 px", 0.95, light.pixelated(10)),
)
_LAID_OVER = (
    Edit("meme", "meme, words top and bottom", 0.95, lettering.meme(1)),
    Edit("meme-two-lines", "meme, two lines top and bottom", 0.95, lettering.meme(2)),
    Edit("bar-across", "snapchat bar in the middle", 0.95, lettering.bar_across),
    Edit("large-word", "one large word across, 60 %", 0.95, lettering.large_word),
    Edit("tiled-35", "stock watermark, tiled 35 %", 0.95, lettering.watermark_tiled(0.35)),
    Edit("tiled-60", "stock watermark, tiled 60 %", 0.95, lettering.watermark_tiled(0.6)),
    Edit("stock-grid", "grid lines and cross (stock preview)", 0.95, lettering.stock_grid),
    Edit("logo", "logo in a corner", 0.96, lettering.logo),
    Edit("stickers-small", "3 small stickers over 2 % each", 0.96, stickers.stickers(3, 0.02)),
    Edit("stickers", "3 stickers over 12 % each", 0.95, _STICKERS),
    Edit("emoji", "4 emoji stickers", 0.95, stickers.stickers(4, 0.04, faces=True)),
    Edit("scribbles", "scribbles all over", 0.95, stickers.scribbles),
    Edit("arrow", "red arrow and circle", 0.95, stickers.arrow_and_circle),
    Edit("censor-bars", "black censor bars (3)", 0.95, stickers.censor_bars),
    Edit("centre-blurred", "centre blurred", 0.95, cutouts.centre_blurred),
    Edit("centre-pixelated", "centre pixelated (face)", 0.95, cutouts.centre_pixelated),
    Edit(
        "portrait",
        "background blurred, centre kept (portrait mode)",
        0.95,
        cutouts.portrait_mode,
    ),
    Edit("ellipse", "cut-out subject on white (ellipse)", 0.95, cutouts.ellipse_on_white),
    Edit("avatar", "round avatar on white", 0.95, chain(_CLIP, cutouts.avatar)),
    Edit(
        "avatar-transparent",
        "round avatar, transparent png",
        0.95,
        chain(_CLIP, cutouts.avatar_transparent),
        format="PNG",
    ),
    Edit("before-after", "before / after (half another)", 0.95, cutouts.before_after),
    Edit("sky", "sky / upper third replaced", 0.95, cutouts.sky_replaced),
    Edit("removed", "object removed (inpainted 15 %)", 0.95, cutouts.object_removed),
)
_FRAMES = (
    Edit("story", "story frame", 0.96, frames.story),
    Edit("phone", "phone screenshot", 0.96, frames.phone_screenshot),
    Edit("post", "screenshot of a post (text, rounded picture)", 0.95, frames.post),
    Edit("desktop", "desktop screenshot, picture 20 % of it", 0.95, frames.desktop),
    Edit("slide", "slide with a title", 0.95, frames.slide),
    Edit("polaroid", "polaroid, turned 5, on wood", 0.95, frames.polaroid),
    Edit("print", "photo of a print on a table", 0.95, frames.print_on_table),
    Edit("screen", "photo of a screen, straight", 0.95, screen_photo(slanted=False)),
    Edit("screen-slanted", "photo of a screen, slanted", 0.95, screen_photo(slanted=True)),
    Edit("collage-4", "collage 2 x 2", 0.95, frames.collage_of(2)),
    Edit("collage-9", "collage 3 x 3", 0.85, frames.collage_of(3)),
    Edit(
        "inset",
        "picture in picture: it fills a 40 % wide inset",
        0.95,
        frames.picture_in_picture,
    ),
)
_CHAINS = (
    Edit(
        "chain-stickers",
        "chain: stickers, turned 7, whatsapp",
        0.95,
        chain(_STICKERS, turned_either(7), _WHATSAPP),
        60,
    ),
    Edit(
        "chain-fried",
        "chain: mirror, deep-fried mild, words",
        0.95,
        chain(mirrored, light.deep_fried_mild, lettering.meme(1)),
    ),
    Edit(
        "chain-vintage",
        "chain: mirror, square crop, vintage",
        0.95,
        chain(mirrored, _CLIP, light.vintage),
    ),
    Edit(
        "chain-phone",
        "chain: whatsapp, meme words, phone screenshot",
        0.95,
        chain(_WHATSAPP, lettering.meme(1), frames.phone_screenshot),
    ),
    Edit(
        "chain-watermark",
        "chain: crop 70, watermark, mirror, jpeg",
        0.95,
        chain(cropped(0.7), lettering.watermark, mirrored),
        40,
    ),
    Edit(
        "chain-screen",
        "chain: grey, border story, screen photo",
        0.95,
        chain(light.grey, frames.story, screen_photo(slanted=False)),
    ),
)

ALL_EDITS: dict[str, Edit] = {
    **EDITS,
    **{e.name: e for e in (*_GEOMETRY, *_LIGHT, *_LAID_OVER, *_FRAMES, *_CHAINS)},
}
"""Every edit by name. Beside the default ones, a mark of 96 % is for an edit that a baseline of
60 photos recognised in at least 58, and 95 % or less for one that it missed more often."""
