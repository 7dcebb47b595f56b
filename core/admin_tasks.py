"""Administrative tasks (reindex, backfill, …) as they are requested, reported and found again."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal
from uuid import uuid4

import msgspec

from core import clock, keys
from core.errors import MissingError, QueueUnavailableError
from core.ports import Blobs

KEPT_SECONDS = 24 * 3600
"""Age at which a report is deleted that no caller has collected."""
_ALONE = frozenset({"reindex", "backfill-pixels", "backfill-features"})
"""Kinds that run one at a time in the whole service: a second reindex would begin by clearing away
what the first has made so far, a second backfill would do its work twice."""

_ID = re.compile("[0-9a-f]{32}")

logger = logging.getLogger(__name__)


class AdminTask(msgspec.Struct, frozen=True, kw_only=True):
    """A request for one administrative task."""

    task_id: str
    kind: str
    """One of the kinds in `worker/admin_tasks.py`."""
    arguments: dict[str, str] = {}
    requested_at: str = ""

    @property
    def tenant(self) -> str | None:
        """The one tenant it is for; None for all of them."""
        return self.arguments.get("tenant")

    @property
    def lease(self) -> tuple[str, str]:
        """The lease a worker holds while it runs this task, beside those of jobs (no tenant)."""
        return "", self.kind if self.kind in _ALONE else self.task_id


class AdminTaskReport(msgspec.Struct, frozen=True, kw_only=True):
    """Progress and outcome of a task, counted in log entries, pictures or tenants."""

    status: Literal["queued", "running", "done", "failed"] = "queued"
    tenant: str | None = None
    """The one tenant the task was requested for; None for all of them."""
    done: int = 0
    total: int = 0
    result: dict[str, Any] = {}
    """The outcome, ready for JSON; empty until the task is done."""
    error: str | None = None

    @property
    def ended(self) -> bool:
        """Return whether the task has ended, well or not."""
        return self.status in ("done", "failed")


class AdminTasks:
    """Requests and reports in the blob store: none is lost with a broker or a process.

    A request stays until its task has ended, so a task whose process died is found and run again.
    Every method raises StoreUnavailableError if the blob store does not answer.
    """

    def __init__(self, blobs: Blobs, send: Callable[[str], object] = lambda _: None) -> None:
        """`send` passes a task's id to a worker, if workers are other processes."""
        self._blobs = blobs
        self._send = send
        self._once = threading.Lock()

    def request_once(self, kind: str, arguments: Mapping[str, str]) -> AdminTask:
        """Return a task like this one that has not ended, else request it. Raise as `request`.

        Calls at the same moment in one process make one request.
        """
        with self._once:
            same = (t for t in self.waiting() if (t.kind, t.arguments) == (kind, arguments))
            return next(same, None) or self.request(kind, arguments)

    def request(self, kind: str, arguments: Mapping[str, str] | None = None) -> AdminTask:
        """Store a request and send it to a worker. Raise QueueUnavailableError; then it is gone."""
        task = AdminTask(
            task_id=uuid4().hex,
            kind=kind,
            arguments=dict(arguments or {}),
            requested_at=clock.now(),
        )
        self._blobs.put([(keys.admin_request(task.task_id), msgspec.json.encode(task))])
        try:
            self._send(task.task_id)
        except QueueUnavailableError:
            self.discard(task.task_id)
            raise
        return task

    def waiting(self) -> list[AdminTask]:
        """Return the requests whose task has not ended, oldest first."""
        found = self._read(list(self._blobs.keys(keys.ADMIN_REQUESTS)))
        return sorted(found, key=lambda task: task.requested_at)

    def find(self, task_id: str) -> AdminTask | None:
        """Return a request whose task has not ended, or None."""
        return next(iter(self._read([keys.admin_request(task_id)])), None)

    def report(self, task: AdminTask, report: AdminTaskReport) -> None:
        """Replace the task's report; if the task has ended, delete its request."""
        self._blobs.put([(keys.admin_report(task.task_id), msgspec.json.encode(report))])
        if report.ended:
            self._blobs.delete([keys.admin_request(task.task_id)])

    def read_report(self, task_id: str, tenant: str | None = None) -> AdminTaskReport:
        """Return the newest report.

        Raise MissingError for an unknown id and, with a `tenant`, for a task of another one.
        """
        report = self._newest_report(task_id) if _ID.fullmatch(task_id) else None
        if report is not None and tenant in (None, report.tenant):
            return report
        raise MissingError(f"There is no administrative task {task_id}.")

    def _newest_report(self, task_id: str) -> AdminTaskReport | None:
        for _ in range(2):  # the task may end between two reads
            (data,) = self._blobs.get_many([keys.admin_report(task_id)])
            if data is not None:
                return msgspec.json.decode(data, type=AdminTaskReport)
            if (task := self.find(task_id)) is not None:
                return AdminTaskReport(tenant=task.tenant)
        return None

    def discard(self, task_id: str) -> None:
        """Delete the request and its report; a task that runs goes on."""
        self._blobs.delete([keys.admin_request(task_id), keys.admin_report(task_id)])

    def expire(self) -> None:
        """Delete reports that were not collected within a day."""
        until = time.time() - KEPT_SECONDS
        reports = self._blobs.modified(keys.ADMIN_REPORTS)
        self._blobs.delete([key for key, written in reports if written < until])

    def _read(self, names: Sequence[str]) -> list[AdminTask]:
        found = []
        for name, data in zip(names, self._blobs.get_many(names), strict=True):
            if data is None:
                continue
            try:
                found.append(msgspec.json.decode(data, type=AdminTask))
            except msgspec.DecodeError as error:
                logger.warning(
                    "admin_request_unreadable", extra={"key": name, "reason": str(error)}
                )
                self._blobs.delete([name])
        return found
