"""JSON Schema, as far as the tools' own schemas go: types, enums, bounds, required names.

https://json-schema.org/draft/2020-12/json-schema-validation
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from core.errors import MalformedError

Schema = Mapping[str, Any]

_TYPES: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "array": list,
    "object": dict,
    "null": type(None),
}


def check(schema: Schema, value: object, path: str = "") -> None:
    """Raise MalformedError naming the first part of the value that the schema does not allow."""
    name = path or "the arguments"
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    if not any(_is(kind, value) for kind in kinds):
        raise MalformedError(f"{name}: not of type {' or '.join(kinds)}", field=path or None)
    if value is None:
        return
    if "enum" in schema and value not in schema["enum"]:
        raise MalformedError(f"{name}: one of {', '.join(map(str, schema['enum']))}", field=path)
    if isinstance(value, str):
        _within(schema, "Length", len(value), f"{name}: its length", path)
    elif isinstance(value, dict):
        _object(schema, value, path)
    elif isinstance(value, list):
        _within(schema, "Items", len(value), f"{name}: their number", path)
        for n, one in enumerate(value):
            check(schema["items"], one, f"{path}[{n}]")
    elif isinstance(value, int | float) and not isinstance(value, bool):
        _within(schema, "imum", value, f"{name}:", path)


def strict(schema: Schema) -> dict[str, Any]:
    """The same for modes that want every name in `required`: what may be left out may be null.

    Only the keywords that OpenAI's strict mode and Gemini's function declarations both know stay:
    https://developers.openai.com/api/docs/guides/structured-outputs#supported-schemas
    """
    kept = {key: value for key, value in schema.items() if key in ("type", "description", "enum")}
    if "items" in schema:
        kept["items"] = strict(schema["items"])
    if "properties" in schema:
        required = schema.get("required", ())
        kept["properties"] = {
            name: strict(one) if name in required else _nullable(strict(one))
            for name, one in schema["properties"].items()
        }
        kept["required"] = list(schema["properties"])
        kept["additionalProperties"] = False
    return kept


def without_nulls(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """What a strict mode had to fill in, left out again."""
    if isinstance(value, dict):
        return {name: without_nulls(one) for name, one in value.items() if one is not None}
    return value


def _nullable(schema: dict[str, Any]) -> dict[str, Any]:
    nullable = schema | {"type": [schema["type"], "null"]}
    if "enum" in schema:
        nullable["enum"] = [*schema["enum"], None]
    return nullable


def _is(kind: str, value: object) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    return isinstance(value, _TYPES[kind])


def _object(schema: Schema, value: Mapping[str, object], path: str) -> None:
    properties: Mapping[str, Schema] = schema.get("properties", {})
    required: Sequence[str] = schema.get("required", ())
    for name in required:
        if name not in value:
            raise MalformedError(f"{_below(path, name)} is missing", field=_below(path, name))
    for name, one in value.items():
        if name not in properties:
            field = _below(path, str(name)[:80])
            raise MalformedError(f"there is no argument {field!r}", field=field)
        check(properties[name], one, _below(path, name))


def _within(schema: Schema, key: str, size: float, what: str, path: str) -> None:
    least, most = schema.get(f"min{key}"), schema.get(f"max{key}")
    if not ((least is None or size >= least) and (most is None or size <= most)):
        bounds = " and ".join(
            f"{word} {bound}"
            for word, bound in (("at least", least), ("at most", most))
            if bound is not None
        )
        raise MalformedError(f"{what} is {bounds}", field=path)


def _below(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
