"""Conversion of JSON values into typed Structs, and JSON Schema of the same Structs.

A Struct with `msgspec.Meta` is the one definition of what may be sent: it validates, its schema is
published, and an error names the field, what it must be, and the value that was sent. Where a
description made from the type would not be plain, `Meta(extra={"words": ...})` says it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import Any, TypeVar

import msgspec
from msgspec import inspect

from core.errors import MalformedError

T = TypeVar("T")

PATH = 80
"""Characters of a field's path in an error: a name that was sent may be of any length."""
VALUE = 40
"""Characters of a value in an error."""

_ERROR = re.compile(r"(.*?)(?: - at `\$([^`]*)`)?", re.DOTALL)
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
_EMPTY: tuple[tuple[str, object], ...] = (("default", None), ("default", ()), ("required", []))
"""Keywords of a schema that say nothing."""
_MISSING = re.compile(r"Object missing required field `(.*)`")


def convert(value: object, kind: type[T], *, nulls: bool = False, whole: str = "the body") -> T:
    """Return a JSON value as a Struct; `whole` is what errors call the value itself.

    Null in a known field counts as not sent unless `nulls`; an integral float such as 10.0 is a
    whole number. Raise MalformedError with the path of the first field that is wrong, such as
    `filters.tags[0]`.
    """
    if isinstance(value, dict):
        known = getattr(kind, "__struct_fields__", ())
        value = {
            name: int(one) if isinstance(one, float) and one.is_integer() else one
            for name, one in value.items()
            if nulls or one is not None or name not in known
        }
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise _explained(str(error), value, kind, whole) from None


def schemas(*kinds: type[msgspec.Struct], nullable: bool = False) -> dict[str, dict[str, Any]]:
    """Return the JSON Schema of each Struct, and of those within it, by class name.

    References are to `#/components/schemas/NAME`. Null is left out unless `nullable`: it is taken
    for a field that is not sent.
    """
    _, found = msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")
    return {name: _tidied(schema, nullable=nullable) for name, schema in found.items()}


def alternatives(kind: inspect.Type) -> Iterator[inspect.Type]:
    """Yield the types that a field's type allows, without null and absence."""
    if isinstance(kind, inspect.Metadata) and not (kind.extra or {}).get("words"):
        yield from alternatives(kind.type)
    elif isinstance(kind, inspect.UnionType):
        for one in kind.types:
            yield from alternatives(one)
    elif not isinstance(kind, inspect.NoneType):
        yield kind


def mismatch(
    field: str | None,
    value: object,
    kind: object,
    whole: str = "the body",
) -> MalformedError:
    """Return the error for a value that is not of a type, naming what it must be."""
    expected = kind if isinstance(kind, inspect.Type) else inspect.type_info(kind)
    literals = [one for one in alternatives(expected) if isinstance(one, inspect.LiteralType)]
    near = nearest(value, [str(choice) for one in literals for choice in one.values])
    detail = f"{field or whole} must be {described(expected)}, not {_shown(value)}{near}"
    return MalformedError(detail, field=field)


def nearest(value: object, allowed: Sequence[str]) -> str:
    """Return a hint at the allowed value nearest to one that is not, "" if none is near."""
    near = get_close_matches(value[:PATH], allowed, 1) if isinstance(value, str) else []
    return f" (did you mean {near[0]}?)" if near else ""


def _explained(message: str, value: object, kind: type, whole: str) -> MalformedError:
    found = _ERROR.fullmatch(message)
    problem, place = found.groups(default="") if found else (message, "")
    expected = inspect.type_info(kind)
    for step in re.findall(r"[^.\[\]]+", place):
        expected, value = _below(expected, step), _part(value, step)
    path = place.removeprefix(".")
    if (unknown := _UNKNOWN.fullmatch(problem)) is not None:
        return _unknown_field(path, unknown[1], expected)
    if (missing := _MISSING.fullmatch(problem)) is not None:
        field, words = _joined(path, missing[1]), described(_below(expected, missing[1]))
        return MalformedError(f"{field} is missing: send {words}", field=field)
    return mismatch(path or None, value, expected, whole)


def _unknown_field(path: str, name: str, expected: inspect.Type) -> MalformedError:
    structs = [one for one in alternatives(expected) if isinstance(one, inspect.StructType)]
    names = [field.encode_name for one in structs for field in one.fields]
    field, near = _joined(path, name), nearest(name, names)
    return MalformedError(
        f"there is no field {field!r}{near}; the fields are {', '.join(names)}", field=field
    )


def described(kind: inspect.Type) -> str:
    """Return what a value of this type is, in words: `a whole number from 1 to 200`."""
    return " or ".join(dict.fromkeys(_words(one) for one in alternatives(kind)))


def _words(kind: inspect.Type) -> str:
    words = "an object"
    match kind:
        case inspect.Metadata():
            words = str((kind.extra or {})["words"])
        case inspect.LiteralType():
            words = f"one of {', '.join(map(str, kind.values))}"
        case inspect.IntType():
            words = f"a whole number{_bounds('from', kind.ge, kind.le)}"
        case inspect.FloatType():
            words = f"a number{_bounds('from', kind.ge, kind.le)}"
        case inspect.BoolType():
            words = "true or false"
        case inspect.StrType():
            words = f"a text{_bounds('of', kind.min_length, kind.max_length, ' characters')}"
        case inspect.ListType() | inspect.VarTupleType():
            items = _bounds("of", kind.min_length, kind.max_length, " items")
            words = f"a list{items}, each {described(kind.item_type)}"
    return words


def _bounds(word: str, least: float | None, most: float | None, unit: str = "") -> str:
    if least is not None and most is not None:
        return f" {word} {least:.15g} to {most:.15g}{unit}"
    if most is not None:
        return f" of at most {most:.15g}{unit}"
    return "" if least is None else f" of at least {least:.15g}{unit}"


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}".removeprefix(".")[:PATH]


def _below(kind: inspect.Type, step: str) -> inspect.Type:
    """Return the type of a field, or of an item of a list."""
    for one in alternatives(kind):
        if isinstance(one, inspect.ListType | inspect.VarTupleType):
            return one.item_type
        if isinstance(one, inspect.StructType):
            for field in one.fields:
                if field.encode_name == step:
                    return field.type
    return inspect.AnyType()


def _part(value: object, step: str) -> object:
    if isinstance(value, dict):
        return value.get(step)
    return value[int(step)] if isinstance(value, list | tuple) and step.isdigit() else value


def _shown(value: object) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    if isinstance(value, dict):
        return "an object"
    text = repr(value)
    if len(text) <= VALUE:
        return text
    return f"one of {len(value)} characters" if isinstance(value, str) else f"{text[: VALUE - 1]}…"


def _tidied(schema: Any, *, nullable: bool) -> Any:  # noqa: ANN401 - any JSON
    """Name the type of enumerations, and leave out class names, empty defaults and null."""
    if isinstance(schema, list):
        return [_tidied(one, nullable=nullable) for one in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {name: _tidied(one, nullable=nullable) for name, one in schema.items()}
    if isinstance(kept.get("title"), str):
        del kept["title"]
    for name, value in _EMPTY:
        if name in kept and kept[name] == value:
            del kept[name]
    if "enum" in kept:
        kept["type"] = "string"
    return kept if nullable else _without_null(kept)


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    if "anyOf" not in schema:
        return schema
    rest = {name: value for name, value in schema.items() if name != "anyOf"}
    kinds = [one for one in schema["anyOf"] if one != {"type": "null"}]
    return kinds[0] | rest if len(kinds) == 1 else rest | {"anyOf": kinds}
