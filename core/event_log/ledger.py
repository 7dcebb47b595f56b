"""The protocol of the log: read its tail, decide, append, and bring the index up to it.

Any number of workers may run this at once, die at any point, and receive the same jobs again. One
create-only put decides every race; everything else may be done twice.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet

import msgspec
from msgspec.structs import replace

from core import clock, keys
from core.backoff import pause_after
from core.errors import (
    ExistsError,
    IndexUnavailableError,
    LogCorruptError,
    MissingError,
    StoreUnavailableError,
)
from core.event_log import audit
from core.event_log.decide import Claim, apply, decide, first_verdict
from core.event_log.operations import TenantNow
from core.event_log.overlay_state import OverlayLayer
from core.event_log.projector import Projector
from core.event_log.settle_hint import LocalSettleHint, SettleHint
from core.event_log.settle_reads import AnchorPool, Fuse, LoadsPictures, SettleSource
from core.event_log.settle_view import IndexView
from core.event_log.tail import BehindError, LogFollower, LogTail, ending, format_of
from core.index_port import Index
from core.matching.verdict import Rules, look
from core.metrics import UNMETERED, Meter, timed
from core.ports import Blobs, Log
from core.records import ENTRY_BYTES, ENTRY_OPERATIONS, Entry, Operation
from core.types import Absent, Decision, Query, Verdict

_FITS = ENTRY_BYTES - 4096
"""Maximum bytes of an entry's operations; its other fields take a few hundred."""
TRIES = 12
"""Failed appends of one entry after which the store counts as down."""
PAUSE = 0.02
"""Seconds of the first pause between two such tries; it doubles, up to a second."""
ENOUGH = 500
"""Entries that the index may lag before settling waits for it."""

_encoder = msgspec.json.Encoder()


def _nonce() -> str:
    return secrets.token_hex(8)


def _pause(attempt: int) -> None:
    time.sleep(pause_after(attempt + 1, 1.0, first=PAUSE))


