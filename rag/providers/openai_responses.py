"""OpenAI responses: input items with `input_text` and `input_image`.

https://developers.openai.com/api/docs/guides/images-vision
"""

from __future__ import annotations

from collections.abc import Iterator

from rag.providers.base import Block, Prompt
from rag.providers.openai_chat import DETAIL, address


def blocks(prompt: Prompt) -> list[Block]:
    """Return the guide and the pictures as content parts."""
    return [*map(_text, prompt.leads), *_pictures(prompt)]


def messages(prompt: Prompt) -> list[Block]:
    """Return a developer message with the guide, and the user's turn, the question last."""
    leads = [{"role": "developer", "content": [_text(lead)]} for lead in prompt.leads]
    content = [*_pictures(prompt), *map(_text, prompt.asks)]
    return [*leads, {"role": "user", "content": content}] if content else []


def _pictures(prompt: Prompt) -> Iterator[Block]:
    for picture in prompt.pictures:
        yield _text(picture.text)
        url = address(picture)
        if url is not None:
            yield {"type": "input_image", "image_url": url, "detail": DETAIL}


def _text(text: str) -> Block:
    return {"type": "input_text", "text": text}
