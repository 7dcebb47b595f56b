"""What callers may say of a picture: any JSON is fields that can be stored, or a named error."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.schemas import fields
from cli.file_names import external_id
from core.errors import MalformedError
from core.records import EXTERNAL_ID, Fields

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=5), inner)
)
NAMES = st.sampled_from([*fields.EDITABLE, *sorted(fields.READ_ONLY), "colour"])
BEFORE = Fields(title="a", tags=("t",), metadata={"a": {"b": 1}}, filename="f")
quick = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


@quick
@given(st.dictionaries(NAMES, VALUES, max_size=3) | VALUES)
def test_any_patch_is_fields_or_a_named_error(patch: Any) -> None:  # noqa: ANN401  # any JSON
    """And what it leaves can be kept in either format, its file name untouched.

    Taking the name out of those that were sent fails where the error names another.
    """
    named = {None, *(patch if isinstance(patch, dict) else ())}
    try:
        after = fields.merged(BEFORE, json.dumps(patch).encode())
    except MalformedError as error:
        named.remove(error.field)
        return
    kept = msgspec.msgpack.decode(msgspec.msgpack.encode(after), type=Fields)
    assert kept == msgspec.json.decode(msgspec.json.encode(after), type=Fields)
    assert after.filename == "f"


@pytest.mark.parametrize(
    ("levels", "taken"), [(30, True), (32, False), (985, False), (8000, False)]
)
def test_what_is_nested_too_deep_is_refused(levels: int, taken: bool) -> None:
    """Whoever writes it down again walks it by recursion, and may stand deep in calls already."""
    metadata = '{"a":' + "[" * levels + "]" * levels + "}"
    for told in (
        lambda: fields.of_form({"metadata": [metadata]}),
        lambda: fields.merged(Fields(), f'{{"metadata":{metadata}}}'.encode()),
    ):
        if taken:
            told()
            continue
        with pytest.raises(MalformedError):
            told()


def test_an_empty_text_takes_a_field_away() -> None:
    """As in a form: one index would look for it, and another one would not hold it."""
    patch = {"title": "", "category": "", "tags": []}
    assert (
        fields.merged(Fields(title="a", category="c", tags=("t",)), json.dumps(patch).encode())
        == Fields()
    )


@quick
@given(st.dictionaries(st.sampled_from(sorted(fields.FORM)), st.lists(st.text(), min_size=1)))
def test_any_form_is_fields_or_a_named_error(texts: dict[str, list[str]]) -> None:
    """The error names one of the fields that were sent."""
    try:
        told, _ = fields.of_form(texts)
    except MalformedError as error:
        del texts[error.field or ""]
        return
    assert msgspec.json.decode(msgspec.json.encode(told), type=Fields) == told


@quick
@given(st.binary(max_size=60))
def test_any_body_is_a_decision_or_an_error(body: bytes) -> None:
    """Never anything else."""
    try:
        value, _ = fields.decided(body)
    except MalformedError:
        return
    assert value in ("allow", "review", "block")


PATCHES = [
    # RFC 7396, appendix A, but for those whose target or outcome is no object.
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
]


@pytest.mark.parametrize(("target", "patch", "result"), PATCHES)
def test_metadata_is_merged_as_the_rfc_says(
    target: dict[str, object], patch: dict[str, object], result: dict[str, object]
) -> None:
    """Its own table of examples."""
    body = json.dumps({"metadata": patch}).encode()
    assert fields.merged(Fields(metadata=target), body) == Fields(metadata=result)


def test_an_external_id_takes_what_the_command_line_makes_of_a_path() -> None:
    """One limit for whoever sets an id and whoever makes one."""
    longest = external_id("a/" * 2_000)
    assert len(longest) == EXTERNAL_ID == 1_024
    told, _ = fields.of_form({"external_id": [longest]})
    assert told.external_id == longest
    with pytest.raises(MalformedError, match="at most 1024 characters"):
        fields.of_form({"external_id": [f"{longest}x"]})


def test_empty_texts_of_a_form_are_none() -> None:
    """Browsers send every field."""
    empty = {name: [""] for name in sorted(fields.FORM)}
    assert fields.of_form(empty) == (Fields(), True)
