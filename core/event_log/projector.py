"""Projecting: whatever follows from the entries of the log, brought about again and again."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

import msgspec

from core import keys
from core.errors import SeenitError, UnavailableError
from core.event_log import audit
from core.event_log.decide import laid
from core.event_log.tail import LogFollower, check
from core.metrics import UNMETERED, Meter, timed
from core.ports import Blobs, Index, Log
from core.records import Entry, Operation, Record, State

REST = 4.0
"""For so many times as long as a failed try to project took a tenant is left alone: a replica that
is away costs each try a second, and jobs come again in dozens of batches a second."""
LONGEST_REST = 10.0
QUICK = 0.25
"""Seconds that a failed try may take and be tried again at once."""

_encoder = msgspec.json.Encoder()

logger = logging.getLogger(__name__)


class Objects(Protocol):
    """What the ledger needs of the objects beside each picture."""

    def join(self, tenant: str, seq: int, states: Sequence[State]) -> list[Record]:
        """Each state with fingerprint, fields and vectors; without those of pictures now gone."""

    def remove(self, tenant: str, ids: Sequence[str]) -> None:
        """Take away every per-picture object."""

    def discard(self, tenant: str, ids: Sequence[str]) -> None:
        """Take away the uploaded bytes alone."""

    def purge(self, tenant: str, image_id: str) -> None:
        """Keep the fingerprint, mark the purge, take away the rest."""


class Projector:
    """Brings the index up to the log."""

    def __init__(
        self,
        *,
        log: Log,
        blobs: Blobs,
        index: Index,
        shelf: Objects,
        follower: LogFollower,
        meter: Meter = UNMETERED,
    ) -> None:
        self._log = log
        self._blobs = blobs
        self._index = index
        self._shelf = shelf
        self._follower = follower
        self._meter = meter
        self._advancing = threading.Lock()
        self._behind: dict[str, tuple[int, int]] = {}
        """Watermark and head, by tenant, where the last try to project failed."""
        self._rests: dict[str, float] = {}
        """Until when, by the monotonic clock, none of these is tried for its own sake."""

    @contextmanager
    def still(self) -> Iterator[None]:
        """Nothing is projected by this process meanwhile, so that W can stand still.

        To swap a new index in, one that holds at least as much: whoever read W from the old one,
        and the log after it, must not miss in the new one what lay at or below W.
        """
        with self._advancing:
            yield

    def marked(self, tenant: str) -> int:
        """The entry up to which every job that ended has its done mark.

        So far may an index go that is made from the log alone: what follows from the later entries
        besides their documents is still to be done, by `advance`. Marks are made in the order of
        the log, so that only its last few entries need to be looked at.
        """
        until = head = self._log.head(tenant)
        for seq in range(head, 0, -1):
            entry = self._log.read(tenant, seq)
            jobs = [] if entry is None else list(laid(entry).outcomes)
            if jobs:
                if all(self._blobs.exists([keys.done(tenant, job_id) for job_id in jobs])):
                    break
                until = seq - 1
        return until

    def advance(self, tenant: str) -> int:
        """Bring the index up to the log; the watermark reached. Safe to run anywhere, twice.

        Raise StoreUnavailableError, IndexUnavailableError, CorruptError.
        """
        with self._advancing:
            began = time.monotonic()
            try:
                watermark = self._bring(tenant)
            except SeenitError:
                took = time.monotonic() - began
                rest = min(LONGEST_REST, REST * took) if took > QUICK else 0.0
                self._rests[tenant] = time.monotonic() + rest
                self._falls_behind(tenant)
                raise
            self._behind.pop(tenant, None)
            self._rests.pop(tenant, None)
            self._follower.passed(tenant, watermark)
            return watermark

    def catch_up(self) -> None:
        """Bring the index up for every tenant; of one that stands still the others go on.

        Raise StoreUnavailableError where nobody can say what tenants there are.
        """
        for tenant in self._log.tenants():
            try:
                self.advance(tenant)
            except SeenitError as error:
                logger.error("tenant %s: %s", tenant, error)  # noqa: TRY400  plain words do
            except Exception:  # a start's edge: a defect with one tenant must not end the others
                logger.exception("tenant %s cannot be brought up", tenant)

    def advance_soon(self, tenant: str, job_ids: Sequence[str]) -> None:
        """Bring the index up, unless that has just failed; what is settled can wait for it."""
        if self.rests(tenant):
            self._falls_behind(tenant)
            return
        try:
            self.advance(tenant)
        except UnavailableError as error:
            self._meter.count("unavailable", reason=error.type, at="project")
            about = {"tenant": tenant, "job_ids": list(job_ids)}
            logger.warning("settled, not projected yet: %s", error, extra=about)

    def lags(self, tenant: str) -> bool:
        """Whether this process failed to project a tenant when it last tried."""
        return tenant in self._behind

    def rests(self, tenant: str) -> bool:
        """Whether a try to project it failed a moment ago, so that another would as well."""
        return time.monotonic() < self._rests.get(tenant, 0.0)

    def behind(self) -> int:
        """Entries that the index lacks, over all tenants that this process failed to project.

        Others may have done so meanwhile, so the index is asked, if it answers.
        """
        entries = 0
        answers = True
        for tenant, (watermark, head) in list(self._behind.items()):
            if answers:
                try:
                    watermark = max(watermark, self._index.watermark(tenant))  # noqa: PLW2901
                except UnavailableError:
                    answers = False
            entries += max(0, head - watermark)
            if watermark >= head:
                self._behind.pop(tenant, None)
        return entries

    def _falls_behind(self, tenant: str) -> None:
        held = self._follower.held(tenant)
        if held is not None and held.lag:
            self._behind[tenant] = (held.watermark, held.head)

    def _bring(self, tenant: str) -> int:
        watermark = self._index.watermark(tenant)
        tail = self._follower.held(tenant)
        nonce: str | None = None
        while True:
            seq = watermark + 1
            entry = (tail and tail.entry(seq)) or self._log.read(tenant, seq)
            if entry is None:
                return watermark
            if nonce is not None:
                check(tenant, entry, seq, nonce)
            with timed(self._meter, "project", len(entry.operations)):
                self._project(tenant, entry)
            audit.projected(tenant, entry)
            watermark, nonce = entry.seq, entry.nonce

    def _project(self, tenant: str, entry: Entry) -> None:
        """Everything that follows from one entry.

        The done marks come before the watermark may pass the entry: a worker that reads the
        watermark and finds a job neither in the tail after it nor marked would settle it again.
        The pending objects go last: until then the sweeper brings an unfinished projection back.
        """
        seq = entry.seq
        layer = laid(entry)
        removed = list(layer.removed.values())
        ids = list(layer.removed)
        if removed:
            self._blobs.create_many(
                [(keys.tombstone(tenant, one.image_id), _encoder.encode(one)) for one in removed]
            )
        records = self._shelf.join(tenant, seq, list(layer.states.values()))
        self._strip(tenant, entry)
        if ids:
            self._shelf.remove(tenant, ids)
        jobs = list(layer.outcomes)
        if jobs:
            self._blobs.create_many(
                [(keys.done(tenant, job_id), str(seq).encode()) for job_id in jobs]
            )
        self._index.project_entry(
            tenant,
            seq,
            records,
            removed,
            list(layer.outcomes.values()),
            standings=list(layer.standings.values()),
        )
        if jobs:
            self._blobs.delete([keys.pending(tenant, job_id) for job_id in jobs])

    def _strip(self, tenant: str, entry: Entry) -> None:
        """Remove bytes that were purged or are not to be kept."""
        purged = [one.image_id for one in entry.operations if one.kind == "purged"]
        for image_id in purged:
            self._shelf.purge(tenant, image_id)
        if purged:  # by a worker that was held up, after a delete had removed everything
            dead = self._blobs.exists([keys.tombstone(tenant, image_id) for image_id in purged])
            self._shelf.remove(
                tenant, [image_id for image_id, gone in zip(purged, dead, strict=True) if gone]
            )
        self.discard(tenant, entry.operations)

    def discard(self, tenant: str, operations: Iterable[Operation]) -> None:
        """Remove the bytes of uploads that are not to be kept."""
        discarded = [
            state.image_id
            for operation in operations
            if operation.kind == "settled"
            for state in operation.states
            if state.content == "discarded"
        ]
        if discarded:
            self._shelf.discard(tenant, discarded)
