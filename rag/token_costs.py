"""Token costs of a prompt: of pictures by each provider's published formula, and of texts.

OpenAI (https://developers.openai.com/api/docs/guides/images-vision, "Calculating costs"): models of
tiles cost `base` tokens at detail `low`, in which the prompts are sent, whatever the size: the
model sees 512 x 512 pixels. (At `high`: fitted into 2048 x 2048, then to a shorter side of 768,
`base + tile x` the 512-pixel tiles.) Models of patches ignore the detail: `ceil(w / 32) x
ceil(h / 32)`, fitted into 1,536 patches, times a factor. For gpt-5.2 to gpt-5.4 no factor is
published; the one here is as billed (https://community.openai.com/t/1377015).

Anthropic (https://platform.claude.com/docs/en/build-with-claude/vision): `ceil(w / 28) x
ceil(h / 28)`, and before that page was rewritten `w x h / 750`: the larger of both. A picture over
the model's own resolution (1,568 pixels, 2,576 from Opus 4.7 on) is scaled down before it is
counted; a preview never is.

Gemini (https://ai.google.dev/gemini-api/docs/tokens and …/media-resolution): up to version 2.5, 258
where both sides have at most 384 pixels, else 258 a tile, the tiles being as wide as
`floor(min(w, h) / 1.5)` pixels. From version 3 on at most 1,120 at the default resolution.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable

from msgspec import Struct

from rag.providers.registry import Name

Cost = Callable[[int, int], int]
"""A function that returns the tokens of a picture by its width and height in pixels."""

_TILED = {
    "gpt-4o": 85,
    "chatgpt-4o": 85,
    "gpt-4-turbo": 85,
    "gpt-4.1": 85,
    "gpt-4.5": 85,
    "gpt-4o-mini": 2833,
    "o1": 75,
    "o1-pro": 75,
    "o3": 75,
    "o3-pro": 75,
    "computer-use": 65,
    "gpt-5": 70,
    "gpt-5.1": 70,
}
"""`base` tokens by family."""
_PATCHED = {
    "gpt-4.1-mini": 1.62,
    "gpt-4.1-nano": 2.46,
    "gpt-5-mini": 1.62,
    "gpt-5-nano": 2.46,
    "o4-mini": 1.72,
    "gpt-5.2": 1.2,
    "gpt-5.2-codex": 1.2,
    "gpt-5.3-codex": 1.2,
    "gpt-5.4": 1.2,
    "gpt-5.4-mini": 1.62,
    "gpt-5.4-nano": 2.46,
}
"""Factors by family."""
_PATCHES = 1536
_EDITION = re.compile(r"(-(\d{4}-\d{2}-\d{2}|\d{4}|\d{8}|latest|chat-latest|preview|exp|\d{3}))*")
"""Suffix of a model's name after its family: a date, or a word for the edition."""
_GEMINI = re.compile(r"gemini-(\d+)(?:\.\d+)?(?:-[a-z0-9.-]+)?")
_CLAUDE = re.compile(r"(?:[a-z0-9.-]+\.)?claude-[a-z0-9.:@-]+")

_WORDS = re.compile(r"[A-Za-z]+|[0-9]|[^\x00-\x7f]+|[^\sA-Za-z0-9]|[ \t]{2,}|\s(?=[0-9])|\n")
"""A blank and the word or sign after it are one token; a blank before a digit is its own."""
PART = 8
"""Tokens around a message or a part: OpenAI counts 3 for each message, others a few
(https://developers.openai.com/cookbook/examples/how_to_count_tokens_with_tiktoken)."""


class TokenCosts(Struct, frozen=True, kw_only=True):
    """Token formula and picture size for one model."""

    cost: Cost
    side: int
    """Long side in pixels past which more pixels cost more and show little."""
    note: str | None = None
    """Remark for the caller if the model is unknown."""


