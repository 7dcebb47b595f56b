"""Functions that a model may call: search, similar, get and check.

Their answers are plain JSON and hold only pictures that may reach a prompt; texts about a picture
are sanitized as in a prompt, and `said` quotes an answer so that no text in it can pass for an
instruction. No URL is ever fetched for a model.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias

from msgspec import Meta, Struct
from msgspec.structs import replace

from core import validation
from core.errors import MalformedError, MissingError, SeenitError
from core.filters import SHOWN
from core.index_port import Filters
from core.ingest.check import Checks
from core.queries.joined_views import RecordView
from core.queries.records import RecordReader
from core.search.request import SearchRequest
from core.search.searcher import Searcher
from rag.providers.registry import Name
from rag.sanitize import quoted, texts
from rag.types import allowed
from rag.visible import visible

LIMIT = 8
MOST = 50
Category = Annotated[str, Meta(max_length=100, description="Only this category.")]
Tags = Annotated[
    tuple[Annotated[str, Meta(max_length=100)], ...],
    Meta(max_length=50, description="Only pictures with all of these tags."),
]
Limit = Annotated[
    int,
    Meta(ge=1, le=MOST, description=f"Most pictures to return; default {LIMIT}."),
]
ImageId = Annotated[str, Meta(max_length=100, description="The image_id of a stored picture.")]


class ListArguments(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Arguments of every tool that finds pictures."""

    category: Category | None = None
    tags: Tags = ()
    limit: Limit | None = None

    def narrowed(self, request: SearchRequest) -> SearchRequest:
        """Return a search narrowed to these arguments, and to allowed pictures."""
        filters = Filters(category=self.category, tags=self.tags, decision=SHOWN)
        return replace(request, filters=filters, limit=self.limit or LIMIT)


class SearchArguments(ListArguments, frozen=True, kw_only=True):
    """Find stored pictures that match a description in words, best first."""

    query: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=10_000,
            description="Words for what the pictures show, or words of their texts.",
        ),
    ]


class SimilarArguments(ListArguments, frozen=True, kw_only=True):
    """Find stored pictures that resemble a stored one, best first, without that one."""

    image_id: ImageId
    by: Annotated[
        Literal["hybrid", "visual", "caption"] | None,
        Meta(
            description="visual: what they show; caption: what is written about them; hybrid (the "
            "default): both."
        ),
    ] = None


