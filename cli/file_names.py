r"""Names of files as text: stable ids for the service, and file names for a form.

A file system keeps names as bytes, most of them UTF-8. An `external_id` is the path as it was
given. Where that holds bytes that are not UTF-8, or control characters, each such byte is written
as `\xNN` and each backslash twice. So is a path that holds such an escape literally: two different
paths never share an id, and the bytes can be read back from it.
"""

from __future__ import annotations

import os
import re
from hashlib import sha256
from pathlib import Path

from core.records import EXTERNAL_ID

_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\udc80-\udcff]")
"""Control characters (C0, DEL, C1), and bytes that are not UTF-8 as Python carries them."""
_ESCAPE = re.compile(r"\\x[0-9a-f]{2}")
_DIGEST = 32
"""Hex digits in a shortened id: 128 bits."""


def path_name(path: Path) -> str:
    """Write a path losslessly and without control characters."""
    text = os.fsencode(path.as_posix()).decode("utf-8", "surrogateescape")
    if not _UNPRINTABLE.search(text) and not _ESCAPE.search(text):
        return text
    return _UNPRINTABLE.sub(_escaped, text.replace("\\", "\\\\"))


def external_id(name: str) -> str:
    """Return the name, or a digest of it and its end where a service would refuse it as too long.

    The end names the file. The same name gives the same id at any time.
    """
    if len(name) <= EXTERNAL_ID:
        return name
    start = f"…{sha256(name.encode()).hexdigest()[:_DIGEST]}…"
    return start + name[len(start) - EXTERNAL_ID :]


def form_name(path: Path) -> str:
    """Return the file's name for a form, with U+FFFD for what no form can carry."""
    return _UNPRINTABLE.sub("\ufffd", os.fsencode(path.name).decode("utf-8", "surrogateescape"))


def _escaped(found: re.Match[str]) -> str:
    return "".join(f"\\x{byte:02x}" for byte in found[0].encode("utf-8", "surrogateescape"))
