"""Request bodies of the OpenAPI document, made from the Structs that validate them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
from litestar.openapi.spec import (
    Components,
    Example,
    OpenAPIMediaType,
    OpenAPIResponse,
    Operation,
    Reference,
    RequestBody,
)

from api.schemas import examples
from api.schemas.requests import (
    AdminTaskBody,
    DecisionBody,
    PromptBody,
    RecordPatch,
    SearchBody,
    UploadForm,
)
from core import validation

FILE = {
    "type": "string",
    "format": "binary",
    "description": "JPEG, PNG, GIF, WebP, AVIF, TIFF, BMP or PPM, and HEIC where SEENIT_FORMATS "
    "names it: by default it is a 415.",
}
SCHEMAS = validation.schemas(SearchBody, PromptBody, DecisionBody, AdminTaskBody)
SCHEMAS |= validation.schemas(RecordPatch, nullable=True)
"""Schemas of request bodies by component name; those of forms are added below."""


class RequestComponents(Components):
    """Components of the document, with the schemas of request bodies beside those of answers."""

    def to_schema(self) -> dict[str, Any]:
        """Return the components as JSON."""
        written = super().to_schema()
        return written | {"schemas": written.get("schemas", {}) | SCHEMAS}


def _json(kind: type[msgspec.Struct], **shown: object) -> OpenAPIMediaType:
    return OpenAPIMediaType(
        schema=Reference(ref=f"#/components/schemas/{kind.__name__}"),
        examples={name: Example(value=value) for name, value in shown.items()},
    )


def _form(
    name: str, file: dict[str, Any], kind: type[msgspec.Struct] | None = None
) -> OpenAPIMediaType:
    """Return a form: a part for each field, as text or JSON, and `file` for pictures."""
    fields = validation.schemas(kind)[kind.__name__]["properties"] if kind else {}
    required = {} if kind in (SearchBody, PromptBody) else {"required": ["file"]}
    SCHEMAS[name] = {
        "type": "object",
        "properties": {"file": file, **fields},
        **required,
        "additionalProperties": False,
    }
    return OpenAPIMediaType(schema=Reference(ref=f"#/components/schemas/{name}"))


def _operation(
    content: dict[str, OpenAPIMediaType], *, status: str = "200", answer: object = None
) -> type[Operation]:
    """Return an operation with this body, and an example of its answer if there is one."""

    @dataclass
    class OperationWithBody(Operation):
        """An operation whose handler reads its body itself."""

        def __post_init__(self) -> None:
            """Fill in the body and the example."""
            self.request_body = RequestBody(content=content, required=True)
            answered = (self.responses or {}).get(status)
            if answer and isinstance(answered, OpenAPIResponse) and answered.content:
                for media in answered.content.values():
                    media.examples = {"example": Example(value=answer)}

    return OperationWithBody


_FILES = {"type": "array", "items": FILE}
_PATCH = _json(RecordPatch, example=examples.PATCH)

UploadOperation = _operation(
    {
        "multipart/form-data": _form(
            "UploadForm", _FILES | {"minItems": 1, "maxItems": 100}, UploadForm
        )
    },
    status="202",
    answer=examples.QUEUED,
)
CheckOperation = _operation(
    {"multipart/form-data": _form("CheckForm", FILE)}, answer=examples.CHECKED
)
SearchOperation = _operation(
    {
        "application/json": _json(SearchBody, **examples.QUESTIONS),
        "multipart/form-data": _form("SearchForm", FILE, SearchBody),
    },
    answer=examples.HITS,
)
PromptOperation = _operation(
    {
        "application/json": _json(PromptBody, example=examples.QUESTION),
        "multipart/form-data": _form(
            "PromptForm", _FILES | {"description": "Pictures to search by."}, PromptBody
        ),
    },
    answer=examples.PROMPT,
)
PatchOperation = _operation({"application/merge-patch+json": _PATCH, "application/json": _PATCH})
DecisionOperation = _operation({"application/json": _json(DecisionBody, example=examples.DECIDED)})
AdminTaskOperation = _operation(
    {"application/json": _json(AdminTaskBody, example={"kind": "reindex"})}, status="202"
)
