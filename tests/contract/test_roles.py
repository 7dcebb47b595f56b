"""Every route of the app with every role: a route without a decision here fails."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, get_args

import pytest
from litestar import Litestar, get
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute
from litestar.testing import TestClient

from adapters.api_keys import Role
from adapters.key_ring import KeyRing
from adapters.service_address import LocalKey
from api import rate_limits
from api.app import create_app
from api.auth import Guard
from core.errors import StoreUnavailableError
from tests.doubles.small_service import Service
from tests.samples.pictures import photo, png

ROLES: tuple[Role, ...] = get_args(Role)
LADDER = ROLES[:4]
"""Roles of a tenant, each with the rights of those before it."""
Operation = tuple[str, str]
"""Method and path template."""


class Rights(NamedTuple):
    """The least role that opens a route, and whether an operator's key does too."""

    least: Role
    operator: bool = False

    def open_to(self, role: Role) -> bool:
        """Return whether a key of this role is let in."""
        if role == "operator":
            return self.operator
        return self.least != "operator" and LADDER.index(role) >= LADDER.index(self.least)


IMAGE = "/v1/images/{image_id:str}"
KEYED: dict[Operation, Rights] = {
    ("POST", "/v1/images"): Rights("write"),
    ("GET", "/v1/images"): Rights("write"),
    ("DELETE", "/v1/images"): Rights("write"),
    ("GET", IMAGE): Rights("read"),
    ("PATCH", IMAGE): Rights("write"),
    ("DELETE", IMAGE): Rights("write"),
    ("POST", f"{IMAGE}/purge"): Rights("moderate"),
    ("PUT", f"{IMAGE}/decision"): Rights("moderate"),
    ("GET", f"{IMAGE}/similar"): Rights("read"),
    ("GET", f"{IMAGE}/duplicates"): Rights("read"),
    ("GET", f"{IMAGE}/variants"): Rights("read"),
    ("GET", f"{IMAGE}/content"): Rights("read"),
    ("HEAD", f"{IMAGE}/content"): Rights("read"),
    ("GET", "/v1/jobs"): Rights("write", operator=True),
    ("GET", "/v1/jobs/{job_id:str}"): Rights("write", operator=True),
    ("GET", "/v1/jobs/{job_id:str}/events"): Rights("write"),
    ("POST", "/v1/jobs/{job_id:str}/retry"): Rights("write"),
    ("POST", "/v1/check"): Rights("read"),
    ("POST", "/v1/search"): Rights("read"),
    ("POST", "/v1/rag/context"): Rights("read"),
    ("GET", "/v1/stats"): Rights("write"),
    ("POST", "/v1/admin/tasks"): Rights("admin", operator=True),
    ("GET", "/v1/admin/tasks/{task_id:str}"): Rights("admin", operator=True),
    ("GET", "/v1/admin/doctor"): Rights("operator", operator=True),
    ("GET", "/metrics"): Rights("admin", operator=True),
}
OPEN = {
    ("GET", "/"),
    ("GET", "/health/live"),
    ("GET", "/health/ready"),
    ("GET", "/health/local"),
    ("GET", "/problems/{kind:str}"),
}
"""Routes that take no key, beside those below /schema."""


def operations(app: Litestar) -> Iterator[tuple[Operation, HTTPRouteHandler]]:
    """Yield every operation that the app answers, but for the framework's OPTIONS and /schema."""
    for route in app.routes:
        if not isinstance(route, HTTPRoute) or route.path.startswith("/schema"):
            continue
        for handler in route.route_handlers:
            for method in sorted(handler.http_methods - {"OPTIONS"}):
                yield (method, route.path_format.replace("}", ":str}")), handler


def names(role: Role, tenant: str = "a") -> dict[str, str]:
    """Return the header of a key."""
    whose = "all" if role == "operator" else tenant
    return {"Authorization": f"Bearer key-of-tenant-{whose}-{role}"}


