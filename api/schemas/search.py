"""What a search asks, from JSON or a form: each field checked for type, named where it is wrong."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TypeVar, get_args

import msgspec

from api.schemas.fields import LENGTHS, TAG, TAGS
from core import clock
from core.errors import MalformedError
from core.ports import Filters
from core.search.request import Grouping, Metric, Mode, SearchRequest
from core.types import Kind, Value

TEXT = 10_000
"""Characters of a question: a description's length. Models cut it where they end."""
LIMIT = 20
"""Hits, unless asked otherwise."""
MOST = 200
"""Hits that may be asked for."""
SPACE = 100
"""Characters of an id, of a picture or a space."""
NAMES = (
    "text",
    "image_id",
    "mode",
    "filters",
    "limit",
    "min_similarity",
    "max_distance",
    "metric",
    "group_by",
    "collapse",
    "space",
)
LONGEST = {"text": TEXT, "image_id": SPACE, "space": SPACE}
WRITTEN = frozenset({"filters", "limit", "min_similarity", "max_distance", "collapse"})
"""Form fields that hold JSON."""
CHOICES: Mapping[str, tuple[str, ...]] = {
    "mode": get_args(Mode),
    "metric": get_args(Metric),
    "group_by": get_args(Grouping),
}
FILTERED: Mapping[str, tuple[str, ...]] = {"verdict": get_args(Kind)}
DECISIONS: tuple[str, ...] = get_args(Value)

T = TypeVar("T")


def of_json(body: bytes) -> SearchRequest:
    """The question of a JSON body. Raise MalformedError."""
    told = _decoded(body, "the body", None)
    if not isinstance(told, dict):
        raise MalformedError("the body is not a JSON object")
    return _ask(told)


def of_form(texts: Mapping[str, list[str]]) -> SearchRequest:
    """The question of a form; an empty text is as good as none. Raise MalformedError."""
    told: dict[str, Any] = {}
    for name, values in texts.items():
        if len(values) > 1:
            raise MalformedError(f"{name} is given {len(values)} times", field=name)
        if values[0]:
            value = values[0]
            told[name] = _decoded(value.encode(), name, name) if name in WRITTEN else value
    return _ask(told)


def _ask(told: dict[str, Any]) -> SearchRequest:
    found: dict[str, Any] = {"limit": LIMIT}
    for name, value in told.items():
        if name not in NAMES:
            raise MalformedError(f"there is no field {name!r:.80}", field=name[:80])
        if value is not None:
            found[name] = _field(name, value)
    return SearchRequest(**found)


def _field(name: str, value: object) -> object:
    if name in CHOICES:
        return _choice(name, value, CHOICES[name])
    if name in LONGEST:
        return _text(name, value, LONGEST[name])
    if name == "min_similarity" and isinstance(value, dict):
        return {kind: _number(f"{name}.{kind}"[:80], one) for kind, one in value.items()}
    if name == "collapse":
        return _of(name, value, bool, "true or false")
    checks = {"filters": filters, "limit": _limit}
    return checks[name](value) if name in checks else _number(name, value)


def filters(told: object) -> Filters:
    """Conditions, each named `filters.…` where it is wrong. Raise MalformedError."""
    if not isinstance(told, dict):
        raise MalformedError("filters is an object", field="filters")
    found: dict[str, Any] = {}
    for name, value in told.items():
        path = f"filters.{name}"[:80]
        if name not in Filters._fields:
            raise MalformedError(f"there is no filter {name!r:.80}", field=path)
        if value is None:
            continue
        if name == "tags":
            found[name] = _tags(path, value)
        elif name == "decision":
            found[name] = decisions(path, value)
        elif name in FILTERED:
            found[name] = _choice(path, value, FILTERED[name])
        elif name.startswith("accepted_"):
            found[name] = _time(path, _text(path, value, SPACE))
        else:
            found[name] = _text(path, value, LENGTHS.get(name, SPACE))
    if "sha256" in found:
        found["sha256"] = found["sha256"].lower()
    return Filters(**found)


def decisions(path: str, value: object) -> tuple[str, ...]:
    """One decision or a list of them, each once. Raise MalformedError."""
    given = value if isinstance(value, list) else [value]
    if not given:
        raise MalformedError(f"{path} names at least one of {', '.join(DECISIONS)}", field=path)
    return tuple(dict.fromkeys(_choice(path, one, DECISIONS) for one in given))


def _tags(path: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise MalformedError(f"{path} is a list of texts", field=path)
    if len(value) > TAGS:
        raise MalformedError(f"{path} has at most {TAGS} tags", field=path)
    return tuple(dict.fromkeys(_text(path, tag, TAG) for tag in value))


def _time(path: str, value: str) -> str:
    try:
        return clock.stamp(clock.parse(value))
    except (ValueError, OverflowError):
        raise MalformedError(f"{path} is no RFC 3339 time with a zone", field=path) from None


def _text(name: str, value: object, most: int) -> str:
    text = _of(name, value, str, "a text")
    if len(text) > most:
        raise MalformedError(f"{name} has at most {most} characters", field=name)
    return text


def _choice(name: str, value: object, choices: tuple[str, ...]) -> str:
    if value not in choices:
        raise MalformedError(f"{name} is one of {', '.join(choices)}", field=name)
    return str(value)


def _limit(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MOST:
        raise MalformedError(f"limit is a whole number from 1 to {MOST}", field="limit")
    return value


def _number(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise MalformedError(f"{name} is a number", field=name)
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise MalformedError(f"{name} is too large", field=name)
    return number


def _of(name: str, value: object, kind: type[T], what: str) -> T:
    if not isinstance(value, kind):
        raise MalformedError(f"{name} is {what}", field=name)
    return value


def _decoded(data: bytes, what: str, field: str | None) -> Any:  # noqa: ANN401 - any JSON value
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise MalformedError(f"{what} is not JSON", field=field) from None
