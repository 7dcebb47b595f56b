"""Turns of tenants: the Celery task that takes a batch of one tenant's jobs and settles it.

A tenant's next turn is sent to the end of the queue before its batch is begun, so tenants take
turns however much each has waiting, and any number of workers help a tenant that is alone. A batch
is bounded by jobs and by their estimated time. A picture that takes longer than a turn waits in a
queue of its own, whose one thread beside the others decodes one picture at a time.

A job that kills its worker must cost the jobs beside it nothing but time. After two batches whose
worker died, a job runs alone, after jobs that were in no such batch; after three workers died while
it ran alone, it is set aside. A worker killed for another reason leaves the same traces, but not
three times on the same lone job, because such a job is the last of all when it comes again.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from celery import Celery

from adapters.broker.job_queue import JobQueue
from adapters.broker.redis_leases import NEVER, DeliveryCount
from core.errors import UnavailableError
from core.ingest.sweeper import Handle, InFlightJobs
from core.task_names import COSTLY_QUEUE, INGEST_QUEUE, SETTLE_TASK
from worker.settle_task import PutBackError

TOGETHER = 2
"""Batches without an outcome after which a job goes alone."""
ALONE = 3
"""Lone tries without an outcome after which it is set aside."""
QUIET_SECONDS = 0.02
"""Time without a new job after which a batch that is not full starts."""
GATHER_SECONDS = 0.15
"""Longest time the first job of a batch waits for others."""

Outcomes = Sequence[Exception | None]
logger = logging.getLogger(__name__)


class Settles(Protocol):
    """Settles jobs of a tenant; returns None or an error for each, in order."""

    def __call__(self, tenant: str, job_ids: Sequence[str], *, bounded: bool) -> Outcomes:
        """Settle them; `bounded`: those that exceed a turn's time are put back."""


class Leases(Protocol):
    """Leases of jobs, as `RedisLeases` has them."""

    def take(self, jobs: Sequence[Handle]) -> dict[Handle, DeliveryCount]:
        """Lease the jobs that no worker holds."""

    def begin(self, jobs: Sequence[Handle], *, alone: bool) -> None:
        """Count these jobs as begun."""

    def ended(self, jobs: Sequence[Handle]) -> None:
        """Release jobs that have ended."""

    def failed(self, jobs: Sequence[Handle], *, alone: bool | None) -> None:
        """Release jobs that are to be tried again after a pause."""

    def give_back(self, jobs: Sequence[Handle], *, alone: bool | None) -> None:
        """Release jobs that were not begun, or for nothing."""


class LocalLeases:
    """Implements `Leases` where one process settles: it holds what it has enqueued."""

    def __init__(self, hand: InFlightJobs) -> None:
        self._hand = hand
        self.ended = hand.ended

    def take(self, jobs: Sequence[Handle]) -> dict[Handle, DeliveryCount]:
        """Return all of them: the process that enqueued them is the only one."""
        return dict.fromkeys(jobs, NEVER)

    def begin(self, jobs: Sequence[Handle], *, alone: bool) -> None:
        """Count nothing: decoders are processes of their own."""

    def failed(self, jobs: Sequence[Handle], *, alone: bool | None) -> None:  # noqa: ARG002 - the port's
        """Put jobs off for a while."""
        self._hand.failed(jobs)

    def give_back(self, jobs: Sequence[Handle], *, alone: bool | None) -> None:  # noqa: ARG002 - likewise
        """Let jobs be enqueued again."""
        self._hand.ended(jobs)