def url_of(path: str) -> str:
    """Return a path with an id that nothing has."""
    before, named, after = path.partition("{")
    return before + (named and f"01900000-0000-7000-8000-{0:012}" + after.partition("}")[2])


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Litestar]:
    """Yield the app of a service with a key of each role, and of a second tenant."""
    keys = [f"key-of-tenant-{tenant}-{role}:{tenant}:{role}" for tenant in "ab" for role in LADDER]
    keys.append("key-of-tenant-all-operator:*:operator")
    service = Service(tmp_path_factory.mktemp("roles"), api_keys=",".join(keys))
    yield create_app(service, LocalKey.new())  # type: ignore[arg-type]  # what it needs of one
    service.close()


@pytest.fixture(scope="module")
def client(app: Litestar) -> Iterator[TestClient[Litestar]]:
    """Yield a client of the app."""
    with TestClient(app, raise_server_exceptions=False) as opened:
        yield opened


def test_every_route_has_a_decision(app: Litestar) -> None:
    """In the app, and the same one here."""
    told = {
        operation: handler.opt["role"] and (handler.opt["role"], handler.opt.get("operator", False))
        for operation, handler in operations(app)
    }
    assert told == {**KEYED, **dict.fromkeys(OPEN)}


def test_the_reference_says_which_routes_take_a_key(client: TestClient[Litestar]) -> None:
    """The document has a security requirement for each of them."""
    paths = client.get("/schema/openapi.json").json()["paths"]
    keyed = {
        (method.upper(), path.replace("}", ":str}"))
        for path, methods in paths.items()
        for method, operation in methods.items()
        if operation.get("security")
    }
    assert keyed == KEYED.keys()


