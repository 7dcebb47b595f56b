"""Progress of jobs over Redis; messages may be lost, as the log is authoritative."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress

import msgspec
from redis import Redis

from adapters.broker import redis_keys
from adapters.broker.connections import patient
from adapters.broker.errors import broker_errors
from adapters.broker.memory_progress import ENDED, Listener, ProgressListeners
from core.circuit_breaker import CircuitBreaker
from core.errors import QueueUnavailableError
from core.metrics import UNMETERED, Meter
from core.records import JobStatus
from core.supervision import SupervisedThread

KEPT_SECONDS = 600
"""Seconds for which a job's last state is kept: longer than any step takes."""
LOOK_SECONDS = 1.0
"""Seconds between two checks of a listening thread for a stop."""

logger = logging.getLogger(__name__)


class ProgressMessage(msgspec.Struct, frozen=True):
    """Message of the channel: jobs of a tenant and their state."""

    tenant: str
    job_ids: list[str]
    status: JobStatus


_decoder = msgspec.json.Decoder(ProgressMessage)


class RedisProgress:
    """Implementation of the port `Progress`: one message a batch, one listening thread a process.

    The thread starts with the first subscription.
    """

    def __init__(
        self, url: str, redis: Redis, breaker: CircuitBreaker, meter: Meter = UNMETERED
    ) -> None:
        self._url = url
        self._redis = redis
        self._breaker = breaker
        self._lock = threading.Lock()
        self._listeners = ProgressListeners()
        self._stop = threading.Event()
        self._thread = SupervisedThread("news", self._listen, self._stop, meter=meter)
        self._listening = False

    def publish(self, tenant: str, job_ids: Sequence[str], status: JobStatus) -> None:
        """Record and publish the state of these jobs; do nothing if Redis does not answer."""
        if not job_ids:
            return
        message = msgspec.json.encode(ProgressMessage(tenant, list(job_ids), status))
        with (
            suppress(QueueUnavailableError),
            self._breaker.guard(),
            broker_errors(),
            self._redis.pipeline(transaction=False) as pipe,
        ):
            for job_id in job_ids:
                key = _key(tenant, job_id)
                if status in ENDED:
                    pipe.delete(key)
                else:
                    pipe.set(key, status, ex=KEPT_SECONDS)
            pipe.publish(redis_keys.NEWS, message)
            pipe.execute()

    def status(self, tenant: str, job_id: str) -> JobStatus | None:
        """Return the last state of an unfinished job; None also if Redis does not answer."""
        try:
            with self._breaker.guard(), broker_errors():
                found: JobStatus | None = self._redis.get(_key(tenant, job_id))  # type: ignore[assignment]
        except QueueUnavailableError:
            return None
        return found

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` in the listening thread; return the function that removes it."""
        stop = self._listeners.add(listener)
        with self._lock:
            if not self._listening and not self._stop.is_set():
                self._listening = True
                self._thread.start()
        return stop

    def close(self) -> None:
        """Stop the listening thread."""
        self._stop.set()
        with self._lock:
            self._listening = True  # later subscriptions start no thread
        self._thread.join()

    def _listen(self) -> None:
        while not self._stop.is_set():
            try:
                with broker_errors(), patient(self._url) as redis:
                    self._receive(redis)
            except QueueUnavailableError as error:
                logger.debug("progress_unavailable", extra={"reason": str(error)})
                self._stop.wait(LOOK_SECONDS)

    def _receive(self, redis: Redis) -> None:
        with redis.pubsub(ignore_subscribe_messages=True) as channel:  # type: ignore[no-untyped-call]
            channel.subscribe(redis_keys.NEWS)
            while not self._stop.is_set():
                message = channel.get_message(timeout=LOOK_SECONDS)
                if message is not None:
                    self._notify(message["data"])

    def _notify(self, data: str) -> None:
        try:
            progress = _decoder.decode(data)
        except msgspec.MsgspecError:
            return
        self._listeners.notify(progress.tenant, progress.job_ids, progress.status)


def _key(tenant: str, job_id: str) -> str:
    return f"{redis_keys.STATE}{redis_keys.written((tenant, job_id))}"
