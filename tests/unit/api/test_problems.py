"""Problems: unknown paths, bodies that are too large, failures, and a page for each type."""

from __future__ import annotations

import json
import re

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from core.errors import (
    CorruptError,
    IndexUnavailableError,
    LogCorruptError,
    StoreUnavailableError,
)
from tests.doubles.small_service import Service
from tests.samples.pictures import photo, png

PICTURE = png(photo(9, 64, 48))


@pytest.mark.parametrize(
    ("method", "path", "status", "kind", "allow"),
    [
        ("GET", "/nothing", 404, "not-found", None),
        ("GET", "/v2/images", 404, "not-found", None),
        ("GET", "/problems/none", 404, "not-found", None),
        ("PUT", "/v1/images", 405, "method-not-allowed", "GET, POST, DELETE"),
        ("POST", "/health/live", 405, "method-not-allowed", "GET"),
        ("GET", "/v1/check", 405, "method-not-allowed", "POST"),
        ("PUT", "/v1/images/x/content", 405, "method-not-allowed", "GET, HEAD"),
    ],
)
def test_unknown_paths_and_methods_are_problems(  # noqa: PLR0917  # a row of the table
    client: TestClient[Litestar], method: str, path: str, status: int, kind: str, allow: str | None
) -> None:
    """404 and 405 like any other error, the latter with Allow."""
    response = client.request(method, path)
    told = response.json()
    assert (response.status_code, told["status"], told["type"]) == (
        status,
        status,
        f"/problems/{kind}",
    )
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers.get("allow") == allow


def test_a_body_that_is_too_large_is_a_problem(client: TestClient[Litestar]) -> None:
    """413 before it is read as anything."""
    image_id = client.post("/v1/images", files={"file": ("a", PICTURE)}).json()["items"][0][
        "image_id"
    ]
    response = client.patch(f"/v1/images/{image_id}", content=b" " * (1024 * 1024 + 1))
    assert (response.status_code, response.json()["type"]) == (413, "/problems/too-large")


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (StoreUnavailableError("gone fishing"), 503, "store-unavailable"),
        (IndexUnavailableError("gone fishing"), 503, "index-unavailable"),
        (CorruptError("a preview is cut short"), 500, "damaged"),
        (LogCorruptError("entry 7 is missing"), 503, "log-corrupt"),
        (ZeroDivisionError("secret"), 500, "internal"),
    ],
)
def test_what_fails_within_is_a_problem(
    client: TestClient[Litestar], service: Service, error: Exception, status: int, kind: str
) -> None:
    """A failed part answers with Retry-After; an unexpected error reveals nothing."""
    service.follower.fails = error
    response = client.get("/v1/images")
    assert (response.status_code, response.json()["type"]) == (status, f"/problems/{kind}")
    assert ("retry-after" in response.headers) is (status == 503)
    assert "secret" not in response.text


def test_every_problem_type_has_a_page(client: TestClient[Litestar]) -> None:
    """The address in `type` has a page."""
    spec = client.get("/schema").json()
    kinds = set(re.findall(r'"type": ?"(/problems/[a-z-]+)"', json.dumps(spec)))
    assert len(kinds) > 12
    assert {kind: client.get(kind).status_code for kind in kinds} == dict.fromkeys(kinds, 200)


@pytest.mark.parametrize(
    ("url", "detail"),
    [
        ("/v1/images?limit=abc", "limit must be a whole number from 1 to 200, not 'abc'"),
        ("/v1/images?limit=0", "limit must be a whole number from 1 to 200, not '0'"),
        ("/v1/images?limit=201", "limit must be a whole number from 1 to 200, not '201'"),
        (
            "/v1/images?limit=" + "9" * 5000,
            "limit must be a whole number from 1 to 200, not one of 5000 characters",
        ),
        ("/v1/jobs?limit=1e400", "limit must be a whole number from 1 to 200, not '1e400'"),
        (
            "/v1/images?verdict=simila",
            "verdict must be one of exact, near_duplicate, new, similar, variant, not 'simila'",
        ),
        (
            "/v1/images/x/content?size=huge",
            "size must be one of original, preview, thumb, not 'huge'",
        ),
        (
            "/v1/images/x/similar?min_similarity=2",
            "min_similarity must be a number from -1 to 1, not '2'",
        ),
    ],
)
def test_a_wrong_parameter_is_told_without_pythons_types(
    client: TestClient[Litestar], url: str, detail: str
) -> None:
    """The message names it in the caller's terms."""
    answer = client.get(url)
    assert (answer.status_code, answer.json()["detail"][: len(detail)]) == (400, detail)
    assert detail.startswith(answer.json()["field"])
