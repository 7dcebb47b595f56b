"""Fixtures of the contract suites: openers of both indexes, and a store in a bucket."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
import weaviate
from weaviate.classes.query import Filter

from adapters.blobs.opening import open_blobs
from adapters.sqlite_index import SQLiteIndex
from adapters.weaviate_index import WeaviateIndex, WeaviateNode, parse
from adapters.weaviate_index.collections import HEAD, META, OF_TENANTS
from core.index_port import ServiceIndex
from core.matching.policy import Policy
from core.ports import Blobs
from tests.backends import servers

Opens = Callable[[], ServiceIndex]


class Shelf:
    """One schema on a server, emptied after each test: to make one takes a second."""

    def __init__(self, url: str, key: str) -> None:
        self.nodes: list[WeaviateNode] = parse(url)
        self.key = key
        self.prefix = f"T{uuid4().hex[:8]}"

    @contextlib.contextmanager
    def client(self) -> Iterator[weaviate.WeaviateClient]:
        """Yield a new client, separate from the one of the index."""
        node = self.nodes[0]
        client = weaviate.connect_to_custom(
            http_host=node.host,
            http_port=node.http,
            http_secure=False,
            grpc_host=node.host,
            grpc_port=node.grpc,
            grpc_secure=False,
            auth_credentials=weaviate.auth.Auth.api_key(self.key) if self.key else None,
            skip_init_checks=True,
        )
        with client:
            yield client

    def empty(self) -> None:
        """Leave the schema and nothing else."""
        with self.client() as client:
            for name in client.collections.list_all(simple=True):
                if not name.startswith(self.prefix):
                    continue
                held = client.collections.use(name)
                if name.endswith(HEAD):
                    held.data.delete_many(where=Filter.by_property("number").greater_than(-1))
                elif name.endswith(OF_TENANTS):
                    known = list(held.tenants.get())
                    if known:
                        held.tenants.remove(known)
                elif not name.endswith(META):
                    client.collections.delete(name)

    def drop(self) -> None:
        """Delete every collection of the schema."""
        with self.client() as client:
            for name in client.collections.list_all(simple=True):
                if name.startswith(self.prefix):
                    client.collections.delete(name)


@pytest.fixture(scope="session")
def weaviate_shelf(
    weaviate_server: servers.Weaviate | servers.Given,
) -> Iterator[Shelf]:
    """Yield the schema in which indexes on Weaviate are opened."""
    shelf = Shelf(weaviate_server.url, weaviate_server.key or "")
    yield shelf
    shelf.drop()


@pytest.fixture
def policy() -> Policy:
    """Return the policy of every index; a module may override it."""
    return Policy(visual_floor=0.25, visual_top=5)


@pytest.fixture
def open_local(tmp_path: Path, policy: Policy) -> Iterator[Opens]:
    """Yield a function that opens the same embedded index at each call; close all of them."""
    indexes: list[ServiceIndex] = []

    def open_index() -> ServiceIndex:
        indexes.append(SQLiteIndex(tmp_path / "index.db", policy, durable=False))
        return indexes[-1]

    yield open_index
    for index in indexes:
        index.close()


@pytest.fixture
def open_weaviate(weaviate_shelf: Shelf, policy: Policy) -> Iterator[Opens]:
    """Yield a function that opens the same index on a server; empty and close all of them."""
    indexes: list[ServiceIndex] = []

    def open_index() -> ServiceIndex:
        shelf = weaviate_shelf
        indexes.append(WeaviateIndex(shelf.nodes, policy, key=shelf.key, prefix=shelf.prefix))
        return indexes[-1]

    yield open_index
    for index in indexes:
        index.close()
    weaviate_shelf.empty()


@pytest.fixture(params=["local", "weaviate"])
def opens(request: pytest.FixtureRequest) -> Opens:
    """Return a function that opens the same empty index at each call, for each kind of index."""
    found: Opens = request.getfixturevalue(f"open_{request.param}")
    return found


@pytest.fixture
def index(opens: Opens) -> ServiceIndex:
    """Return an open, empty index of each kind."""
    return opens()


@pytest.fixture
def bucket(
    s3_server: servers.S3 | servers.Given, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Blobs]:
    """Yield an empty store in a bucket of a real server, to which the environment points."""
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    store = open_blobs(f"{s3_server.url}/{time.time_ns()}")
    yield store
    store.delete(store.keys(""))
