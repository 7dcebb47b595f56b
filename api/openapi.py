"""The OpenAPI 3.1 document: its frame, and corrections of what Litestar generates."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from litestar import Request
from litestar.handlers import HTTPRouteHandler
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin, YamlRenderPlugin
from litestar.openapi.spec import License, SecurityScheme, Tag
from litestar.router import Router
from litestar.types import Method
from litestar.types.internal_types import PathParameterDefinition

from api.schemas.operation_bodies import RequestComponents
from core.version import installed_version

Document = dict[str, Any]

_DESCRIPTION = (
    "Have we seen this picture before, and which of our pictures matter to this prompt?\n\n"
    "Errors are RFC 9457 `application/problem+json`. Lists are newest first and return "
    "`next_cursor`. If API keys are set, `Authorization: Bearer KEY` opens one tenant "
    "to one role: `read` searches, checks and sees pictures that are allowed; `write` also sees "
    "all others, uploads, changes and deletes; `moderate` also decides and purges; `admin` also "
    "reads the metrics and starts tasks. Every answer carries an `X-Request-ID`, the caller's own "
    "if it sent one."
)
_REQUEST_ID = {
    "name": "X-Request-ID",
    "in": "header",
    "description": "Up to 64 letters, digits, dots, dashes or underscores; sent back and logged.",
    "schema": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$"},
}
_HEADERS: dict[str, Document] = {
    "X-Request-ID": {
        "description": "Id of the request in the service's log.",
        "schema": {"type": "string"},
    },
    "Retry-After": {
        "description": "Seconds to wait before sending the request again.",
        "schema": {"type": "integer"},
    },
    "WWW-Authenticate": {"description": "The scheme of the key.", "schema": {"type": "string"}},
}
_HEADERS_OF = {"401": "WWW-Authenticate", "429": "Retry-After", "503": "Retry-After"}
"""Headers by status, beside those that a route documents itself."""


def reference(router: Router) -> OpenAPIConfig:
    """Return the configuration of the document, served as JSON and YAML below `router`."""
    return OpenAPIConfig(
        title="Seenit",
        version=installed_version(),
        description=_DESCRIPTION,
        license=License(name="Apache License 2.0", identifier="Apache-2.0"),
        openapi_router=router,
        render_plugins=[_ValidJson(path=["/", "/openapi.json"]), _ValidYaml(path="/openapi.yaml")],
        components=RequestComponents(
            security_schemes={"key": SecurityScheme(type="http", scheme="bearer")}
        ),
        tags=[
            Tag(name="images", description="Pictures, their verdicts and their bytes."),
            Tag(name="search", description="Finding pictures by words, meaning or example."),
            Tag(name="rag", description="Pictures for the prompts of models."),
            Tag(name="jobs", description="Progress of uploads and operations."),
            Tag(name="stats", description="Counts."),
            Tag(name="admin", description="Long tasks: reindex, backfills, calibrate."),
            Tag(name="health", description="For operators of the service."),
        ],
        use_handler_docstrings=True,
        operation_id_creator=_operation_id,
    )


class _ValidJson(JsonRenderPlugin):
    """JSON of the corrected document."""

    def render(self, request: Request[Any, Any, Any], openapi_schema: Document) -> bytes:
        return super().render(request, correct(openapi_schema))


class _ValidYaml(YamlRenderPlugin):
    """YAML of the corrected document."""

    def render(self, request: Request[Any, Any, Any], openapi_schema: Document) -> bytes:
        return super().render(request, correct(openapi_schema))


def correct(document: Document) -> Document:
    """Correct Litestar's faults in the document in place, once, and return it.

    Litestar 2 writes an `id` into examples and headers without a schema, documents a body of HEAD,
    lets parameters be null, and writes oneOf where a list of types is plainer. Each of these fails
    a validator or a client generator.
    """
    components = document["components"]
    if "headers" in components:
        return document  # Litestar caches the corrected document
    components["headers"] = _HEADERS
    components["schemas"] = deepcopy(components["schemas"])  # some of them belong to a module
    _join_null(document)
    for operations in document["paths"].values():
        for method, operation in operations.items():
            _correct_operation(method, operation)
    return document


def _correct_operation(method: str, operation: Document) -> None:
    parameters = operation.setdefault("parameters", [])
    for parameter in parameters:
        _remove_null(parameter["schema"])
    parameters.append(deepcopy(_REQUEST_ID))  # YAML would show a shared one as an alias
    for status, response in operation["responses"].items():
        for header in response.get("headers", {}).values():
            header.setdefault("schema", {"type": "string"})
        for name in filter(None, ("X-Request-ID", _HEADERS_OF.get(status))):
            shared = {"$ref": f"#/components/headers/{name}"}
            response.setdefault("headers", {}).setdefault(name, shared)
        for media in response.get("content", {}).values():
            for example in media.get("examples", {}).values():
                example.pop("id", None)
        if method == "head":
            response.pop("content", None)


def _join_null(node: Any) -> None:  # noqa: ANN401 - any JSON value
    """Replace `oneOf` of a type and null by a list of two types, and of one type by that type.

    This applies to all values below a node.
    """
    if isinstance(node, list):
        for one in node:
            _join_null(one)
        return
    if not isinstance(node, dict):
        return
    for one in node.values():
        _join_null(one)
    match node.get("oneOf"):
        case [{"type": str(kind)} as present, {"type": "null"}]:
            del node["oneOf"]
            node |= {**present, **node, "type": [kind, "null"]}
            if "enum" in node:
                node["enum"] = [*node["enum"], None]
        case [{"type": _} as only]:
            del node["oneOf"]
            node |= {**only, **node}


def _remove_null(schema: Document) -> None:
    """Remove null from a parameter's types: a caller leaves the parameter out instead."""
    match schema.get("type"):
        case ["null", kind] | [kind, "null"]:
            schema["type"] = kind
    if "enum" in schema:
        schema["enum"] = [value for value in schema["enum"] if value is not None]


def _operation_id(
    handler: HTTPRouteHandler,
    method: Method,
    path: list[str | PathParameterDefinition],
) -> str:
    """Return the handler's name in camel case, as `uploadImages`."""
    del method, path
    first, *others = handler.handler_name.split("_")
    return first + "".join(word.title() for word in others)
