"""One tree of errors; each class knows its problem type, title, HTTP status and whether to retry.

SeenitError
├── InputError                 the caller's fault: nothing to retry
│   ├── MalformedError         400  a field, cursor or filter is not what it should be
│   ├── UnauthorizedError      401  no key, or an unknown one
│   ├── ForbiddenError         403  the key's role does not allow this
│   ├── MissingError           404  no such id for this tenant
│   ├── ConflictError          409  the request contradicts the present state
│   ├── GoneError              410  it was deleted
│   ├── PreconditionError      412  If-Match names another revision
│   ├── TooLargeError          413  bytes, pixels or frames over the limit
│   ├── UnsupportedError       415  not a picture format that is read here
│   ├── KeyReusedError         422  an Idempotency-Key came with other content
│   └── BrokenError            422  the picture cannot be decoded
│       ├── DecoderKilledError 422  it killed or stalled its decoder
│       └── PoisonError        422  workers died whenever they worked on it alone
├── UnavailableError           503  a part is down: try again later
│   ├── EmbedderUnavailableError    no model for the space asked for
│   ├── StoreUnavailableError       the blob store does not answer
│   ├── IndexUnavailableError       the index does not answer
│   ├── QueueUnavailableError       the broker does not answer
│   ├── EngineUnavailableError      the engine of this process cannot run
│   ├── WorkerUnavailableError      no worker answered within the time a call waits
│   ├── BacklogError                too much waits for a worker already
│   └── PendingError                not settled within the time a call waits
├── SettingsError                   a setting is missing, mistyped or contradicts another
├── ExistsError                     a create-only put found the key taken (never leaves core)
└── CorruptError               500  the log has a gap, a broken chain or a newer version
"""

from __future__ import annotations

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
        """Errors cross process boundaries whole."""
        return _rebuild, (type(self), self.detail, self.field)


def _rebuild(kind: type[SeenitError], detail: str, field: str | None) -> SeenitError:
    return kind(detail, field=field)


def kinds() -> Iterator[type[SeenitError]]:
    """The whole tree, also what is defined elsewhere, those of a level before those of the next."""
    level: list[type[SeenitError]] = [SeenitError]
    while level:
        yield from level
        level = [below for kind in level for below in kind.__subclasses__()]


def named(type_: str, detail: str, *, field: str | None = None) -> SeenitError:
    """The error of a problem type, as it was raised elsewhere; of the root for an unknown one."""
    for kind in kinds():
        if kind.type == type_:
            return kind(detail, field=field)
    return SeenitError(detail, field=field)


class InputError(SeenitError):
    """The caller's fault."""


class MalformedError(InputError):
    """A field, cursor, filter or header is not what it should be; `field` names it."""

    type = "malformed"
    title = "Malformed request"
    status = 400


class UnauthorizedError(InputError):
    """No API key, or an unknown one."""

    type = "unauthorized"
    title = "Missing or unknown API key"
    status = 401


class ForbiddenError(InputError):
    """The key's role does not allow this."""

    type = "forbidden"
    title = "Not allowed"
    status = 403


class MissingError(InputError):
    """No such id for this tenant, or no such key in the blob store."""

    type = "not-found"
    title = "Not found"
    status = 404


class ConflictError(InputError):
    """The request contradicts the present state."""

    type = "conflict"
    title = "Conflict"
    status = 409


class GoneError(InputError):
    """It was deleted."""

    type = "gone"
    title = "Deleted"
    status = 410


class PreconditionError(InputError):
    """If-Match names another revision."""

    type = "precondition-failed"
    title = "Changed meanwhile"
    status = 412


class TooLargeError(InputError):
    """Bytes, pixels or frames over the limit."""

    type = "too-large"
    title = "Too large"
    status = 413


class UnsupportedError(InputError):
    """Not a picture format that is read here."""

    type = "unsupported"
    title = "Unsupported format"
    status = 415


class KeyReusedError(InputError):
    """The Idempotency-Key was used for other content before; new content takes a new key."""

    type = "idempotency-key-reused"
    title = "Idempotency-Key reused"
    status = 422


class BrokenError(InputError):
    """The picture cannot be decoded, or a form cannot be understood as a whole."""

    type = "broken"
    title = "Cannot be read"
    status = 422


class DecoderKilledError(BrokenError):
    """The picture crashed its decoder, or was not decoded within time or memory."""

    type = "decoder-killed"
    title = "Decoding was stopped"


class PoisonError(BrokenError):
    """Worker after worker died while this was the only picture at hand: it was set aside."""

    type = "set-aside"
    title = "Set aside"


class UnavailableError(SeenitError):
    """A part is down: try again later."""

    type = "unavailable"
    title = "Temporarily unavailable"
    status = 503
    retryable = True
    after: ClassVar[int] = 5
    """Seconds that Retry-After names."""


class EmbedderUnavailableError(UnavailableError):
    """No model for the space that was asked for."""

    type = "model-absent"
    title = "Model absent"


class StoreUnavailableError(UnavailableError):
    """The blob store does not answer, or its answer was lost: the outcome is unknown."""

    type = "store-unavailable"
    title = "Blob store unavailable"


class IndexUnavailableError(UnavailableError):
    """The index does not answer."""

    type = "index-unavailable"
    title = "Index unavailable"


class QueueUnavailableError(UnavailableError):
    """The broker does not answer."""

    type = "queue-unavailable"
    title = "Queue unavailable"


class EngineUnavailableError(UnavailableError):
    """The engine of this process cannot run: uploads are stored, nobody settles them."""

    type = "engine-unavailable"
    title = "Engine unavailable"


class WorkerUnavailableError(UnavailableError):
    """No worker answered within the time that a call waits; it may be tried again."""

    type = "worker-unavailable"
    title = "No worker answered"


class BacklogError(UnavailableError):
    """So much waits for a worker that nothing was taken in; deletes and edits still are."""

    type = "backlog"
    title = "Too much is waiting"
    after = 10


class PendingError(UnavailableError):
    """Accepted, but not settled within the time a call waits; it still comes through."""

    type = "pending"
    title = "Not settled yet"
    after = 1


class SettingsError(SeenitError):
    """A setting is missing, mistyped or contradicts another: nothing starts."""

    type = "settings"
    title = "Wrong settings"


class ExistsError(SeenitError):
    """A create-only put found the key taken."""

    type = "exists"
    title = "Already exists"
    status = 409


class CorruptError(SeenitError):
    """The log has a gap, a broken chain or an entry of a newer version: this tenant stops."""

    type = "log-corrupt"
    title = "The log cannot be followed"
