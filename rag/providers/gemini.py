"""Gemini generateContent: `contents` with parts `text`, `inlineData` and `fileData`.

https://ai.google.dev/api/caching#Content
The shape is that of REST (camelCase, bytes in base64), which the Python SDK reads as well:
`contents=messages`. Instructions to the model are a separate parameter there (`systemInstruction`),
so the guide starts the user's turn: the contents are complete without that parameter.
"""

from __future__ import annotations

from collections.abc import Iterator

from rag.providers.base import MEDIA_TYPE, Block, Prompt


def blocks(prompt: Prompt) -> list[Block]:
    """Return the guide and the pictures as parts."""
    return [*map(_text, prompt.leads), *_pictures(prompt)]


def messages(prompt: Prompt) -> list[Block]:
    """Return one user content, the question last; empty without pictures and question."""
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
