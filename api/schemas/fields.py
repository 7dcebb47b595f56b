"""What callers say of a picture: each field checked for type and length, named where it is wrong.

The lengths are the service's own: long enough for a shop's title or a caption, short enough that a
record stays a few kilobytes.
"""

from __future__ import annotations

from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import UNSET, UnsetType

from api.schemas.images import Image
from core import clock
from core.errors import MalformedError
from core.records import EXTERNAL_ID, Fields

LENGTHS = {
    "title": 500,
    "description": 10_000,
    "category": 100,
    "owner_id": 200,
    "external_id": EXTERNAL_ID,
    "source_url": 2_000,
    "reason": 1_000,
}
"""Characters."""
TAG = 100
"""Characters of a tag."""
TAGS = 50
"""Tags of a picture."""
METADATA = 16 * 1024
"""Bytes of `metadata` as compact JSON."""
NESTED = 32
"""Levels of lists and objects in a body: whoever writes it down again walks it by recursion."""
SCHEMES = ("http", "https", "ftp", "s3", "gs", "az")
"""Of `source_url`: it may be shown as a link, so nothing that runs or reads a local file."""

EDITABLE = (
    "title",
    "description",
    "category",
    "tags",
    "owner_id",
    "external_id",
    "source_url",
    "metadata",
)
HOLD = "hold_until"
"""Patched by a moderator, and kept with the record's state: it is no word about the picture."""
READ_ONLY = frozenset(Image.__struct_fields__) - {*EDITABLE, HOLD}
FORM = frozenset(EDITABLE) | {"on_duplicate"}


def of_form(texts: dict[str, list[str]]) -> tuple[Fields, bool]:
    """Fields of an upload, and whether a copy's bytes are kept. Raise MalformedError.

    An empty text is as good as none: browsers send every field of a form.
    """
    for name, values in texts.items():
        if name != "tags" and len(values) > 1:
            raise MalformedError(f"{name} is given {len(values)} times", field=name)
    one = {name: values[0] for name, values in texts.items() if name != "tags" and values[0]}
    duplicates = one.pop("on_duplicate", "keep")
    if duplicates not in ("keep", "discard_bytes"):
        raise MalformedError("on_duplicate is keep or discard_bytes", field="on_duplicate")
    metadata = _object(one.pop("metadata")) if "metadata" in one else {}
    texts_only: dict[str, Any] = {name: text(name, value) for name, value in one.items()}
    fields = Fields(
        **texts_only,
        tags=_tags([tag for tag in texts.get("tags", []) if tag.strip()]),
        metadata=metadata,
    )
    return fields, duplicates == "keep"


def merged(fields: Fields, body: bytes) -> Fields:
    """Fields after a JSON merge patch (RFC 7396). Raise MalformedError naming what is wrong."""
    patch = _object_of(body, "the body")
    changes: dict[str, Any] = {}
    for name, value in patch.items():
        if name == HOLD:
            continue
        if name in READ_ONLY:
            raise MalformedError(f"{name} cannot be changed", field=name)
        if name not in EDITABLE:
            raise MalformedError(f"there is no field {name!r:.80}", field=name[:80])
        if name == "tags":
            changes[name] = _tags(value or [])
        elif name == "metadata":
            changes[name] = _metadata(fields.metadata, value)
        else:
            changes[name] = text(name, value) or None if value is not None else None
    return msgspec.structs.replace(fields, **changes, reason=None)


def held(body: bytes) -> str | UnsetType | None:
    """Until when a patch says that the record is to be kept; unset where it says nothing of that.

    Raise MalformedError.
    """
    until = _object_of(body, "the body").get(HOLD, UNSET)
    return until if until is UNSET or until is None else moment(HOLD, until)


def moment(name: str, value: object) -> str:
    """An RFC 3339 time as it is written down. Raise MalformedError."""
    try:
        return clock.stamp(clock.parse(value))  # type: ignore[arg-type]  # TypeError says the rest
    except (TypeError, ValueError, OverflowError):
        raise MalformedError(f"{name} is no RFC 3339 time with a zone", field=name) from None


