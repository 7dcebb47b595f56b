"""Requests for administrative tasks and their reports, as they lie in the blob store."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from adapters.blobs.opening import open_blobs
from core import admin_tasks, keys
from core.admin_tasks import AdminTask, AdminTaskReport, AdminTasks
from core.errors import MissingError, QueueUnavailableError


def test_a_request_stays_until_its_task_has_ended_and_its_report_until_discarded() -> None:
    """Progress deletes nothing; an unknown task is an error."""
    tasks = AdminTasks(open_blobs("memory://"))
    first, second = tasks.request("backfill", {"tenant": "t"}), tasks.request("reindex")
    assert tasks.read_report(first.task_id) == AdminTaskReport(tenant="t")
    tasks.report(first, AdminTaskReport(status="running", done=1, total=3))
    assert {task.task_id for task in tasks.waiting()} == {first.task_id, second.task_id}
    failed = AdminTaskReport(status="failed", error="no model")
    tasks.report(first, failed)
    assert tasks.waiting() == [second]
    assert (tasks.find(first.task_id), tasks.find(second.task_id)) == (None, second)
    assert tasks.read_report(first.task_id) == failed
    tasks.discard(first.task_id)
    with pytest.raises(MissingError, match=first.task_id):
        tasks.read_report(first.task_id)


def test_the_same_request_many_times_at_once_is_one() -> None:
    """Another process of the API may make one more, which runs after it."""
    tasks = AdminTasks(open_blobs("memory://"))
    gate = threading.Barrier(20)

    def request(_: int) -> str:
        gate.wait()
        return tasks.request_once("reindex", {"tenant": "t"}).task_id

    with ThreadPoolExecutor(20) as pool:
        assert len(set(pool.map(request, range(20)))) == 1
    assert len(tasks.waiting()) == 1


def test_a_request_that_cannot_be_sent_is_taken_back() -> None:
    """Its caller hears why, and no worker finds it later."""

    def refuse(_: str) -> None:
        raise QueueUnavailableError("away")

    tasks = AdminTasks(open_blobs("memory://"), refuse)
    with pytest.raises(QueueUnavailableError):
        tasks.request("reindex")
    assert tasks.waiting() == []


def test_a_damaged_request_is_deleted_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    """It would be read again every half second."""
    blobs = open_blobs("memory://")
    tasks = AdminTasks(blobs)
    blobs.put([(keys.admin_request("damaged"), b"{")])
    with caplog.at_level(logging.WARNING):
        assert tasks.waiting() == []
    assert [record.message for record in caplog.records] == ["admin_request_unreadable"]
    assert list(blobs.keys(keys.ADMIN_REQUESTS)) == []


def test_a_report_that_no_caller_collects_expires(monkeypatch: pytest.MonkeyPatch) -> None:
    """It expires after a day; a request never does."""
    tasks = AdminTasks(open_blobs("memory://"))
    task, waiting = tasks.request("reindex"), tasks.request("reindex")
    tasks.report(task, AdminTaskReport(status="done"))
    tasks.expire()
    assert tasks.read_report(task.task_id).ended
    monkeypatch.setattr(admin_tasks, "KEPT_SECONDS", -60)
    tasks.expire()
    with pytest.raises(MissingError):
        tasks.read_report(task.task_id)
    assert tasks.waiting() == [waiting]


@pytest.mark.parametrize(
    ("kind", "alone"), [("reindex", True), ("backfill-pixels", True), ("backfill", False)]
)
def test_lease_is_one_for_all_tasks_of_some_kinds(kind: str, alone: bool) -> None:
    """A second one waits for the first, whichever tenant it is for."""
    one, other = (AdminTask(task_id=n, kind=kind, arguments={"tenant": n}) for n in "ab")
    assert (one.lease == other.lease) is alone
