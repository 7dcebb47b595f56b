"""uvicorn's HTTP/1.1 protocol on h11, stricter about line ends and log context."""

from __future__ import annotations

import asyncio
import contextvars
import json
import re
from http import HTTPStatus
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from cli.server.connection_limits import ConnectionLimits, Phase
from core.errors import MalformedError, SeenitError

_BARE = re.compile(rb"(?<!\r)\n")
"""The end of a line without its CR."""


class StrictConnection(h11.Connection):
    """Refuses lines that end in LF alone, which h11 takes for the end of a line.

    A proxy that takes it for part of a header sees another request (RFC 9112, section 2.2). Bytes
    are looked at only where lines are: in a request's head, and at the end of a chunked body.
    """

    _chunked = False

    def next_event(self) -> Any:  # noqa: ANN401 - an event or one of two constants
        """Return the next event, as h11 does. Raise h11.RemoteProtocolError."""
        head = self.their_state is h11.IDLE
        before = self.trailing_data[0] if head or self._chunked else b""
        event = super().next_event()
        if isinstance(event, h11.Request | h11.EndOfMessage) and before:
            after = self.trailing_data[0]
            if _BARE.search(before[: len(before) - len(after)]):
                raise h11.RemoteProtocolError("a line ends in LF alone")
        if isinstance(event, h11.Request):
            self._chunked = any(name == b"transfer-encoding" for name, _ in event.headers)
        return event


class HTTPProtocol(H11Protocol):
    """One HTTP/1.1 connection of a client, within the limits on all of them."""

    def __init__(self, limits: ConnectionLimits, **named: Any) -> None:  # noqa: ANN401 - uvicorn's
        super().__init__(**named)
        self.conn = StrictConnection(h11.SERVER)
        self.address = ""
        self._limits = limits

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a place among the connections."""
        super().connection_made(transport)
        self.address = self.client[0] if self.client else ""
        self._limits.admit(self, self.loop.time())

    def connection_lost(self, exc: Exception | None) -> None:
        """Give the place back."""
        self._limits.forget(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on, unless it was refused meanwhile."""
        if not self.transport.is_closing():
            self._limits.received(self, len(data))
            super().data_received(data)

    def handle_events(self) -> None:
        """Handle the received events in a context of their own.

        Otherwise a connection's next request starts in the context of the previous one, and the
        fields bound for its log lines appear in those of the next.
        """
        contextvars.Context().run(super().handle_events)
        self._limits.move(self, self._phase(), self.loop.time())

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        super().on_response_complete()
        self._limits.move(self, self._phase(), self.loop.time())

    def _phase(self) -> Phase:
        match self.conn.their_state:
            case h11.IDLE:
                return "head" if self.conn.trailing_data[0] or self.cycle is None else "idle"
            case h11.SEND_BODY:
                return "body"
            case _:
                return "answer"

    def unsent(self) -> int:
        """Return the bytes of answers that the peer has not taken."""
        return self.transport.get_write_buffer_size()

    def paused(self) -> bool:
        """Return whether the service itself reads no more of a body for now."""
        return self.flow.read_paused

    def drop(self) -> None:
        """Hang up at once."""
        self.transport.abort()

    def refuse(self, error: SeenitError) -> None:
        """Answer with an error, if an answer can still begin, and hang up."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            problem = {
                "type": f"/problems/{error.type}",
                "title": error.title,
                "status": error.status,
                "detail": error.detail,
            }
            body = json.dumps(problem).encode()
            headers = [
                (b"content-type", b"application/problem+json"),
                (b"content-length", str(len(body)).encode()),
                (b"x-content-type-options", b"nosniff"),
                (b"connection", b"close"),
                *([(b"retry-after", b"1")] if error.retryable else []),
            ]
            reason = HTTPStatus(error.status).phrase.encode()
            start = h11.Response(status_code=error.status, headers=headers, reason=reason)
            for event in (start, h11.Data(data=body), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - says no more than this does
        """Answer a request that cannot be read."""
        self.refuse(MalformedError("this is no HTTP/1.1 request (RFC 9112)"))
