"""A worker's or beat's figures over HTTP: one tiny server, for Prometheus alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import start_http_server

from core.errors import SettingsError


@contextmanager
def exposed(registry: CollectorRegistry, host: str, port: int) -> Iterator[None]:
    """Answer `GET /metrics` on `host:port` meanwhile, in threads of its own; port 0: not at all.

    No key is asked: the figures name no tenant and no picture, and the address is loopback unless
    SEENIT_HOST says otherwise. Raise SettingsError where the port cannot be had.
    """
    if not port:
        yield
        return
    try:
        server, thread = start_http_server(port, host, registry)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise SettingsError(
            f"SEENIT_METRICS_PORT: cannot listen on {host}:{port}: {reason}"
        ) from None
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
