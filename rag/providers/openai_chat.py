"""OpenAI chat completions: content parts `text` and `image_url`.

https://developers.openai.com/api/docs/guides/images-vision
The guide has role `system`, which older models and servers of the same protocol know too.
"""

from __future__ import annotations

from collections.abc import Iterator

from rag.providers.base import MEDIA_TYPE, Block, Prompt, PromptPicture

DETAIL = "low"
"""Detail at which the model sees 512 x 512 pixels: all that a preview has."""


def blocks(prompt: Prompt) -> list[Block]:
    """Return the guide and the pictures as content parts."""
    return [*map(_text, prompt.leads), *_pictures(prompt)]


def messages(prompt: Prompt) -> list[Block]:
    """Return a system message with the guide, and the user's turn, the question last."""
    leads = [{"role": "system", "content": lead} for lead in prompt.leads]
    content = [*_pictures(prompt), *map(_text, prompt.asks)]
    return [*leads, {"role": "user", "content": content}] if content else []


def _pictures(prompt: Prompt) -> Iterator[Block]:
    for picture in prompt.pictures:
        yield _text(picture.text)
        url = address(picture)
        if url is not None:
            yield {"type": "image_url", "image_url": {"url": url, "detail": DETAIL}}


def address(picture: PromptPicture) -> str | None:
    """Return a data URL or the picture's own URL, None for a reference."""
    inline = picture.inline
    return picture.url if inline is None else f"data:{MEDIA_TYPE};base64,{inline}"


def _text(text: str) -> Block:
    return {"type": "text", "text": text}
