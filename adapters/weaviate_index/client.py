"""Connection to one of several nodes, with failover to the next."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import weaviate
from weaviate.auth import Auth
from weaviate.classes.init import AdditionalConfig, Timeout

from adapters.weaviate_index.errors import weaviate_errors
from adapters.weaviate_index.grpc_errors import StrictStub
from adapters.weaviate_index.nodes import WeaviateNode
from core.backoff import pause_after
from core.circuit_breaker import CircuitBreaker
from core.errors import IndexUnavailableError

CONNECT = 5.0
QUERY = 8.0
WRITE = 30.0
"""Timeouts in seconds after which the next node is tried: a node that needs 2 s an answer is slow,
not dead, and a write waits for every replica."""
ALONE = 1.5
"""Seconds for which a call to a single node is retried."""
TOGETHER = 20.0
"""Seconds likewise for several nodes: the election of a Raft leader takes 2 to 5 s."""
_PAUSE = 0.05
"""Most seconds before the second attempt; doubled each time, up to a second."""
_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 4.0
"""Seconds without an attempt to connect once all nodes were silent, the first time and at most: an
attempt takes `CONNECT` seconds of a thread."""
_SILENT_NODES = "Weaviate does not answer"
_SILENT = 1.0
"""Seconds after which a failed connection was not refused: the node is silent."""

logger = logging.getLogger(__name__)

T = TypeVar("T")


class _Connection:
    """Connected client with the number of calls that use it; the last call closes a retired one."""

    def __init__(self, client: weaviate.WeaviateClient) -> None:
        self.client = client
        self.users = 0
        self.retired = False


class WeaviateCluster:
    """Thread-safe client of the nodes, connected at the first call."""

    def __init__(
        self, nodes: Sequence[WeaviateNode], *, key: str = "", secure: bool = False
    ) -> None:
        self._nodes = list(nodes)
        self._key = key
        self._secure = secure
        self._at = 0
        self._link: _Connection | None = None
        self._lock = threading.Lock()
        self._connecting = threading.Lock()
        self._breaker = CircuitBreaker(
            IndexUnavailableError,
            first=_FIRST_PAUSE,
            longest=_LONGEST_PAUSE,
            after=len(self._nodes),
        )
        self._closed = False

    def run(self, ask: Callable[[weaviate.WeaviateClient], T], *, seconds: float = -1.0) -> T:
        """Return the result of `ask`, retried on another node after a failure.

        `ask` may run several times, also after a run whose answer was lost. `seconds` replaces the
        limit `ALONE` or `TOGETHER`. Raise IndexUnavailableError after it; other errors, which every
        node would give, are raised at once.
        """
        given = ALONE if len(self._nodes) == 1 else TOGETHER
        deadline = time.monotonic() + (given if seconds < 0 else seconds)
        tried = 0
        while True:
            link: _Connection | None = None
            try:
                with weaviate_errors(), self._using() as link:
                    return ask(link.client)
            except IndexUnavailableError as error:
                tried += 1
                pause = pause_after(tried, 1.0, first=_PAUSE)
                logger.info("weaviate_retried", extra={"times": tried, "reason": str(error)})
                late = time.monotonic() + pause > deadline
                if self._closed or self._breaker.is_open or (late and tried >= len(self._nodes)):
                    raise
                self._leave(link)
                if not late:
                    time.sleep(pause)

    def close(self) -> None:
        """Close the connection; later calls raise IndexUnavailableError."""
        with self._connecting:
            self._closed = True
            self._leave(self._link)

    @contextmanager
    def _using(self) -> Iterator[_Connection]:
        link = self._connected()
        try:
            yield link
        finally:
            with self._lock:
                link.users -= 1
                last = link.retired and link.users == 0
            if last:
                link.client.close()

    def _connected(self) -> _Connection:
        """Return the connection, connecting if needed, and count one more user."""
        while True:
            with self._lock:
                if self._closed:
                    raise IndexUnavailableError("the index is closed")
                link = self._link
                if link is not None:
                    link.users += 1
                    return link
            with self._breaker.guard():
                self._make_link()

    def _make_link(self) -> None:
        """Connect, or wait for another thread to connect."""
        if not self._connecting.acquire(timeout=CONNECT + QUERY):
            raise IndexUnavailableError(_SILENT_NODES)
        try:
            self._breaker.check()
            if self._link is None and not self._closed:
                made = _Connection(self._connect(self._nodes[self._at % len(self._nodes)]))
                with self._lock:
                    self._link = made
        finally:
            self._connecting.release()

    def _connect(self, node: WeaviateNode) -> weaviate.WeaviateClient:
        began = time.monotonic()
        try:
            client = weaviate.connect_to_custom(
                http_host=node.host,
                http_port=node.http,
                http_secure=self._secure,
                grpc_host=node.host,
                grpc_port=node.grpc,
                grpc_secure=self._secure,
                auth_credentials=Auth.api_key(self._key) if self._key else None,
                skip_init_checks=True,  # they query PyPI for the newest client
                additional_config=AdditionalConfig(
                    timeout=Timeout(init=CONNECT, query=QUERY, insert=WRITE)
                ),
            )
        except Exception as error:
            self._at += 1
            if time.monotonic() > began + _SILENT:
                raise IndexUnavailableError(_SILENT_NODES) from error
            raise
        connection: Any = client._connection  # noqa: SLF001  # see Prompt
        connection._grpc_stub = StrictStub(connection.grpc_stub)  # noqa: SLF001  # likewise
        return client

    def _leave(self, link: _Connection | None) -> None:
        """Retire a connection and choose the next node, unless another thread has."""
        if link is None:
            return
        with self._lock:
            if self._link is link:
                self._link = None
                self._at += 1
            close = not link.retired and link.users == 0
            link.retired = True
        if close:
            link.client.close()
