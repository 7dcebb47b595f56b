"""Waiting for jobs to end without holding a thread: news wakes the waiter, the log is asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

from core.ports import Progress
from core.records import JobStatus

LOOK_SECONDS = 0.5
"""News may be lost, or be another process's: look this often all the same."""


class JobWaiter:
    """Async waits for the doors; `ended` (blocking) says which of some jobs the log holds."""

    def __init__(
        self,
        progress: Progress,
        ended: Callable[[str, Sequence[str]], list[JobStatus | None]],
    ) -> None:
        self._progress = progress
        self._ended = ended

    async def ended(self, tenant: str, job_ids: Sequence[str], seconds: float) -> bool:
        """Whether every job has ended, at the latest after so many seconds."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        left = list(job_ids)
        wake = asyncio.Event()
        watched = set(left)

        def heard(whose: str, job_id: str, status: JobStatus) -> None:
            if whose == tenant and job_id in watched and status in ("done", "failed"):
                loop.call_soon_threadsafe(wake.set)

        stop = self._progress.subscribe(heard)
        try:
            while True:
                wake.clear()
                found = await asyncio.to_thread(self._ended, tenant, left)
                left = [job for job, status in zip(left, found, strict=True) if status is None]
                pause = min(LOOK_SECONDS, until - loop.time())
                if not left or pause <= 0:
                    return not left
                await _either(wake, pause)
        finally:
            stop()

    async def events(self, tenant: str, job_id: str) -> AsyncIterator[JobStatus | None]:
        """Each status as it comes, the last one done or failed; None now and then meanwhile."""
        loop = asyncio.get_running_loop()
        news: asyncio.Queue[JobStatus] = asyncio.Queue()

        def heard(whose: str, which: str, status: JobStatus) -> None:
            if whose == tenant and which == job_id:
                loop.call_soon_threadsafe(news.put_nowait, status)

        stop = self._progress.subscribe(heard)
        told: JobStatus | None = None
        try:
            while True:
                status, present = await asyncio.to_thread(self._present, tenant, job_id)
                if status is not None:
                    yield status
                    return
                if present not in (told, "done", "failed"):
                    told = present
                    yield present
                try:
                    async with asyncio.timeout(LOOK_SECONDS):
                        status = await news.get()
                except TimeoutError:
                    yield None
                    continue
                if status not in (told, "done", "failed"):
                    told = status
                    yield status
        finally:
            stop()

    def _present(self, tenant: str, job_id: str) -> tuple[JobStatus | None, JobStatus]:
        """How it ended, None where it has not, and what was last heard: both may be far away."""
        (status,) = self._ended(tenant, [job_id])
        return status, self._progress.status(tenant, job_id) or "queued"


async def _either(wake: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await wake.wait()
    except TimeoutError:
        return
