"""Runs administrative tasks: what each kind does, and how its progress is reported."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from celery import Celery
from msgspec.structs import replace

from adapters.broker.redis_leases import RedisLeases
from adapters.reindex import rebuild
from adapters.wiring import Services
from core.admin_tasks import AdminTask, AdminTaskReport
from core.errors import MalformedError, SeenitError, StoreUnavailableError, UnavailableError
from core.ingest.sweeper import QueueState
from core.task_names import ADMIN_TASK
from core.types import ReportProgress
from worker import calibrate_task, space_tasks

RunKind = Callable[[Services, Mapping[str, str], ReportProgress], dict[str, Any]]
"""Takes the task's arguments and returns its result, ready for JSON."""
RETRY_SECONDS = 1.0
"""Between two tries to store an outcome."""
REPORT_SECONDS = 0.25
"""Shortest time between two reports of progress: each is a write to the blob store."""

logger = logging.getLogger(__name__)


class _StoppingError(Exception):
    """The process is to end: what was done stays, the rest is for another process."""


class AdminTaskRunner:
    """Runs requested tasks in the calling thread, one at a time."""

    def __init__(self, services: Services, stop: threading.Event) -> None:
        """`stop` interrupts the task that runs, at its next step."""
        self._services = services
        self._tasks = services.admin_tasks
        self._stop = stop
        self._unreported: dict[str, AdminTaskReport] = {}

    def run_waiting(self) -> None:
        """Run the tasks that wait. Raise StoreUnavailableError."""
        for task in self._tasks.waiting():
            if not self.run(task):
                return

    def run(self, task: AdminTask) -> bool:
        """Run a task and store its outcome; return False if `stop` interrupted it.

        Raise StoreUnavailableError if the outcome cannot be stored: the next call for this task
        stores it and does not run the task again.
        """
        outcome = self._unreported.get(task.task_id) or self._attempt(task)
        if outcome is None:
            return False
        self._unreported[task.task_id] = outcome
        self._tasks.report(task, outcome)
        del self._unreported[task.task_id]
        return True

    def _attempt(self, task: AdminTask) -> AdminTaskReport | None:
        """Return the outcome, good or bad; None if `stop` interrupted the task."""
        report = AdminTaskReport(status="running", tenant=task.tenant)
        due = 0.0

        def progress(done: int, total: int) -> None:
            nonlocal report, due
            if self._stop.is_set():
                raise _StoppingError
            report = replace(report, done=done, total=total)
            if time.monotonic() < due:
                return
            due = time.monotonic() + REPORT_SECONDS
            try:
                self._tasks.report(task, report)
            except SeenitError as error:  # the task goes on, its caller waits
                logger.debug("admin_progress_unwritten", extra={**about, "reason": str(error)})

        about = {"task_id": task.task_id, "kind": task.kind}
        try:
            progress(0, 0)
            result = run_kind(self._services, task.kind, task.arguments, progress)
        except _StoppingError:
            return None
        except SeenitError as error:
            return replace(report, status="failed", error=error.detail)
        except Exception:  # the process's edge: one task must not end it
            logger.exception("admin_task_failed", extra=about)
            why = f"{task.kind} failed unexpectedly; the log of the process that ran it says why"
            return replace(report, status="failed", error=why)
        return replace(report, status="done", result=result)


class AdminConsumer:
    """Runs the tasks whose ids come over Redis, each under a lease, one at a time."""

    def __init__(self, services: Services, leases: RedisLeases, stop: threading.Event) -> None:
        self._tasks = services.admin_tasks
        self._send = services.broker.queue.send_admin_task
        self._runner = AdminTaskRunner(services, stop)
        self._leases = leases
        self._stop = stop

    def register(self, app: Celery) -> None:
        """Give the application its task."""
        app.task(name=ADMIN_TASK, shared=False)(self.run)

    def run(self, task_id: str) -> None:
        """Run a task, unless it has ended or another worker runs it; the beat sends it again."""
        try:
            task = self._tasks.find(task_id)
            if task is None:
                return
            with self._leases.holding(task.lease) as ours:
                if not ours or self._tasks.find(task_id) is None:
                    return
                ended = self._run(task)
            if not ended:
                self._send(task_id)
        except UnavailableError as error:
            logger.warning("admin_task_put_off", extra={"task_id": task_id, "reason": str(error)})

    def _run(self, task: AdminTask) -> bool:
        """Return False if a stop came before the outcome was stored."""
        while True:
            try:
                return self._runner.run(task)
            except StoreUnavailableError as error:
                about = {"task_id": task.task_id, "kind": task.kind, "reason": str(error)}
                logger.warning("admin_outcome_unwritten", extra=about)
                if self._stop.wait(RETRY_SECONDS):
                    return False


def resend(services: Services, held: QueueState) -> None:
    """Send again the tasks that no worker runs, if none waits in the queue: their worker died.

    Raise StoreUnavailableError, QueueUnavailableError.
    """
    waiting = services.admin_tasks.waiting()
    if not waiting or services.broker.queue.admin_depth():
        return
    idle = held.idle([task.lease for task in waiting])
    for task in waiting:
        if task.lease in idle:
            services.broker.queue.send_admin_task(task.task_id)


def run_kind(
    services: Services, kind: str, arguments: Mapping[str, str], progress: ReportProgress
) -> dict[str, Any]:
    """Run one kind of task. Raise MalformedError for an unknown kind, and what the task raises."""
    if kind not in KINDS:
        raise MalformedError(
            f"There is no administrative task {kind!r} (known: {', '.join(sorted(KINDS))}); "
            "the process that runs tasks may be an older Seenit."
        )
    return KINDS[kind](services, arguments, progress)


def _reindex(services: Services, _: Mapping[str, str], progress: ReportProgress) -> dict[str, Any]:
    """Fill a new index from the log and swap it in; `advance` adds what came meanwhile."""
    entries, _total, records = rebuild(services, lambda done, total, _: progress(done, total))
    return {"entries": entries, "records": records}


KINDS: dict[str, RunKind] = {
    "reindex": _reindex,
    "backfill": space_tasks.backfill,
    "backfill-pixels": partial(space_tasks.refingerprint, part="pixels"),
    "backfill-features": partial(space_tasks.refingerprint, part="features"),
    "calibrate": calibrate_task.calibrate,
    "model-add": space_tasks.add,
    "model-activate": space_tasks.activate,
    "model-list": space_tasks.spaces,
}
