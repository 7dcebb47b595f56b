"""Each shape is held to its provider's own SDK."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from pydantic import TypeAdapter

from rag.providers.base import GUIDE, Prompt, PromptPicture
from rag.providers.registry import FORMATS, Name
from tests.backends.requirements import absent

DATA = b"\xff\xd8\xff\xe0 not really a picture"
URL = "https://pictures.example/v1/images/x/content?size=preview&tenant=t&expires=1&signature=0"
QUESTION = "Which of these <b>is</b> red?"
INLINE = PromptPicture(label="[img-1]", text="Picture [img-1]\n…", data=DATA)
LINKED = PromptPicture(label="[img-2]", text="Picture [img-2]\n…", url=URL)
NAMED = PromptPicture(label="[img-3]", text="Picture [img-3]\n… seenit:0190")
PROMPT = Prompt(pictures=(INLINE, LINKED, NAMED), question=QUESTION)


def adapters(name: Name) -> tuple[TypeAdapter[Any], TypeAdapter[Any], str]:
    """Return the SDK's message, its content part, and the message's key of its parts."""
    try:
        if name == "openai":
            from openai.types.chat import (  # noqa: PLC0415 - of tests alone
                ChatCompletionContentPartParam,
                ChatCompletionMessageParam,
            )

            types = (ChatCompletionMessageParam, ChatCompletionContentPartParam, "content")
        elif name == "openai-responses":
            from openai.types.responses import (  # noqa: PLC0415 - of tests alone
                EasyInputMessageParam,
                ResponseInputContentParam,
            )

            types = (EasyInputMessageParam, ResponseInputContentParam, "content")
        elif name == "anthropic":
            from anthropic.types import (  # noqa: PLC0415 - of tests alone
                ImageBlockParam,
                MessageParam,
                TextBlockParam,
            )

            types = (MessageParam, TextBlockParam | ImageBlockParam, "content")
        else:
            from google.genai.types import Content, Part  # noqa: PLC0415 - of tests alone

            types = (Content, Part, "parts")
    except ImportError:
        absent(name, f"the SDK of {name} is not installed")
    return TypeAdapter(types[0]), TypeAdapter(types[1]), types[2]


def same(adapter: TypeAdapter[Any], value: Any) -> None:  # noqa: ANN401 - any JSON
    """Check that the SDK takes the value, and knows all of its keys."""
    read = adapter.validate_python(value)
    if isinstance(read, dict):  # a TypedDict lets unknown keys fall
        if not isinstance(read.get("content", ""), str):
            read["content"] = list(read["content"])  # validated as it is read
        assert read == value
    else:  # a model that forbids them
        assert adapter.dump_python(read, by_alias=True, exclude_none=True).keys() == value.keys()


@pytest.mark.parametrize("name", FORMATS)
def test_every_part_is_one_of_the_sdk(name: Name) -> None:
    """Text, inline picture and picture by URL, of the blocks and of the messages."""
    message, part, key = adapters(name)
    written = FORMATS[name]
    for block in written.blocks(PROMPT):
        same(part, block)
    for one in written.messages(PROMPT):
        if not isinstance(one[key], str):
            for block in one[key]:
                same(part, block)
        same(message, one)


@pytest.mark.parametrize("name", FORMATS)
def test_the_bytes_arrive_as_they_were(name: Name) -> None:
    """Once, in base64; the URL once, as it is."""
    said = json.dumps(FORMATS[name].messages(PROMPT))
    assert said.count(base64.b64encode(DATA).decode()) == 1
    assert said.count(URL) == 1


def test_gemini_reads_base64_as_bytes() -> None:
    """The SDK sends on what was meant, not base64 of base64."""
    message, _, _ = adapters("gemini")
    (content,) = FORMATS["gemini"].messages(PROMPT)
    read = message.validate_python(content)
    assert [part.inline_data.data for part in read.parts if part.inline_data] == [DATA]


@pytest.mark.parametrize("name", FORMATS)
def test_texts_stand_before_their_pictures_and_the_question_last(name: Name) -> None:
    """The guide once, first; then each label; then the caller's own words, unchanged."""
    said = json.dumps(FORMATS[name].messages(PROMPT), ensure_ascii=False)
    order = [GUIDE, "Picture [img-1]", base64.b64encode(DATA).decode(), "Picture [img-2]", URL]
    order += ["Picture [img-3]", QUESTION]
    places = [said.index(json.dumps(one, ensure_ascii=False)[1:-1]) for one in order]
    assert places == sorted(places)
    assert said.count(GUIDE[:40]) == 1
    blocks = json.dumps(FORMATS[name].blocks(PROMPT), ensure_ascii=False)
    assert (blocks.count(GUIDE[:40]), QUESTION in blocks) == (1, False)


@pytest.mark.parametrize("name", FORMATS)
def test_without_pictures_only_the_question_is_asked(name: Name) -> None:
    """The guide on pictures is left out; without a query there are no messages."""
    written = FORMATS[name]
    asked = Prompt(pictures=(), question=QUESTION)
    assert written.blocks(asked) == []
    assert (len(written.messages(asked)), GUIDE in json.dumps(written.messages(asked))) == (
        1,
        False,
    )
    assert written.messages(Prompt(pictures=())) == []
