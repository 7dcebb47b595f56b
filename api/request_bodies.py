"""Reading of request bodies: JSON or a multipart form, into one typed Struct.

A form sends what is no text as JSON, and a list as one part for each item.
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
from api.schemas.requests import READ_ONLY, RecordPatch, SearchFilters, check_nesting
from api.upload_spool import UploadSpool
from core import validation
from core.errors import MalformedError, UnsupportedError

T = TypeVar("T", bound=msgspec.Struct)

BODY = 1024 * 1024
"""Bytes of a JSON body: some forty times the longest that makes sense."""
TWINS = {"tag": "tags", "tags": "tag", "text": "query", "query": "text"}
"""Names that stand for each other; a Struct has the one that is documented."""


@asynccontextmanager
async def received_body(
    request: Request[Any, Any, Any], spool: UploadSpool, kind: type[T], *, files: FormLimits
) -> AsyncIterator[tuple[T, list[Path]]]:
    """Yield the body of a request, JSON or a form, and the files sent along.

    `files.texts` is filled in here. Raise MalformedError, UnsupportedError for another media type,
    TooLargeError, or why a file was refused.
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
    told = json_value(body)
    if not isinstance(told, dict):
        return validation.convert(told, kind)
    return _typed(_documented(told, kind), kind)


def of_patch(body: bytes) -> RecordPatch:
    """Return a JSON merge patch, where null takes a field away. Raise MalformedError."""
    told = json_value(body)
    if not isinstance(told, dict):
        return validation.convert(told, RecordPatch)
    for name in told.keys() & READ_ONLY:
        raise MalformedError(f"{name} cannot be changed", field=name)
    return _typed(_documented(told, RecordPatch), RecordPatch, nulls=True)


def of_form(texts: Mapping[str, list[str]], kind: type[T]) -> T:
    """Return the fields of a form; an empty text counts as not sent. Raise MalformedError."""
    told: dict[str, Any] = {}
    sent = {name: values for name, values in texts.items() if any(values)}
    for name, values in _documented(sent, kind).items():
        leaves = _types(kind)[name]
        if any(isinstance(one, inspect.VarTupleType) for one in leaves):
            told[name] = [value for value in values if value]
        elif len(values) > 1:
            raise MalformedError(f"{name} is sent {len(values)} times: send it once", field=name)
        else:
            text = all(isinstance(one, inspect.StrType | inspect.LiteralType) for one in leaves)
            # some generated clients write a bool as Python does: True
            said = {"True": "true", "False": "false"}.get(values[0], values[0])
            told[name] = values[0] if text else json_value(said.encode(), name)
    return _typed(told, kind)


def form_names(kind: type[T]) -> frozenset[str]:
    """Return the names that a form may have, those that are not documented included."""
    names = frozenset(kind.__struct_fields__)
    return names | {TWINS[name] for name in names & TWINS.keys()}


def json_value(data: bytes, field: str | None = None) -> Any:  # noqa: ANN401 - any JSON value
    """Decode JSON. Raise MalformedError for what is none, or nested too deep."""
    what = field or "the body"
    try:
        told = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise MalformedError(f"{what} is not JSON", field=field) from None
    if isinstance(told, dict | list):
        check_nesting(told, what, field)
    return told


def _typed(told: dict[str, Any], kind: type[T], *, nulls: bool = False) -> T:
    """Convert, and name a list where one of its items is wrong. Raise MalformedError."""
    if isinstance(told.get("filters"), dict):
        told["filters"] = _documented(told["filters"], SearchFilters)
    try:
        return validation.convert(told, kind, nulls=nulls)
    except MalformedError as error:
        if error.field is not None:
            error.field = re.sub(r"\[\d+\]$", "", error.field)
        raise


def _documented(told: Mapping[str, Any], kind: type[T]) -> dict[str, Any]:
    """Rename fields to the names that are documented, and take the blanks around tags away."""
    names = kind.__struct_fields__
    found: dict[str, Any] = {}
    for sent, value in told.items():
        name = sent if sent in names else TWINS.get(sent, sent)
        if name in names and name in found:
            raise MalformedError(
                f"send {name} or {TWINS[name]}, not both: they mean the same", field=sent
            )
        found[name] = value
        if sent == "tag" and isinstance(value, str):
            found[name] = [value]
    tags = found.get("tags")
    if isinstance(tags, list) and all(isinstance(tag, str) for tag in tags):
        found["tags"] = list(dict.fromkeys(tag.strip() for tag in tags))
    return found


@cache
def _types(kind: type[msgspec.Struct]) -> dict[str, list[inspect.Type]]:
    """Return what each field may be. Reading annotations is slow, so it is done once a Struct."""
    fields = msgspec.structs.fields(kind)
    return {
        field.name: list(validation.alternatives(inspect.type_info(field.type))) for field in fields
    }
