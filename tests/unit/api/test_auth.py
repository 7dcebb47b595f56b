"""Keys, roles, and tenants as walls."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from adapters.service_address import PATH, LocalKey
from api.app import create_app
from api.forwarding import TrustedProxies
from tests.doubles.small_service import BROKEN, Service
from tests.samples.pictures import photo, png

PICTURE = png(photo(7, 64, 48))
ROUTES: tuple[tuple[str, str, str], ...] = (
    ("POST", "/v1/images", "write"),
    ("GET", "/v1/images", "write"),
    ("DELETE", "/v1/images", "write"),
    ("GET", "/v1/images/{id}", "write"),
    ("PATCH", "/v1/images/{id}", "write"),
    ("DELETE", "/v1/images/{id}", "write"),
    ("POST", "/v1/images/{id}/purge", "moderate"),
    ("PUT", "/v1/images/{id}/decision", "moderate"),
    ("GET", "/v1/images/{id}/similar", "write"),
    ("GET", "/v1/images/{id}/duplicates", "write"),
    ("GET", "/v1/images/{id}/variants", "write"),
    ("GET", "/v1/images/{id}/content", "write"),
    ("HEAD", "/v1/images/{id}/content", "write"),
    ("GET", "/v1/jobs", "write"),
    ("GET", "/v1/jobs/{id}", "write"),
    ("GET", "/v1/jobs/{id}/events", "write"),
    ("POST", "/v1/jobs/{id}/retry", "write"),
    ("POST", "/v1/check", "write"),
    ("POST", "/v1/search", "write"),
    ("POST", "/v1/rag/context", "write"),
    ("GET", "/v1/stats", "write"),
    ("POST", "/v1/admin/tasks", "admin"),
    ("GET", "/v1/admin/tasks/{id}", "admin"),
    ("GET", "/metrics", "admin"),
)
NAMED = {"images": "{image_id}", "jobs": "{job_id}", "admin": "{task_id}"}
OPEN = {"/health/live", "/health/ready", "/problems/{kind}"}
RANK = ("write", "moderate", "admin")


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient[Litestar]]:
    """Two tenants, a key a role."""
    keys = ",".join(
        f"key-of-tenant-{tenant}-{role}:{tenant}:{role}" for tenant in "ab" for role in RANK
    )
    service = Service(tmp_path_factory.mktemp("guarded"), api_keys=keys)
    with TestClient(create_app(service)) as opened:
        yield opened
    service.close()


def key(name: str) -> dict[str, str]:
    """Return the header of a key."""
    return {"Authorization": f"Bearer key-of-tenant-{name}"}


def upload(client: TestClient[Litestar], name: str, data: bytes = PICTURE, **fields: str) -> str:
    """Upload one file of a tenant."""
    files = {"file": ("a.png", data)}
    response = client.post("/v1/images", files=files, data=fields, headers=key(name))
    return str(response.json()["items"][0]["image_id"])


def test_the_table_of_routes_is_whole(guarded: TestClient[Litestar]) -> None:
    """Every route takes a key, or is one of the few that are open."""
    paths = guarded.get("/schema/openapi.json").json()["paths"]
    told = {
        (method.upper(), path, bool(operation.get("security")))
        for path, operations in paths.items()
        for method, operation in operations.items()
    }
    wanted = {
        (method, path.replace("{id}", NAMED[path.split("/")[2]]) if "{id}" in path else path, True)
        for method, path, _ in ROUTES
    }
    assert told == wanted | {("GET", path, False) for path in OPEN}


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
    guarded: TestClient[Litestar], header: str | None
) -> None:
    """On every route that takes one, before anything else is looked at."""
    headers = {} if header is None else {"Authorization": header.encode("latin-1")}
    for method, path, _ in ROUTES:
        url = path.replace("{id}", "x")
        response = guarded.request(method, url, headers=headers)  # type: ignore[arg-type]
        assert (path, response.status_code) == (path, 401)
        assert response.headers["www-authenticate"] == 'Bearer realm="seenit"'
        if method != "HEAD":
            assert response.json()["field"] == "Authorization"


@pytest.mark.parametrize("role", RANK)
def test_a_role_opens_what_it_may(guarded: TestClient[Litestar], role: str) -> None:
    """403 for what takes a higher one, anything else for the rest."""
    for method, path, needed in ROUTES:
        if path.endswith("/events"):
            continue
        url = path.replace("{id}", "01900000-0000-7000-8000-000000000000")
        status = guarded.request(method, url, headers=key(f"a-{role}")).status_code
        assert (path, status == 403) == (path, RANK.index(role) < RANK.index(needed))
        assert status != 401


@pytest.mark.parametrize("until", ["2999-01-01T00:00:00Z", None])
def test_a_hold_takes_a_moderator(guarded: TestClient[Litestar], until: str | None) -> None:
    """In a patch that a writer may send otherwise: the whole is refused, and nothing changes."""
    url = f"/v1/images/{upload(guarded, 'a-write', title='A')}"
    body = {"title": "B", "hold_until": until}
    refused = guarded.patch(url, json=body, headers=key("a-write"))
    assert (refused.status_code, refused.json()["field"]) == (403, "hold_until")
    assert guarded.get(url, headers=key("a-write")).json()["title"] == "A"
    allowed = guarded.patch(url, json=body, headers=key("a-moderate"))
    assert allowed.json()["title"] == "B"


def test_what_is_open_is_open(guarded: TestClient[Litestar]) -> None:
    """Probes, the reference and the meaning of problems take no key; the scheme's case is free."""
    for path in ("/health/live", "/health/ready", "/schema", "/problems/gone"):
        assert (path, guarded.get(path).status_code) == (path, 200)
    assert (
        guarded.get(
            "/v1/stats", headers={"Authorization": "bearer key-of-tenant-a-write"}
        ).status_code
        == 200
    )


