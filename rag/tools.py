"""Functions that a model may call: search, similar, get and check.

Their answers are plain JSON and hold only pictures that may reach a prompt; what people wrote about
a picture is cleaned as in a prompt, and `said` quotes an answer so that nothing in it can speak.
No address is ever fetched for a model.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from msgspec.structs import replace

from core.errors import MalformedError, MissingError, SeenitError
from core.filters import SHOWN
from core.ports import Filters
from core.queries.joined_views import OriginalView, RecordView
from core.search.request import SearchRequest
from core.search.searcher import SearchResults
from core.types import Decision, Verdict
from rag import json_schema
from rag.providers.registry import Name
from rag.sanitize import quoted, texts
from rag.types import allowed
from rag.visible import visible

LIMIT = 8
MOST = 50
_ID = {"type": "string", "description": "The image_id of a stored picture.", "maxLength": 100}
_LIMIT = {
    "type": "integer",
    "description": f"Most pictures to answer, {LIMIT} unless said otherwise.",
    "minimum": 1,
    "maximum": MOST,
}
_FILTERS = {
    "category": {"type": "string", "description": "Only this category.", "maxLength": 100},
    "tags": {
        "type": "array",
        "description": "Only pictures with all of these tags.",
        "items": {"type": "string", "maxLength": 100},
        "maxItems": 50,
    },
}


def _schema(required: list[str], **properties: object) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


DEFINITIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "search": (
        "Find stored pictures that match a description in words, best first.",
        _schema(
            ["query"],
            query={
                "type": "string",
                "description": "What the pictures show or what is written about them.",
                "minLength": 1,
                "maxLength": 10_000,
            },
            **_FILTERS,
            limit=_LIMIT,
        ),
    ),
    "similar": (
        "Find stored pictures that resemble a stored one, best first, that one left out.",
        _schema(
            ["image_id"],
            image_id=_ID,
            by={
                "type": "string",
                "description": "visual: what they show; caption: what is written about them; "
                "hybrid, unless said otherwise: both.",
                "enum": ["hybrid", "visual", "caption"],
            },
            **_FILTERS,
            limit=_LIMIT,
        ),
    ),
    "get": (
        "Read what is known of one stored picture.",
        _schema(["image_id"], image_id=_ID),
    ),
    "check": (
        "Tell whether a picture repeats a stored one, without storing it.",
        _schema(
            ["image"],
            image={
                "type": "string",
                "description": "The bytes of the picture file in base64. Addresses are not taken.",
                "minLength": 1,
            },
        ),
    ),
}
"""By name: what it does, and its arguments as JSON Schema."""


class SearchesPictures(Protocol):
    """Search as of now."""

    def search(self, tenant: str, ask: SearchRequest) -> SearchResults:
        """The best pictures for a question."""


class ReadsCards(Protocol):
    """Records as of now."""

    def record(self, tenant: str, image_id: str) -> RecordView:
        """Raise MissingError, GoneError, UnsettledError."""

    def original(self, tenant: str, verdict: Verdict) -> OriginalView | None:
        """The original that a verdict names."""


class ChecksPictures(Protocol):
    """Verdicts on pictures that are not stored."""

    def check(self, tenant: str, data: bytes) -> tuple[Verdict, Decision]:
        """Raise an InputError for a bad file."""


class RagTools:
    """Carries the calls out, over the same use cases as every door."""

    def __init__(
        self, searcher: SearchesPictures, reader: ReadsCards, checker: ChecksPictures
    ) -> None:
        self._searcher = searcher
        self._reader = reader
        self._checker = checker
        self._calls: dict[str, Callable[[str, Mapping[str, Any]], dict[str, Any]]] = {
            "search": self._search,
            "similar": self._similar,
            "get": self._get,
            "check": self._check,
        }

    def call(self, tenant: str, name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The answer as JSON; whatever is wrong is told as `{"error": problem}`, not raised."""
        try:
            if name not in DEFINITIONS:
                known = ", ".join(DEFINITIONS)
                raise MalformedError(f"there is no tool {name!r:.80}; {known}", field="name")
            given = json_schema.without_nulls(arguments)
            json_schema.check(DEFINITIONS[name][1], given)
            return self._calls[name](tenant, given)
        except SeenitError as error:
            return {"error": _problem(error)}

    # --- each of them ---------------------------------------------------------------------------

    def _search(self, tenant: str, given: Mapping[str, Any]) -> dict[str, Any]:
        return self._found(tenant, given, SearchRequest(text=given["query"]))

    def _similar(self, tenant: str, given: Mapping[str, Any]) -> dict[str, Any]:
        self._shown(tenant, given["image_id"])
        ask = SearchRequest(image_id=given["image_id"], mode=given.get("by", "hybrid"))
        return self._found(tenant, given, ask)

    def _get(self, tenant: str, given: Mapping[str, Any]) -> dict[str, Any]:
        return picture(self._shown(tenant, given["image_id"]))

    def _check(self, tenant: str, given: Mapping[str, Any]) -> dict[str, Any]:
        try:
            data = base64.b64decode(given["image"], validate=True)
        except (binascii.Error, ValueError):
            raise MalformedError("image is not base64", field="image") from None
        verdict, decision = self._checker.check(tenant, data)
        original = self._named(tenant, verdict)
        shown = [
            match for match in verdict.matches if original and match.image_id == verdict.original
        ]
        return {
            "verdict": verdict.kind,
            "decision": decision.value,
            "words": shown[0].evidence.words if shown else "",
            "original": original,
        }

    # --- what may be seen -----------------------------------------------------------------------

    def _found(self, tenant: str, given: Mapping[str, Any], ask: SearchRequest) -> dict[str, Any]:
        filters = Filters(
            category=given.get("category"), tags=tuple(given.get("tags", ())), decision=SHOWN
        )
        limit = int(given.get("limit", LIMIT))
        results = self._searcher.search(tenant, replace(ask, filters=filters, limit=limit))
        hits = [hit for hit in results.hits if allowed(hit.seen)]
        return {
            "pictures": [
                picture(hit.seen) | {"similarities": _rounded(hit.similarities)} for hit in hits
            ],
            "used": list(results.used),
        }

    def _shown(self, tenant: str, image_id: str) -> RecordView:
        """The record. One that may not be shown is, to a model, not there. Raise MissingError."""
        seen = self._reader.record(tenant, image_id)
        if not allowed(seen):
            raise MissingError(f"there is no picture {image_id}")
        return seen

    def _named(self, tenant: str, verdict: Verdict) -> dict[str, Any] | None:
        if verdict.original is None:
            return None
        try:
            return picture(self._shown(tenant, verdict.original))
        except SeenitError:
            return None


