"""Changes of records: requested as jobs, and answered once the log holds them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary

from msgspec import UNSET
from msgspec.structs import replace

from adapters.wiring import Services
from api.auth import RANK, Caller
from api.etags import matched
from api.problems import BusyError, DetailedError
from api.schemas.images import Erased
from api.schemas.requests import RecordPatch
from core.errors import ConflictError, ForbiddenError, PendingError, PreconditionError, named
from core.queries.jobs import JobState
from core.queries.joined_views import RecordView
from core.records import Fields, Job, JobKind
from core.types import Erasure, Value

EDITED = "other calls are editing this record: nothing was changed; retry later"


class RecordLocks:
    """Locks by record, so that edits within this process do not keep colliding."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def take(self, tenant: str, image_id: str, until: float) -> AsyncIterator[None]:
        """Hold a record's lock. Raise BusyError if it is not free by `until` (loop time)."""
        lock = self._locks.setdefault((tenant, image_id), asyncio.Lock())
        try:
            async with asyncio.timeout_at(until):
                await lock.acquire()
        except TimeoutError:
            raise BusyError(EDITED) from None
        try:
            yield
        finally:
            lock.release()


class RecordChanges:
    """The changes of records: each an operation, answered once the log holds it."""

    def __init__(self, services: Services) -> None:
        self._reader = services.reader
        self._acceptor = services.acceptor
        self._jobs = services.jobs
        self._waiter = services.waiter
        self._snapshots = services.snapshots
        self._seconds = services.settings.operation_seconds
        self._locks = RecordLocks()

    async def change(
        self,
        caller: Caller,
        kind: JobKind,
        image_id: str,
        if_match: str | None,
        *,
        value: Value | None = None,
        reason: str | None = None,
    ) -> RecordView:
        """Purge or decide a picture and return its record.

        Raise PendingError, PreconditionError.
        """
        seen = await asyncio.to_thread(self._reader.record, caller.tenant, image_id)
        job = await asyncio.to_thread(
            self._acceptor.operate,
            caller.tenant,
            kind,
            image_id,
            fields=None if reason is None else Fields(reason=reason),
            if_match=matched(if_match, seen.record.state.revision),
            value=value,
        )
        await self._settled(job)
        return await asyncio.to_thread(self._reader.record, caller.tenant, image_id)

    async def edit(
        self,
        caller: Caller,
        image_id: str,
        *,
        if_match: str | None,
        patch: RecordPatch,
    ) -> RecordView:
        """Merge a patch into the fields of a record, and return the record.

        The patch is merged into one revision and settled only for that one, so that two edits at
        the same time do not undo each other: the later one is merged into the result of the first.
        Raise ForbiddenError if a caller below moderator sets `hold_until`, BusyError, PendingError,
        and PreconditionError if the revision is not the one in `if_match`.
        """
        if patch.hold_until is not UNSET and RANK[caller.role] < RANK["moderate"]:
            raise ForbiddenError(
                f"hold_until takes a key of role moderate or admin, and yours has {caller.role}",
                field="hold_until",
            )
        loop = asyncio.get_running_loop()
        until = loop.time() + self._seconds
        async with self._locks.take(caller.tenant, image_id, until):
            while True:
                try:
                    return await self._edited(caller.tenant, image_id, patch, if_match=if_match)
                except PreconditionError:
                    if if_match is not None:
                        raise
                    if loop.time() > until:
                        break
        raise BusyError(EDITED)

    async def _edited(
        self,
        tenant: str,
        image_id: str,
        patch: RecordPatch,
        *,
        if_match: str | None,
    ) -> RecordView:
        """Try an edit once. Raise PreconditionError if the record has changed meanwhile."""
        seen = await asyncio.to_thread(self._reader.record, tenant, image_id)
        revision = seen.record.state.revision
        matched(if_match, revision)
        fields = patch.merged(seen.record.fields)
        changed = fields != seen.record.fields
        if not changed and patch.hold_until in (UNSET, seen.record.state.hold_until):
            return seen  # nothing changes, so nothing is written
        job = await asyncio.to_thread(
            self._acceptor.operate,
            tenant,
            "edit",
            image_id,
            fields=fields if changed else None,
            if_match=revision,
            hold_until=patch.hold_until,
        )
        await self._settled(job)
        return await asyncio.to_thread(self._reader.record, tenant, image_id)

    async def delete(
        self, caller: Caller, image_id: str, if_match: str | None, *, forget: bool = False
    ) -> None:
        """Delete a picture, settled, waiting or failed.

        Raise ForbiddenError if a caller below admin wants to `forget` what an earlier delete hid.
        """
        erasure = _erasure(caller, forget=forget)
        expected = None
        if if_match is None:
            await asyncio.to_thread(self._reader.check_erasable, caller.tenant, image_id, erasure)
        else:
            seen = await asyncio.to_thread(self._reader.record, caller.tenant, image_id)
            expected = matched(if_match, seen.record.state.revision)
        job = await asyncio.to_thread(
            self._acceptor.operate,
            caller.tenant,
            "delete",
            image_id,
            if_match=expected,
            erasure=erasure,
        )
        await self._settled(job)

    async def erase(self, caller: Caller, owner_id: str) -> Erased:
        """Delete every picture of an owner, one operation each; workers settle the rest later.

        Raise DetailedError (409) once all have ended and some are held: the others are deleted.
        """
        jobs = await asyncio.to_thread(self._erase, caller, owner_id)
        ids = [job.job_id for job in jobs]
        await self._waiter.ended(caller.tenant, ids, self._seconds)
        found = await asyncio.to_thread(self._jobs.jobs, caller.tenant, ids)
        ended = [job for job in found if job is not None and job.status in ("done", "failed")]
        # A job that failed with GoneError: another call deleted the picture meanwhile.
        kept = [job for job in ended if job.problem and job.problem.type == ConflictError.type]
        erased = Erased(
            owner_id=owner_id,
            matched=len(ids),
            deleted=len(ended) - len(kept),
            waiting=len(ids) - len(ended),
        )
        if not kept:
            return erased
        erased = replace(erased, held=len(kept))
        if erased.waiting:
            return erased
        until = await asyncio.to_thread(self._latest, caller.tenant, kept)
        left = f"{len(kept)} of {len(ids)} pictures are held, the last one until {until}"
        raise DetailedError(ConflictError(f"{left}; the others are deleted"), erased=erased)

    async def _settled(self, job: Job) -> None:
        """Wait until the log holds a job. Raise PendingError, or the error that it failed with."""
        seconds = self._seconds
        if not await self._waiter.ended(job.tenant, [job.job_id], seconds):
            raise PendingError(
                f"accepted as job {job.job_id}, not settled within {seconds:g} s; it will be: "
                f"GET /v1/jobs/{job.job_id} shows it"
            )
        outcome = await asyncio.to_thread(self._jobs.job, job.tenant, job.job_id)
        if outcome.problem is not None:
            raise named(outcome.problem.type, outcome.problem.detail)

    def _latest(self, tenant: str, kept: list[JobState]) -> str:
        """Return the time (RFC 3339) at which the last of some held pictures may be deleted."""
        records = self._snapshots.take(tenant).records([job.image_id for job in kept])
        times = [
            one.state.hold_until for one in records if one is not None and one.state.hold_until
        ]
        return max(times, default="now")

    def _erase(self, caller: Caller, owner_id: str) -> list[Job]:
        owned = self._reader.owned(caller.tenant, owner_id)
        return self._acceptor.operations(
            caller.tenant,
            [("delete", image_id) for image_id in owned],
            erasure=_erasure(caller, forget=False),
        )


def _erasure(caller: Caller, *, forget: bool) -> Erasure:
    """Return what a caller's delete does with a block: only an admin may remove it."""
    if RANK[caller.role] < RANK["admin"]:
        if forget:
            raise ForbiddenError(
                f"forget takes a key of role admin, and yours has {caller.role}", field="forget"
            )
        return "hide"
    return "forget" if forget else "erase"