def test_tenants_are_walls(guarded: TestClient[Litestar]) -> None:
    """Another tenant's id is as unknown as one that never was, on every route."""
    mine = upload(guarded, "a-write", owner_id="o", external_id="e")
    failed = upload(guarded, "a-write", PICTURE + BROKEN)
    before = guarded.get(f"/v1/images/{mine}", headers=key("a-write")).json()
    bodies: dict[str, Any] = {
        "PATCH": {"json": {"title": "x"}},
        "PUT": {"json": {"value": "block"}},
    }
    for method, path, _ in ROUTES:
        if "{id}" not in path:
            continue
        for image_id in (mine, failed):
            url = path.replace("{id}", image_id)
            response = guarded.request(
                method, url, headers=key("b-admin"), **bodies.get(method, {})
            )
            assert (method, path, response.status_code) in (
                (method, path, 404),
                ("GET", "/v1/images/{id}/similar", 503),  # no model: told before any id is read
            )
            assert mine not in response.text.replace(url, "").replace(
                f"no picture {mine}", ""
            ).replace(f"no job {mine}", "").replace(f"task {mine}", "")
    assert guarded.get(f"/v1/images/{mine}", headers=key("a-write")).json() == before


def test_nothing_of_a_tenant_is_told_to_another(guarded: TestClient[Litestar]) -> None:
    """Not by lists, checks, counts, cursors, verdicts or an owner's name."""
    picture = png(photo(8, 64, 48))
    mine = upload(guarded, "a-write", picture, owner_id="o2")
    theirs = key("b-admin")
    check = guarded.post("/v1/check", files={"file": ("a", picture)}, headers=theirs).json()
    assert check["verdict"]["kind"] == "new"
    assert guarded.get("/v1/images", headers=theirs).json()["items"] == []
    assert guarded.get("/v1/jobs", headers=theirs).json()["items"] == []
    stats = guarded.get("/v1/stats", headers=theirs).json()
    assert (stats["total"]["images"], stats["queue_depth"], stats["log"]["head"]) == (0, 0, 0)
    erased = guarded.delete("/v1/images?owner_id=o2", headers=theirs).json()
    assert erased["matched"] == 0
    cursor = guarded.get("/v1/images?limit=1", headers=key("a-write")).json()["next_cursor"]
    page = guarded.get(f"/v1/images?cursor={cursor}", headers=theirs).json()
    assert page == {"items": [], "next_cursor": None}
    again = upload(guarded, "b-write", picture)
    told = guarded.get(f"/v1/images/{again}", headers=theirs).json()
    assert (told["verdict"]["kind"], told["verdict"]["original"]) == ("new", None)
    assert guarded.get(f"/v1/images/{mine}", headers=key("a-write")).status_code == 200
    figures = guarded.get("/metrics", headers=theirs).text
    assert 'tenant="' not in figures


