"""Typed values: what is taken, and errors that name the field, the limit and the value."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from msgspec import Meta, Struct

from core import validation
from core.errors import MalformedError


class Bounds(Struct, forbid_unknown_fields=True):
    """An object within an object."""

    visual: Annotated[float, Meta(ge=0)] | None = None


class Body(Struct, forbid_unknown_fields=True, kw_only=True):
    """One field of each kind."""

    name: Annotated[str, Meta(min_length=1, max_length=5)]
    limit: Annotated[int, Meta(ge=1, le=9)] = 5
    share: float | None = None
    mode: Literal["caption", "keyword", "visual"] = "visual"
    on: bool = True
    tags: Annotated[tuple[Annotated[str, Meta(max_length=3)], ...], Meta(max_length=2)] = ()
    least: Annotated[float, Meta(ge=-1, le=1)] | Bounds | None = None
    at: Annotated[str, Meta(max_length=9, extra={"words": "an RFC 3339 time"})] | None = None


@pytest.mark.parametrize(
    ("given", "field", "detail"),
    [
        ([], None, "the body must be an object, not a list of 0"),
        ({}, "name", "name is missing: send a text of 1 to 5 characters"),
        ({"name": None}, "name", "name is missing: send a text of 1 to 5 characters"),
        ({"name": 7}, "name", "name must be a text of 1 to 5 characters, not 7"),
        ({"name": "x" * 90}, "name", "name must be a text of 1 to 5 characters, not one of 90 "),
        ({"name": "a", "limit": 0}, "limit", "limit must be a whole number from 1 to 9, not 0"),
        ({"name": "a", "limit": 1.5}, "limit", "limit must be a whole number from 1 to 9, not 1.5"),
        ({"name": "a", "limit": True}, "limit", "limit must be a whole number from 1 to 9, not tr"),
        ({"name": "a", "limit": "5"}, "limit", "limit must be a whole number from 1 to 9, not '5'"),
        ({"name": "a", "share": 10**400}, "share", "share must be a number, not 1000"),
        (
            {"name": "a", "mode": "visal"},
            "mode",
            "mode must be one of caption, keyword, visual, not 'visal' (did you mean visual?)",
        ),
        ({"name": "a", "on": 1}, "on", "on must be true or false, not 1"),
        (
            {"name": "a", "tags": ["a", "b", "c"]},
            "tags",
            "tags must be a list of at most 2 items, each a text of at most 3 characters, not a",
        ),
        ({"name": "a", "tags": ["a", {}]}, "tags[1]", "tags[1] must be a text of at most 3 charac"),
        ({"name": "a", "least": 2}, "least", "least must be a number from -1 to 1 or an object,"),
        ({"name": "a", "least": {"visual": -1}}, "least.visual", "least.visual must be a number o"),
        ({"name": "a", "least": {"x": 1}}, "least.x", "there is no field 'least.x'; the fields a"),
        ({"name": "a", "at": 5}, "at", "at must be an RFC 3339 time, not 5"),
        (
            {"nam": "a"},
            "nam",
            "there is no field 'nam' (did you mean name?); the fields are name, limit, share, ",
        ),
        ({"name": "a", "y` - at `$.z": 1}, "z.y", "there is no field"),
        ({"name": "a", "x" * 999: 1}, "x" * 80, "there is no field"),
        ({"name": "a", "nothing": None}, "nothing", "there is no field 'nothing'"),
    ],
)
def test_a_wrong_value_is_named_with_its_limit(
    given: object, field: str | None, detail: str
) -> None:
    """The path of the first field that is wrong, what it must be, and what was sent."""
    with pytest.raises(MalformedError) as raised:
        validation.convert(given, Body)
    assert (raised.value.field, raised.value.detail[: len(detail)]) == (field, detail)


def test_null_counts_as_not_sent_and_integral_floats_as_integers() -> None:
    """Null stays where it has a meaning of its own."""
    told = {"name": "a", "limit": 7.0, "on": None, "least": 1.0}
    assert validation.convert(told, Body) == Body(name="a", limit=7, least=1.0)
    with pytest.raises(MalformedError, match="on must be true or false, not null"):
        validation.convert(told, Body, nulls=True)


def test_schemas_name_every_type_and_leave_null_out() -> None:
    """An enumeration has a type; null is only allowed where the caller wants it so."""
    made = validation.schemas(Body)
    fields: dict[str, Any] = made["Body"]["properties"]
    assert made["Body"]["required"] == ["name"]
    assert fields["limit"] == {"type": "integer", "minimum": 1, "maximum": 9, "default": 5}
    assert fields["mode"]["type"] == "string"
    assert fields["share"] == {"type": "number"}
    assert fields["least"]["anyOf"][1] == {"$ref": "#/components/schemas/Bounds"}
    assert "Bounds" in made
    nullable = validation.schemas(Body, nullable=True)["Body"]["properties"]
    assert nullable["share"] == {"anyOf": [{"type": "number"}, {"type": "null"}]}