@pytest.mark.parametrize("role", ROLES)
def test_a_role_opens_what_it_may(client: TestClient[Litestar], role: Role) -> None:
    """403 for all else, before ids and bodies are looked at."""
    for (method, path), rights in KEYED.items():
        if path.endswith("/events"):
            continue
        url = url_of(path)
        if role == "operator" and "/jobs" in path and rights.operator:
            url += "?tenant=a"
        answer = client.request(method, url, headers=names(role))
        assert (method, path, answer.status_code == 403) == (method, path, not rights.open_to(role))
        assert answer.status_code not in (401, 500)


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer nobody",
        "Bearer key-of-tenant-a-write x",
        "Basic YTpi",
        "key-of-tenant-a-write",
        "Bearer ä",
    ],
)
def test_a_missing_or_unknown_key_answers_401(
    client: TestClient[Litestar], header: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On every route that takes one, before anything else is looked at."""
    monkeypatch.setattr(rate_limits, "FREE", 10_000)
    headers = {} if header is None else {"Authorization": header.encode("latin-1")}
    for method, path in KEYED:
        response = client.request(method, url_of(path), headers=headers)  # type: ignore[arg-type]
        assert (path, response.status_code) == (path, 401)
        assert response.headers["www-authenticate"] == 'Bearer realm="seenit"'
        if method != "HEAD":
            assert response.json()["field"] == "Authorization"


def test_a_route_without_a_role_is_closed() -> None:
    """To every key, and without one: it fails rather than opens."""

    @get("/forgotten")
    async def forgotten() -> str:
        return "open"

    guard = Guard(KeyRing({}), None)  # type: ignore[arg-type]  # it signs nothing
    with TestClient(Litestar([forgotten], guards=[guard])) as opened:
        assert opened.get("/forgotten").status_code == 500
        assert opened.options("/forgotten").status_code == 204


# --- operators ------------------------------------------------------------------------------------


def test_an_operator_reads_the_jobs_of_any_tenant(client: TestClient[Litestar]) -> None:
    """Without what was found in its pictures; it has to say whose."""
    sent = client.post("/v1/images", files={"file": png(photo(1, 64, 48))}, headers=names("write"))
    job_id = sent.json()["items"][0]["job_id"]
    own = client.get(f"/v1/jobs/{job_id}", headers=names("write")).json()
    assert own["verdict"]["kind"] == "new"
    operator = names("operator")
    (told,) = client.get("/v1/jobs?tenant=a", headers=operator).json()["items"]
    assert told == own | {"verdict": None, "decision": None}
    assert client.get(f"/v1/jobs/{job_id}?tenant=a", headers=operator).json() == told
    assert client.get(f"/v1/jobs/{job_id}?tenant=b", headers=operator).status_code == 404
    for wrong in ("", "?tenant=", "?tenant=*", "?tenant=A", "?tenant=a/../b"):
        refused = client.get(f"/v1/jobs{wrong}", headers=operator)
        assert (refused.status_code, refused.json()["field"]) == (400, "tenant")


@pytest.mark.parametrize("role", ["write", "admin"])
def test_no_other_role_names_another_tenant(client: TestClient[Litestar], role: Role) -> None:
    """Its own it may."""
    refused = client.get("/v1/jobs?tenant=b", headers=names(role))
    assert (refused.status_code, refused.json()["field"]) == (403, "tenant")
    assert client.get("/v1/jobs?tenant=a", headers=names(role)).status_code == 200


def test_tasks_of_the_whole_service_take_an_operator(client: TestClient[Litestar]) -> None:
    """An admin starts those of its tenant, and sees no other's."""
    tasks = "/v1/admin/tasks"
    refused = client.post(tasks, json={"kind": "reindex"}, headers=names("admin"))
    assert (refused.status_code, refused.json()["field"]) == (403, "kind")
    ids = []
    for kind in ("reindex", "backfill"):
        started = client.post(tasks, json={"kind": kind}, headers=names("operator"))
        assert started.status_code == 202
        ids.append(started.json()["task_id"])
        assert client.get(f"{tasks}/{ids[-1]}", headers=names("operator")).status_code == 200
        assert client.get(f"{tasks}/{ids[-1]}", headers=names("admin")).status_code == 404
    own = client.post(tasks, json={"kind": "backfill"}, headers=names("admin")).json()["task_id"]
    assert own not in ids
    assert client.get(f"{tasks}/{own}", headers=names("operator")).status_code == 200


def test_an_operator_sees_the_state_of_every_part_and_tenant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With paths and faults, which readiness keeps to itself; none of it is a tenant's own."""
    keys = "key-of-tenant-a-write:a:write,key-of-tenant-b-admin:b:admin"
    service = Service(tmp_path, api_keys=f"{keys},key-of-tenant-all-operator:*:operator")
    service.queue.paused = True
    service.follower.faults["b"] = "the log of b has a gap after entry 7"
    with TestClient(create_app(service)) as client:  # type: ignore[arg-type]
        for seed in (1, 2):
            files = {"file": png(photo(seed, 64, 48))}
            client.post("/v1/images", files=files, headers=names("write"))
        service.engine.failed(f"{tmp_path}/index.sqlite is damaged", OSError())
        told = client.get("/v1/admin/doctor", headers=names("operator")).json()
        assert told["tenants"] == {
            "a": {"waiting": 2, "fault": None},
            "b": {"waiting": 0, "fault": "the log of b has a gap after entry 7"},
        }
        assert (told["parts"]["log"], told["parts"]["blobs"]) == ("down", "ok")
        assert str(tmp_path) in told["reasons"]["engine"]
        assert str(tmp_path) not in client.get("/health/ready").text
        refused = client.get("/v1/admin/doctor", headers=names("admin", "b"))
        assert refused.status_code == 403

        def away(_: str) -> list[str]:
            raise StoreUnavailableError("the bucket does not answer")

        monkeypatch.setattr(service.blobs, "keys", away)
        told = client.get("/v1/admin/doctor", headers=names("operator")).json()
        assert told["reasons"]["tenants"] == "waiting jobs: the bucket does not answer"
        assert told["tenants"].keys() == {"b"}
    service.close()


def test_the_admin_of_an_only_tenant_needs_no_operator(tmp_path: Path) -> None:
    """It may make the index again, as no other tenant has to wait for it."""
    keys = "key-of-tenant-a-admin:a:admin,key-of-tenant-a-write:a:write"
    service = Service(tmp_path, api_keys=keys)
    with TestClient(create_app(service)) as client:  # type: ignore[arg-type]
        started = client.post("/v1/admin/tasks", json={"kind": "reindex"}, headers=names("admin"))
        assert started.status_code == 202
    service.close()
