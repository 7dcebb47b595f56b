"""A batch of jobs, from pending to settled: one outcome a job, in order."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import ExitStack

import msgspec

from core import keys
from core.embedding.pipeline import Digests, FingerprintPipeline, FingerprintResult
from core.errors import BrokenError, PoisonError, SeenitError, UnavailableError
from core.event_log import audit
from core.event_log.decide import Claim
from core.event_log.ledger import Ledger
from core.event_log.operations import problem_of
from core.metrics import UNMETERED, Meter, timed
from core.ports import Blobs, Progress
from core.records import Job, JobStatus, Operation
from core.storage.picture_loader import PictureLoader
from core.storage.picture_store import PictureStore, StoredFingerprint, StoredVector
from core.task_names import picture_of

logger = logging.getLogger(__name__)

_job = msgspec.json.Decoder(Job)


class IngestProcess:
    """Fingerprints uploads in any order and settles everything in the order of the log."""

    def __init__(
        self,
        *,
        blobs: Blobs,
        shelf: PictureStore,
        gallery: PictureLoader,
        perceiver: FingerprintPipeline,
        ledger: Ledger,
        progress: Progress,
        meter: Meter = UNMETERED,
    ) -> None:
        self._blobs = blobs
        self._shelf = shelf
        self._gallery = gallery
        self._perceiver = perceiver
        self._ledger = ledger
        self._progress = progress
        self._meter = meter
        self._doubted: set[str] = set()
        """Tenants whose last batch found a part away."""

    def run(self, tenant: str, job_ids: Sequence[str]) -> list[Operation | None]:
        """Settle these jobs of one tenant; None where a job is neither pending nor known.

        Raises a SeenitError with `retryable` where a part is down: every job is still pending.
        """
        job_ids = list(dict.fromkeys(job_ids))
        logger.debug("received", extra={"tenant": tenant, "job_ids": job_ids})
        try:
            with timed(self._meter, "batch", len(job_ids)):
                settled = self._run(tenant, job_ids)
        except UnavailableError as error:
            self._doubted.add(tenant)
            self._meter.count("unavailable", reason=error.type, at="settle")
            raise
        self._doubted.discard(tenant)
        return settled

    def lags(self, tenant: str) -> bool:
        """Whether what was settled is not on the index yet: its jobs still lie pending."""
        return self._ledger.lags(tenant)

    def set_aside(self, tenant: str, job_id: str) -> None:
        """Settle an upload as failed without looking at it: workers died of it, one by one.

        An operation is carried out like any other: nothing of it but our own code can kill.
        Raises a SeenitError with `retryable` where a part is down.
        """
        (data,) = self._blobs.get_many([keys.pending(tenant, job_id)])
        job = None if data is None else _job.decode(data)
        if job is None or job.kind != "ingest":
            self.run(tenant, [job_id])
            return
        problem = problem_of(
            PoisonError(
                "workers died whenever they worked on this picture alone, so it was set aside; "
                "its bytes are kept, and it can be tried again"
            )
        )
        settled = self._ledger.settle(tenant, [Claim(job=job, problem=problem)])
        for status, ids in _by_status({job_id: settled[0]}).items():
            self._progress.publish(tenant, ids, status)

    def _run(self, tenant: str, job_ids: Sequence[str]) -> list[Operation | None]:
        found = self._blobs.get_many([keys.pending(tenant, job_id) for job_id in job_ids])
        jobs = [_job.decode(data) for data in found if data is not None]
        for job in jobs:
            seconds = audit.age(job.accepted_at)
            if seconds is not None:
                self._meter.waited("queue", seconds)
        ended = [one for one, data in zip(job_ids, found, strict=True) if data is None]
        if ended:
            self._ledger.advance(tenant)
            # Given again because a worker died: of it, too, nothing stays of a deleted picture.
            self._shelf.revisit(tenant, list(dict.fromkeys(map(picture_of, ended))))
        settled = self._settle(tenant, jobs) if jobs else []
        came = dict(zip((job.job_id for job in jobs), settled, strict=True))
        for status, ids in _by_status(came).items():
            self._progress.publish(tenant, ids, status)
        return [came.get(job_id) for job_id in job_ids]

    def _settle(self, tenant: str, jobs: Sequence[Job]) -> list[Operation | None]:
        ended = self._ended(tenant, jobs)
        fresh = [job for job in jobs if job.kind == "ingest" and job.job_id not in ended]
        perceived = self._perceive(tenant, fresh)
        known = {job.job_id: item for job, item in zip(fresh, perceived, strict=True)}
        said = self._caption(
            tenant,
            [
                job
                for job in jobs
                if isinstance(known.get(job.job_id), FingerprintResult)
                or (job.kind == "edit" and job.job_id not in ended)
            ],
        )
        ids = [job.job_id for job in jobs]
        self._progress.publish(tenant, ids, "settling")
        with ExitStack() as hands:
            hands.enter_context(
                self._gallery.holding(
                    tenant,
                    [
                        (item.query(job.image_id), item.preview)
                        for job, item in zip(fresh, perceived, strict=True)
                        if isinstance(item, FingerprintResult)
                    ],
                    stored=True,
                )
            )
            claims = [_claim(job, known.get(job.job_id), said.get(job.job_id, ())) for job in jobs]
            return self._ledger.settle(tenant, claims)

    def _ended(self, tenant: str, jobs: Sequence[Job]) -> set[str]:
        """Those that need not be looked at again: they have a done mark, or the log has them.

        The log is asked where the index may be away, for then jobs come again and again until it
        is back: what is settled waits for it, and nothing else can be settled without it.
        """
        done = self._blobs.exists([keys.done(tenant, job.job_id) for job in jobs])
        ended = {job.job_id for job, marked in zip(jobs, done, strict=True) if marked}
        if tenant in self._doubted or self._ledger.lags(tenant):
            ended |= self._ledger.settled(tenant) & {job.job_id for job in jobs}
        return ended

    def _caption(self, tenant: str, jobs: Sequence[Job]) -> dict[str, tuple[str, ...]]:
        """Write down the vectors of what each upload or edit says; their spaces by job."""
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

    def _perceive(self, tenant: str, jobs: Sequence[Job]) -> list[FingerprintResult | SeenitError]:
        """Decode, embed and write down; a picture whose bytes are gone is broken."""
        ids = [job.job_id for job in jobs]
        self._progress.publish(tenant, ids, "decoding")
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
            if result.retryable:  # not the picture's fault
                raise result
        self._progress.publish(tenant, ids, "embedding")
        good = {
            job_id: item for job_id, item in decoded.items() if not isinstance(item, SeenitError)
        }
        with timed(self._meter, "embed", len(good)):
            perceived = self._perceiver.embed(tenant, good.values())
        embedded = dict(zip(good, perceived, strict=True))
        self._shelf.write(
            tenant,
            [
                StoredFingerprint(
                    image_id=job.image_id,
                    fingerprint=embedded[job.job_id].fingerprint,
                    preview=embedded[job.job_id].preview,
                    vectors=embedded[job.job_id].vectors,
                )
                for job in jobs
                if job.job_id in embedded
            ],
        )
        gone = BrokenError("its bytes are no longer stored")
        outcomes: list[FingerprintResult | SeenitError] = []
        for job in jobs:
            item = embedded.get(job.job_id) or decoded.get(job.job_id, gone)
            outcomes.append(item if isinstance(item, FingerprintResult | SeenitError) else gone)
        return outcomes


def _claim(job: Job, item: FingerprintResult | SeenitError | None, said: tuple[str, ...]) -> Claim:
    if isinstance(item, FingerprintResult):
        return Claim(
            job=job,
            fingerprint=item.fingerprint,
            vector=item.vectors.get(item.active or ""),
            space_id=item.active,
            spaces=(*item.vectors, *said),
            missing=item.missing,
        )
    return Claim(job=job, spaces=said, problem=problem_of(item) if item is not None else None)


def _by_status(ended: dict[str, Operation | None]) -> dict[JobStatus, list[str]]:
    statuses: dict[JobStatus, list[str]] = {}
    for job_id, operation in ended.items():
        failed = operation is not None and operation.kind == "failed"
        statuses.setdefault("failed" if failed else "done", []).append(job_id)
    return statuses
