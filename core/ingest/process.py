"""Processing of a batch of jobs, from pending to settled: one outcome a job, in order."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import msgspec

from core import keys
from core.embedding.pipeline import Digests, FingerprintPipeline, FingerprintResult
from core.errors import BrokenError, PoisonError, SeenitError, UnavailableError
from core.event_log import audit
from core.event_log.decide import Claim
from core.event_log.ledger import Ledger
from core.event_log.operations import problem_of
from core.event_log.projector import Projector
from core.metrics import UNMETERED, Meter, timed
from core.ports import Blobs, Progress
from core.records import Job, JobStatus, Operation
from core.storage.picture_loader import PictureLoader
from core.storage.picture_store import PictureStore, StoredFingerprint, StoredVector
from core.task_names import picture_of
from core.types import Canonical, Fingerprint

logger = logging.getLogger(__name__)

_job = msgspec.json.Decoder(Job)


class IngestProcess:
    """The processing of jobs: fingerprints in any order, settling in the order of the log."""

    def __init__(
        self,
        *,
        blobs: Blobs,
        shelf: PictureStore,
        gallery: PictureLoader,
        perceiver: FingerprintPipeline,
        ledger: Ledger,
        projector: Projector,
        progress: Progress,
        meter: Meter = UNMETERED,
    ) -> None:
        self._blobs = blobs
        self._shelf = shelf
        self._gallery = gallery
        self._perceiver = perceiver
        self._ledger = ledger
        self._projector = projector
        self._progress = progress
        self._meter = meter
        self._doubted: set[str] = set()
        """Tenants whose last batch failed as a part was down."""

    def run(self, tenant: str, job_ids: Sequence[str]) -> list[Operation | None]:
        """Read and settle these jobs of one tenant; return their operations, in order.

        None stands for a job that is neither pending nor known. Raise a SeenitError with
        `retryable` if a part is down: every job is still pending, and may be redelivered.
        """
        operations = self.settle(tenant, self.read(tenant, job_ids))
        return [operations.get(job_id) for job_id in job_ids]

    def read(self, tenant: str, job_ids: Sequence[str]) -> list[Job]:
        """Return the pending jobs, in order; clean up after others that a dead worker left.

        Raise a SeenitError with `retryable` if a part is down.
        """
        job_ids = list(dict.fromkeys(job_ids))
        logger.debug("received", extra={"tenant": tenant, "job_ids": job_ids})
        with self._noting_outages(tenant, ended=False):
            return self._read_pending(tenant, job_ids)

    def settle(self, tenant: str, jobs: Sequence[Job]) -> dict[str, Operation | None]:
        """Fingerprint and settle pending jobs of one tenant; return their operations by job_id.

        Raise a SeenitError with `retryable` if a part is down.
        """
        if not jobs:
            return {}
        with self._noting_outages(tenant), timed(self._meter, "batch", len(jobs)):
            ids = [job.job_id for job in jobs]
            ended = self._already_settled(tenant, jobs)
            fresh = [job for job in jobs if job.job_id not in ended]
            pictures = self._fingerprint(tenant, [job for job in fresh if job.kind == "ingest"])
            captions = self._embed_captions(tenant, fresh, pictures)
            self._progress.publish(tenant, ids, "settling")
            claims = [
                _claim(job, pictures.get(job.job_id), captions.get(job.job_id, ())) for job in jobs
            ]
            in_hand = [
                (item.query(job.image_id), item.preview)
                for job in jobs
                if isinstance(item := pictures.get(job.job_id), FingerprintResult)
            ]
            with self._gallery.holding(tenant, in_hand, stored=True):
                settled = self._ledger.settle(tenant, claims)
            operations = dict(zip(ids, settled, strict=True))
            self._publish_ended(tenant, operations)
        return operations

    def lags(self, tenant: str) -> bool:
        """Return whether settled jobs are not projected yet, and thus still pending."""
        return self._projector.lags(tenant)

    def set_aside(self, tenant: str, job_id: str) -> None:
        """Settle an upload as failed without decoding it, as several workers died of it.

        Any other operation runs as usual: it has no bytes that could crash a worker. Raise a
        SeenitError with `retryable` if a part is down.
        """
        (data,) = self._blobs.get_many([keys.pending(tenant, job_id)])
        job = None if data is None else _job.decode(data)
        if job is None or job.kind != "ingest":
            self.run(tenant, [job_id])
            return
        error = PoisonError(
            "several workers died while this was their only picture, so it was set aside; "
            "its bytes are kept: retry the job once the cause is fixed"
        )
        settled = self._ledger.settle(tenant, [Claim(job=job, problem=problem_of(error))])
        self._publish_ended(tenant, {job_id: settled[0]})

    # --- steps ----------------------------------------------------------------------------------

    def _read_pending(self, tenant: str, job_ids: Sequence[str]) -> list[Job]:
        """Return the pending jobs, in order; clean up after others that a dead worker left."""
        found = self._blobs.get_many([keys.pending(tenant, job_id) for job_id in job_ids])
        jobs = [_job.decode(data) for data in found if data is not None]
        for job in jobs:
            seconds = audit.age(job.accepted_at)
            if seconds is not None:
                self._meter.waited("queue", seconds)
        ended = [job_id for job_id, data in zip(job_ids, found, strict=True) if data is None]
        if ended:
            self._projector.advance(tenant)
            # Redelivered after a crash: remove what the dead worker wrote for a picture that was
            # deleted since.
            self._shelf.revisit(tenant, list(dict.fromkeys(map(picture_of, ended))))
        return jobs

    def _already_settled(self, tenant: str, jobs: Sequence[Job]) -> set[str]:
        """Return the jobs that have a done mark or an entry in the log, and need no fingerprint.

        The log is read only if the index may be down: jobs are then redelivered until it is back,
        and the settled ones among them need no second fingerprint.
        """
        done = self._blobs.exists([keys.done(tenant, job.job_id) for job in jobs])
        ended = {job.job_id for job, marked in zip(jobs, done, strict=True) if marked}
        if tenant in self._doubted or self._projector.lags(tenant):
            ended |= self._ledger.settled(tenant) & {job.job_id for job in jobs}
        return ended

    def _fingerprint(
        self, tenant: str, jobs: Sequence[Job]
    ) -> dict[str, FingerprintResult | SeenitError]:
        """Decode, embed and store uploads; return each result, or its error, by job_id.

        Raise the first error that is `retryable`, which is not the picture's fault.
        """
        ids = [job.job_id for job in jobs]
        self._progress.publish(tenant, ids, "decoding")
        decoded = self._decode(tenant, jobs)
        self._progress.publish(tenant, ids, "embedding")
        good = {one: item for one, item in decoded.items() if not isinstance(item, SeenitError)}
        with timed(self._meter, "embed", len(good)):
            embedded = dict(zip(good, self._perceiver.embed(tenant, good.values()), strict=True))
        self._shelf.write(
            tenant,
            [
                StoredFingerprint(
                    image_id=job.image_id,
                    fingerprint=embedded[job.job_id].fingerprint,
                    preview=embedded[job.job_id].preview,
                    large=embedded[job.job_id].large,
                    vectors=embedded[job.job_id].vectors,
                )
                for job in jobs
                if job.job_id in embedded
            ],
        )
        broken = {one: item for one, item in decoded.items() if isinstance(item, SeenitError)}
        return {**embedded, **broken}

    def _decode(
        self, tenant: str, jobs: Sequence[Job]
    ) -> dict[str, tuple[Canonical, Fingerprint] | SeenitError]:
        """Decode uploads; return results by job_id, BrokenError for one whose bytes are gone."""
        stored = self._blobs.get_many([keys.blob(tenant, job.image_id) for job in jobs])
        here = [(job, data) for job, data in zip(jobs, stored, strict=True) if data is not None]
        with timed(self._meter, "decode", len(here)):
            results = self._perceiver.decode(
                [data for _, data in here],
                [Digests(job.sha256, job.md5) for job, _ in here],
            )
        decoded = dict(zip((job.job_id for job, _ in here), results, strict=True))
        for job_id, result in decoded.items():
            if not isinstance(result, SeenitError):
                logger.debug("decoded", extra=audit.about(tenant, job_id))
                continue
            logger.debug("broken", extra=audit.about(tenant, job_id, reason=result.type))
            if result.retryable:
                raise result
        gone = BrokenError("the picture's bytes are no longer stored: upload it again")
        return {job.job_id: decoded.get(job.job_id, gone) for job in jobs}

    def _embed_captions(
        self,
        tenant: str,
        jobs: Sequence[Job],
        pictures: Mapping[str, FingerprintResult | SeenitError],
    ) -> dict[str, tuple[str, ...]]:
        """Embed and store the captions of edits and these uploads; return space_ids by job_id."""
        jobs = [
            job
            for job in jobs
            if job.kind == "edit" or isinstance(pictures.get(job.job_id), FingerprintResult)
        ]
        self._shelf.fetch_fields(tenant, [(job.image_id, job.fields) for job in jobs])
        fields = [self._shelf.fields(tenant, job.image_id, job.fields) for job in jobs]
        with timed(self._meter, "caption", len(jobs)):
            vectors = self._perceiver.captions(tenant, fields)
        made = [
            StoredVector(job.image_id, space_id, job.fields, vector)
            for job, found in zip(jobs, vectors, strict=True)
            for space_id, vector in found.items()
        ]
        if made:
            self._shelf.write_vectors(tenant, made)
        return {job.job_id: tuple(found) for job, found in zip(jobs, vectors, strict=True)}

    def _publish_ended(self, tenant: str, operations: dict[str, Operation | None]) -> None:
        statuses: dict[JobStatus, list[str]] = {}
        for job_id, operation in operations.items():
            failed = operation is not None and operation.kind == "failed"
            statuses.setdefault("failed" if failed else "done", []).append(job_id)
        for status, ids in statuses.items():
            self._progress.publish(tenant, ids, status)

    @contextmanager
    def _noting_outages(self, tenant: str, *, ended: bool = True) -> Iterator[None]:
        """Record whether a tenant's last batch met a part that is down, and count it.

        `ended`: without an error the batch has passed all parts.
        """
        try:
            yield
        except UnavailableError as error:
            self._doubted.add(tenant)
            self._meter.count("unavailable", reason=error.type, at="settle")
            raise
        if ended:
            self._doubted.discard(tenant)


def _claim(
    job: Job, item: FingerprintResult | SeenitError | None, captions: tuple[str, ...]
) -> Claim:
    if isinstance(item, FingerprintResult):
        return Claim(
            job=job,
            query=item.query(job.image_id),
            spaces=(*item.vectors, *captions),
            missing=item.missing,
        )
    return Claim(job=job, spaces=captions, problem=problem_of(item) if item is not None else None)
