"""Multipart parser that refuses one part of a form where `multipart` refuses all of it.

Header lines are read as Latin-1, which decodes any bytes, and names are decoded here: UTF-8 as
browsers send them, else Windows-1252. Part headers other than Content-Disposition are ignored
(RFC 7578, 4.8).
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote_to_bytes

from multipart import (  # type: ignore[import-untyped]
    MultipartSegment,
    PushMultipartParser,
    parse_content_disposition,
)

HEADER = 16 * 1024
"""Most bytes of a part's Content-Disposition: longer than any file name."""
_QUOTED = re.compile(r'"(?:\\.?|[^"\\])*(?:"|\Z)', re.DOTALL)
"""A quoted string, or an unclosed one up to the end: no backtracking, so time is linear."""
_EXTENDED = re.compile(
    r";\s*filename\*\s*=\s*(utf-8|iso-8859-1)'[\w-]*'((?:[!-$&-:<-~]|%[0-9a-f]{2})+)\s*(?:;|\Z)",
    re.ASCII | re.IGNORECASE,
)
"""`filename*` (RFC 8187); characters that applications fail to escape are accepted."""


class FormPart(MultipartSegment):  # type: ignore[misc]  # the library has no types
    """Headers of one part: its name and file name, or why the part is refused."""

    def __init__(self, dispositions: list[list[str]], fault: str) -> None:
        super().__init__([])
        header = " ".join(dispositions[0]) if dispositions else ""
        self.disposition, name, filename = parse_content_disposition(header)
        self.name: str = _decoded(name or "")
        extended = _extended(header)
        self.filename: str | None = extended or (None if filename is None else _decoded(filename))
        self.fault = fault or self._fault(len(dispositions))
        """Reason of the refusal, empty if there is none."""
        self.field = "" if self.disposition == "form-data" and not self.name else None
        """Name of the field at fault, if it is known."""

    def _fault(self, count: int) -> str:
        if count != 1:
            return f"this part of the form has {count or 'no'} Content-Disposition headers"
        if self.disposition != "form-data":
            return "the Content-Disposition of this part of the form is not form-data"
        return "" if self.name else "this part of the form has no name"


class FormParser(PushMultipartParser):  # type: ignore[misc]  # the library has no types
    """A `PushMultipartParser` that yields a `FormPart` for any headers of a part.

    It overrides two private methods; the library documents the second as made for that.
    """

    def __init__(self, boundary: str, most: int) -> None:
        """Refuse a form as a whole if one header line has over `most` bytes."""
        super().__init__(boundary.encode("latin-1", "replace"), max_header_size=most)
        self._begin()

    def _begin(self) -> None:
        self._dispositions: list[list[str]] = []
        self._size = 0
        self._wrong = ""
        self._counts = False

    def _on_segment_headerline(self, line: bytes) -> None:
        """Keep Content-Disposition, ignore other headers, and note the first fault."""
        if line[0] not in b" \t":  # else it continues the header before it
            name, colon, line = line.partition(b":")
            self._counts = name.strip().lower() == b"content-disposition"
            if self._counts and self._size <= HEADER:
                self._size += len(name)
                self._dispositions.append([])
            if not colon:
                self._wrong = self._wrong or "a header of this part of the form has no colon"
        if not self._counts:
            return
        self._size += len(line)
        if self._size > HEADER:
            self._wrong = f"a part's Content-Disposition has over {HEADER} bytes (limit {HEADER})"
        else:
            self._dispositions[-1].append(line.strip().decode("latin-1"))

    def _create_segment(self, headerlist: list[tuple[str, str]]) -> FormPart:  # noqa: ARG002 - theirs
        part = FormPart(self._dispositions, self._wrong)
        self._begin()
        return part


def why(error: ValueError) -> str:
    """Return the error message for a form that cannot be read as a whole."""
    reason: Any = error.args[0] if error.args else ""
    if "end of multipart stream" in reason:
        reason = "it ends before its last boundary"
    return f"the form cannot be read: {reason}"


def _extended(header: str) -> str | None:
    """Return the value of `filename*`, None if it is missing or cannot be decoded."""
    found = _EXTENDED.search(_QUOTED.sub('""', header))
    if found is None:
        return None
    try:
        return unquote_to_bytes(found[2]).decode(found[1])
    except UnicodeDecodeError:
        return None


def _decoded(name: str) -> str:
    """Decode a name from a header that was read as Latin-1."""
    raw = name.encode("latin-1")
    for charset in ("utf-8", "cp1252"):
        try:
            return raw.decode(charset)
        except UnicodeDecodeError:
            continue
    return name
