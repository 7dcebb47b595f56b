"""Acceptance: once it returns, an upload or an operation is never lost.

It needs the blob store only. Bytes and fields are written first, then the pending job, then the
queue: a call that breaks off in between is finished by the caller's repeat (the same
Idempotency-Key returns the same ids), or was never acknowledged.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path

import msgspec
from msgspec import UNSET, UnsetType

from core import clock, keys
from core.errors import (
    ConflictError,
    ExistsError,
    GoneError,
    KeyReusedError,
    MalformedError,
    MissingError,
    SeenitError,
    StoreUnavailableError,
    UnavailableError,
)
from core.event_log import audit
from core.imaging import decode_cost
from core.imaging.decoding import inspect
from core.ingest.backpressure import BacklogLimit
from core.metrics import UNMETERED, Meter
from core.ports import Blobs, Queue
from core.records import Fields, Job, JobKind
from core.storage.picture_store import PictureStore
from core.task_names import picture_of
from core.types import Erasure, Header, Limits, Value

KEY_SECONDS = 24 * 3600.0
"""Lifetime of an Idempotency-Key, in seconds."""
FREE_BYTES = 256 * 1024 * 1024
"""Free bytes on the device below which uploads are refused."""

logger = logging.getLogger(__name__)


class Upload(msgspec.Struct, frozen=True, kw_only=True):
    """A file that the API wrote to disk and hashed; accepting takes it over."""

    path: Path
    filename: str | None
    sha256: str
    md5: str
    bytes: int


class AcceptedJobs(msgspec.Struct, frozen=True):
    """A job or error for each upload, in order, and whether an earlier call created them."""

    items: list[Job | SeenitError]
    replayed: bool = False


class UsedKey(msgspec.Struct, frozen=True, kw_only=True):
    """The stored use of an Idempotency-Key: its ids, and the digest of its content."""

    ids: tuple[str, ...]
    digest: str
    at: str


class Acceptor:
    """The entry of uploads and operations: makes them durable and enqueues them."""

    def __init__(
        self,
        blobs: Blobs,
        shelf: PictureStore,
        queue: Queue,
        limits: Limits,
        new_id: Callable[[], str],
        *,
        meter: Meter = UNMETERED,
        backlog: BacklogLimit | None = None,
    ) -> None:
        """Create an acceptor; without a `backlog` the number of waiting jobs is not limited."""
        self._meter = meter
        self._blobs = blobs
        self._shelf = shelf
        self._queue = queue
        self._limits = limits
        self._new_id = new_id
        self._backlog = backlog

    def admit(self, tenant: str, *, repeat: bool = False) -> None:
        """Check that uploads are accepted, before their bytes are read.

        Raise StoreUnavailableError if the disk is full, BacklogError if too many jobs wait. The
        backlog does not apply to a possible `repeat` of an accepted upload.
        """
        free = self._blobs.free()
        if free is not None and free < FREE_BYTES:
            raise StoreUnavailableError(
                f"the disk is full ({free} bytes are free, limit {FREE_BYTES}): free some space"
            )
        if self._backlog is not None and not repeat:
            self._backlog.check(tenant)

    def uploads(
        self,
        tenant: str,
        uploads: Sequence[Upload | SeenitError],
        fields: Fields,
        *,
        keep_bytes: bool = True,
        key: str | None = None,
    ) -> AcceptedJobs:
        """Accept the files that are pictures by their headers; return an error for each other.

        Write their bytes and fields, then the pending jobs, then enqueue them. A known
        Idempotency-Key returns the same ids, and jobs that have not ended are written again.

        Raise MalformedError if `external_id` comes with several files, KeyReusedError if the
        Idempotency-Key was used for other content, StoreUnavailableError if the disk is full,
        BacklogError if too many jobs wait.
        """
        if fields.external_id is not None and len(uploads) > 1:
            raise MalformedError(
                f"external_id names one picture, but the request has {len(uploads)} files: "
                "send one file in each request",
                field="external_id",
            )
        self.admit(tenant, repeat=key is not None)
        checked = [self._inspect(upload) for upload in uploads]
        wanted = [pair for pair in checked if not isinstance(pair, SeenitError)]
        ids = tuple(self._new_id() for _ in wanted)
        replayed = False
        if key is not None:
            digest = _digest(uploads, fields, keep_bytes)
            ids, replayed = self._claim(tenant, key, digest, ids)
        jobs = [
            _ingest_job(tenant, image_id, upload, header, keep_bytes=keep_bytes)
            for image_id, (upload, header) in zip(ids, wanted, strict=True)
        ]
        ended: set[str] = self._ended(tenant, jobs) if replayed else set()
        self._write(tenant, jobs, wanted, fields, ended)
        made = iter(jobs)
        items = [item if isinstance(item, SeenitError) else next(made) for item in checked]
        return AcceptedJobs(items=items, replayed=replayed)

    def operate(
        self,
        tenant: str,
        kind: JobKind,
        image_id: str,
        *,
        fields: Fields | None = None,
        if_match: int | None = None,
        value: Value | None = None,
        hold_until: str | UnsetType | None = UNSET,
        erasure: Erasure = "erase",
    ) -> Job:
        """Create an operation to be settled in the order of the log; no backlog applies."""
        op_id = self._new_id()
        if fields is not None:
            self._shelf.write_fields(tenant, [(image_id, op_id, fields)])
        job = Job(
            job_id=op_id,
            tenant=tenant,
            image_id=image_id,
            kind=kind,
            accepted_at=clock.now(),
            fields=op_id if fields is not None else None,
            if_match=if_match,
            value=value,
            hold_until=hold_until,
            erasure=erasure,
        )
        self._promise(tenant, [job])
        return job

    def operations(
        self, tenant: str, wanted: Sequence[tuple[JobKind, str]], *, erasure: Erasure
    ) -> list[Job]:
        """Create one operation for each of many pictures, in order, with one flush for all."""
        jobs = [
            Job(
                job_id=self._new_id(),
                tenant=tenant,
                image_id=image_id,
                kind=kind,
                accepted_at=clock.now(),
                erasure=erasure,
            )
            for kind, image_id in wanted
        ]
        if jobs:
            self._promise(tenant, jobs)
        return jobs

    def retry(self, tenant: str, job_id: str) -> Job:
        """Retry a failed upload as a new job. Raise MissingError, GoneError, ConflictError."""
        image_id = picture_of(job_id)
        if any(
            self._blobs.exists([keys.tombstone(tenant, image_id), keys.hidden(tenant, image_id)])
        ):
            raise GoneError(f"picture {image_id} was deleted")
        if not self._blobs.exists([keys.blob(tenant, image_id)])[0]:
            raise MissingError(f"no bytes are stored for job {job_id}")
        tries = [image_id, *self._tries(tenant, image_id)]
        if job_id not in tries:
            raise MissingError(f"there is no job {job_id}")
        if self._blobs.exists([keys.pending(tenant, tries[-1])])[0]:
            raise ConflictError(f"job {tries[-1]} has not ended yet: wait for it, then retry")
        data = self._blobs.get(keys.blob(tenant, image_id))
        header = inspect(data, self._limits)
        job = Job(
            job_id=f"{image_id}.{len(tries)}",
            tenant=tenant,
            image_id=image_id,
            kind="ingest",
            accepted_at=clock.now(),
            fields=image_id,
            sha256=hashlib.sha256(data).hexdigest(),
            md5=hashlib.md5(data, usedforsecurity=False).hexdigest(),
            bytes=len(data),
            format=header.format,
            cost=decode_cost.seconds(header, data),
            keep_bytes=self._shelf.fields(tenant, image_id, image_id).keep_bytes,
        )
        self._promise(tenant, [job])
        return job

    # --- steps ----------------------------------------------------------------------------------

    def _tries(self, tenant: str, image_id: str) -> list[str]:
        """Return the job_ids of all retries, oldest first: each is pending or has a done mark."""
        n = 1
        tries: list[str] = []
        while True:
            job_id = f"{image_id}.{n}"
            if not any(
                self._blobs.exists([keys.done(tenant, job_id), keys.pending(tenant, job_id)])
            ):
                return tries
            tries.append(job_id)
            n += 1

    def _inspect(self, upload: Upload | SeenitError) -> tuple[Upload, Header] | SeenitError:
        if isinstance(upload, SeenitError):
            return upload
        try:
            return upload, inspect(upload.path, self._limits)
        except SeenitError as error:
            return error

    def _claim(
        self, tenant: str, key: str, digest: str, ids: tuple[str, ...]
    ) -> tuple[tuple[str, ...], bool]:
        """Claim an Idempotency-Key; return its ids, and whether it was claimed before.

        Raise KeyReusedError if it was used for other content, or for more or fewer pictures.
        """
        name = hashlib.sha256(key.encode()).hexdigest()
        mine = UsedKey(ids=ids, digest=digest, at=clock.now())
        while True:
            taken = list(self._blobs.keys(f"keys/{tenant}/{name}/"))
            if taken:
                last = msgspec.json.decode(self._blobs.get(taken[-1]), type=UsedKey)
                if clock.seconds_since(last.at) < KEY_SECONDS:
                    return _ids_of(last, mine), True
            self.admit(tenant)
            try:
                place = keys.idempotency(tenant, name, len(taken))
                self._blobs.create(place, msgspec.json.encode(mine))
            except ExistsError:
                continue
            return ids, False

    def _ended(self, tenant: str, jobs: Sequence[Job]) -> set[str]:
        """Return the jobs that have a done mark, or whose picture was deleted."""
        done = self._blobs.exists([keys.done(tenant, job.job_id) for job in jobs])
        dead = self._blobs.exists([keys.tombstone(tenant, job.image_id) for job in jobs])
        return {job.job_id for job, a, b in zip(jobs, done, dead, strict=True) if a or b}

    def _write(
        self,
        tenant: str,
        jobs: Sequence[Job],
        files: Sequence[tuple[Upload, Header]],
        fields: Fields,
        ended: AbstractSet[str],
    ) -> None:
        """Write bytes, fields and pending job of each upload that has not ended, and enqueue it."""
        pairs = [
            (job, upload)
            for job, (upload, _) in zip(jobs, files, strict=True)
            if job.job_id not in ended
        ]
        if not pairs:
            return
        self._blobs.put([(keys.blob(tenant, job.image_id), upload.path) for job, upload in pairs])
        self._shelf.write_fields(
            tenant,
            [
                (
                    job.image_id,
                    job.image_id,
                    msgspec.structs.replace(
                        fields, filename=upload.filename, keep_bytes=job.keep_bytes
                    ),
                )
                for job, upload in pairs
            ],
        )
        self._promise(tenant, [job for job, _ in pairs])

    def _promise(self, tenant: str, jobs: Sequence[Job]) -> None:
        self._blobs.create_many(
            [(keys.pending(tenant, job.job_id), msgspec.json.encode(job)) for job in jobs]
        )
        for job in jobs:
            audit.accepted(self._meter, job)
        try:
            self._queue.enqueue([(tenant, job.job_id) for job in jobs])
        except UnavailableError as error:
            self._meter.count("unavailable", reason=error.type, at="accept")
            logger.warning(
                "enqueue_failed",  # the sweeper enqueues them
                extra={
                    "tenant": tenant,
                    "job_ids": [job.job_id for job in jobs],
                    "reason": str(error),
                },
            )


def _ingest_job(
    tenant: str, image_id: str, upload: Upload, header: Header, *, keep_bytes: bool
) -> Job:
    return Job(
        job_id=image_id,
        tenant=tenant,
        image_id=image_id,
        kind="ingest",
        accepted_at=clock.now(),
        fields=image_id,
        sha256=upload.sha256,
        md5=upload.md5,
        bytes=upload.bytes,
        format=header.format,
        cost=decode_cost.seconds(header, upload.path),
        keep_bytes=keep_bytes,
    )


def _ids_of(last: UsedKey, mine: UsedKey) -> tuple[str, ...]:
    """Return the ids of a used key if this is the same request. Raise KeyReusedError."""
    if last.digest != mine.digest:
        raise KeyReusedError(
            "this Idempotency-Key was used for other content; use a new key",
            field="Idempotency-Key",
        )
    if len(last.ids) != len(mine.ids):
        raise KeyReusedError(
            f"{len(last.ids)} files were accepted under this Idempotency-Key, now {len(mine.ids)} "
            "would be, as the limits have changed since: use a new key",
            field="Idempotency-Key",
        )
    return last.ids


def _digest(uploads: Sequence[Upload | SeenitError], fields: Fields, keep_bytes: bool) -> str:
    """Return the digest of files and fields, which differs for other content."""
    parts = [
        upload.detail if isinstance(upload, SeenitError) else upload.sha256 for upload in uploads
    ]
    return hashlib.sha256(msgspec.json.encode([parts, fields, keep_bytes])).hexdigest()
