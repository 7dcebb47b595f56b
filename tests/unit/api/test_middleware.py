"""Properties of every answer: an id, safe headers, problems, metrics, and a true reference."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import structlog
from litestar import Litestar
from litestar.testing import TestClient
from prometheus_client.parser import text_string_to_metric_families

from adapters.process_lock import EngineLock
from api.app import create_app
from api.schemas import examples, images
from core.engine_status import EngineStatus
from core.errors import (
    CorruptError,
    EngineUnavailableError,
    IndexUnavailableError,
    StoreUnavailableError,
)
from tests.doubles.small_service import Service
from tests.samples.pictures import photo, png

PICTURE = png(photo(9, 64, 48))


@pytest.mark.parametrize(("sent", "kept"), [("abc-1.2_3", True), ("a b", False), ("x" * 65, False)])
def test_a_request_has_an_id(client: TestClient[Litestar], sent: str, kept: bool) -> None:
    """The caller's own where it is harmless, else a new one; in problems too."""
    response = client.get("/nowhere", headers={"X-Request-ID": sent})
    told = response.headers["x-request-id"]
    assert (told == sent) is kept
    assert response.json()["request_id"] == told


def test_answers_have_safe_headers(client: TestClient[Litestar]) -> None:
    """A 404 has them too; other sites may not read them."""
    for path in ("/v1/images", "/nowhere", "/health/live"):
        headers = client.get(path, headers={"Origin": "https://evil.example"}).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["content-security-policy"].startswith("default-src 'none'")
        assert "access-control-allow-origin" not in headers


def test_a_request_begins_with_an_empty_log_context(tmp_path: Path) -> None:
    """It leaves none behind, even if a server runs all of a connection in one."""
    service = Service(tmp_path, api_keys="the-key-of-tenant-a-long:a:admin")
    app = create_app(service)
    seen: list[dict[str, Any]] = []

    async def ask(key: str) -> None:
        async def receive() -> Any:  # noqa: ANN401 - an event
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:  # noqa: ANN401 - an event
            if message["type"] == "http.response.start":
                seen.append(
                    {"status": message["status"], **structlog.contextvars.get_contextvars()}
                )

        headers = [(b"host", b"x"), (b"authorization", f"Bearer {key}".encode())]
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": "/v1/images",
            "raw_path": b"/v1/images",
            "root_path": "",
            "query_string": b"",
            "headers": headers,
            "state": {},
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 2),
            "app": app,
        }
        await app(scope, receive, send)  # type: ignore[arg-type]
        assert structlog.contextvars.get_contextvars() == {}

    async def connection() -> None:
        structlog.contextvars.bind_contextvars(tenant="of another", job_ids=["1"])
        for key in ("unknown", "the-key-of-tenant-a-long", "unknown"):
            await ask(key)

    with TestClient(app):
        asyncio.run(connection())
    service.close()
    told = [{**one, "request_id": bool(one["request_id"])} for one in seen]
    nobody = {"status": 401, "request_id": True}
    assert told == [nobody, {"status": 200, "request_id": True, "tenant": "a"}, nobody]


def test_a_made_up_method_is_no_figure(client: TestClient[Litestar]) -> None:
    """A client may send any word, and a label is kept for good."""
    for n in range(20):
        assert client.request(f"BREW{n}", "/v1/images").status_code in (404, 405)
    figures = client.get("/metrics").text
    assert "BREW" not in figures
    assert 'method="other"' in figures


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
        (CorruptError("entry 7 is missing"), 500, "log-corrupt"),
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


# --- health and figures -------------------------------------------------------------------------


