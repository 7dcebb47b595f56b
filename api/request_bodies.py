"""Conversion of request bodies, JSON or a multipart form, into one typed Struct.

A form sends a field that is not a text as JSON, and a list as one part for each item.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from litestar import Request
from msgspec import inspect

from api.multipart import FormLimits, received, whole
from api.schemas.requests import (
    READ_ONLY,
    RecordFields,
    RecordPatch,
    SearchFilters,
    check_nesting,
)
from api.upload_spool import UploadSpool
from core import validation
from core.errors import MalformedError, UnsupportedError

T = TypeVar("T", bound=msgspec.Struct)

BODY = 1024 * 1024
"""Most bytes of a body that is not a form: some forty times the longest sensible one."""
TWINS = {"tag": "tags", "tags": "tag", "text": "query", "query": "text"}
"""Pairs of names with one meaning; a Struct has the one that is documented."""


@asynccontextmanager
async def received_body(
    request: Request[Any, Any, Any], spool: UploadSpool, kind: type[T], *, files: FormLimits
) -> AsyncIterator[tuple[T, list[Path]]]:
    """Yield the body of a request, JSON or a form, and the files sent along.

    `files.texts` is filled in here. Raise MalformedError, UnsupportedError for another media type,
    TooLargeError, or the error that refuses a file.
    """
    media, _ = request.content_type
    if media == "application/json":
        yield of_json(await whole(request, BODY), kind), []
    elif media == "multipart/form-data":
        async with received(request, spool, files._replace(texts=form_names(kind))) as form:
            body = of_form(form.texts, kind)
            yield body, form.paths()
    else:
        raise UnsupportedError(
            f"send application/json or multipart/form-data, not {media[:80] or 'nothing'}",
            field="Content-Type",
        )


def of_json(body: bytes, kind: type[T]) -> T:
    """Return a JSON body; null counts as not sent. Raise MalformedError."""
    value = json_value(body)
    if not isinstance(value, dict):
        return validation.convert(value, kind)
    return _typed(_documented(value, kind), kind)


def of_patch(body: bytes) -> RecordPatch:
    """Return a JSON merge patch, in which null removes a field. Raise MalformedError."""
    value = json_value(body)
    if not isinstance(value, dict):
        return validation.convert(value, RecordPatch)
    for name in value.keys() & READ_ONLY:
        raise MalformedError(f"{name} cannot be changed", field=name)
    return _typed(_documented(value, RecordPatch), RecordPatch, nulls=True)


def of_form(texts: Mapping[str, list[str]], kind: type[T]) -> T:
    """Return the fields of a form; an empty text counts as not sent. Raise MalformedError."""
    body: dict[str, Any] = {}
    sent = {name: values for name, values in texts.items() if any(values) or len(values) > 1}
    for name, values in _documented(sent, kind).items():
        leaves = _types(kind)[name]
        if any(isinstance(one, inspect.VarTupleType) for one in leaves):
            body[name] = [value for value in values if value]
        elif len(values) > 1:
            raise MalformedError(f"{name} is sent {len(values)} times: send it once", field=name)
        else:
            text = all(isinstance(one, inspect.StrType | inspect.LiteralType) for one in leaves)
            # some generated clients write a bool as Python does: True
            value = {"True": "true", "False": "false"}.get(values[0], values[0])
            body[name] = values[0] if text else json_value(value.encode(), name)
    return _typed(body, kind)


def form_names(kind: type[T]) -> frozenset[str]:
    """Return the names of fields that a form may have, including undocumented ones."""
    names = frozenset(kind.__struct_fields__)
    return names | {TWINS[name] for name in names & TWINS.keys()}


def json_value(data: bytes, field: str | None = None) -> Any:  # noqa: ANN401 - any JSON value
    """Return decoded JSON. Raise MalformedError if it is invalid or nested too deep."""
    what = field or "the body"
    try:
        value = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise MalformedError(f"{what} is not valid JSON", field=field) from None
    if isinstance(value, dict | list):
        check_nesting(value, what, field)
    return value


def _typed(body: dict[str, Any], kind: type[T], *, nulls: bool = False) -> T:
    """Convert a body. Raise MalformedError, which names a list rather than its wrong item."""
    if isinstance(body.get("filters"), dict):
        body["filters"] = _documented(body["filters"], SearchFilters, "filters.")
    try:
        return validation.convert(body, kind, nulls=nulls)
    except MalformedError as error:
        if error.field is not None:
            error.field = re.sub(r"\[\d+\]$", "", error.field)
        raise


def _documented(body: Mapping[str, Any], kind: type[T], path: str = "") -> dict[str, Any]:
    """Rename fields to their documented names, and tidy a record's tags.

    Raise MalformedError, which names the field as it was sent, below `path`.
    """
    names = kind.__struct_fields__
    found: dict[str, Any] = {}
    for sent, value in body.items():
        name = sent if sent in names or TWINS.get(sent) not in names else TWINS[sent]
        if name in names and name in found:
            raise MalformedError(
                f"send {path}{name} or {path}{TWINS[name]}, not both: they mean the same",
                field=f"{path}{sent}",
            )
        found[name] = value
        if sent == "tag" and isinstance(value, str):
            found[name] = [value]
    if "tags" in found and issubclass(kind, RecordFields):  # a filter's are compared as sent
        found["tags"] = _tidy_tags(found["tags"])
    return found


def _tidy_tags(tags: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Strip tags and remove repeated ones; an empty text stands for none."""
    if tags == "":
        return []
    if isinstance(tags, list) and all(isinstance(tag, str) for tag in tags):
        return list(dict.fromkeys(tag.strip() for tag in tags))
    return tags


@cache
def _types(kind: type[msgspec.Struct]) -> dict[str, list[inspect.Type]]:
    """Return the types of each field, cached as reading annotations is slow."""
    fields = msgspec.structs.fields(kind)
    return {
        field.name: list(validation.alternatives(inspect.type_info(field.type))) for field in fields
    }
