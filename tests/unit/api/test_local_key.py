"""The key of the data folder, which opens every tenant to programs of this machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from litestar.testing import TestClient

from adapters.service_address import PATH, LocalKey
from api.app import create_app
from tests.doubles.small_service import Service
from tests.unit.api.calls import app_for

LOCAL = LocalKey.new()


@pytest.fixture(params=["", "key-of-tenant-a-write:a:write"])
def on_this_machine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Service]:
    """Yield a service with and without API keys."""
    service = Service(tmp_path, api_keys=request.param)
    yield service
    service.close()


def ask(
    service: Service, token: str, peer: str = "127.0.0.1", own: str = "127.0.0.1", **headers: str
) -> int:
    """Return the status of a tenant's counts, requested by `peer` at an address of the service."""
    with TestClient(app_for(service, peer, LOCAL), base_url=f"http://{own}:80") as client:
        sent = {"Authorization": f"Bearer {token}", **headers}
        return client.get("/v1/stats", headers=sent).status_code


def test_the_local_key_opens_any_tenant(on_this_machine: Service) -> None:
    """Its role opens what belongs to the whole service as well."""
    with TestClient(app_for(on_this_machine, "127.0.0.1", LOCAL)) as client:
        for tenant in ("a", "b"):
            headers = {"Authorization": f"Bearer {LOCAL.token(tenant)}"}
            assert client.get("/v1/stats", headers=headers).status_code == 200
            assert client.get("/metrics", headers=headers).status_code == 200


def test_a_local_key_of_another_start_is_refused(on_this_machine: Service) -> None:
    """It is refused without API keys too: the request would be answered for another tenant."""
    assert ask(on_this_machine, LocalKey.new().token("a")) == 401
    assert ask(on_this_machine, LOCAL.token("a").replace(":a", ":A")) == 401
    with TestClient(app_for(on_this_machine, "127.0.0.1")) as client:
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
    with TestClient(app_for(on_this_machine, "127.0.0.1", LOCAL)) as client:
        told = client.get(PATH, params={"nonce": "0" * 32}).json()
        assert told == {"proof": LOCAL.proof("0" * 32), "starting": False}
        assert client.get(PATH).status_code == 400
    with TestClient(create_app(on_this_machine)) as client:
        assert client.get(PATH, params={"nonce": "0" * 32}).status_code == 404


def test_a_service_proves_nothing_to_another_machine(on_this_machine: Service) -> None:
    """A program there, at the address in a shared data folder, could pass the proof on."""
    asked = {"nonce": "0" * 32}
    with TestClient(app_for(on_this_machine, "192.0.2.8", LOCAL)) as client:
        assert client.get(PATH, params=asked).status_code == 403
    with TestClient(app_for(on_this_machine, "127.0.0.1", LOCAL)) as client:
        assert client.get(PATH, params=asked, headers={"Via": "1.1 x"}).status_code == 403
