"""Anthropic messages: content blocks `text` and `image`, of source `base64` or `url`.

https://platform.claude.com/docs/en/build-with-claude/vision
Instructions to the model are a separate parameter there (`system`), so the guide starts the user's
turn: the messages are complete without that parameter.
"""

from __future__ import annotations

from collections.abc import Iterator

from rag.providers.base import MEDIA_TYPE, Block, Prompt, PromptPicture


def blocks(prompt: Prompt) -> list[Block]:
    """Return the guide and the pictures as content blocks."""
    return [*map(_text, prompt.leads), *_pictures(prompt)]


def messages(prompt: Prompt) -> list[Block]:
    """Return one user turn, the question last; empty without pictures and question."""
    content = [*blocks(prompt), *map(_text, prompt.asks)]
    return [{"role": "user", "content": content}] if content else []


def _pictures(prompt: Prompt) -> Iterator[Block]:
    for picture in prompt.pictures:
        yield _text(picture.text)
        source = _source(picture)
        if source is not None:
            yield {"type": "image", "source": source}


def _source(picture: PromptPicture) -> Block | None:
    inline = picture.inline
    if inline is not None:
        return {"type": "base64", "media_type": MEDIA_TYPE, "data": inline}
    return None if picture.url is None else {"type": "url", "url": picture.url}


def _text(text: str) -> Block:
    return {"type": "text", "text": text}