class GetArguments(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Read the record of one stored picture."""

    image_id: ImageId


class CheckArguments(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Check whether a picture repeats a stored one, without storing it."""

    image: Annotated[
        str,
        Meta(
            min_length=1,
            description="The bytes of the picture file in base64. URLs are not accepted.",
        ),
    ]


Tool = Literal["search", "similar", "get", "check"]
Arguments: TypeAlias = SearchArguments | SimilarArguments | GetArguments | CheckArguments
ARGUMENTS: dict[str, type[Arguments]] = {
    "search": SearchArguments,
    "similar": SimilarArguments,
    "get": GetArguments,
    "check": CheckArguments,
}
"""Arguments by tool; their docstrings are the tools' descriptions."""


def _definition_of(kind: type[Struct]) -> tuple[str, dict[str, Any]]:
    schema = validation.schemas(kind)[kind.__name__]
    return str(schema.pop("description")), schema


DEFINITIONS = {name: _definition_of(kind) for name, kind in ARGUMENTS.items()}
"""Description and JSON Schema of the arguments, by tool."""


class RagTools:
    """Execution of tool calls, over the same use cases as the API."""

    def __init__(self, searcher: Searcher, reader: RecordReader, checker: Checks) -> None:
        self._searcher = searcher
        self._reader = reader
        self._checker = checker

    def call(self, tenant: str, name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Return the answer as JSON; an error is returned as `{"error": problem}`, not raised."""
        try:
            if name not in ARGUMENTS:
                raise validation.mismatch("name", name, Tool)
            match validation.convert(dict(arguments), ARGUMENTS[name], whole="the arguments"):
                case SearchArguments() as given:
                    return self._found(tenant, given.narrowed(SearchRequest(text=given.query)))
                case SimilarArguments() as given:
                    self._shown(tenant, given.image_id)
                    request = SearchRequest(
                        image_id=given.image_id.lower(), mode=given.by or "hybrid"
                    )
                    return self._found(tenant, given.narrowed(request))
                case CheckArguments() as given:
                    return self._check(tenant, given.image)
                case given:
                    return picture(self._shown(tenant, given.image_id))
        except SeenitError as error:
            return {"error": _problem(error)}

    def _check(self, tenant: str, image: str) -> dict[str, Any]:
        try:
            data = base64.b64decode(image, validate=True)
        except (binascii.Error, ValueError):
            raise MalformedError("image is not valid base64", field="image") from None
        verdict, decision = self._checker.check(tenant, data)
        original = self._named(tenant, verdict.original)
        varied = verdict.variants[0] if verdict.kind == "variant" else None
        variant_of = self._named(tenant, varied)
        shown = original or variant_of
        words = [
            match.evidence.words
            for match in verdict.matches
            if shown is not None and match.image_id == shown["image_id"]
        ]
        return {
            "verdict": verdict.kind,
            "decision": decision.value,
            "words": words[0] if words else "",
            "original": original,
            "variant_of": variant_of,
        }

    # --- what may be seen -----------------------------------------------------------------------

    def _found(self, tenant: str, request: SearchRequest) -> dict[str, Any]:
        results = self._searcher.search(tenant, request)
        hits = [hit for hit in results.hits if allowed(hit.seen)]
        return {
            "pictures": [
                picture(hit.seen) | {"similarities": _rounded(hit.similarities)} for hit in hits
            ],
            "used": list(results.used),
        }

    def _shown(self, tenant: str, image_id: str) -> RecordView:
        """Return a record. Raise MissingError also for one that may not be shown to a model."""
        seen = self._reader.record(tenant, image_id.lower())
        if not allowed(seen):
            raise MissingError(f"there is no picture {image_id}")
        return seen

    def _named(self, tenant: str, image_id: str | None) -> dict[str, Any] | None:
        if image_id is None:
            return None
        try:
            return picture(self._shown(tenant, image_id))
        except SeenitError:
            return None


def picture(seen: RecordView) -> dict[str, Any]:
    """Return the fields of a picture that a model may see."""
    record = seen.record
    return {
        "image_id": record.state.image_id,
        **texts(record.fields),
        "width": record.fingerprint.width,
        "height": record.fingerprint.height,
        "accepted_at": record.state.accepted_at,
        "verdict": record.state.verdict.kind,
    }


def said(answer: object) -> str:
    """Return an answer as text for a model: JSON in which texts cannot end their quotation."""
    return quoted(answer)


def definitions(name: Name) -> list[dict[str, Any]]:
    """Return the tools as a provider's `tools` parameter takes them."""
    if name == "gemini":
        declared = [
            {"name": tool, "description": description, "parametersJsonSchema": strict(given)}
            for tool, (description, given) in DEFINITIONS.items()
        ]
        return [{"functionDeclarations": declared}]
    return [_definition(name, tool, *parts) for tool, parts in DEFINITIONS.items()]


def strict(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a schema for modes that want every name in `required`: optional ones may be null.

    It keeps only the keywords that both OpenAI's strict mode and Gemini's functions know:
    https://developers.openai.com/api/docs/guides/structured-outputs#supported-schemas
    """
    kept = {key: value for key, value in schema.items() if key in ("type", "description", "enum")}
    if "items" in schema:
        kept["items"] = strict(schema["items"])
    if "properties" in schema:
        required = schema.get("required", ())
        kept["properties"] = {
            name: strict(one) if name in required else _nullable(strict(one))
            for name, one in schema["properties"].items()
        }
        kept["required"] = list(schema["properties"])
        kept["additionalProperties"] = False
    return kept


def _nullable(schema: dict[str, Any]) -> dict[str, Any]:
    nullable = schema | {"type": [schema["type"], "null"]}
    if "enum" in schema:
        nullable["enum"] = [*schema["enum"], None]
    return nullable


def _definition(name: Name, tool: str, description: str, given: dict[str, Any]) -> dict[str, Any]:
    if name == "anthropic":
        return {"name": tool, "description": description, "input_schema": given}
    function = {
        "name": tool,
        "description": description,
        "parameters": strict(given),
        "strict": True,
    }
    if name == "openai":
        return {"type": "function", "function": function}
    return {"type": "function", **function}


def _rounded(similarities: Mapping[str, float]) -> dict[str, float]:
    return {kind: round(float(value), 4) for kind, value in similarities.items()}


def _problem(error: SeenitError) -> dict[str, Any]:
    problem = {
        "type": f"/problems/{error.type}",
        "title": error.title,
        "status": error.status,
        "detail": visible(error.detail),
    }
    return problem if error.field is None else problem | {"field": visible(error.field)}
