"""uvicorn's HTTP/1.1 protocol on h11, stricter about line ends and log context."""

from __future__ import annotations

import contextvars
import json
import re
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from core.errors import MalformedError

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
    """One HTTP/1.1 connection of a client."""

    def __init__(self, *given: Any, **named: Any) -> None:  # noqa: ANN401 - uvicorn's own
        super().__init__(*given, **named)
        self.conn = StrictConnection(h11.SERVER)

    def handle_events(self) -> None:
        """Handle the received events in a context of their own.

        Otherwise a connection's next request starts in the context of the previous one, and the
        fields bound for its log lines appear in those of the next.
        """
        contextvars.Context().run(super().handle_events)

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - says no more than this does
        """Answer a request that cannot be read, unless its answer has begun; then hang up."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            problem = {
                "type": f"/problems/{MalformedError.type}",
                "title": MalformedError.title,
                "status": MalformedError.status,
                "detail": "this is no HTTP/1.1 request (RFC 9112)",
            }
            body = json.dumps(problem).encode()
            headers = [
                (b"content-type", b"application/problem+json"),
                (b"content-length", str(len(body)).encode()),
                (b"x-content-type-options", b"nosniff"),
                (b"connection", b"close"),
            ]
            start = h11.Response(status_code=400, headers=headers, reason=b"Bad Request")
            for event in (start, h11.Data(data=body), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()
