"""Waiting for jobs to end without holding a thread: events wake it, the log decides."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress

from core.ports import Progress
from core.records import JobStatus

LOOK_SECONDS = 0.5
"""Seconds between reads of the log, as events may be lost or sent to another process."""


class JobWaiter:
    """Asynchronous waits for the API; `ended` (blocking) returns statuses from the log."""

    def __init__(
        self,
        progress: Progress,
        ended: Callable[[str, Sequence[str]], list[JobStatus | None]],
    ) -> None:
        self._progress = progress
        self._ended = ended

    async def ended(self, tenant: str, job_ids: Sequence[str], seconds: float) -> bool:
        """Wait at most `seconds` for jobs; return whether all have ended."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        left = list(job_ids)
        wake = asyncio.Event()
        watched = set(left)

        def on_status(whose: str, job_id: str, status: JobStatus) -> None:
            if whose == tenant and job_id in watched and status in ("done", "failed"):
                loop.call_soon_threadsafe(wake.set)

        stop = self._progress.subscribe(on_status)
        try:
            while True:
                wake.clear()
                found = await asyncio.to_thread(self._ended, tenant, left)
                left = [job for job, status in zip(left, found, strict=True) if status is None]
                pause = min(LOOK_SECONDS, until - loop.time())
                if not left or pause <= 0:
                    return not left
                with suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await wake.wait()
        finally:
            stop()

    async def events(self, tenant: str, job_id: str) -> AsyncIterator[JobStatus | None]:
        """Yield each status up to `done` or `failed`, and None while nothing changes."""
        loop = asyncio.get_running_loop()
        statuses: asyncio.Queue[JobStatus] = asyncio.Queue()

        def on_status(whose: str, which: str, status: JobStatus) -> None:
            if whose == tenant and which == job_id:
                loop.call_soon_threadsafe(statuses.put_nowait, status)

        stop = self._progress.subscribe(on_status)
        last: JobStatus | None = None
        try:
            while True:
                status, present = await asyncio.to_thread(self._present, tenant, job_id)
                if status is not None:
                    yield status
                    return
                if present not in (last, "done", "failed"):
                    last = present
                    yield present
                try:
                    async with asyncio.timeout(LOOK_SECONDS):
                        status = await statuses.get()
                except TimeoutError:
                    yield None
                    continue
                if status not in (last, "done", "failed"):
                    last = status
                    yield status
        finally:
            stop()

    def _present(self, tenant: str, job_id: str) -> tuple[JobStatus | None, JobStatus]:
        """Return how a job ended, None if it has not, and its last published status."""
        (status,) = self._ended(tenant, [job_id])
        return status, self._progress.status(tenant, job_id) or "queued"
