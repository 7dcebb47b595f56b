"""The document at /schema, and the pages that a browser is shown."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from openapi_spec_validator import OpenAPIV31SpecValidator

from api.routes.reference import PLACES, SCRIPT, STATIC
from tests.unit.api.calls import problem

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
OPERATIONS = {
    "uploadImages",
    "listImages",
    "getImage",
    "editImage",
    "deleteImage",
    "deleteOwnerImages",
    "purgeImage",
    "decideImage",
    "findSimilarImages",
    "listDuplicates",
    "listVariants",
    "getImageContent",
    "headImageContent",
    "checkImage",
    "searchImages",
    "buildContext",
    "listJobs",
    "getJob",
    "followJob",
    "retryJob",
    "startAdminTask",
    "getAdminTask",
    "getDoctor",
    "getStats",
    "getMetrics",
    "getLiveness",
    "getReadiness",
    "getProblemType",
}


@pytest.fixture
def document(client: TestClient[Litestar]) -> dict[str, Any]:
    """Return the document as a generator reads it."""
    read: dict[str, Any] = client.get("/schema/openapi.json").json()
    return read


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each method with its operation."""
    for path in document["paths"].values():
        yield from path.items()


def test_the_document_is_valid_openapi(document: dict[str, Any]) -> None:
    """OpenAPI 3.1, and every reference leads somewhere."""
    assert document["openapi"].startswith("3.1")
    assert list(OpenAPIV31SpecValidator(document).iter_errors()) == []


def test_operation_ids_say_what_they_do(document: dict[str, Any]) -> None:
    """Clients name their methods by them, so none changes by accident."""
    assert {operation["operationId"] for _, operation in operations(document)} == OPERATIONS


def test_answers_have_headers_with_schemas(document: dict[str, Any]) -> None:
    """Every answer names the id of its request, every 429 and 503 when to come back."""
    shared = document["components"]["headers"]
    assert all("schema" in header for header in shared.values())
    for _, operation in operations(document):
        for status, answer in operation["responses"].items():
            for header in answer["headers"].values():
                assert header.keys() & {"schema", "$ref"}
            assert "X-Request-ID" in answer["headers"]
            assert ("Retry-After" in answer["headers"]) is (status in ("429", "503"))


def test_head_answers_without_a_body(document: dict[str, Any]) -> None:
    """Neither the headers of the bytes nor an error has one."""
    head = document["paths"]["/v1/images/{image_id}/content"]["head"]
    assert not any("content" in answer for answer in head["responses"].values())


def test_bytes_are_binary(document: dict[str, Any]) -> None:
    """The content route names each media type that it may answer."""
    content = document["paths"]["/v1/images/{image_id}/content"]["get"]["responses"]["200"][
        "content"
    ]
    assert {"image/jpeg", "image/heic", "application/octet-stream"} <= content.keys()
    for media in content.values():
        assert media["schema"] == {"type": "string", "format": "binary"}


def test_nullable_fields_are_lists_of_types(document: dict[str, Any]) -> None:
    """Generators read a list of types; a parameter is left out rather than null."""
    schemas = document["components"]["schemas"]
    for name in ("Images", "Jobs", "Star", "Neighbours"):
        assert schemas[name]["properties"]["next_cursor"]["type"] == ["string", "null"]
    for _, operation in operations(document):
        for parameter in operation["parameters"]:
            assert "null" not in str(parameter["schema"]).lower()


@pytest.mark.parametrize(
    ("schema", "name", "value"),
    [
        ("Image", "format", "WEBP"),
        ("Image", "content", "discarded"),
        ("Absent", "signal", "keyword"),
        ("Evidence", "turn", "mirrored turned 90"),
        ("Verdict", "kind", "near_duplicate"),
        ("Job", "status", "settling"),
    ],
)
def test_enumerations_list_their_values(
    document: dict[str, Any], schema: str, name: str, value: str
) -> None:
    """A field of a few values names them all."""
    assert value in document["components"]["schemas"][schema]["properties"][name]["enum"]


@pytest.mark.parametrize("path", ["/schema/nothing", "/schema/nothing.json", "/schema/a/b"])
def test_unknown_paths_below_the_reference_are_problems(
    client: TestClient[Litestar], path: str
) -> None:
    """They are the same as everywhere else, for a browser too."""
    for headers in ({}, BROWSER):
        response = client.get(path, headers=headers)
        assert (response.status_code, problem(response)["type"]) == (404, "/problems/not-found")


# --- pages --------------------------------------------------------------------------------------


def test_a_browser_is_shown_the_reference(client: TestClient[Litestar]) -> None:
    """Everything else gets the document at the same address."""
    page = client.get("/schema", headers=BROWSER)
    assert page.headers["content-type"].startswith("text/html")
    assert "/schema/openapi.json" in page.text
    for accept in ("*/*", "application/json", "application/vnd.oai.openapi+json"):
        answer = client.get("/schema", headers={"Accept": accept})
        assert (accept, answer.json()["info"]["title"]) == (accept, "Seenit")


@pytest.mark.parametrize("path", ["/", "/schema"])
def test_pages_load_nothing_from_elsewhere(client: TestClient[Litestar], path: str) -> None:
    """Every address in a page is this service's, and its policy forbids all others."""
    page = client.get(path, headers=BROWSER)
    addresses = re.findall(r'(?:src|href|spec-url)="([^"]+)"', page.text)
    assert addresses
    assert [one for one in addresses if not re.match(r"/(?!/)|data:", one)] == []
    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self';")
    assert "http" not in policy


@pytest.mark.parametrize("path", ["/", "/schema"])
def test_a_cache_tells_a_page_from_its_json(client: TestClient[Litestar], path: str) -> None:
    """Both answers of an address say that they depend on `Accept`."""
    for headers in ({}, BROWSER):
        assert client.get(path, headers=headers).headers["vary"] == "Accept"


def test_the_script_is_served_from_here(client: TestClient[Litestar]) -> None:
    """The vendored file as it is, with its licence beside it."""
    script = client.get(f"/schema/{SCRIPT}")
    assert script.headers["content-type"].startswith("text/javascript")
    assert script.content == (STATIC / SCRIPT).read_bytes()
    assert "MIT License" in (STATIC / SCRIPT.replace(".min.js", ".LICENSE.txt")).read_text()


def test_the_root_says_where_things_are(client: TestClient[Litestar]) -> None:
    """JSON unless the caller prefers a page; each address it names is there."""
    told = client.get("/").json()
    assert PLACES.items() <= told.items()
    page = client.get("/", headers=BROWSER)
    assert page.headers["content-type"].startswith("text/html")
    for path in PLACES.values():
        assert f'href="{path}"' in page.text
        assert client.get(path).status_code == 200
