"""Keys, and tenants as walls; tests/contract/test_roles.py has the roles."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from api.app import create_app
from tests.doubles.small_service import BROKEN, Service
from tests.samples.pictures import photo, png

PICTURE = png(photo(7, 64, 48))
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
    paths = guarded.get("/schema/openapi.json").json()["paths"]
    routes = [(method.upper(), path) for path in paths for method in paths[path] if "_id}" in path]
    for method, path in routes:
        for image_id in (mine, failed):
            url = path.partition("{")[0] + image_id + path.partition("}")[2]
            response = guarded.request(
                method, url, headers=key("b-admin"), **bodies.get(method, {})
            )
            assert (method, path, response.status_code) in (
                (method, path, 404),
                (
                    "GET",
                    "/v1/images/{image_id}/similar",
                    503,
                ),  # no model: told before any id is read
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


def test_a_hash_of_a_key_is_no_key(tmp_path: Path) -> None:
    """Who reads a list of hashes gets nothing to send; the key itself is accepted."""
    held, digest = "a-key-kept-elsewhere", sha256(b"a-key-kept-elsewhere").hexdigest()
    service = Service(tmp_path, api_keys=f"sha256:{digest}:a:write:elsewhere")
    with TestClient(create_app(service)) as client:
        for sent, status in ((held, 200), (digest, 401), (f"sha256:{digest}", 401)):
            headers = {"Authorization": f"Bearer {sent}"}
            assert client.get("/v1/stats", headers=headers).status_code == status
    service.close()


def test_a_keys_name_is_in_the_lines_of_its_requests(tmp_path: Path) -> None:
    """And in no other's; the key is in none."""
    keys = "a-named-key-of-a-tenant:a:read:shop-page,another-key-of-a-tenant:a:write"
    service = Service(tmp_path, api_keys=keys)
    with TestClient(create_app(service)) as client, capture_logs([merge_contextvars]) as lines:
        for sent in ("a-named-key-of-a-tenant", "another-key-of-a-tenant", "a-wrong-key"):
            client.get("/v1/stats", headers={"Authorization": f"Bearer {sent}"})
    assert [line.get("key") for line in lines if line["event"] == "answered"] == [
        "shop-page",
        None,
        None,
    ]
    assert "key-of-a-tenant" not in str(lines)
    service.close()
