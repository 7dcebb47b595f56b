"""Scheduling of batches: each of N threads settles one batch of one tenant at a time.

A job that kills its worker must cost the jobs beside it nothing but time. After two batches whose
worker died, a job runs alone, after jobs that were in no such batch; after three workers died while
it ran alone, it is set aside. A worker killed for another reason leaves the same traces, but not
three times on the same lone job, because lone jobs run in random order.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from itertools import chain

from adapters.broker.redis_leases import NEVER, DeliveryCount, RedisLeases
from core.ingest.sweeper import Handle
from core.metrics import UNMETERED, Meter
from core.supervision import SupervisedThread
from worker.batch_task import ReceivedMessage, Settle

TOGETHER = 2
"""Batches without an outcome after which a job goes alone."""
ALONE = 3
"""Lone tries without an outcome after which it is set aside."""
PATIENCE = 4
"""Batches that a lone job waits for: a queue that is never empty must not leave it behind."""

QUIET_SECONDS = 0.02
"""Silence after which a batch that is not full starts: messages arrive about one a millisecond."""
GATHER_SECONDS = 0.15
"""Longest time the first job of a batch waits for others."""

logger = logging.getLogger(__name__)


class BatchScheduler:
    """Implements `BatchIntake`: leases the jobs received, and settles them in its threads."""

    def __init__(
        self,
        hand: RedisLeases,
        settle: Settle,
        set_aside: Callable[[str, str], Exception | None],
        *,
        batch: int,
        flights: int,
        meter: Meter = UNMETERED,
    ) -> None:
        self._hand = hand
        self._settle = settle
        self._set_aside = set_aside
        self._batch = batch
        self._meter = meter
        self._changed = threading.Condition()
        self._waiting: dict[str, deque[ReceivedMessage]] = {}
        self._suspects: list[tuple[ReceivedMessage, DeliveryCount]] = []
        self._under_way = 0
        self._lone = False
        self._passed = 0
        self._first = self._last = 0.0
        self._over = threading.Event()
        self._threads = [
            SupervisedThread(f"flight-{n}", self._run, self._over, meter=meter)
            for n in range(flights)
        ]

    def start(self) -> None:
        """Start the threads that settle."""
        for thread in self._threads:
            thread.start()

    def receive(self, received: Sequence[ReceivedMessage]) -> None:
        """Lease the jobs and queue them; drop and acknowledge jobs that a living worker holds."""
        taken = self._hand.take([one.job for one in received])
        fresh: list[ReceivedMessage] = []
        left = set(taken)
        for one in received:
            if one.job in left:
                left.discard(one.job)
                fresh.append(one)
                if one.sent is not None:
                    self._meter.waited("transit", time.time() - one.sent)
            else:
                one.acknowledge()
        with self._changed:
            if self._over.is_set():  # unacknowledged, they go back to the queue
                self._hand.give_back([one.job for one in fresh])
                return
            self._last = time.monotonic()
            if not self._waiting:
                self._first = self._last
            for one in fresh:
                tried = taken[one.job]
                if tried.alone or tried.together >= TOGETHER:
                    self._suspects.insert(
                        random.randint(0, len(self._suspects)),  # noqa: S311  no secret
                        (one, tried),
                    )
                else:
                    self._waiting.setdefault(one.job[0], deque()).append(one)
            self._changed.notify_all()

    def close(self) -> None:
        """Give back jobs that were not begun, and wait for batches under way."""
        with self._changed:
            self._over.set()
            left = [*chain(*self._waiting.values()), *(one for one, _ in self._suspects)]
            self._waiting.clear()
            self._suspects.clear()
            self._changed.notify_all()
        self._hand.give_back([one.job for one in left])
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not (self._over.is_set() or self._may_go()):
                    self._changed.wait(QUIET_SECONDS if self._waiting and not self._lone else None)
                if self._over.is_set():
                    return
                batch, tried = self._next()
                self._under_way += 1
            try:
                self._fly(batch, tried)
            except Exception:  # the thread's edge: without it nothing would be settled any more
                logger.exception("batch_lost", extra={"tenant": batch[0].job[0]})
                self._hand.failed([one.job for one in batch], alone=None)
            finally:
                with self._changed:
                    self._under_way -= 1
                    self._lone = False
                    self._changed.notify_all()

    def _may_go(self) -> bool:
        """Return whether a batch may start; beside a lone job none does, or it could be blamed."""
        if self._lone:
            return False
        if self._turn_of_suspects():
            return not self._under_way
        return bool(self._waiting) and self._gathered()

    def _gathered(self) -> bool:
        """Return whether a batch is full, or no further job is likely soon."""
        if sum(map(len, self._waiting.values())) >= self._batch:
            return True
        now = time.monotonic()
        return now - self._last >= QUIET_SECONDS or now - self._first >= GATHER_SECONDS

    def _turn_of_suspects(self) -> bool:
        return bool(self._suspects) and (not self._waiting or self._passed >= PATIENCE)

    def _next(self) -> tuple[list[ReceivedMessage], DeliveryCount]:
        """Take a batch of one tenant, the tenants in turn, or a lone suspect if it is its turn."""
        if self._turn_of_suspects():
            self._lone, self._passed = True, 0
            one, tried = self._suspects.pop()
            return [one], tried
        self._passed += 1
        tenant, waiting = next(iter(self._waiting.items()))
        del self._waiting[tenant]
        batch = [waiting.popleft() for _ in range(min(self._batch, len(waiting)))]
        if waiting:
            self._waiting[tenant] = waiting
        return batch, NEVER

    def _fly(self, batch: Sequence[ReceivedMessage], tried: DeliveryCount) -> None:
        jobs = [one.job for one in batch]
        alone = self._lone or (len(jobs) == 1 and len(self._threads) == 1)
        tenant = jobs[0][0]
        if tried.alone >= ALONE:
            logger.error(
                "job_set_aside",  # workers died of it
                extra={"tenant": tenant, "job_id": jobs[0][1], "times": tried.alone},
            )
            errors: Sequence[Exception | None] = [self._set_aside(*jobs[0])]
            self._tell(jobs, errors, alone=None)
        else:
            self._hand.begin(jobs, alone=alone)
            errors = self._settle(tenant, [job_id for _, job_id in jobs])
            self._tell(jobs, errors, alone=alone)
        for one in batch:
            one.acknowledge()

    def _tell(
        self, jobs: Sequence[Handle], errors: Sequence[Exception | None], *, alone: bool | None
    ) -> None:
        pairs = list(zip(jobs, errors, strict=True))
        self._hand.ended([job for job, error in pairs if error is None])
        failed = [job for job, error in pairs if error is not None]
        if failed:
            self._hand.failed(failed, alone=alone)
