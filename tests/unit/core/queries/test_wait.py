"""Waiting for jobs: news wakes the waiter, and where news is lost it looks by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from adapters.broker.memory_progress import MemoryProgress
from core.queries.wait import JobWaiter
from core.records import JobStatus


class Log:
    """A log whose ended jobs are set by a test."""

    def __init__(self) -> None:
        self.over: dict[str, JobStatus] = {}
        self.looks = 0

    def ended(self, _tenant: str, job_ids: Sequence[str]) -> list[JobStatus | None]:
        self.looks += 1
        return [self.over.get(job_id) for job_id in job_ids]


def made() -> tuple[JobWaiter, MemoryProgress, Log]:
    """Return a waiter over news and a log that the test writes."""
    progress, log = MemoryProgress(), Log()
    return JobWaiter(progress, log.ended), progress, log


def test_what_has_ended_is_told_at_once() -> None:
    """One look is enough."""
    waiter, _, log = made()
    log.over = {"a": "done", "b": "failed"}
    assert asyncio.run(waiter.ended("t", ["a", "b"], 30.0))
    assert log.looks == 1


def test_news_wakes_the_waiter_before_its_next_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """It comes from another thread and needs no polling."""
    monkeypatch.setattr("core.queries.wait.LOOK_SECONDS", 20.0)

    async def run() -> tuple[bool, float]:
        waiter, progress, log = made()
        loop = asyncio.get_running_loop()
        began = loop.time()

        def end() -> None:
            log.over["a"] = "done"
            progress.publish("t", ["a"], "done")

        loop.call_later(0.05, lambda: loop.run_in_executor(None, end))
        return await waiter.ended("t", ["a"], 30.0), loop.time() - began

    over, took = asyncio.run(run())
    assert over
    assert took < 10.0


def test_lost_news_only_costs_half_a_second() -> None:
    """The log is looked at all the same."""

    async def run() -> bool:
        waiter, _, log = made()
        asyncio.get_running_loop().call_later(0.05, lambda: log.over.update(a="done"))
        return await waiter.ended("t", ["a"], 30.0)

    assert asyncio.run(run())


def test_the_wait_ends_when_its_time_is_over() -> None:
    """A job that has not ended by then is reported as such."""
    waiter, _, log = made()
    log.over = {"a": "done"}
    assert not asyncio.run(waiter.ended("t", ["a", "b"], 0.05))


def test_news_of_another_tenant_wakes_nobody() -> None:
    """The same job id under another tenant is another job."""

    async def run() -> int:
        waiter, progress, log = made()
        waiting = asyncio.create_task(waiter.ended("t", ["a"], 0.3))
        await asyncio.sleep(0.05)
        for _ in range(5):
            progress.publish("u", ["a"], "done")
            await asyncio.sleep(0.01)
        await waiting
        return log.looks

    assert asyncio.run(run()) == 2


def test_events_come_in_order_and_end_with_the_last() -> None:
    """Each status once, then the ending, also if news of it was lost."""

    async def run() -> list[JobStatus]:
        waiter, progress, log = made()
        steps: list[JobStatus] = ["decoding", "embedding", "settling"]

        told: list[JobStatus] = []
        async for status in waiter.events("t", "a"):
            if status is None:
                continue
            told.append(status)  # whoever works is no faster than whoever listens
            if steps:
                progress.publish("t", ["a"], steps.pop(0))
            else:
                log.over["a"] = "done"
        return told

    assert asyncio.run(run()) == ["queued", "decoding", "embedding", "settling", "done"]


def test_a_waiter_leaves_no_listener_behind() -> None:
    """The way in which the wait ends does not matter."""

    async def run() -> int:
        waiter, progress, _ = made()
        await waiter.ended("t", ["a"], 0.01)
        events = waiter.events("t", "a")
        await anext(events)
        await events.aclose()  # type: ignore[attr-defined]
        return len(progress._listeners)

    assert asyncio.run(run()) == 0
