"""HTTP server of a worker's or beat's metrics, for Prometheus alone."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.exposition import ThreadingWSGIServer

from adapters.prometheus import PrometheusMeter
from core.errors import SettingsError
from core.supervision import SupervisedThread


@contextmanager
def exposed(meter: PrometheusMeter, host: str, port: int) -> Iterator[None]:
    """Answer `GET /metrics` on `host:port` meanwhile, in its own threads; port 0: not at all.

    No key is required: the metrics name no tenant and no picture, and the address is loopback
    unless SEENIT_HOST sets another. Raise SettingsError if the port is not available.
    """
    if not port:
        yield
        return
    try:
        server = _server(meter.registry, host, port)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise SettingsError(
            f"SEENIT_METRICS_PORT: cannot listen on {host}:{port}: {reason}"
        ) from None
    stop = threading.Event()
    thread = SupervisedThread("metrics", server.serve_forever, stop, meter=meter)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        server.shutdown()
        server.server_close()
        thread.join()


class _Silent(WSGIRequestHandler):
    """Request handler without a log line for each request."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Suppress the log of requests."""


def _server(registry: CollectorRegistry, host: str, port: int) -> WSGIServer:
    """Bind the server, also to an IPv6 address. Raise OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, _, _, _, address = found[0]

    class Server(ThreadingWSGIServer):
        address_family = family

    return make_server(str(address[0]), port, make_wsgi_app(registry), Server, _Silent)
