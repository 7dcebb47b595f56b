"""Retention: purges and deletes of pictures past their period, as a caller would request them.

The blob store lists the pictures: bytes and previews are stored under ids that begin with their
time, and are gone once purged or deleted. So the oldest come first, finished work is not seen
again, and a lost index changes nothing.
"""

from __future__ import annotations

import heapq
import logging
import time
from collections.abc import Callable, Collection, Iterator
from datetime import UTC, datetime
from itertools import groupby, islice

import msgspec

from core import clock
from core.errors import SeenitError
from core.ingest.accept import Acceptor
from core.ports import Blobs
from core.queries.jobs import JobReader
from core.queries.snapshot import Snapshot, Snapshots
from core.records import Job, JobKind, Record

MOST = 1_000
"""Maximum operations of one pass over a tenant: some sixteen entries of its log."""
BUSY = 500
"""Waiting jobs above which a tenant's pass is put off, as it is not urgent."""
PART = 200
"""Pictures read from the index at once."""
EVERY_SECONDS = 3600.0
"""Seconds between two complete passes: a period is counted in days."""
SHARE = 24
"""Passes within a period that is shorter than a day."""
SOON_SECONDS = 10.0
"""Seconds until the next pass after an incomplete one."""
_DAY = 86_400.0

_job = msgspec.json.Decoder(Job)

logger = logging.getLogger(__name__)


class Retention:
    """The periodic task that enqueues purges and deletes; held records are skipped."""

    def __init__(
        self,
        snapshots: Snapshots,
        jobs: JobReader,
        acceptor: Acceptor,
        blobs: Blobs,
        *,
        bytes_days: float | None,
        records_days: float | None,
        now: Callable[[], float] = time.time,
    ) -> None:
        """Create a task that purges bytes and deletes records after some days (None: never)."""
        self._snapshots = snapshots
        self._jobs = jobs
        self._acceptor = acceptor
        self._blobs = blobs
        self._bytes = bytes_days
        self._records = records_days
        self._now = now
        self._due = float("-inf")

    def sweep(self) -> int:
        """Make a pass over every tenant if one is due; return how many operations it enqueued.

        It is cheap to call at any time. A tenant that cannot be read is left for the next pass.
        """
        days = [one for one in (self._bytes, self._records) if one is not None]
        if not days or self._now() < self._due:
            return 0
        enqueued = 0
        left = False
        for tenant in self._blobs.folders("log/"):
            try:
                found = self.retain(tenant)
            except SeenitError as error:
                logger.warning("retention_put_off", extra={"tenant": tenant, "reason": str(error)})
                left = True
                continue
            enqueued += found or 0
            left = left or found is None or found == MOST
        pause = min(EVERY_SECONDS, min(days) * _DAY / SHARE)
        self._due = self._now() + (min(pause, SOON_SECONDS) if left else pause)
        return enqueued

    def retain(self, tenant: str) -> int | None:
        """Make a pass over a tenant; return the operations enqueued, None if too many jobs wait.

        Raise SeenitError if the store or the index cannot be read.
        """
        busy = self._busy(tenant)
        if busy is None:
            return None
        wanted = list(islice(self._wanted(tenant, busy), MOST))
        # Copies go before their original, which then has fewer copies to settle again.
        self._acceptor.operations(tenant, wanted[::-1], erasure="hide")
        if wanted:
            kinds = [kind for kind, _ in wanted]
            counts = {kind: kinds.count(kind) for kind in ("delete", "purge")}
            logger.info("retention_enqueued", extra={"tenant": tenant, **counts})
        return len(wanted)

    # --- steps ----------------------------------------------------------------------------------

    def _busy(self, tenant: str) -> Collection[str] | None:
        """Return the image_ids of waiting jobs, None if more than BUSY wait."""
        waiting = list(islice(self._blobs.keys(f"pending/{tenant}/"), BUSY + 1))
        if len(waiting) > BUSY:
            return None
        jobs = self._blobs.get_many(waiting)
        return {_job.decode(data).image_id for data in jobs if data is not None}

    def _wanted(self, tenant: str, busy: Collection[str]) -> Iterator[tuple[JobKind, str]]:
        """Yield the operations that are due, oldest picture first."""
        snapshot = self._snapshots.take(tenant)
        now = self._now()
        at = clock.stamp(datetime.fromtimestamp(now, UTC))
        records = "" if self._records is None else bound(now - self._records * _DAY)
        stored = "" if self._bytes is None else bound(now - self._bytes * _DAY)
        for image_id, record in self._found(snapshot, self._below("fields", tenant, records), busy):
            if _free(record, at) if record else self._failed(snapshot, image_id):
                yield "delete", image_id
        for image_id, record in self._found(
            snapshot,
            heapq.merge(
                self._below("blobs", tenant, stored), self._below("derived", tenant, stored)
            ),
            busy,
        ):
            if image_id < records:
                continue
            if record is None:
                if self._failed(snapshot, image_id):  # it is nothing but its bytes
                    yield "delete", image_id
            elif record.state.content != "purged" and _free(record, at):
                yield "purge", image_id

    def _below(self, kind: str, tenant: str, until: str) -> Iterator[str]:
        """Yield the image_ids below a bound that have objects of a kind, oldest first."""
        prefix = f"{kind}/{tenant}/"
        for key in self._blobs.keys(prefix) if until else ():
            image_id = key[len(prefix) :].partition("/")[0]
            if image_id >= until:
                return
            yield image_id

    def _found(
        self, snapshot: Snapshot, ids: Iterator[str], busy: Collection[str]
    ) -> Iterator[tuple[str, Record | None]]:
        """Yield each id once with its record, except those with a waiting job."""
        fresh = (image_id for image_id, _ in groupby(ids) if image_id not in busy)
        while part := list(islice(fresh, PART)):
            yield from zip(part, snapshot.records(part), strict=True)

    def _failed(self, snapshot: Snapshot, image_id: str) -> bool:
        """Return whether its job failed; a missing record alone may be an index that lags."""
        if snapshot.gone([image_id]):
            return False
        job = self._jobs.latest(snapshot.tenant, image_id)
        return job is not None and job.status == "failed"


def bound(seconds: float) -> str:
    """Return a string above every UUIDv7 generated before this time (epoch seconds)."""
    digits = f"{max(0, int(seconds * 1000)):012x}"
    return f"{digits[:8]}-{digits[8:]}"


def _free(record: Record, at: str) -> bool:
    """Return whether it may be removed: not held, and not being deleted already."""
    return not record.state.closed and not record.state.held(at)