def decided(body: bytes) -> tuple[Literal["allow", "review", "block"], str | None]:
    """Value and reason of a decision. Raise MalformedError."""
    told = _object_of(body, "the body")
    for name in told:
        if name not in ("value", "reason"):
            raise MalformedError(f"there is no field {name!r:.80}", field=name[:80])
    value = told.get("value")
    if value not in ("allow", "review", "block"):
        raise MalformedError("value is allow, review or block", field="value")
    reason = told.get("reason")
    return value, None if reason is None else text("reason", reason)


def text(name: str, value: object) -> str:
    """A text of a field, of its length and without control characters. Raise MalformedError."""
    if not isinstance(value, str):
        raise MalformedError(f"{name} is a text", field=name)
    if len(value) > LENGTHS[name]:
        raise MalformedError(f"{name} has at most {LENGTHS[name]} characters", field=name)
    if _has_controls(value):
        raise MalformedError(f"{name} holds control characters", field=name)
    if name == "source_url":
        _check_url(value)
    return value


def _tags(values: object) -> tuple[str, ...]:
    if not isinstance(values, list) or not all(isinstance(tag, str) for tag in values):
        raise MalformedError("tags is a list of texts", field="tags")
    tags = tuple(dict.fromkeys(tag.strip() for tag in values))
    if len(tags) > TAGS:
        raise MalformedError(f"there are at most {TAGS} tags", field="tags")
    if any(not 1 <= len(tag) <= TAG or _has_controls(tag) for tag in tags):
        raise MalformedError(f"a tag has 1 to {TAG} characters", field="tags")
    return tags


def _metadata(present: dict[str, object], patch: object) -> dict[str, object]:
    if patch is None:
        return {}
    if not isinstance(patch, dict):
        raise MalformedError("metadata is a JSON object", field="metadata")
    return _measured(_merge(present, patch))


def _merge(present: object, patch: object) -> Any:  # noqa: ANN401 - any JSON value
    """RFC 7396, section 2."""
    if not isinstance(patch, dict):
        return patch
    whole = dict(present) if isinstance(present, dict) else {}
    for name, value in patch.items():
        if value is None:
            whole.pop(name, None)
        else:
            whole[name] = _merge(whole.get(name), value)
    return whole


def _object(value: str) -> dict[str, object]:
    return _measured(_object_of(value.encode(), "metadata", field="metadata"))


def _object_of(data: bytes, what: str, *, field: str | None = None) -> dict[str, Any]:
    try:
        told = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise MalformedError(f"{what} is not JSON", field=field) from None
    if not isinstance(told, dict):
        raise MalformedError(f"{what} is not a JSON object", field=field)
    _check_nesting(told, what, field)
    return told


def _check_nesting(told: object, what: str, field: str | None) -> None:
    level: list[Any] = [told]
    for _ in range(NESTED):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return
    raise MalformedError(f"{what} is nested over {NESTED} levels deep", field=field)


def _measured(metadata: dict[str, object]) -> dict[str, object]:
    try:
        msgspec.msgpack.encode(metadata)  # the index keeps records so, and JSON knows no limit
        size = len(msgspec.json.encode(metadata))
    except (OverflowError, RecursionError):
        raise MalformedError("metadata holds too large a number", field="metadata") from None
    if size > METADATA:
        raise MalformedError(f"metadata has at most {METADATA} bytes", field="metadata")
    return metadata


def _check_url(value: str) -> None:
    try:
        url = urlsplit(value)
    except ValueError:
        url = urlsplit("")
    if url.scheme not in SCHEMES or not url.netloc:
        raise MalformedError(f"source_url begins with {', '.join(SCHEMES)}", field="source_url")


def _has_controls(value: str) -> bool:
    return any(letter < " " and letter not in "\t\n\r" for letter in value) or "\x7f" in value
