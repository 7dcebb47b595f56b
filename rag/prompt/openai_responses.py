"""OpenAI responses: input items with `input_text` and `input_image`.

https://developers.openai.com/api/docs/guides/images-vision
"""

from __future__ import annotations

from collections.abc import Iterator

from rag.prompt.openai_chat import DETAIL, address
from rag.prompt.shape import Block, Prompt


def blocks(prompt: Prompt) -> list[Block]:
    """The guide and the pictures as content parts."""
    return [_text(prompt.guide), *_pictures(prompt)]


def messages(prompt: Prompt) -> list[Block]:
    """A developer message with the guide, then the user's turn."""
    asked = [] if prompt.question is None else [_text(prompt.question)]
    return [
        {"role": "developer", "content": [_text(prompt.guide)]},
        {"role": "user", "content": [*_pictures(prompt), *asked]},
    ]


def _pictures(prompt: Prompt) -> Iterator[Block]:
    for picture in prompt.pictures:
        yield _text(picture.text)
        url = address(picture)
        if url is not None:
            yield {"type": "input_image", "image_url": url, "detail": DETAIL}


def _text(text: str) -> Block:
    return {"type": "input_text", "text": text}
