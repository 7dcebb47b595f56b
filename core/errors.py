"""One tree of errors; each class knows its problem type, title, HTTP status and whether to retry.

SeenitError
├── InputError                 the request is at fault: do not retry
│   ├── MalformedError         400  a field, cursor or filter is invalid
│   ├── UnauthorizedError      401  no key, or an unknown one
│   ├── ForbiddenError         403  the key's role does not allow this
│   ├── MissingError           404  no such id for this tenant
│   ├── RequestTimeoutError    408  the request came too slowly
│   ├── ConflictError          409  the request contradicts the present state
│   ├── GoneError              410  the record was deleted
│   ├── PreconditionError      412  If-Match names another revision
│   ├── TooLargeError          413  bytes, pixels or frames over the limit
│   ├── UnsupportedError       415  not a picture format that is accepted
│   ├── KeyReusedError         422  an Idempotency-Key came with other content
│   └── BrokenError            422  the picture cannot be decoded
│       ├── DecoderKilledError 422  it crashed or stalled its decoder
│       └── PoisonError        422  workers died each time it was their only picture
├── RateLimitedError           429  too many requests or wrong keys: retry later
├── UnavailableError           503  a part is down: try again later
│   ├── EmbedderUnavailableError    no model for the requested space
│   ├── StoreUnavailableError       the blob store does not answer
│   │   └── DiskFullError           its disk has no space left
│   ├── IndexUnavailableError       the index does not answer
│   │   └── IndexDamagedError       it is damaged, and is made again from the log
│   ├── QueueUnavailableError       the broker does not answer
│   ├── EngineUnavailableError      the engine of this process cannot run
│   ├── WorkerUnavailableError      no worker answered within the time a call waits
│   ├── BacklogError                too many jobs are queued
│   └── PendingError                not settled within the time a call waits
├── RemoteError                502  an address that a caller named did not answer as it should
├── SettingsError                   a setting is missing, mistyped or contradicts another
├── ExistsError                     a create-only put found the key taken (never leaves core)
└── CorruptError               500  an object of the blob store is damaged
    └── LogCorruptError        503  the log has a gap, a broken chain or a newer version
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import ClassVar


class SeenitError(Exception):
    """Root of the tree. `type` is the problem type's last path segment."""

    type: ClassVar[str] = "internal"
    title: ClassVar[str] = "Internal error"
    status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False

    def __init__(self, detail: str, *, field: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.field = field

    def __reduce__(self) -> tuple[object, ...]:
        """Keep `field` when an error is pickled across processes."""
        return _rebuild, (type(self), self.detail, self.field)


def _rebuild(kind: type[SeenitError], detail: str, field: str | None) -> SeenitError:
    return kind(detail, field=field)


def kinds() -> Iterator[type[SeenitError]]:
    """Yield the classes of the tree level by level, including those defined elsewhere."""
    level: list[type[SeenitError]] = [SeenitError]
    while level:
        yield from level
        level = [below for kind in level for below in kind.__subclasses__()]


def named(type_: str, detail: str, *, field: str | None = None) -> SeenitError:
    """Return the error of a problem type raised elsewhere, a SeenitError for an unknown type."""
    for kind in kinds():
        if kind.type == type_:
            return kind(detail, field=field)
    return SeenitError(detail, field=field)


class InputError(SeenitError):
    """An error in the request, which the caller must fix before repeating it."""


class MalformedError(InputError):
    """An invalid field, cursor, filter or header, named by `field`."""

    type = "malformed"
    title = "Malformed request"
    status = 400


class UnauthorizedError(InputError):
    """A request without an API key, or with an unknown one."""

    type = "unauthorized"
    title = "Missing or unknown API key"
    status = 401


class ForbiddenError(InputError):
    """A request that the API key's role does not allow."""

    type = "forbidden"
    title = "Not allowed"
    status = 403


class MissingError(InputError):
    """An id unknown to this tenant, or a key without an object in the blob store."""

    type = "not-found"
    title = "Not found"
    status = 404


class RequestTimeoutError(InputError):
    """A request that came too slowly, or whose place others needed meanwhile."""

    type = "request-timeout"
    title = "Request came too slowly"
    status = 408


class ConflictError(InputError):
    """A request that contradicts the present state."""

    type = "conflict"
    title = "Conflict"
    status = 409


class GoneError(InputError):
    """A request about a deleted picture."""

    type = "gone"
    title = "Deleted"
    status = 410


class PreconditionError(InputError):
    """An If-Match that names another revision than the record's."""

    type = "precondition-failed"
    title = "Changed meanwhile"
    status = 412


class TooLargeError(InputError):
    """A file with more bytes, pixels or frames than the limit."""

    type = "too-large"
    title = "Too large"
    status = 413


class UnsupportedError(InputError):
    """A file that is not of an accepted picture format."""

    type = "unsupported"
    title = "Unsupported format"
    status = 415


class KeyReusedError(InputError):
    """An Idempotency-Key used for other content before; new content takes a new key."""

    type = "idempotency-key-reused"
    title = "Idempotency-Key reused"
    status = 422


class BrokenError(InputError):
    """A picture that cannot be decoded, or a form that cannot be parsed."""

    type = "broken"
    title = "Cannot be read"
    status = 422


class DecoderKilledError(BrokenError):
    """A picture that crashed its decoder, or exceeded its time or memory."""

    type = "decoder-killed"
    title = "Decoding was stopped"


class PoisonError(BrokenError):
    """A picture set aside because several workers died while it was their only one."""

    type = "set-aside"
    title = "Set aside"


class RateLimitedError(SeenitError):
    """Too many requests of one key, or too many wrong keys from one address; retry later."""

    type = "rate-limited"
    title = "Too many requests"
    status = 429
    retryable = True

    def __init__(self, detail: str, *, after: float = 1.0, field: str | None = None) -> None:
        """`after` is the number of seconds until the next request is answered."""
        super().__init__(detail, field=field)
        self.after = max(1, math.ceil(after))
        """Value of Retry-After, in seconds."""


class UnavailableError(SeenitError):
    """An outage of a part of the service; retry later."""

    type = "unavailable"
    title = "Temporarily unavailable"
    status = 503
    retryable = True
    after: ClassVar[int] = 5
    """Value of Retry-After, in seconds."""


class EmbedderUnavailableError(UnavailableError):
    """An absent model: the requested space gets no vectors."""

    type = "model-absent"
    title = "Model absent"


class StoreUnavailableError(UnavailableError):
    """A blob store that does not answer, or whose answer was lost: the outcome is unknown."""

    type = "store-unavailable"
    title = "Blob store unavailable"


class DiskFullError(StoreUnavailableError):
    """A blob store whose disk or quota has no space left: nothing was written."""


class IndexUnavailableError(UnavailableError):
    """An index that does not answer."""

    type = "index-unavailable"
    title = "Index unavailable"


class IndexDamagedError(IndexUnavailableError):
    """A damaged index, of which nothing is read or written until it is made again from the log."""


class QueueUnavailableError(UnavailableError):
    """A broker that does not answer."""

    type = "queue-unavailable"
    title = "Queue unavailable"


class EngineUnavailableError(UnavailableError):
    """An engine of this process that cannot run: uploads are stored, but not settled."""

    type = "engine-unavailable"
    title = "Engine unavailable"


class WorkerUnavailableError(UnavailableError):
    """A query that no worker answered within the time that a call waits; retry later."""

    type = "worker-unavailable"
    title = "No worker answered"


class BacklogError(UnavailableError):
    """An upload refused as too many jobs are queued; deletes and edits are accepted."""

    type = "backlog"
    title = "Too much is waiting"
    after = 10


class PendingError(UnavailableError):
    """A job accepted but not settled within the time a call waits; it will be settled."""

    type = "pending"
    title = "Not settled yet"
    after = 1


class RemoteError(SeenitError):
    """An address named by a caller that did not answer, or answered nothing usable."""

    type = "remote-failed"
    title = "No usable answer from an address"
    status = 502
    retryable = True


class SettingsError(SeenitError):
    """A missing, mistyped or contradictory setting; the process does not start."""

    type = "settings"
    title = "Wrong settings"


class ExistsError(SeenitError):
    """A create-only put of a key that is taken."""

    type = "exists"
    title = "Already exists"
    status = 409


class CorruptError(SeenitError):
    """A stored object that cannot be read."""

    type = "damaged"
    title = "A stored object is damaged"


class LogCorruptError(CorruptError):
    """A log that ends too early, has a gap or a damaged entry: its tenant alone stands still.

    Uploads are accepted, and settled once the log is restored.
    """

    type = "log-corrupt"
    title = "The log cannot be followed"
    status = 503
    retryable = True
    after: ClassVar[int] = 60
    """Value of Retry-After, in seconds."""
