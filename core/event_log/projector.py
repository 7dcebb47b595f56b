"""Projection of the log's entries onto the index and the objects of each picture."""

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
from core.index_port import Index
from core.metrics import UNMETERED, Meter, timed
from core.ports import Blobs, Log
from core.records import Entry, Operation, Record, State
from core.types import Remade

REST = 4.0
"""Pause after a failed projection, as a multiple of its duration: a replica that is down costs each
try a second, and jobs are redelivered in dozens of batches a second."""
LONGEST_REST = 10.0
"""Maximum pause, in seconds."""
QUICK = 0.25
"""Seconds below which a failed try is repeated without a pause."""

_encoder = msgspec.json.Encoder()

logger = logging.getLogger(__name__)


class Objects(Protocol):
    """The per-picture objects, as the projector and replay need them."""

    def join(self, tenant: str, seq: int, states: Sequence[State]) -> list[Record]:
        """Return states with fingerprint, fields and vectors; leave out deleted pictures."""

    def remove(self, tenant: str, ids: Sequence[str]) -> None:
        """Delete every object of these pictures."""

    def discard(self, tenant: str, ids: Sequence[str]) -> None:
        """Delete the uploaded bytes only."""

    def purge(self, tenant: str, image_id: str, remade: Remade | None = None) -> None:
        """Keep the fingerprint, mark the purge, and delete bytes and `derived/`."""

    def hide(self, tenant: str, image_id: str, remade: Remade | None = None) -> None:
        """Keep the fingerprint, mark the purge and the hiding, and delete all else."""


class Projector:
    """The projector of the log: brings the index up to it."""

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
        """Watermark and head by tenant whose last projection failed."""
        self._rests: dict[str, float] = {}
        """End of the pause by tenant, on the monotonic clock."""

    @contextmanager
    def still(self) -> Iterator[None]:
        """Hold projection in this process, so that the watermark W stands still.

        A new index is swapped in meanwhile. It holds at least as much: a reader that took W from
        the old index, and the log after it, must find everything up to W in the new one.
        """
        with self._advancing:
            yield

    def marked(self, tenant: str) -> int:
        """Return the entry up to which every ended job has its done mark.

        An index that is replayed from the log stops there: later entries also need the objects and
        marks that `advance` writes. Marks are written in the order of the log, so that only its
        last few entries are read.
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
        """Bring the index up to the log; return its watermark. It is idempotent.

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
        """Bring the index up for every tenant; one that fails is logged and does not stop others.

        Raise StoreUnavailableError if the tenants cannot be listed.
        """
        for tenant in self._log.tenants():
            try:
                self.advance(tenant)
            except SeenitError as error:
                about = {"tenant": tenant, "reason": str(error)}
                logger.error("projection_failed", extra=about)  # noqa: TRY400  no traceback needed
            except Exception:  # at a start a defect with one tenant must not stop the others
                logger.exception("projection_crashed", extra={"tenant": tenant})

    def advance_soon(self, tenant: str, job_ids: Sequence[str]) -> None:
        """Bring the index up, unless that just failed: settled jobs can wait for it."""
        if self.rests(tenant):
            self._falls_behind(tenant)
            return
        try:
            self.advance(tenant)
        except UnavailableError as error:
            self._meter.count("unavailable", reason=error.type, at="project")
            about = {"tenant": tenant, "job_ids": list(job_ids), "reason": str(error)}
            logger.warning("projection_deferred", extra=about)

    def lags(self, tenant: str) -> bool:
        """Return whether this process's last projection of a tenant failed."""
        return tenant in self._behind

    def rests(self, tenant: str) -> bool:
        """Return whether a tenant is in the pause after a failed projection."""
        return time.monotonic() < self._rests.get(tenant, 0.0)

    def behind(self) -> int:
        """Return how many entries the index lacks, over the tenants this process failed to project.

        Another process may have projected them meanwhile, so watermarks are read if the index
        answers.
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
        """Apply one entry to the objects, the done marks and the index.

        The done marks are written before the watermark passes the entry: a worker that reads the
        watermark and finds a job neither in the tail after it nor marked would settle it again.
        The pending objects are deleted last: until then the sweeper resumes the projection.
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
        """Delete bytes that were purged or hidden, or are not to be kept."""
        strip = {"purged": self._shelf.purge, "hidden": self._shelf.hide}
        stripped = [one for one in entry.operations if one.kind in strip]
        named = {state.image_id: state.remade for one in entry.operations for state in one.states}
        for one in stripped:
            strip[one.kind](tenant, one.image_id, named.get(one.image_id))
        purged = [one.image_id for one in stripped]
        if purged:  # a slow worker may purge after a delete had removed everything
            dead = self._blobs.exists([keys.tombstone(tenant, image_id) for image_id in purged])
            self._shelf.remove(
                tenant, [image_id for image_id, gone in zip(purged, dead, strict=True) if gone]
            )
        self.discard(tenant, entry.operations)

    def discard(self, tenant: str, operations: Iterable[Operation]) -> None:
        """Delete the bytes of uploads that are not to be kept."""
        discarded = [
            state.image_id
            for operation in operations
            if operation.kind == "settled"
            for state in operation.states
            if state.content == "discarded"
        ]
        if discarded:
            self._shelf.discard(tenant, discarded)