def test_ready_tells_the_parts(client: TestClient[Litestar], service: Service) -> None:
    """Degraded is still ready: uploads are accepted with model, broker and index away."""
    assert client.get("/health/live").json() == {"status": "ok"}
    service.queue.down = True
    response = client.get("/health/ready")
    assert (response.status_code, response.json()) == (
        200,
        {
            "status": "degraded",
            "parts": {
                "blobs": "ok",
                "index": "ok",
                "queue": "down",
                "engine": "ok",
                "visual": "absent",
                "caption": "absent",
            },
            "reasons": {
                "queue": "the broker does not answer",
                "visual": "no visual model is wanted",
                "caption": "no caption model is wanted",
            },
        },
    )
    service.queue.down = False
    service.visual.absent = None
    service.caption.absent = "SEENIT_CAPTION_MODEL=none: no caption model is wanted"
    told = client.get("/health/ready").json()
    assert (told["status"], told["parts"]["caption"], told["reasons"]) == ("ready", "off", {})


def test_ready_names_replicas_where_there_are_several(
    client: TestClient[Litestar], service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The index answers, and what is settled does not get onto it."""

    def whole() -> None:
        raise IndexUnavailableError("1 of 3 nodes of Weaviate are away")

    monkeypatch.setattr(service.index, "check_replicas", whole)
    assert "replicas" not in client.get("/health/ready").json()["parts"]
    several = service.settings.model_copy(update={"index_replication": 3})
    monkeypatch.setattr(service, "settings", several)
    told = client.get("/health/ready").json()
    assert (told["status"], told["parts"]["index"]) == ("degraded", "ok")
    assert (told["parts"]["replicas"], told["reasons"]["replicas"]) == (
        "down",
        "1 of 3 nodes of Weaviate are away",
    )


@pytest.mark.parametrize("free", [0, 10**12])
def test_ready_is_503_only_when_uploads_cannot_be_accepted(
    client: TestClient[Litestar], service: Service, monkeypatch: pytest.MonkeyPatch, free: int
) -> None:
    """The disk is full, or the store refuses to be written to."""

    def put(items: Any) -> None:  # noqa: ANN401, ARG001  # as Blobs.put
        raise StoreUnavailableError("read-only")

    monkeypatch.setattr(service.blobs, "free", lambda: free)
    monkeypatch.setattr(service.blobs, "put", put)
    monkeypatch.setattr("api.routes.health.FRESH", -1.0)
    response = client.get("/health/ready")
    assert (response.status_code, response.headers["retry-after"]) == (503, "5")
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["parts"]["blobs"] == "down"
    assert client.get("/health/live").status_code == 200


def test_figures_are_prometheus(client: TestClient[Litestar], service: Service) -> None:
    """Labels have the route, never the path; queue depth is absent while the broker is down."""
    service.queue.paused = True
    client.post("/v1/images", files={"file": ("a", PICTURE)})
    client.get("/v1/images/abc")
    client.get("/nowhere/abc")

    def figures() -> dict[str, list[tuple[dict[str, str], float]]]:
        response = client.get("/metrics")
        assert response.headers["content-type"].startswith("text/plain; version=")
        return {
            family.name: [(sample.labels, sample.value) for sample in family.samples]
            for family in text_string_to_metric_families(response.text)
        }

    client.post("/v1/images", files=[("file", ("a", PICTURE)), ("file", ("b", b"x"))])
    client.post("/v1/images", files={"file": ("a", b"")})
    told = figures()
    assert told["seenit_queue_depth"] == [({}, 2.0)]
    uploads = {labels["outcome"] for labels, _ in told["seenit_uploads"]}
    assert uploads == {"accepted", "unsupported", "broken"}
    requests = [labels for labels, _ in told["seenit_http_requests"]]
    assert {"method": "GET", "route": "/v1/images/{image_id}", "status": "404"} in requests
    assert {"method": "GET", "route": "unmatched", "status": "404"} in requests
    assert not any("abc" in labels["route"] for labels in requests)
    service.queue.down = True
    assert "seenit_queue_depth" not in figures()


def test_two_apps_do_not_share_their_figures(tmp_path: Path) -> None:
    """Each has a registry of its own."""
    services = [Service(tmp_path / name) for name in "ab"]
    with TestClient(create_app(services[0])) as a, TestClient(create_app(services[1])) as b:
        a.get("/nowhere")
        assert 'route="unmatched"' in a.get("/metrics").text
        assert 'route="unmatched"' not in b.get("/metrics").text
    for service in services:
        service.close()


def test_stats(client: TestClient[Litestar], service: Service) -> None:
    """Counts in all and by category, what waits, and the lag."""
    for category in ("c", "d"):
        client.post("/v1/images", files={"file": ("a", PICTURE)}, data={"category": category})
    service.queue.paused = True
    client.post("/v1/images", files={"file": ("a", PICTURE)})
    told = client.get("/v1/stats").json()
    one = {"images": 1, "decisions": {"allow": 1}, "spaces": {}}
    assert told == {
        "total": {
            "images": 2,
            "verdicts": {"exact": 1, "new": 1},
            "decisions": {"allow": 2},
            "spaces": {},
        },
        "categories": {
            "c": {**one, "verdicts": {"new": 1}},
            "d": {**one, "verdicts": {"exact": 1}},
        },
        "queue_depth": 1,
        "log": {"head": 2, "watermark": 2, "lag": 0},
    }


# --- the reference ------------------------------------------------------------------------------


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


def test_problems_are_counted_by_their_type(client: TestClient[Litestar], service: Service) -> None:
    """The type distinguishes a part that is away from a caller's mistake."""
    client.get("/v1/images/nothing-of-that-kind")
    service.follower.fails = IndexUnavailableError("away")
    client.get("/v1/images")
    client.get("/v1/images")
    told = client.get("/metrics").text
    assert 'seenit_http_problems_total{type="not-found"}' in told
    assert re.search(r'seenit_http_problems_total\{type="index-unavailable"\} [2-9]', told)


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
            "verdict must be one of exact, near_duplicate, new, similar, not 'simila' (did you",
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


def test_ready_is_503_only_where_the_engine_of_this_process_cannot_run(
    client: TestClient[Litestar], service: Service
) -> None:
    """Not where another process holds the folder, nor where another part is away."""
    engine = service.engine
    engine.failed("the lock cannot be taken", EngineUnavailableError("the lock cannot be taken"))
    answer = client.get("/health/ready")
    problem = answer.json()
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert problem["type"] == "/problems/engine-unavailable"
    assert problem["parts"]["engine"] == "down"
    assert problem["reasons"]["engine"] == "the lock cannot be taken"
    assert client.post("/v1/images", files={"file": PICTURE}).status_code == 202
    states: list[tuple[Callable[[], None], str, str | None]] = [
        (lambda: engine.failed("s", StoreUnavailableError("s")), "down", "s"),
        (lambda: engine.running(lambda: "sweeper: s"), "down", "sweeper: s"),
        (engine.starting, "absent", "the engine is starting"),
        (engine.standby, "ok", None),
        (lambda: engine.running(lambda: None), "ok", None),
    ]
    for turn, state, reason in states:
        turn()
        answer = client.get("/health/ready")
        assert answer.status_code == 200
        assert answer.json()["parts"]["engine"] == state
        assert answer.json()["reasons"].get("engine") == reason


def test_ready_of_a_process_without_an_engine_asks_who_holds_the_folder(
    client: TestClient[Litestar], service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`uvicorn api.asgi:create` beside a `seenit up`, or alone."""
    monkeypatch.setattr(service, "engine", EngineStatus())
    told = client.get("/health/ready").json()
    assert told["parts"]["engine"] == "absent"
    assert "no process holds the data folder" in told["reasons"]["engine"]
    holder = EngineLock(service.settings.data)
    assert holder.take()
    assert client.get("/health/ready").json()["parts"]["engine"] == "ok"
    holder.release()
    path = service.settings.data / "engine.lock"
    path.unlink(missing_ok=True)
    path.mkdir()
    told = client.get("/health/ready").json()
    path.rmdir()
    assert (told["status"], told["parts"]["engine"]) == ("degraded", "down")
    assert "is a directory" in told["reasons"]["engine"]
