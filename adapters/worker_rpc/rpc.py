"""Questions to workers over the queue `query`, and their answers: JSON, ids and no pictures."""

from __future__ import annotations

import contextvars
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar
from uuid import uuid4

import msgspec
from celery import Celery

from adapters.broker import connections
from adapters.broker.celery_messages import CeleryMessages
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
"""For so long an answer waits in Redis: whoever asked is gone long before."""
SLICE_SECONDS = 1.0
"""One wait for an answer: shorter than the silence that makes a connection count as half-open."""
LEAST_SECONDS = 0.01
"""Redis counts in milliseconds, and none of them means for ever."""
KNOCK_SECONDS = 1.5
"""What asks nothing is answered at once, or nobody is there."""
FIRST_PAUSE = 1.0
LONGEST_PAUSE = 4.0
"""Seconds without questions after nobody answered, the first time and at most: what is asked of
absent workers piles up in the broker."""

T = TypeVar("T")
logger = logging.getLogger(__name__)


class RPCError(msgspec.Struct, frozen=True):
    """An error as it travels."""

    type: str
    detail: str
    field: str | None = None


class RPCReply(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was answered, or the error that came of it."""

    told: msgspec.Raw = msgspec.Raw(b"null")
    fault: RPCError | None = None


class TimeBudget:
    """The time that everything asked on behalf of one request may take together."""

    def __init__(self) -> None:
        self._until: float | None = None

    def left(self, seconds: float) -> float:
        """Seconds left of those that the first question began to use up."""
        if self._until is None:
            self._until = time.monotonic() + seconds
        return self._until - time.monotonic()


_budget: contextvars.ContextVar[TimeBudget | None] = contextvars.ContextVar("budget", default=None)


def budget() -> None:
    """What is asked from here on, also in threads that this context is copied to, shares a time."""
    _budget.set(TimeBudget())


class RPCClient:
    """Asks workers, from any number of threads, and waits no longer than was agreed."""

    def __init__(self, celery: Celery, url: str, seconds: float) -> None:
        """`seconds` is what the questions of one request may take together."""
        self._messages = CeleryMessages(celery)
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
        """What a worker answers, read as `kind`; its errors are raised as they were there.

        Raise WorkerUnavailableError where none answers in time (`seconds` may shorten it) or none
        did a moment ago, QueueUnavailableError.
        """
        shared = _budget.get() or TimeBudget()
        rest = shared.left(self._seconds)
        if rest <= 0:
            raise WorkerUnavailableError(f"no worker answered within {self._seconds:g} s")
        if seconds is None and rest >= min(KNOCK_SECONDS, self._seconds / 2):
            with self._breaker.guard() as trial:
                if trial:
                    self._knock(rest)
                reply = self._asked(task, arguments, shared.left(self._seconds))
        else:  # what has to be quick may be late without anybody being away
            self._breaker.check()
            reply = self._asked(task, arguments, rest if seconds is None else min(rest, seconds))
        if reply.fault is not None:
            raise named(reply.fault.type, reply.fault.detail, field=reply.fault.field)
        return msgspec.json.decode(reply.told, type=kind)

    def _knock(self, rest: float) -> None:
        """Whether anybody is there again. Raise WorkerUnavailableError, QueueUnavailableError."""
        self._asked(SPACE_TASK, {"sources": {}}, min(rest, KNOCK_SECONDS))
        self._breaker.close()

    def _asked(self, task: str, arguments: Mapping[str, Any], rest: float) -> RPCReply:
        until = time.monotonic() + rest
        reply_to = f"seenit:reply:{uuid4().hex}"
        with broker_errors():
            deadline = connections.now(self._redis) + rest
            sent = self._messages.task(
                QUERY_QUEUE, task, (reply_to, deadline, dict(arguments)), uuid4().hex
            )
            self._redis.lpush(QUERY_QUEUE, sent)
        while (left := until - time.monotonic()) > 0:
            with broker_errors():
                came = self._redis.blpop([reply_to], min(max(left, LEAST_SECONDS), SLICE_SECONDS))
            if came is not None:
                return msgspec.json.decode(came[1], type=RPCReply)
        raise WorkerUnavailableError(f"no worker answered within {rest:.2g} s")

    def close(self) -> None:
        """Let go of the connections."""
        self._redis.close()


class RPCServer:
    """Answers questions, in a worker: those past their deadline are dropped unrun."""

    def __init__(self, url: str, meter: Meter = UNMETERED) -> None:
        self._redis = connections.asking(url)
        self._meter = meter

    def answer(self, kind: str, reply_to: str, deadline: float, call: Callable[[], Any]) -> None:
        """Call, and send what it gives or raises to whoever waits; nothing is raised here.

        `kind` is what figures call it; its outcome is answered, refused, failed or late.
        """
        try:
            with broker_errors():
                if connections.now(self._redis) > deadline:
                    self._meter.count("queries", kind=kind, outcome="late")
                    return
            with timed(self._meter, "query"):
                reply, outcome = _reply(call)
            self._meter.count("queries", kind=kind, outcome=outcome)
            with broker_errors(), self._redis.pipeline(transaction=False) as line:
                line.rpush(reply_to, msgspec.json.encode(reply))
                line.expire(reply_to, KEPT_SECONDS)
                line.execute()
        except QueueUnavailableError as error:
            logger.warning("a question is left without an answer: %s", error.detail)

    def close(self) -> None:
        """Let go of the connections."""
        self._redis.close()


def _reply(call: Callable[[], Any]) -> tuple[RPCReply, str]:
    try:
        told = msgspec.json.encode(call())
    except SeenitError as error:
        outcome = "failed" if error.status >= 500 else "refused"  # noqa: PLR2004 - server errors
        return RPCReply(fault=RPCError(error.type, error.detail, error.field)), outcome
    except Exception:  # the task's edge: whoever waits has to be told
        logger.exception("a question could not be answered")
        fault = RPCError(
            SeenitError.type, "something went wrong in a worker; its log has the details"
        )
        return RPCReply(fault=fault), "failed"
    return RPCReply(told=msgspec.Raw(told)), "answered"