class Ledger:
    """The log's writer: settles jobs in its order, and has the projector follow."""

    def __init__(
        self,
        *,
        log: Log,
        blobs: Blobs,
        index: Index,
        sight: LoadsPictures,
        rules: Rules,
        pool: Callable[[], AnchorPool],
        fuse: Fuse,
        follower: LogFollower,
        projector: Projector,
        hint: SettleHint | None = None,
        meter: Meter = UNMETERED,
        now: Callable[[], str] = clock.now,
        nonce: Callable[[], str] = _nonce,
        pause: Callable[[int], None] = _pause,
    ) -> None:
        self._log = log
        self._blobs = blobs
        self._index = index
        self._sight = sight
        self._rules = rules
        self._pool = pool
        self._fuse = fuse
        self._follower = follower
        self._projector = projector
        self._hint = LocalSettleHint() if hint is None else hint
        self._meter = meter
        self._now = now
        self._nonce = nonce
        self._pause = pause

    def settle(self, tenant: str, claims: Sequence[Claim]) -> list[Operation | None]:
        """Settle jobs; return the operation that ended each, in order, by any worker.

        Raise StoreUnavailableError, IndexUnavailableError (jobs not in the log yet are still
        pending, and may be settled again), LogCorruptError.
        """
        waiting = {claim.job.job_id: claim for claim in claims}
        tail = self._tail(tenant)
        ended = self._ended(tenant, tail, waiting)
        source = self._source(tenant)
        queries = [
            claim.query
            for claim in claims
            if claim.query is not None and claim.job.job_id not in ended
        ]
        with timed(self._meter, "candidates", len(queries)):
            self._prefetch(source, queries, tail)
        if left := waiting.keys() - ended.keys():
            with timed(self._meter, "settle", len(left)), self._hint.holding(tenant) as undisturbed:
                if not undisturbed:
                    tail = self._read_on(tail)
                self._append_all(tail, source, waiting, ended)
        self._projector.advance_soon(tenant, list(waiting))
        return [ended.get(claim.job.job_id) for claim in claims]

    def check(
        self, tenant: str, query: Query, missing: tuple[Absent, ...] = ()
    ) -> tuple[Verdict, Decision]:
        """Return the verdict and decision a picture would get if it were settled now."""
        tail = self._follower.tail(tenant)
        source = self._source(tenant)
        self._prefetch(source, [query], tail, urgent=True)
        view = IndexView(source, (OverlayLayer(), tail.layer))
        finding = look(view, query, self._rules)
        return first_verdict(finding, query, self._rules, self._now(), missing)

    def settled(self, tenant: str) -> AbstractSet[str]:
        """Return the job_ids that the log has and the index lacks.

        Raise StoreUnavailableError, IndexUnavailableError (also if the index lags too far to
        settle), LogCorruptError.
        """
        return self._tail(tenant).layer.outcomes.keys()

    def _tail(self, tenant: str) -> LogTail:
        """Return the log after the index's watermark; project first if the index lags too far."""
        for attempt in range(2):
            try:
                tail = self._follower.tail(tenant)
            except BehindError:
                if attempt:
                    raise
            else:
                if tail.lag <= ENOUGH:
                    return tail
            self._projector.advance(tenant)
        raise BehindError(
            f"the index is {tail.lag} entries behind the log of {tenant} (limit {ENOUGH})"
        )

    def _append_all(
        self,
        tail: LogTail,
        source: SettleSource,
        waiting: dict[str, Claim],
        ended: dict[str, Operation | None],
    ) -> None:
        """Append entries until each job has ended, by any worker; add the operations to `ended`."""
        while True:
            for job_id in waiting.keys() - ended.keys():
                operation = tail.operation(job_id)
                if operation is not None:
                    ended[job_id] = operation
            left = [claim for job_id, claim in waiting.items() if job_id not in ended]
            if not left:
                return
            tail = self._step(tail, source, left)
            self._follower.offer(tail)

    def _read_on(self, tail: LogTail) -> LogTail:
        """Return the tail with the entries that others have appended meanwhile."""
        while (entry := self._log.read(tail.tenant, tail.head + 1)) is not None:
            tail = tail.plus(entry)
        return tail

    def _ended(
        self, tenant: str, tail: LogTail, waiting: dict[str, Claim]
    ) -> dict[str, Operation | None]:
        """Return operations of jobs with a done mark; delete pending ones below the watermark."""
        unknown = [job_id for job_id in waiting if job_id not in tail.layer.outcomes]
        marks = self._blobs.get_many([keys.done(tenant, job_id) for job_id in unknown])
        ended: dict[str, Operation | None] = {}
        for job_id, mark in zip(unknown, marks, strict=True):
            if mark is None:
                continue
            seq = int(mark)
            entry = self._log.read(tenant, seq)
            if entry is None:
                raise LogCorruptError(f"entry {seq} of {tenant} is gone, and a done mark names it")
            ended[job_id] = operation = ending(entry, job_id)
            if operation is not None:  # a repeat under its key may have brought bytes back
                self._projector.discard(tenant, [operation])
            if seq <= tail.watermark:
                self._blobs.delete([keys.pending(tenant, job_id)])
        return ended

    def _source(self, tenant: str) -> SettleSource:
        return SettleSource(
            tenant,
            index=self._index,
            blobs=self._blobs,
            sight=self._sight,
            pool=self._pool(),
            fuse=self._fuse,
        )

    def _prefetch(
        self, source: SettleSource, queries: Sequence[Query], tail: LogTail, *, urgent: bool = False
    ) -> None:
        """Read candidates of new pictures, and what the comparisons with them need."""
        source.prefetch(queries)
        view = IndexView(source, (OverlayLayer(), tail.layer))
        view.prepare(queries, self._rules.worth, urgent=urgent)

    def _step(self, tail: LogTail, source: SettleSource, claims: Sequence[Claim]) -> LogTail:
        """Decide and append; return the tail with the entry that took the next number."""
        try:
            entry = self._entry(tail, source, claims)
        except MissingError as missing:
            # A picture is deleted that the log up to here still has: a later entry must exist.
            ahead = self._log.read(tail.tenant, tail.head + 1)
            if ahead is None:
                raise LogCorruptError(
                    f"{missing}, and the log of {tail.tenant} has it"
                ) from missing
            return tail.plus(ahead)
        if self._index.watermark(tail.tenant) < tail.watermark:
            # The index lost entries while we searched it, so candidates may be incomplete.
            raise IndexUnavailableError(f"the index of {tail.tenant} has lost entries")
        return self._append(tail, entry)

    def _entry(self, tail: LogTail, source: SettleSource, claims: Sequence[Claim]) -> Entry:
        """Return an entry of as many jobs as it holds, each decided after those before it.

        Its time is not before that of any earlier entry. If this clock was set back, or another's
        was ahead, its jobs count as accepted at that time, so that lists show them as the newest.
        """
        seq, at = tail.head + 1, self._now()
        fallen = at < tail.at
        if fallen:
            at = clock.next_after(tail.at)
        batch = OverlayLayer()
        view = IndexView(source, (batch, tail.layer))
        operations: list[Operation] = []
        states = size = 0
        for claim in claims:
            if claim.job.job_id in batch.outcomes:
                continue
            job = claim.job
            if fallen and job.accepted_at < at:
                claim = replace(claim, job=replace(job, accepted_at=at))  # noqa: PLW2901
            operation, weight = self._decide(view, claim, TenantNow(seq, states, at))
            if operations and size + weight > _FITS:
                break
            apply(batch, operation, seq)
            operations.append(operation)
            states += len(operation.states)
            size += weight
            if len(operations) == ENTRY_OPERATIONS:
                break
        return Entry(
            seq=seq,
            nonce=self._nonce(),
            previous=tail.nonce,
            at=at,
            format=format_of(operations),
            pipeline_version=self._rules.pipeline_version,
            policy_version=self._rules.policy_version,
            operations=tuple(operations),
        )

    def _decide(self, view: IndexView, claim: Claim, now: TenantNow) -> tuple[Operation, int]:
        """Return an operation that fits an entry, if need be with fewer matches, and its bytes."""
        rules = self._rules
        while True:
            operation = decide(view, claim, now, rules)
            size = len(_encoder.encode(operation)) + 1
            if size <= _FITS or rules.matches == 1:
                return operation, size
            if rules.copies > 1:
                rules = replace(rules, copies=rules.copies // 2)
            else:
                rules = replace(rules, matches=rules.matches // 2)

    def _append(self, tail: LogTail, entry: Entry) -> LogTail:
        """Append an entry; return the tail with it, or with another worker's of that number.

        A number is never skipped: if the put failed and no entry is there, it is retried.
        """
        for attempt in range(TRIES):
            try:
                self._log.append(tail.tenant, entry)
            except (ExistsError, StoreUnavailableError):
                there = self._log.read(tail.tenant, entry.seq)
                if there is None:
                    self._pause(attempt)
                    continue
                if there.nonce != entry.nonce:
                    self._meter.count("conflicts")
                    return tail.plus(there)
            audit.appended(self._meter, tail.tenant, entry)
            return tail.plus(entry)
        raise StoreUnavailableError(
            f"entry {entry.seq} of {tail.tenant} could not be appended in {TRIES} tries"
        )