class TurnTask:
    """Runs the turns of both queues; one object serves all threads of a worker."""

    def __init__(
        self,
        queue: JobQueue,
        leases: Leases,
        settle: Settles,
        set_aside: Callable[[str, str], Exception | None],
        *,
        batch: int,
    ) -> None:
        self._queue = queue
        self._leases = leases
        self._settle = settle
        self._set_aside = set_aside
        self._batch = batch
        self._beside = _Company()
        self.closing = threading.Event()
        """Set when the worker takes no further turn."""

    def register(self, app: Celery, queue: str) -> None:
        """Give an application the task of one of the two queues."""
        run = self._ordinary if queue == INGEST_QUEUE else self._costly

        def turn(tenant: str, token: str) -> None:
            if self.closing.is_set():
                self._queue.pass_on(queue, tenant, token)
                return
            try:
                run(tenant, token)
            except UnavailableError as error:  # the sweeper finds tenant and jobs
                logger.warning("turn_put_off", extra={"tenant": tenant, "reason": str(error)})

        # else every other application of the process gets this very task
        app.task(name=SETTLE_TASK, shared=False)(turn)

    # --- the two kinds of turn ------------------------------------------------------------------

    def _ordinary(self, tenant: str, token: str) -> None:
        """Settle a batch, but for jobs whose workers died: these run alone."""
        taken = self._take(INGEST_QUEUE, tenant, token, self._gather(tenant))
        self._move([job for job, tried in taken.items() if _suspect(tried)], COSTLY_QUEUE)
        jobs = [job for job, tried in taken.items() if not _suspect(tried)]
        if jobs:
            with self._beside.shared():
                self._run(tenant, jobs, bounded=True)

    def _costly(self, tenant: str, token: str) -> None:
        """Settle one job; one whose workers died while nothing else runs in this process."""
        taken = self._take(COSTLY_QUEUE, tenant, token, self._queue.peek(COSTLY_QUEUE, tenant, 1))
        for job, tried in taken.items():
            if tried.alone >= ALONE:
                logger.error(
                    "job_set_aside",  # workers died of it
                    extra={"tenant": tenant, "job_id": job[1], "times": tried.alone},
                )
                self._report([job], [self._set_aside(*job)], alone=None)
            elif _suspect(tried):
                with self._beside.alone():
                    self._run(tenant, [job], alone=True)
            else:
                with self._beside.shared():
                    self._run(tenant, [job])

    # --- steps ----------------------------------------------------------------------------------

    def _gather(self, tenant: str) -> list[str]:
        """Return the jobs of a batch: a full one at once, else those that arrive for a moment."""
        until = time.monotonic() + GATHER_SECONDS
        found = self._queue.peek(INGEST_QUEUE, tenant, self._batch)
        while 0 < len(found) < self._batch and time.monotonic() < until:
            time.sleep(QUIET_SECONDS)
            before, found = found, self._queue.peek(INGEST_QUEUE, tenant, self._batch)
            if len(found) <= len(before):
                break
        return found

    def _take(
        self, queue: str, tenant: str, token: str, job_ids: Sequence[str]
    ) -> dict[Handle, DeliveryCount]:
        taken = self._queue.take(queue, tenant, token, job_ids)
        return self._leases.take([(tenant, job_id) for job_id in taken]) if taken else {}

    def _run(
        self, tenant: str, jobs: Sequence[Handle], *, bounded: bool = False, alone: bool = False
    ) -> None:
        try:
            self._leases.begin(jobs, alone=alone)
            outcomes = self._settle(tenant, [job_id for _, job_id in jobs], bounded=bounded)
        except Exception:  # the thread's edge: its jobs would be leased for good
            logger.exception("batch_lost", extra={"tenant": tenant})
            self._leases.failed(jobs, alone=None)
            return
        self._report(jobs, outcomes, alone=alone)

    def _report(self, jobs: Sequence[Handle], outcomes: Outcomes, *, alone: bool | None) -> None:
        """Release the jobs by their outcomes, and let those wait again that were put back."""
        pairs = list(zip(jobs, outcomes, strict=True))
        self._leases.ended([job for job, error in pairs if error is None])
        for queue in (INGEST_QUEUE, COSTLY_QUEUE):
            self._move(
                [job for job, error in pairs if _put_back(error) == queue],
                queue,
                alone=alone,
                front=queue == INGEST_QUEUE,
            )
        failed = [job for job, error in pairs if error is not None and not _put_back(error)]
        if failed:
            self._leases.failed(failed, alone=alone)

    def _move(
        self,
        jobs: Sequence[Handle],
        queue: str,
        *,
        alone: bool | None = None,
        front: bool = False,
    ) -> None:
        if jobs:
            self._leases.give_back(jobs, alone=alone)
            self._queue.enqueue(jobs, queue=queue, front=front)


class _Company:
    """A lock that many batches share and a lone job has for itself; it waits for none that is new.

    A worker that dies of a lone job takes no other with it, which would be blamed for it.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._sharing = 0
        self._lone = False

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Hold it beside others."""
        with self._changed:
            self._changed.wait_for(lambda: not self._lone)
            self._sharing += 1
        try:
            yield
        finally:
            with self._changed:
                self._sharing -= 1
                self._changed.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold it while no other does; one thread at a time calls this."""
        with self._changed:
            self._lone = True
            self._changed.wait_for(lambda: not self._sharing)
        try:
            yield
        finally:
            with self._changed:
                self._lone = False
                self._changed.notify_all()


def _suspect(tried: DeliveryCount) -> bool:
    return bool(tried.alone) or tried.together >= TOGETHER


def _put_back(error: Exception | None) -> str:
    return error.queue if isinstance(error, PutBackError) else ""
