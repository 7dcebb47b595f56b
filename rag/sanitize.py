"""Texts about a picture in a prompt: a label, and the record's fields quoted as data.

An uploader may write anything into a title. Such a text must not end the quotation, nor pass for
another picture's label, another turn or a token of the model's own format. So it is written as one
line of JSON in which brackets of any kind, backticks, ampersands, bars and other characters with a
meaning in Markdown are escaped by their numbers: any JSON parser reads the same text.

Invisible characters are removed (`rag.visible`); whitespace of any kind, line ends included,
becomes a blank.
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
"""Most characters of each text: enough for a caption, not for an essay."""
TAGS = 20
"""Most tags of a picture."""
TAG = 50
"""Most characters of a tag."""

_ESCAPED = re.compile(r"[<>\[\]{}|`&!#*]")
_FULLWIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
"""Map of full-width characters (U+FF01 to U+FF5E) to the ASCII characters they look like."""


def label(n: int) -> str:
    """Return the label of the nth picture, from 1, by which a model cites it."""
    return f"[img-{n}]"


def facts(name: str, fields: Fields) -> str:
    """Return the label and the quoted texts, to place before the picture."""
    return f"Picture {name}\n<picture-facts>{quoted(texts(fields))}</picture-facts>"


def texts(fields: Fields) -> dict[str, object]:
    """Return the visible texts of a record, on one line each, cut to length."""
    found: dict[str, object] = {}
    for key, most in LENGTHS.items():
        value = getattr(fields, key)
        text = plain(value, most) if value else ""
        if text:
            found[key] = text
    tags = [tag for tag in (plain(one, TAG) for one in fields.tags[:TAGS]) if tag]
    if tags:
        found["tags"] = tags
    return found


def plain(text: str, most: int) -> str:
    """Return the visible part of a text on one line, cut to at most `most` characters."""
    line = one_line(text.translate(_FULLWIDTH))
    return line if len(line) <= most else line[: most - 1].rstrip() + "…"


def quoted(value: object) -> str:
    """Return a value as one line of JSON, escaped so that no text in it can end the quotation."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{_string(key)}:{quoted(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(quoted, value)) + "]"
    return _string(value) if isinstance(value, str) else json.dumps(value)


def _string(text: str) -> str:
    written = json.dumps(visible(text), ensure_ascii=False)
    return _ESCAPED.sub(lambda found: f"\\u{ord(found.group()):04x}", written)
