"""What is said of a picture in a prompt: a label, and its texts quoted as data.

Whoever uploads a picture may write anything into its title. So that such a text can neither end
the quotation, nor pass for another picture's label, for a turn of somebody else's or for a token
of a model's own format, it is one line of JSON in which only plain characters stand for themselves:
brackets of any kind, backticks, ampersands, bars and what else means something to Markdown are
written by their numbers, as JSON allows: it says the same either way, and nothing is lost.

What shows nothing is left out (`rag.visible`); space of any kind, line ends included, becomes a
blank.
"""

from __future__ import annotations

import json
import re

from core.records import Fields
from rag.visible import one_line, visible

LENGTHS = {
    "title": 200,
    "description": 800,
    "category": 100,
    "external_id": 200,
    "source_url": 500,
}
"""Characters of each text: a caption whole, an essay not."""
TAGS = 20
TAG = 50

_ESCAPED = re.compile(r"[<>\[\]{}|`&!#*]")
_FULLWIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
"""To the ASCII characters that they look like (U+FF01 to U+FF5E, Unicode block FF00)."""


def label(n: int) -> str:
    """The nth picture's, from 1: what a model repeats to cite it."""
    return f"[img-{n}]"


def facts(name: str, fields: Fields) -> str:
    """The label and the quoted texts, as they stand before the picture."""
    return f"Picture {name}\n<picture-facts>{quoted(texts(fields))}</picture-facts>"


def texts(fields: Fields) -> dict[str, object]:
    """What people wrote about a picture, as far as it can be seen, cut to length."""
    told: dict[str, object] = {}
    for key, most in LENGTHS.items():
        value = getattr(fields, key)
        text = plain(value, most) if value else ""
        if text:
            told[key] = text
    tags = [tag for tag in (plain(one, TAG) for one in fields.tags[:TAGS]) if tag]
    if tags:
        told["tags"] = tags
    return told


def plain(text: str, most: int) -> str:
    """What of a text can be seen, on one line, of at most so many characters."""
    line = one_line(text.translate(_FULLWIDTH))
    return line if len(line) <= most else line[: most - 1].rstrip() + "…"


def quoted(value: object) -> str:
    """One line of JSON out of which no text can reach: any parser reads the same."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{_string(key)}:{quoted(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(quoted, value)) + "]"
    return _string(value) if isinstance(value, str) else json.dumps(value)


def _string(text: str) -> str:
    written = json.dumps(visible(text), ensure_ascii=False)
    return _ESCAPED.sub(lambda found: f"\\u{ord(found.group()):04x}", written)