def scale(name: Name, model: str | None) -> TokenCosts:
    """Return a model's costs; for an unknown one the costliest of its provider, with a note."""
    wanted = (model or "").strip().lower()
    wanted = wanted.rpartition("/")[2]  # openai/gpt-4o, models/gemini-2.5-pro
    if name == "anthropic":
        known = _CLAUDE.fullmatch(wanted) is not None
        return TokenCosts(cost=claude, side=504, note=None if known else _note(model, name))
    if name == "gemini":
        return _gemini(wanted, model)
    for family, base in _TILED.items():
        if _of(family, wanted):
            return TokenCosts(cost=_flat(base), side=512)
    for family, factor in _PATCHED.items():
        if _of(family, wanted):
            return TokenCosts(cost=_patched(factor), side=512)
    return TokenCosts(cost=_flat(max(_TILED.values())), side=512, note=_note(model, name))


def text(words: str) -> int:
    """Return an upper estimate of the tokens of a text; at most its bytes in UTF-8.

    Every provider's tokens form a vocabulary over bytes that joins frequent sequences: an English
    word of five letters is one or two tokens, a digit, sign or line end at most one, and a letter
    outside ASCII at most two for its three bytes in any usual script. For English the estimate is
    half as much again as the rule of four characters a token.
    """
    counted = 0
    for found in _WORDS.findall(words):
        if found[0] < "\x80":
            counted += math.ceil(len(found) / 3)
        else:
            counted += math.ceil(2 * len(found.encode("utf-8", "replace")) / 3)
    return counted


def message(words: str) -> int:
    """Return the tokens of a text as a separate message or part."""
    return text(words) + PART


def base64(size: int) -> int:
    """Return the length in base64 of `size` bytes."""
    return 4 * math.ceil(size / 3)


def patches(width: int, height: int) -> int:
    """Return the number of OpenAI's patches of 32 x 32 pixels, at most 1,536."""
    whole = math.ceil(width / 32) * math.ceil(height / 32)
    if whole <= _PATCHES:
        return whole
    shrunk = math.sqrt(_PATCHES * 32**2 / (width * height))
    wide, high = width * shrunk / 32, height * shrunk / 32
    fitted = min(math.floor(wide) / wide, math.floor(high) / high)
    # Rounded first: 33 patches must not become 34 by an error of the last binary digit.
    return math.ceil(round(wide * fitted, 6)) * math.ceil(round(high * fitted, 6))


def claude(width: int, height: int) -> int:
    """Return Anthropic's tokens: patches of 28 x 28 pixels, or the older formula if it is more."""
    return max(math.ceil(width / 28) * math.ceil(height / 28), math.ceil(width * height / 750))


def gemini(width: int, height: int) -> int:
    """Return Gemini's tokens up to version 2.5."""
    if max(width, height) <= 384:  # noqa: PLR2004 - the side up to which a picture is one tile
        return 258
    unit = max(1, math.floor(min(width, height) / 1.5))
    return 258 * math.ceil(width / unit) * math.ceil(height / unit)


def _gemini(wanted: str, model: str | None) -> TokenCosts:
    found = _GEMINI.fullmatch(wanted)
    version = int(found.group(1)) if found else 0
    if version in (1, 2):
        return TokenCosts(cost=gemini, side=384)
    if version in (3, 4):
        return TokenCosts(cost=_flat(1120), side=512)
    return TokenCosts(
        cost=lambda width, height: max(1120, gemini(width, height)),
        side=384,
        note=_note(model, "gemini"),
    )


def _flat(tokens: int) -> Cost:
    return lambda _, __: tokens


def _patched(factor: float) -> Cost:
    return lambda width, height: math.ceil(patches(width, height) * factor)


def _of(family: str, wanted: str) -> bool:
    rest = wanted.removeprefix(family)
    return len(rest) < len(wanted) and _EDITION.fullmatch(rest) is not None


def _note(model: str | None, name: Name) -> str:
    cause = f"the model {model!r:.100} is unknown" if model else "no model was named"
    return f"{cause}: pictures are counted by the costliest formula for {name}"