def test_without_keys_everyone_is_admin_of_the_default_tenant(tmp_path: Path) -> None:
    """The server binds to loopback only then."""
    service = Service(tmp_path)
    with TestClient(create_app(service)) as client:
        image_id = client.post("/v1/images", files={"file": ("a", PICTURE)}).json()["items"][0][
            "image_id"
        ]
        assert service.reader.record("default", image_id).record.tenant == "default"
        assert client.get("/metrics").status_code == 200
    service.close()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "127.0.0.1:8000"}, 200),
        ({"Host": "[::1]:8000"}, 200),
        ({"Host": "LOCALHOST"}, 200),
        ({"Host": "localhost:8000", "Origin": "http://localhost:8000"}, 200),
        ({"Host": "evil.example"}, 403),
        ({"Host": "127.0.0.1.evil.example:80"}, 403),
        ({"Host": "localhost", "Origin": "https://evil.example"}, 403),
        ({"Host": "localhost", "Origin": "http://localhost:9000"}, 403),
        ({"Host": "localhost", "Origin": "null"}, 403),
        ({"Host": "localhost", "Origin": "http://["}, 403),
    ],
)
def test_without_keys_no_page_of_another_site_gets_in(
    keyless: TestClient[Litestar], headers: dict[str, str], status: int
) -> None:
    """Neither by a form it posts here, nor by a name that it lets point at this machine."""
    assert keyless.get("/v1/images", headers=headers).status_code == status
    sent = keyless.post("/v1/images", files={"file": ("a", PICTURE)}, headers=headers)
    assert sent.status_code == (202 if status == 200 else 403)


@pytest.fixture(scope="module")
def keyless(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient[Litestar]]:
    """No keys are set."""
    service = Service(tmp_path_factory.mktemp("keyless"))
    with TestClient(create_app(service)) as opened:
        yield opened
    service.close()


def test_without_keys_no_other_machine_is_answered(tmp_path: Path) -> None:
    """Any server that runs the app refuses, unless a setting allows it."""
    for meant, status in ((False, 403), (True, 200)):
        service = Service(tmp_path / str(meant), allow_unauthenticated=meant)
        base = "http://192.0.2.7:8000"
        with TestClient(create_app(service), base_url=base) as client:
            assert client.get("/v1/images").status_code == status
            assert client.get("/health/live").status_code == 200
        service.close()


TRUSTED = TrustedProxies(tuple(map(ip_network, ("127.0.0.1", "10.0.0.0/8", "2001:db8::/32"))))


@pytest.mark.parametrize(
    ("client", "trusted"),
    [
        (("127.0.0.1", 1), True),
        (("10.9.9.9", 1), True),
        (("::ffff:10.9.9.9", 1), True),
        (("2001:db8::7", 1), True),
        (("127.0.0.2", 1), False),
        (("192.0.2.1", 1), False),
        (("::1", 1), False),
        (("", 1), False),
        (("proxy", 1), False),
        (("127.0.0.1", 0), False),  # as a server rewrites it that believes X-Forwarded-For
        (None, False),  # over a socket file
    ],
)
def test_a_proxy_is_trusted_by_its_address(client: tuple[str, int] | None, trusted: bool) -> None:
    """The address of the connection itself counts; a trusted proxy may name the scheme."""
    headers = [(b"x-forwarded-proto", b"HTTPS"), (b"x-forwarded-for", b"127.0.0.1")]
    scope = {"client": client, "scheme": "http", "headers": headers}
    assert TRUSTED.trust(scope) is trusted
    assert TRUSTED.scheme(scope) == ("https" if trusted else "http")
    assert TrustedProxies(()).trust(scope) is False


@pytest.mark.parametrize("told", [[], [b"ftp"], [b"https, http"], [b"https", b"http"], [b""]])
def test_a_scheme_is_told_once(told: list[bytes]) -> None:
    """Otherwise it is that of the connection."""
    headers = [(b"x-forwarded-proto", one) for one in told]
    scope = {"client": ("127.0.0.1", 1), "scheme": "http", "headers": headers}
    assert TRUSTED.scheme(scope) == "http"


@pytest.mark.parametrize("meant", [False, True])
def test_without_keys_what_was_passed_on_is_refused(tmp_path: Path, meant: bool) -> None:
    """It is refused even if the whole network may call; ordinary headers pass."""
    service = Service(tmp_path, allow_unauthenticated=meant)
    ordinary = {"User-Agent": "x", "X-Request-ID": "1", "Idempotency-Key": "k", "X-Requested": "y"}
    with TestClient(create_app(service)) as client:
        assert client.get("/v1/images", headers=ordinary).status_code == 200
        refused = client.get("/v1/images", headers={"X-Forwarded-For": "192.0.2.1"})
        assert (refused.status_code, refused.json()["field"]) == (403, "x-forwarded-for")
        assert client.get("/health/live", headers={"Via": "x"}).status_code == 200
    service.close()


