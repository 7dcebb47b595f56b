"""Gemini generateContent: `contents` with parts `text`, `inlineData` and `fileData`.

https://ai.google.dev/api/caching#Content
Written as REST takes it (camelCase, bytes in base64), which the Python SDK reads as well:
`contents=messages`. What leads the model is a parameter of its own there (`systemInstruction`), so
the guide opens the user's turn: the contents say all that is needed by themselves.
"""

from __future__ import annotations

from collections.abc import Iterator

from rag.providers.base import MEDIA_TYPE, Block, Prompt


def blocks(prompt: Prompt) -> list[Block]:
    """The guide and the pictures as parts."""
    return [*map(_text, prompt.leads), *_pictures(prompt)]


def messages(prompt: Prompt) -> list[Block]:
    """One content of the user."""
    parts = [*blocks(prompt), *map(_text, prompt.asks)]
    return [{"role": "user", "parts": parts}] if parts else []


def _pictures(prompt: Prompt) -> Iterator[Block]:
    for picture in prompt.pictures:
        yield _text(picture.text)
        inline = picture.inline
        if inline is not None:
            yield {"inlineData": {"mimeType": MEDIA_TYPE, "data": inline}}
        elif picture.url is not None:
            yield {"fileData": {"mimeType": MEDIA_TYPE, "fileUri": picture.url}}


def _text(text: str) -> Block:
    return {"text": text}
