"""HTTP/1.1 as it is served: uvicorn's protocol on h11, with a log context of its own a request."""

from __future__ import annotations

import contextvars

from uvicorn.protocols.http.h11_impl import H11Protocol


class Protocol(H11Protocol):
    """One connection."""

    def handle_events(self) -> None:
        """Begin what was received in a context of its own.

        A connection's bytes are read, and its next request is begun, in the context of whatever
        request asked for more: what that one bound for its log lines would be in those of the next.
        """
        contextvars.Context().run(super().handle_events)