def test_a_parameter_is_given_once(guarded: TestClient[Litestar]) -> None:
    """An owner named twice would be taken for one of the two."""
    response = guarded.delete("/v1/images?owner_id=a&owner_id=b", headers=key("a-write"))
    assert (response.status_code, response.json()["field"]) == (400, "owner_id")


# --- the key of the data folder -----------------------------------------------------------------

LOCAL = LocalKey.new()


@pytest.fixture(params=["", "key-of-tenant-a-write:a:write"])
def on_this_machine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Service]:
    """Yield a service with and without API keys."""
    service = Service(tmp_path, api_keys=request.param)
    yield service
    service.close()


def local_app(service: Service, peer: str, key: LocalKey | None = LOCAL) -> Litestar:
    """Return the app of a service with a local key, whose requests come from one address."""
    app = create_app(service, key)
    whole = app.asgi_handler

    async def handler(scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401 - ASGI
        if scope["type"] == "http":
            scope["client"] = (peer, 50_000)
        await whole(scope, receive, send)

    app.asgi_handler = handler
    return app


def ask(
    service: Service, token: str, peer: str = "127.0.0.1", own: str = "127.0.0.1", **headers: str
) -> int:
    """Return the status of a tenant's counts, requested by `peer` at an address of the service."""
    with TestClient(local_app(service, peer), base_url=f"http://{own}:80") as client:
        sent = {"Authorization": f"Bearer {token}", **headers}
        return client.get("/v1/stats", headers=sent).status_code


def test_the_local_key_opens_any_tenant(on_this_machine: Service) -> None:
    """Its role opens what belongs to the whole service as well."""
    with TestClient(local_app(on_this_machine, "127.0.0.1")) as client:
        for tenant in ("a", "b"):
            headers = {"Authorization": f"Bearer {LOCAL.token(tenant)}"}
            assert client.get("/v1/stats", headers=headers).status_code == 200
            assert client.get("/metrics", headers=headers).status_code == 200


def test_a_local_key_of_another_start_is_refused(on_this_machine: Service) -> None:
    """It is refused without API keys too: the request would be answered for another tenant."""
    assert ask(on_this_machine, LocalKey.new().token("a")) == 401
    assert ask(on_this_machine, LOCAL.token("a").replace(":a", ":A")) == 401
    with TestClient(local_app(on_this_machine, "127.0.0.1", None)) as client:
        headers = {"Authorization": f"Bearer {LOCAL.token('a')}"}
        assert client.get("/v1/stats", headers=headers).status_code == 401


@pytest.mark.parametrize(
    ("peer", "own", "status"),
    [
        ("127.0.0.1", "127.0.0.1", 200),
        ("::1", "127.0.0.1", 200),
        ("192.0.2.7", "192.0.2.7", 200),
        ("192.0.2.8", "192.0.2.7", 403),
        ("172.17.0.1", "172.17.0.2", 403),
        ("testclient", "127.0.0.1", 403),
    ],
)
def test_the_local_key_is_taken_from_this_machine_alone(
    on_this_machine: Service, peer: str, own: str, status: int
) -> None:
    """From loopback, or from the address that is connected to."""
    assert ask(on_this_machine, LOCAL.token("a"), peer, own) == status


def test_the_local_key_is_not_taken_through_a_proxy(on_this_machine: Service) -> None:
    """A tunnel on this machine passes on requests of any sender."""
    forwarded = {"X-Forwarded-For": "192.0.2.1"}
    assert ask(on_this_machine, LOCAL.token("a"), **forwarded) == 403


def test_a_service_proves_that_it_knows_the_local_key(on_this_machine: Service) -> None:
    """The proof is an HMAC of the nonce; without a local key there is no such route."""
    with TestClient(local_app(on_this_machine, "127.0.0.1")) as client:
        told = client.get(PATH, params={"nonce": "0" * 32}).json()
        assert told == {"proof": LOCAL.proof("0" * 32), "starting": False}
        assert client.get(PATH).status_code == 400
    with TestClient(create_app(on_this_machine)) as client:
        assert client.get(PATH, params={"nonce": "0" * 32}).status_code == 404


def test_a_service_proves_nothing_to_another_machine(on_this_machine: Service) -> None:
    """A program there, at the address in a shared data folder, could pass the proof on."""
    asked = {"nonce": "0" * 32}
    with TestClient(local_app(on_this_machine, "192.0.2.8")) as client:
        assert client.get(PATH, params=asked).status_code == 403
    with TestClient(local_app(on_this_machine, "127.0.0.1")) as client:
        assert client.get(PATH, params=asked, headers={"Via": "1.1 x"}).status_code == 403
