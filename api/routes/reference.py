"""Routes of the root and the API reference: pages for browsers, JSON for other clients."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from litestar import MediaType, Request, Response, get
from litestar.datastructures import State
from litestar.router import Router

from api.auth import OPEN
from core.errors import MissingError
from core.version import installed_version

STATIC = Path(__file__).parent.parent / "static"
SCRIPT = "rapidoc-9.3.8.min.js"
"""RapiDoc, vendored so that the page works offline; api/static/README.md has its licence."""
PLACES = {
    "reference": "/schema",
    "openapi": "/schema/openapi.json",
    "images": "/v1/images",
    "health": "/health/ready",
    "metrics": "/metrics",
}
"""Paths that the root lists."""
_JSON = ("application/json", "application/vnd.oai.openapi+json")

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>{title}</title>
{head}
</head>
<body>
{body}
</body>
</html>
"""
_REFERENCE = _PAGE.format(
    title="Seenit API reference",
    head=f'<script type="module" src="/schema/{SCRIPT}"></script>\n'
    "<style>body { margin: 0 }</style>",
    body='<rapi-doc spec-url="/schema/openapi.json" render-style="focused" theme="light"\n'
    'load-fonts="false" show-header="false" allow-server-selection="false"\n'
    'regular-font="system-ui, sans-serif" mono-font="ui-monospace, monospace"\n'
    'schema-description-expanded="true" nav-bg-color="#f6f7f9"></rapi-doc>',
)
_HOME = _PAGE.format(
    title="Seenit",
    head="<style>body { font: 16px/1.6 system-ui, sans-serif; margin: 3em auto; max-width: 40em }"
    " dt { float: left; width: 7em }</style>",
    body="<h1>Seenit</h1>\n"
    "<p>Have we seen this picture before, and which of our pictures matter to this prompt?</p>\n"
    "<dl>\n"
    + "\n".join(
        f'<dt>{name}</dt><dd><a href="{path}">{path}</a></dd>' for name, path in PLACES.items()
    )
    + "\n</dl>",
)
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'unsafe-inline'; connect-src 'self'; "
    "img-src 'self' data: blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Content security policy of the pages: nothing loads from another host."""
_VARY = {"Vary": "Accept"}
"""For caches: /, and /schema, are a page or JSON."""

Requested = Request[Any, Any, State]


@get("/", opt=OPEN, include_in_schema=False, sync_to_thread=False)
def get_root(request: Requested) -> Response[Any]:
    """Return the main paths, as JSON or as a page, as `Accept` prefers."""
    if _prefers_page(request):
        return _page(_HOME)
    answer = {"name": "seenit", "version": installed_version(), **PLACES}
    return Response(answer, headers=_VARY)


@get(f"/{SCRIPT}", include_in_schema=False, sync_to_thread=True)
def get_script() -> Response[bytes]:
    """Return the script of the reference page; its name changes with its version."""
    return Response(
        (STATIC / SCRIPT).read_bytes(),
        media_type="text/javascript",
        headers={"Cache-Control": "public, max-age=31536000, immutable"},
    )


def schema_router() -> Router:
    """Return the router that serves the document and its page below /schema."""
    return Router(
        "/schema",
        opt=OPEN,
        route_handlers=[get_script],
        before_request=_answer,
        response_headers=_VARY,
        include_in_schema=False,
    )


async def _answer(request: Requested) -> Response[str] | None:
    """Answer a browser at /schema with the page; leave anything else to the route.

    Raise MissingError for an unknown path, which Litestar's own route would answer with HTML.
    """
    if "path" in request.path_params:
        raise MissingError("there is nothing at this path; /schema lists the paths")
    if request.url.path.rstrip("/") == "/schema" and _prefers_page(request):
        return _page(_REFERENCE)
    return None


def _prefers_page(request: Requested) -> bool:
    return request.accept.best_match([*_JSON, MediaType.HTML.value]) == MediaType.HTML


def _page(html: str) -> Response[str]:
    headers = {"Content-Security-Policy": _POLICY, **_VARY}
    return Response(html, media_type=MediaType.HTML, headers=headers)
