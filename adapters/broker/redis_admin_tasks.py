"""Errands over Redis: a command anywhere asks, some worker carries it out, the command watches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from uuid import uuid4

import msgspec
from celery import Celery
from redis import Redis
from redis.exceptions import LockError

from adapters.broker import redis_keys
from adapters.broker.admin_tasks import AdminTask, AdminTaskReport
from adapters.broker.celery_messages import CeleryMessages
from adapters.broker.errors import broker_errors
from core.errors import QueueUnavailableError
from core.task_names import DEFAULT_QUEUE, ERRAND_TASK

KEPT_SECONDS = 24 * 3600
"""How long a report can be read by a command that was cut off."""
ALONE = frozenset({"reindex"})
"""Kinds of which one is carried out at a time: what a second one begins, it begins by clearing
away what the first has made so far."""


class RedisAdminTasks:
    """The same as the folder of one data directory, for workers on any machine."""

    def __init__(self, app: Celery, redis: Redis, seconds: float) -> None:
        self._messages = CeleryMessages(app)
        self._redis = redis
        self.seconds = seconds
        """How long a worker that says nothing is believed to be at an errand."""

    def ask(self, kind: str, arguments: Mapping[str, str] | None = None) -> AdminTask:
        """Leave a request for a worker. Raise QueueUnavailableError."""
        errand = AdminTask(errand_id=uuid4().hex, kind=kind, arguments=dict(arguments or {}))
        with broker_errors():
            self._redis.hset(redis_keys.ERRANDS, errand.errand_id, msgspec.json.encode(errand))
        self.send(errand)
        return errand

    def send(self, errand: AdminTask) -> None:
        """Put it into the queue, perhaps again. Raise QueueUnavailableError."""
        message = self._messages.task(
            DEFAULT_QUEUE, ERRAND_TASK, [errand.errand_id], errand.errand_id
        )
        with broker_errors():
            self._redis.lpush(DEFAULT_QUEUE, message)

    def find(self, errand_id: str) -> AdminTask | None:
        """A request that has not been carried out. Raise QueueUnavailableError."""
        with broker_errors():
            found = self._redis.hget(redis_keys.ERRANDS, errand_id)
        return None if found is None else msgspec.json.decode(found, type=AdminTask)

    def waiting(self) -> list[AdminTask]:
        """Requests that nobody has carried out yet. Raise QueueUnavailableError."""
        with broker_errors():
            found = self._redis.hvals(redis_keys.ERRANDS)
        return [msgspec.json.decode(one, type=AdminTask) for one in found]

    def resend(self) -> int:
        """Put into an empty queue again what no worker is at: its worker died. How many."""
        with broker_errors():
            if self._redis.llen(DEFAULT_QUEUE):
                return 0
        waiting = self.waiting()
        with broker_errors():
            left = [one for one in waiting if not self._redis.exists(_at(one))]
        for errand in left:
            self.send(errand)
        return len(left)

    @contextmanager
    def doing(self, errand: AdminTask) -> Iterator[Callable[[], None] | None]:
        """It is ours to do for as long as what this gives is called in time; None where it is not.

        One worker at a time is at an errand, or at one of a kind that is to be done alone. Raise
        QueueUnavailableError, as does what is called: then it may be another's already.
        """
        lock = self._redis.lock(
            _at(errand), timeout=self.seconds, blocking=False, thread_local=False
        )

        def renew() -> None:
            with broker_errors():
                try:
                    lock.reacquire()
                except LockError:
                    if not lock.acquire():  # else Redis had lost it, and nobody was quicker
                        raise QueueUnavailableError("another worker is at it now") from None

        with broker_errors():
            ours = lock.acquire()
        if not ours:
            yield None
            return
        try:
            yield renew
        finally:
            with suppress(QueueUnavailableError, LockError), broker_errors():  # it runs out
                lock.release()

    def report(self, errand: AdminTask, report: AdminTaskReport) -> None:
        """Say how far it has come; once it has ended the request goes."""
        with broker_errors(), self._redis.pipeline(transaction=True) as pipe:
            key = f"{redis_keys.REPORT}{errand.errand_id}"
            pipe.set(key, msgspec.json.encode(report), ex=KEPT_SECONDS)
            if report.ended:
                pipe.hdel(redis_keys.ERRANDS, errand.errand_id)
            pipe.execute()

    def look(self, errand: AdminTask) -> AdminTaskReport | None:
        """The newest report, None before the first. Raise QueueUnavailableError."""
        with broker_errors():
            found = self._redis.get(f"{redis_keys.REPORT}{errand.errand_id}")
        return None if found is None else msgspec.json.decode(found, type=AdminTaskReport)

    def forget(self, errand: AdminTask) -> None:
        """Take the request and its report away. Raise QueueUnavailableError."""
        with broker_errors():
            self._redis.hdel(redis_keys.ERRANDS, errand.errand_id)
            self._redis.delete(f"{redis_keys.REPORT}{errand.errand_id}")


def _at(errand: AdminTask) -> str:
    """The key that is there while a worker is at it."""
    return f"{redis_keys.DOING}{errand.kind if errand.kind in ALONE else errand.errand_id}"
