"""English words of statements."""

from __future__ import annotations

from collections.abc import Sequence

from core.evidence import Statement, StatementCode

_WORDS: dict[StatementCode, str] = {
    "same_file": "the same file, byte for byte",
    "same_pixels": "another file with the same pixels",
    "no_pixels": "there are no pixels left to lay it over",
    "looks_alike": "looks alike",
    "unchanged": "no change",
    "reencoded": "re-encoded",
    "mirrored": "mirrored",
    "turned": "turned by {degrees} degrees",
    "cropped": "cropped to {percent} %",
    "extended": "shows more than the earlier picture, which fills {percent} % of it",
    "framed": "other matter around it (it fills {percent} % of the picture)",
    "stretched": "stretched by {ratio}",
    "slanted": "slanted, as if photographed from the side",
    "bent": "bent or warped",
    "watermark": "a watermark over it",
    "laid_over": "something laid over {percent} % of it",
    "cut_away": "cut away by {percent} %",
    "replaced": "{percent} % of it replaced",
    "recoloured": "{percent} % of it in another colour",
    "negative": "a negative",
    "without_colours": "without its colours",
    "tinted": "its colours shifted",
    "brighter": "brighter",
    "darker": "darker",
    "more_contrast": "more contrast",
    "less_contrast": "less contrast",
    "uneven_light": "unevenly lit",
    "blurred": "blurred or strongly compressed",
    "sharpened": "sharpened",
    "resized": "resized to {percent} %",
    "enlarged": "enlarged to {percent} %",
    "other_content": "the same layout or scene with other content in {percent} % of it",
    "other_colours": "the same thing in other colours",
    "other_view": "the same scene, seen from another place",
    "same_layout": "the same layout; closer pictures of it were compared",
    "small_print": "the same layout, but its print is too small to compare",
    "uncompared_frames": "only one frame was compared",
    "uncompared_transparency": "what has the colour of its transparent ground was not compared",
}
_EDGES = {
    "top": "a caption over the highest {percent} %",
    "bottom": "a caption over the lowest {percent} %",
    "across": "a bar across {percent} % of the height",
}


def words(statements: Sequence[Statement]) -> str:
    """Render statements in English, in their order, such as "mirrored, cropped to 62 %".

    Statements of the same file as an earlier copy follow its first one; a sentence about
    content that was not compared stands after a semicolon.
    """
    rest = [_phrase(one) for one in statements if one.code.startswith("uncompared")]
    main = [_phrase(one) for one in statements if not one.code.startswith("uncompared")]
    if len(main) > 1 and statements[0].code in {"same_file", "same_pixels"}:
        main = [main[0], f"as an earlier copy: {main[1]}", *main[2:]]
    return "; ".join((*([", ".join(main)] if main else []), *rest))


def _phrase(statement: Statement) -> str:
    if statement.code == "caption":
        return _EDGES[str(statement.params["edge"])].format(**statement.params)
    return _WORDS[statement.code].format(**statement.params)