def picture(seen: RecordView) -> dict[str, Any]:
    """What a model is told of a picture."""
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
    """An answer as text for a model: JSON in which no text can pass for anything else."""
    return quoted(answer)


def definitions(name: Name) -> list[dict[str, Any]]:
    """The tools as a provider's `tools` parameter takes them."""
    if name == "gemini":
        declared = [
            {"name": tool, "description": told, "parametersJsonSchema": json_schema.strict(given)}
            for tool, (told, given) in DEFINITIONS.items()
        ]
        return [{"functionDeclarations": declared}]
    return [_definition(name, tool, told, given) for tool, (told, given) in DEFINITIONS.items()]


def _definition(name: Name, tool: str, told: str, given: dict[str, Any]) -> dict[str, Any]:
    if name == "anthropic":
        return {"name": tool, "description": told, "input_schema": given}
    function = {
        "name": tool,
        "description": told,
        "parameters": json_schema.strict(given),
        "strict": True,
    }
    if name == "openai":
        return {"type": "function", "function": function}
    return {"type": "function", **function}


def _rounded(similarities: Mapping[str, float]) -> dict[str, float]:
    return {kind: round(float(value), 4) for kind, value in similarities.items()}


def _problem(error: SeenitError) -> dict[str, Any]:
    told = {
        "type": f"/problems/{error.type}",
        "title": error.title,
        "status": error.status,
        "detail": visible(error.detail),
    }
    return told if error.field is None else told | {"field": visible(error.field)}
