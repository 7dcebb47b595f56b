"""Port Progress over Redis: lossy by design, the log is the truth."""

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
from adapters.broker.memory_progress import ENDED, Heard, ProgressListeners
from core.circuit_breaker import CircuitBreaker
from core.errors import QueueUnavailableError
from core.metrics import UNMETERED, Meter
from core.records import JobStatus
from core.supervision import SupervisedThread

KEPT_SECONDS = 600
"""How long the last thing heard of a job is known: longer than any step of it takes."""
LOOK_SECONDS = 1.0
"""How often a listener looks whether it is to stop."""

logger = logging.getLogger(__name__)


class ProgressMessage(msgspec.Struct, frozen=True):
    """As it goes through the channel."""

    tenant: str
    job_ids: list[str]
    status: JobStatus


_decoder = msgspec.json.Decoder(ProgressMessage)


class RedisProgress:
    """One message a batch; one thread a process listens, once somebody in it asks."""

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
        """Say that these jobs have come so far; nobody hears it where Redis does not answer."""
        if not job_ids:
            return
        told = msgspec.json.encode(ProgressMessage(tenant, list(job_ids), status))
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
            pipe.publish(redis_keys.NEWS, told)
            pipe.execute()

    def status(self, tenant: str, job_id: str) -> JobStatus | None:
        """The last thing heard of a job under way, None where Redis does not answer."""
        try:
            with self._breaker.guard(), broker_errors():
                found: JobStatus | None = self._redis.get(_key(tenant, job_id))  # type: ignore[assignment]
        except QueueUnavailableError:
            return None
        return found

    def subscribe(self, heard: Heard) -> Callable[[], None]:
        """Call `heard` from now on, in the listening thread; returns what ends it."""
        stop = self._listeners.add(heard)
        with self._lock:
            if not self._listening and not self._stop.is_set():
                self._listening = True
                self._thread.start()
        return stop

    def close(self) -> None:
        """Stop listening."""
        self._stop.set()
        with self._lock:
            self._listening = True  # whoever asks from now on begins nothing
        self._thread.join()

    def _listen(self) -> None:
        while not self._stop.is_set():
            try:
                with broker_errors(), patient(self._url) as redis:
                    self._hear(redis)
            except QueueUnavailableError as error:
                logger.debug("no news: %s", error)
                self._stop.wait(LOOK_SECONDS)

    def _hear(self, redis: Redis) -> None:
        with redis.pubsub(ignore_subscribe_messages=True) as channel:  # type: ignore[no-untyped-call]
            channel.subscribe(redis_keys.NEWS)
            while not self._stop.is_set():
                message = channel.get_message(timeout=LOOK_SECONDS)
                if message is not None:
                    self._tell(message["data"])

    def _tell(self, data: str) -> None:
        try:
            news = _decoder.decode(data)
        except msgspec.MsgspecError:
            return
        self._listeners.tell(news.tenant, news.job_ids, news.status)


def _key(tenant: str, job_id: str) -> str:
    return f"{redis_keys.STATE}{redis_keys.written((tenant, job_id))}"
