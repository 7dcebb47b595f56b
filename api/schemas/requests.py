"""Request bodies of the reference: what the handlers read by themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from litestar.openapi.spec import (
    Example,
    OpenAPIFormat,
    OpenAPIMediaType,
    OpenAPIResponse,
    OpenAPIType,
    Operation,
    RequestBody,
    Schema,
)

from api.schemas import examples, search
from api.schemas.fields import HOLD, LENGTHS, METADATA, NESTED, TAG, TAGS
from core.ports import Filters

FILE = Schema(
    type=OpenAPIType.STRING,
    format=OpenAPIFormat.BINARY,
    description="JPEG, PNG, GIF, WebP, AVIF, TIFF, BMP or PPM, and HEIC where SEENIT_FORMATS names "
    "it: by default it is a 415.",
)
VALUES = ["allow", "review", "block"]


def _text(name: str) -> Schema:
    return Schema(
        type=OpenAPIType.STRING,
        max_length=LENGTHS[name],
        description="One file only." if name == "external_id" else None,
    )


def _fields(metadata: Schema) -> dict[str, Any]:
    texts = ("title", "description", "category", "owner_id", "external_id", "source_url")
    tag = Schema(type=OpenAPIType.STRING, min_length=1, max_length=TAG)
    return {
        **{name: _text(name) for name in texts},
        "tags": Schema(type=OpenAPIType.ARRAY, items=tag, max_items=TAGS),
        "metadata": metadata,
    }


@dataclass
class UploadBody(Operation):
    """Files and what is said of all of them."""

    def __post_init__(self) -> None:
        """Fill in the body and its example."""
        metadata = Schema(
            type=OpenAPIType.STRING,
            description=f"A JSON object of at most {METADATA} bytes and {NESTED} levels.",
            examples=['{"sku": "A-17"}'],
        )
        self.request_body = _form(
            {
                "file": Schema(type=OpenAPIType.ARRAY, items=FILE, min_items=1, max_items=100),
                **_fields(metadata),
                "on_duplicate": Schema(
                    type=OpenAPIType.STRING,
                    enum=["keep", "discard_bytes"],
                    default="keep",
                    description="discard_bytes: of an exact duplicate keep no bytes, while the "
                    "same bytes are stored.",
                ),
            }
        )
        _show(self, "202", examples.QUEUED)


@dataclass
class CheckBody(Operation):
    """One file."""

    def __post_init__(self) -> None:
        """Fill in the body and its example."""
        self.request_body = _form({"file": FILE})
        _show(self, "200", examples.CHECKED)


@dataclass
class SearchBody(Operation):
    """A question as JSON, or as a form with a file."""

    def __post_init__(self) -> None:
        """Fill in the body and its examples."""
        schema = Schema(
            type=OpenAPIType.OBJECT, properties=_question(), additional_properties=False
        )
        form = Schema(
            type=OpenAPIType.OBJECT,
            description="The same fields, those that are no texts as JSON.",
            properties={"file": FILE, **_question()},
            additional_properties=False,
        )
        asked: dict[str, Any] = {
            name: Example(value=value) for name, value in examples.QUESTIONS.items()
        }
        self.request_body = RequestBody(
            content={
                "application/json": OpenAPIMediaType(schema=schema, examples=asked),
                "multipart/form-data": OpenAPIMediaType(schema=form),
            },
            required=True,
        )
        _show(self, "200", examples.HITS)


def _question() -> dict[str, Any]:
    cosine = Schema(type=OpenAPIType.NUMBER, minimum=-1, maximum=1)
    text = Schema(type=OpenAPIType.STRING)
    moment = Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.DATE_TIME)
    filters: dict[str, Any] = dict.fromkeys(Filters._fields, text)
    filters |= {
        name: Schema(type=OpenAPIType.STRING, enum=list(values))
        for name, values in search.FILTERED.items()
    }
    filters |= {"accepted_after": moment, "accepted_before": moment}
    value = Schema(type=OpenAPIType.STRING, enum=list(search.DECISIONS))
    filters["decision"] = Schema(
        description="One or several; `allow` unless named. Others take the role moderate.",
        one_of=[value, Schema(type=OpenAPIType.ARRAY, items=value, min_items=1)],
    )
    filters["tags"] = Schema(
        type=OpenAPIType.ARRAY, items=text, max_items=TAGS, description="All must be there."
    )
    choices = {
        name: Schema(type=OpenAPIType.STRING, enum=list(values))
        for name, values in search.CHOICES.items()
    }
    return {
        "text": Schema(type=OpenAPIType.STRING, max_length=search.TEXT),
        "image_id": text,
        **choices,
        "filters": Schema(type=OpenAPIType.OBJECT, properties=filters, additional_properties=False),
        "limit": Schema(
            type=OpenAPIType.INTEGER, minimum=1, maximum=search.MOST, default=search.LIMIT
        ),
        "min_similarity": Schema(
            description="Least cosine: a number with one mode, by space with hybrid.",
            one_of=[
                cosine,
                Schema(
                    type=OpenAPIType.OBJECT,
                    properties={"visual": cosine, "caption": cosine},
                    additional_properties=False,
                ),
            ],
        ),
        "max_distance": Schema(
            type=OpenAPIType.NUMBER, minimum=0, maximum=2, description="With visual or caption."
        ),
        "collapse": Schema(
            type=OpenAPIType.BOOLEAN, default=True, description="Copies show as their original."
        ),
        "space": Schema(
            type=OpenAPIType.STRING,
            description="`visual`, `caption` or an id: 409 unless it is the active one.",
        ),
    }


@dataclass
class PatchBody(Operation):
    """A JSON merge patch."""

    def __post_init__(self) -> None:
        """Fill in the body."""
        metadata = Schema(
            type=OpenAPIType.OBJECT,
            description=f"At most {METADATA} bytes; {NESTED} levels, the body counted.",
        )
        until = Schema(
            one_of=[
                Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.DATE_TIME),
                Schema(type=OpenAPIType.NULL),
            ],
            description="Role moderate: neither deleted nor purged before then.",
        )
        schema = Schema(
            type=OpenAPIType.OBJECT,
            properties={**_fields(metadata), HOLD: until},
            additional_properties=False,
        )
        example = {"title": "Blue mug", "tags": ["mug", "blue"], "source_url": None}
        media = OpenAPIMediaType(schema=schema, examples={"example": Example(value=example)})
        self.request_body = RequestBody(
            content={"application/merge-patch+json": media, "application/json": media},
            required=True,
        )


@dataclass
class DecisionBody(Operation):
    """A decision with its reason."""

    def __post_init__(self) -> None:
        """Fill in the body."""
        schema = Schema(
            type=OpenAPIType.OBJECT,
            required=["value"],
            properties={
                "value": Schema(type=OpenAPIType.STRING, enum=VALUES),
                "reason": _text("reason"),
            },
            additional_properties=False,
        )
        example = {"value": "block", "reason": "stolen photo, reported by its author"}
        media = OpenAPIMediaType(schema=schema, examples={"example": Example(value=example)})
        self.request_body = RequestBody(content={"application/json": media}, required=True)


def _form(properties: dict[str, Any]) -> RequestBody:
    schema = Schema(
        type=OpenAPIType.OBJECT,
        required=["file"],
        properties=properties,
        additional_properties=False,
    )
    return RequestBody(
        content={"multipart/form-data": OpenAPIMediaType(schema=schema)}, required=True
    )


def _show(operation: Operation, status: str, example: dict[str, Any]) -> None:
    answer = (operation.responses or {}).get(status)
    if isinstance(answer, OpenAPIResponse) and answer.content:
        for media in answer.content.values():
            media.examples = {"example": Example(value=example)}
