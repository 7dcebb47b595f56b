"""The HTTP door over a small service: one app a module, one tenant a test."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from api.app import create_app
from tests.doubles.small_service import KEYS, MAX_BYTES, Service

_tests = itertools.count()


class Door(NamedTuple):
    """A service and its app."""

    service: Service
    client: TestClient[Litestar]


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """Made once, as an app takes a tenth of a second to make."""
    service = Service(tmp_path_factory.mktemp("door"), api_keys=",".join(KEYS), max_bytes=MAX_BYTES)
    with TestClient(create_app(service), raise_server_exceptions=False) as client:
        yield Door(service, client)
    service.close()


@pytest.fixture
def service(door: Door) -> Iterator[Service]:
    """Yield a service with a tenant that no other test has seen."""
    door.service.tenant = f"t{next(_tests) % len(KEYS)}"
    yield door.service
    door.service.mend()


@pytest.fixture
def client(door: Door, service: Service) -> TestClient[Litestar]:
    """Return a client with the key of that tenant, of role admin."""
    door.client.headers["Authorization"] = f"Bearer key-of-tenant-{service.tenant}"
    return door.client
