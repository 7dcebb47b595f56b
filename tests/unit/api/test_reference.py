"""The reference against the answers: examples, and every answer in its schema."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Litestar
from litestar.testing import TestClient

from api.schemas import examples, images
from tests.doubles.small_service import Service
from tests.samples.pictures import photo, png

PICTURE = png(photo(9, 64, 48))


def test_the_reference_is_there(client: TestClient[Litestar]) -> None:
    """It is JSON and YAML, each route with summary, description and named answers."""
    spec = client.get("/schema").json()
    assert spec == client.get("/schema/openapi.json").json()
    assert client.get("/schema/openapi.yaml").status_code == 200
    for path, operations in spec["paths"].items():
        for method, operation in operations.items():
            where = f"{method} {path}"
            assert (where, bool(operation["summary"] and operation["description"])) == (where, True)
            for status, answer in operation["responses"].items():
                assert (where, status, bool(answer["description"])) == (where, status, True)
                if int(status) >= 400 and method != "head":
                    content = answer["content"]["application/problem+json"]
                    assert content["schema"] == {"$ref": "#/components/schemas/Problem"}
                    assert content["examples"]


def test_examples_are_what_is_answered() -> None:
    """Each is a value of its wire type, with no name that the type has not."""
    pairs: list[tuple[dict[str, Any], Any]] = [
        (examples.JOB, images.Job),
        (examples.QUEUED, images.Accepted),
        (examples.ENDED, images.Accepted),
        (examples.CHECKED, images.Checked),
    ]
    for example, kind in pairs:
        told = msgspec.to_builtins(msgspec.convert(example, kind))
        assert _within(example, told)


def _within(part: Any, whole: Any) -> bool:  # noqa: ANN401  # JSON
    """Whether a value holds another, but for names it has beside."""
    if isinstance(part, dict):
        return all(name in whole and _within(value, whole[name]) for name, value in part.items())
    if isinstance(part, list):
        pairs = zip(part, whole, strict=True)
        return all(_within(one, other) for one, other in pairs)
    return bool(part == whole)


def test_every_answer_is_in_the_reference(client: TestClient[Litestar], service: Service) -> None:
    """The status and type of each answer are documented."""
    spec = client.get("/schema").json()["paths"]
    sent = client.post("/v1/images", files={"file": ("a", PICTURE)})
    image_id = sent.json()["items"][0]["image_id"]
    etag = client.get(f"/v1/images/{image_id}/content").headers["etag"]
    unknown = "01900000-0000-7000-8000-000000000000"
    image, job = "/v1/images/{image_id}", "/v1/jobs/{job_id}"
    calls: list[tuple[str, str, str, dict[str, Any]]] = [
        ("POST", "/v1/images", "?wait=1", {"files": {"file": ("a", PICTURE)}}),
        ("POST", "/v1/images", "", {"files": {"file": ("a", PICTURE)}}),
        ("POST", "/v1/images", "", {"files": {"file": ("a", b"x")}}),
        ("POST", "/v1/images", "", {"files": {"file": ("a", PICTURE[:20])}}),
        ("POST", "/v1/images", "", {"files": {"file": ("a", PICTURE)}, "data": {"a": "b"}}),
        ("GET", "/v1/images", "", {}),
        ("GET", "/v1/images", "?limit=0", {}),
        ("DELETE", "/v1/images", "", {}),
        ("DELETE", "/v1/images", "?owner_id=nobody", {}),
        ("POST", "/v1/check", "", {"files": {"file": ("a", PICTURE)}}),
        ("POST", "/v1/check", "", {"files": {"file": ("a", b"x")}}),
        ("GET", "/v1/stats", "", {}),
        ("GET", "/v1/jobs", "", {}),
        ("GET", "/metrics", "", {}),
        ("GET", job, "", {}),
        ("GET", f"{job}/events", "", {}),
        ("GET", f"{job}/events", "", {"headers": {"Last-Event-ID": "4"}}),
        ("POST", f"{job}/retry", "", {}),
        ("GET", image, "", {}),
        ("GET", image, "", {"headers": {"If-None-Match": '"1"'}}),
        ("GET", f"{image}/similar", "", {}),
        ("GET", f"{image}/duplicates", "", {}),
        ("GET", f"{image}/variants", "", {}),
        ("GET", f"{image}/content", "", {}),
        ("GET", f"{image}/content", "", {"headers": {"If-None-Match": etag}}),
        ("HEAD", f"{image}/content", "", {}),
        ("PATCH", image, "", {"json": {"sha256": "x"}}),
        ("PATCH", image, "", {"json": {"title": "x"}, "headers": {"If-Match": '"9"'}}),
        ("PATCH", image, "", {"json": {"title": "x"}}),
        ("PUT", f"{image}/decision", "", {"json": {"value": "block"}}),
        ("POST", f"{image}/purge", "", {}),
        ("GET", f"{image}/content", "", {}),
        ("DELETE", image, "", {}),
        ("DELETE", image, "", {}),
        ("GET", image, "", {}),
        ("GET", "/health/live", "", {}),
        ("GET", "/health/ready", "", {}),
    ]
    seen = set()
    for method, path, query, more in calls:
        for told in (image_id, unknown) if "_id}" in path else ("",):
            url = path.replace("{image_id}", told).replace("{job_id}", told) + query
            response = client.request(method, url, **more)
            answers = spec[path][method.lower()]["responses"]
            where = (method, path, response.status_code)
            assert (*where, str(response.status_code) in answers) == (*where, True)
            seen.add(response.status_code)
            if method != "HEAD" and response.content:
                kind = response.headers["content-type"].partition(";")[0]
                known = [
                    name.partition(";")[0] for name in answers[str(response.status_code)]["content"]
                ]
                assert (*where, kind in known) == (*where, True)
    assert seen == {200, 202, 204, 304, 400, 404, 409, 410, 412, 415, 422, 503}
    assert service.queue.held == []
