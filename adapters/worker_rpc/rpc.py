"""Remote procedure calls to workers over the queue `query`: JSON with ids, without pictures."""

from __future__ import annotations

import contextvars
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar
from uuid import uuid4

import msgspec

from adapters.broker import connections
from adapters.broker.celery_app import create_celery, send
from adapters.broker.errors import broker_errors
from core.circuit_breaker import CircuitBreaker
from core.errors import (
    QueueUnavailableError,
    SeenitError,
    WorkerUnavailableError,
    named,
)
from core.metrics import UNMETERED, Meter, timed
from core.task_names import QUERY_QUEUE, SPACE_TASK

KEPT_SECONDS = 30
"""Seconds a reply stays in Redis; its caller gives up long before."""
SLICE_SECONDS = 1.0
"""One wait for a reply: shorter than the silence after which a connection is half-open."""
LEAST_SECONDS = 0.01
"""Least wait: Redis counts in milliseconds, and takes 0 for no limit."""
KNOCK_SECONDS = 1.5
"""Timeout of a call without work, which any worker answers at once."""
FIRST_PAUSE = 1.0
LONGEST_PAUSE = 4.0
"""Seconds without calls after no worker answered, the first time and at most: calls of absent
workers pile up in the broker."""

T = TypeVar("T")
logger = logging.getLogger(__name__)


class RPCError(msgspec.Struct, frozen=True):
    """Error of a worker in a reply."""

    type: str
    detail: str
    field: str | None = None


class RPCReply(msgspec.Struct, frozen=True, omit_defaults=True):
    """Result of a call in JSON, or its error."""

    result: msgspec.Raw = msgspec.field(default=msgspec.Raw(b"null"), name="told")
    fault: RPCError | None = None


class TimeBudget:
    """Time that all calls for one request may take together."""

    def __init__(self) -> None:
        self._until: float | None = None

    def left(self, seconds: float) -> float:
        """Return what is left of `seconds`, counted from the first call."""
        if self._until is None:
            self._until = time.monotonic() + seconds
        return self._until - time.monotonic()


_budget: contextvars.ContextVar[TimeBudget | None] = contextvars.ContextVar("budget", default=None)


def budget() -> None:
    """Let all later calls in this context, and in copies of it, share one `TimeBudget`."""
    _budget.set(TimeBudget())


class RPCClient:
    """Thread-safe client of calls to workers, with a time limit."""

    def __init__(self, url: str, seconds: float) -> None:
        """Create a client whose calls for one request take at most `seconds` together."""
        self._celery = create_celery(url, seconds=connections.ASKING_CONNECT_SECONDS)
        self._redis = connections.asking(url)
        self._seconds = seconds
        self._breaker = CircuitBreaker(
            WorkerUnavailableError, first=FIRST_PAUSE, longest=LONGEST_PAUSE
        )

    def ask(
        self,
        task: str,
        arguments: Mapping[str, Any],
        kind: type[T],
        *,
        seconds: float | None = None,
    ) -> T:
        """Return a worker's result as `kind`, or raise its error.

        `seconds` shortens the time limit. Raise WorkerUnavailableError if no worker answers in time
        or none did a moment ago, QueueUnavailableError if the broker does not answer.
        """
        shared = _budget.get() or TimeBudget()
        rest = shared.left(self._seconds)
        if rest <= 0:
            raise WorkerUnavailableError(f"no worker answered within {self._seconds:g} s")
        if seconds is None and rest >= min(KNOCK_SECONDS, self._seconds / 2):
            with self._breaker.guard() as trial:
                if trial:
                    self._knock(rest)
                reply = self._call(task, arguments, shared.left(self._seconds))
        else:  # a reply to a short call may be late although workers are there
            self._breaker.check()
            reply = self._call(task, arguments, rest if seconds is None else min(rest, seconds))
        if reply.fault is not None:
            raise named(reply.fault.type, reply.fault.detail, field=reply.fault.field)
        return msgspec.json.decode(reply.result, type=kind)

    def _knock(self, rest: float) -> None:
        """Close the breaker if a worker answers again, else raise as `ask` does."""
        self._call(SPACE_TASK, {"sources": {}}, min(rest, KNOCK_SECONDS))
        self._breaker.close()

    def _call(self, task: str, arguments: Mapping[str, Any], rest: float) -> RPCReply:
        until = time.monotonic() + rest
        reply_to = f"seenit:reply:{uuid4().hex}"
        with broker_errors():
            deadline = connections.now(self._redis) + rest
            sent = (reply_to, deadline, dict(arguments))
            send(self._celery, QUERY_QUEUE, task, sent, shown=False)
        while (left := until - time.monotonic()) > 0:
            with broker_errors():
                reply = self._redis.blpop([reply_to], min(max(left, LEAST_SECONDS), SLICE_SECONDS))
            if reply is not None:
                return msgspec.json.decode(reply[1], type=RPCReply)
        raise WorkerUnavailableError(f"no worker answered within {rest:.2g} s")

    def close(self) -> None:
        """Close the connections to Redis."""
        self._celery.close()
        self._redis.close()


class RPCServer:
    """Server of calls in a worker; calls past their deadline are dropped."""

    def __init__(self, url: str, meter: Meter = UNMETERED) -> None:
        self._redis = connections.asking(url)
        self._meter = meter

    def answer(self, kind: str, reply_to: str, deadline: float, call: Callable[[], Any]) -> None:
        """Send the result of `call`, or the error it raises, to the caller; raise nothing.

        `kind` is the label of the metric; the outcome is answered, refused, failed or late.
        """
        try:
            with broker_errors():
                if connections.now(self._redis) > deadline:
                    self._meter.count("queries", kind=kind, outcome="late")
                    return
            with timed(self._meter, "query"):
                reply, outcome = _reply(kind, call)
            self._meter.count("queries", kind=kind, outcome=outcome)
            with broker_errors(), self._redis.pipeline(transaction=False) as line:
                line.rpush(reply_to, msgspec.json.encode(reply))
                line.expire(reply_to, KEPT_SECONDS)
                line.execute()
        except QueueUnavailableError as error:
            logger.warning("rpc_reply_unsent", extra={"kind": kind, "reason": error.detail})

    def close(self) -> None:
        """Close the connections to Redis."""
        self._redis.close()


def _reply(kind: str, call: Callable[[], Any]) -> tuple[RPCReply, str]:
    try:
        result = msgspec.json.encode(call())
    except SeenitError as error:
        outcome = "failed" if error.status >= 500 else "refused"  # noqa: PLR2004 - server errors
        return RPCReply(fault=RPCError(error.type, error.detail, error.field)), outcome
    except Exception:  # the task's edge: the caller needs a reply
        logger.exception("rpc_failed", extra={"kind": kind})
        fault = RPCError(
            SeenitError.type, "something went wrong in a worker; its log has the details"
        )
        return RPCReply(fault=fault), "failed"
    return RPCReply(result=msgspec.Raw(result)), "answered"
