"""Wire types of prompts, and their part of the reference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, get_args

from litestar.openapi.spec import (
    Example,
    OpenAPIMediaType,
    OpenAPIResponse,
    OpenAPIType,
    Operation,
    RequestBody,
    Schema,
)
from msgspec import Meta, Struct

from api.schemas import search
from api.schemas.requests import FILE
from core.ports import Filters
from rag.budget_packing import Deliver
from rag.prompt_builder import LIMIT, MOST
from rag.providers.registry import Name

_ID = "01980a5e-7c1d-7b6a-9f0e-3f6f0c1f2a44"
_OTHER = "01980a11-02aa-7cc3-8d11-90b1f7a3c001"
_FACTS = '<picture-facts>{"title":"Blue mug","tags":["mug"]}</picture-facts>'
_BLOCKS = [
    {"type": "text", "text": "The pictures below come from an image library. …"},
    {"type": "text", "text": f"Picture [img-1]\n{_FACTS}"},
    {
        "type": "image",
        "source": {"type": "base64", "media_type": "image/jpeg", "data": "/9j/4AAQSkZJRg…"},
    },
]
_ASKED = {"query": "Which mugs are blue?", "format": "anthropic", "model": "claude-opus-4-8"}
_ANSWERED = {
    "messages": [
        {"role": "user", "content": [*_BLOCKS, {"type": "text", "text": _ASKED["query"]}]}
    ],
    "blocks": _BLOCKS,
    "citations": [
        {
            "label": "[img-1]",
            "image_id": _ID,
            "title": "Blue mug",
            "external_id": "listing-18",
            "source_url": None,
            "similarities": {"visual": 0.2907, "caption": 0.6812},
        }
    ],
    "dropped": [
        {"image_id": _OTHER, "reason": "it takes 372 tokens, and of token_budget 90 are …"}
    ],
    "estimated_tokens": 667,
    "reason": None,
    "notes": [],
}


class Citation(Struct, frozen=True, kw_only=True):
    """A picture of the prompt."""

    label: Annotated[str, Meta(description="As it stands before the picture, such as `[img-1]`.")]
    image_id: str
    title: str | None
    external_id: str | None
    source_url: str | None
    similarities: Annotated[dict[str, float], Meta(description="Cosines: visual, caption.")]


class Dropped(Struct, frozen=True):
    """A picture that was found and is not in the prompt."""

    image_id: str
    reason: str


class Prompt(Struct, frozen=True, kw_only=True):
    """Pictures as a prompt."""

    messages: Annotated[
        list[dict[str, Any]],
        Meta(description="A whole turn, question last: what the provider's API takes."),
    ]
    blocks: Annotated[
        list[dict[str, Any]],
        Meta(description="The same without the question, for a turn of the caller's own."),
    ]
    citations: list[Citation]
    dropped: list[Dropped]
    estimated_tokens: Annotated[int, Meta(description="Of `messages`.")]
    reason: Annotated[str | None, Meta(description="Why there is no picture.")]
    notes: Annotated[list[str], Meta(description="What the estimate rests on, where unsure.")]


@dataclass
class PromptBody(Operation):
    """A question as JSON, or as a form with files."""

    def __post_init__(self) -> None:
        """Fill in the body and its examples."""
        schema = Schema(type=OpenAPIType.OBJECT, properties=_fields(), additional_properties=False)
        files = Schema(type=OpenAPIType.ARRAY, items=FILE, description="Pictures to go by.")
        form = Schema(
            type=OpenAPIType.OBJECT,
            description="The same fields, those that are no texts as JSON, `images` once for each.",
            properties={"file": files, **_fields()},
            additional_properties=False,
        )
        self.request_body = RequestBody(
            content={
                "application/json": OpenAPIMediaType(
                    schema=schema, examples={"example": Example(value=_ASKED)}
                ),
                "multipart/form-data": OpenAPIMediaType(schema=form),
            },
            required=True,
        )
        answer = (self.responses or {}).get("200")
        if isinstance(answer, OpenAPIResponse) and answer.content:
            for media in answer.content.values():
                media.examples = {"example": Example(value=_ANSWERED)}


def _fields() -> dict[str, Any]:
    text = Schema(type=OpenAPIType.STRING)
    filters: dict[str, Any] = dict.fromkeys(Filters._fields, text)
    filters["decision"] = Schema(
        type=OpenAPIType.STRING,
        enum=list(search.DECISIONS),
        description="Pictures of any other than `allow` never reach a prompt.",
    )
    filters["tags"] = Schema(type=OpenAPIType.ARRAY, items=text)
    number = Schema(type=OpenAPIType.INTEGER, minimum=0)
    return {
        "query": Schema(type=OpenAPIType.STRING, description="What is asked, or about what."),
        "images": Schema(
            type=OpenAPIType.ARRAY, items=text, description="Ids of stored pictures to go by."
        ),
        "filters": Schema(
            type=OpenAPIType.OBJECT,
            properties=filters,
            additional_properties=False,
            description="As of a search.",
        ),
        "limit": Schema(type=OpenAPIType.INTEGER, minimum=1, maximum=MOST, default=LIMIT),
        "token_budget": number,
        "byte_budget": number,
        "format": Schema(type=OpenAPIType.STRING, enum=list(get_args(Name)), default="openai"),
        "model": Schema(
            type=OpenAPIType.STRING, description="As the provider names it; for the estimate."
        ),
        "deliver": Schema(type=OpenAPIType.STRING, enum=list(get_args(Deliver)), default="inline"),
    }
