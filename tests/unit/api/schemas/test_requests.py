"""Fields of requests: any JSON is either fields that can be stored, or a named error."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.request_bodies import form_names, of_form, of_json, of_patch
from api.schemas.requests import (
    EDITABLE,
    READ_ONLY,
    DecisionBody,
    RecordPatch,
    SearchBody,
    UploadForm,
)
from cli.file_names import external_id
from core.errors import MalformedError
from core.records import EXTERNAL_ID, Fields

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=5), inner)
)
NAMES = st.sampled_from([*EDITABLE, *sorted(READ_ONLY), "hold_until", "colour"])
BEFORE = Fields(title="a", tags=("t",), metadata={"a": {"b": 1}}, filename="f")
quick = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


@quick
@given(st.dictionaries(NAMES, VALUES, max_size=3) | VALUES)
def test_any_patch_is_fields_or_a_named_error(patch: Any) -> None:  # noqa: ANN401  # any JSON
    """Its result can be kept in either format, with the file name untouched.

    If the error names a field that was not sent, taking it out of the sent ones fails.
    """
    named = {None, *(patch if isinstance(patch, dict) else ())}
    try:
        after = of_patch(json.dumps(patch).encode()).merged(BEFORE)
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
    """Encoding walks it by recursion, and may begin deep in the stack already."""
    metadata = '{"a":' + "[" * levels + "]" * levels + "}"
    for told in (
        lambda: of_form({"metadata": [metadata]}, UploadForm).fields(),
        lambda: of_patch(f'{{"metadata":{metadata}}}'.encode()).merged(Fields()),
    ):
        if taken:
            told()
            continue
        with pytest.raises(MalformedError):
            told()


def test_an_empty_text_takes_a_field_away() -> None:
    """A form does so too: one index would look for it, and another would not hold it."""
    before = Fields(title="a", category="c", tags=("t",))
    for tags in ([], "", None):
        patch = {"title": "", "category": "", "tags": tags}
        assert of_patch(json.dumps(patch).encode()).merged(before) == Fields()


@quick
@given(
    st.dictionaries(st.sampled_from(UploadForm.__struct_fields__), st.lists(st.text(), min_size=1))
)
def test_any_form_is_fields_or_a_named_error(texts: dict[str, list[str]]) -> None:
    """The error names one of the fields that were sent."""
    try:
        told = of_form(texts, UploadForm).fields()
    except MalformedError as error:
        del texts[error.field or ""]
        return
    assert msgspec.json.decode(msgspec.json.encode(told), type=Fields) == told


@quick
@given(st.binary(max_size=60))
def test_any_body_is_a_decision_or_an_error(body: bytes) -> None:
    """No other outcome is possible."""
    try:
        told = of_json(body, DecisionBody)
    except MalformedError:
        return
    assert told.value in ("allow", "review", "block")


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
    told = RecordPatch(metadata=patch)
    assert told.merged(Fields(metadata=target)) == Fields(metadata=result)


def test_an_external_id_takes_what_the_command_line_makes_of_a_path() -> None:
    """The command line and the API share one limit of its length."""
    longest = external_id("a/" * 2_000)
    assert len(longest) == EXTERNAL_ID == 1_024
    assert of_form({"external_id": [longest]}, UploadForm).fields().external_id == longest
    with pytest.raises(MalformedError, match="at most 1024 characters"):
        of_form({"external_id": [f"{longest}x"]}, UploadForm)


def test_empty_texts_of_a_form_are_none() -> None:
    """Browsers send every field."""
    told = of_form({name: [""] for name in form_names(UploadForm)}, UploadForm)
    assert (told.fields(), told.on_duplicate) == (Fields(), "keep")


def test_tag_and_tags_are_one_field() -> None:
    """In a form and in JSON; both at once are refused."""
    assert of_form({"tag": ["a", " b "]}, UploadForm).fields().tags == ("a", "b")
    for told in ({"tag": "a"}, {"tag": ["a"]}, {"tags": ["a"]}):
        assert of_patch(json.dumps(told).encode()).merged(Fields()).tags == ("a",)
    with pytest.raises(MalformedError, match="not both"):
        of_patch(b'{"tag": "a", "tags": ["b"]}')


def test_an_error_names_the_field_that_was_sent() -> None:
    """A name that stands for another one is renamed only where the other one is a field."""
    for body, field in (
        ({"filters": {"text": "a"}}, "filters.text"),
        ({"filters": {"query": "a"}}, "filters.query"),
        ({"filters": {"tag": "a", "tags": ["b"]}}, "filters.tags"),
        ({"text": "a", "query": "b"}, "query"),
        ({"images": ["a"]}, "images"),
    ):
        with pytest.raises(MalformedError) as raised:
            of_json(json.dumps(body).encode(), SearchBody)
        assert raised.value.field == field
        assert f"{field!r}" in raised.value.detail or "not both" in raised.value.detail
    with pytest.raises(MalformedError, match="there is no field 'text'"):
        of_patch(b'{"text": "a"}')


def test_tags_of_a_filter_are_compared_as_they_were_sent() -> None:
    """Blanks and repetitions are taken away from a record's tags alone."""
    told = of_json(b'{"filters": {"tags": [" a ", "b"]}}', SearchBody)
    assert told.request().filters.tags == (" a ", "b")
    with pytest.raises(MalformedError, match="at most 50 items"):
        of_json(json.dumps({"filters": {"tags": ["a"] * 51}}).encode(), SearchBody)


@pytest.mark.parametrize("values", [["", ""], ["", "a"], ["a", "a"]])
def test_a_form_sends_a_field_once(values: list[str]) -> None:
    """Empty or not; tags alone repeat."""
    with pytest.raises(MalformedError, match="title is sent 2 times"):
        of_form({"title": values}, UploadForm)
    assert of_form({"tags": ["", ""]}, UploadForm).fields() == Fields()


def test_metadata_keeps_its_nulls_and_its_numbers() -> None:
    """Uploaded metadata is kept as it was sent; a merge patch alone reads null as absence."""
    told = of_form({"metadata": ['{"a": null, "b": 10.0}']}, UploadForm).fields()
    assert msgspec.json.encode(told.metadata) == b'{"a":null,"b":10.0}'
    patched = of_patch(b'{"metadata": {"b": 10.0}}').merged(Fields())
    assert msgspec.json.encode(patched.metadata) == b'{"b":10.0}'
