"""Each rule of the protocol omitted, by overriding the small step that keeps it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from msgspec.structs import replace

from core import keys
from core.errors import ExistsError, StoreUnavailableError
from core.event_log.decide import Claim, apply
from core.event_log.ledger import Ledger
from core.event_log.operations import TenantNow
from core.event_log.overlay_state import OverlayLayer
from core.event_log.projector import Projector
from core.event_log.settle_reads import OverlayLayers, SettleSource
from core.event_log.settle_view import IndexView
from core.event_log.tail import LogFollower, LogTail
from core.matching.decisions import inherited
from core.queries.snapshot import Snapshot
from core.records import Entry, Operation, Outcome, Record, State
from core.types import Candidates, Hit, Query
from tests.simulation.memory_index import MemoryIndex
from tests.simulation.replica import Replica
from tests.simulation.schedule import Parts
from tests.simulation.stored import Log
from tests.simulation.world import fuse


class Overwriting(Log):
    """Rule 1: the store does not honour create-only."""

    def _land(self, entry: Entry) -> bool:
        self._store.log[entry.seq] = entry
        return True


class FreesMarks(Projector):
    """Rule 2: a delete removes the done mark of its upload."""

    def _project(self, tenant: str, entry: Entry) -> None:
        super()._project(tenant, entry)
        self._blobs.delete(
            [keys.done(tenant, one.image_id) for one in entry.operations if one.kind == "deleted"]
        )


class SkipsTheTail(Ledger):
    """Rule 3: the entries after W count only for the jobs they ended, not for their records."""

    def _entry(self, tail: LogTail, source: SettleSource, claims: Sequence[Claim]) -> Entry:
        return super()._entry(tail._replace(layer=OverlayLayer()), source, claims)


class LooksUpMarksFirst(Ledger):
    """Rule 4: done marks are looked up before W and the tail are read."""

    def settle(self, tenant: str, claims: Sequence[Claim]) -> list[Operation | None]:
        nothing = LogTail(tenant, 0, "", (), OverlayLayer())
        self._before = super()._ended(tenant, nothing, {c.job.job_id: c for c in claims})
        return super().settle(tenant, claims)

    def _ended(
        self, tenant: str, tail: LogTail, waiting: dict[str, Claim]
    ) -> dict[str, Operation | None]:
        del tenant, tail, waiting
        return self._before


class AsksTheIndexFirst(Ledger):
    """Rule 4: candidates are read from the index before W and the tail."""

    def settle(self, tenant: str, claims: Sequence[Claim]) -> list[Operation | None]:
        self._asked = super()._source(tenant)
        queries = [claim.query for claim in claims if claim.query is not None]
        self._asked.prefetch(queries)
        for query in queries:
            self._asked.hits(query, lambda _: False, ())
        return super().settle(tenant, claims)

    def _source(self, tenant: str) -> SettleSource:
        del tenant
        self._asked.prefetch = lambda _: None  # type: ignore[method-assign]
        return self._asked


class NoMarks(Ledger):
    """Rule 4: done marks are not looked up."""

    def _ended(
        self, tenant: str, tail: LogTail, waiting: dict[str, Claim]
    ) -> dict[str, Operation | None]:
        del tenant, tail, waiting
        return {}


class KeepsJobsOfTheTail(Ledger):
    """Rule 4: a job that the tail ended is settled all the same."""

    def _tail(self, tenant: str) -> LogTail:
        tail = super()._tail(tenant)
        layer = tail.layer.copy()
        layer.outcomes = {}
        return tail._replace(layer=layer)


class IgnoresTheBatch(Ledger):
    """Rule 5: a batch is not overlaid with itself."""

    def _decide(self, view: IndexView, claim: Claim, now: TenantNow) -> tuple[Operation, int]:
        return super()._decide(
            IndexView(view._source, (OverlayLayer(), *view._layers[1:])), claim, now
        )


class KeepsTheDeleted(Ledger):
    """Rule 5: pictures that the tail deleted stay candidates."""

    def _entry(self, tail: LogTail, source: SettleSource, claims: Sequence[Claim]) -> Entry:
        layer = tail.layer.copy()
        layer.removed = {}
        return super()._entry(tail._replace(layer=layer), source, claims)


class AsksOnce(SettleSource):
    """Rule 5: a list of candidates that removals exhaust is not extended."""

    def hits(self, query: Query, shut: Callable[[str], bool], layers: OverlayLayers) -> list[Hit]:
        found = super().hits(query, lambda _: False, layers)
        return [hit for hit in found if not shut(hit.image_id)]


class NeverAsksForMore(Ledger):
    """Rule 5, for the searcher: a list of candidates is never extended."""

    def _source(self, tenant: str) -> SettleSource:
        return AsksOnce(
            tenant,
            index=self._index,
            blobs=self._blobs,
            sight=self._sight,
            pool=self._pool(),
            fuse=self._fuse,
        )


class KeepsOneCandidate(Ledger):
    """Rules 5 and 6: only the first candidate is kept, regardless of its place in the log."""

    def _source(self, tenant: str) -> SettleSource:
        def first(hits: Sequence[Hit]) -> Candidates:
            return Candidates(fuse(hits).hits[:1])

        source = super()._source(tenant)
        source.fuse = first
        return source


class LeavesCopies(Ledger):
    """Rule 6: a delete does not evaluate its copies again."""

    def _decide(self, view: IndexView, claim: Claim, now: TenantNow) -> tuple[Operation, int]:
        operation, size = super()._decide(view, claim, now)
        if operation.kind == "deleted":
            operation = replace(operation, states=())
        return operation, size


class CopiesAlone(IndexView):
    """Settle view that finds no records that another names besides its original."""

    def naming(self, image_id: str) -> list[State]:
        return [state for state in super().naming(image_id) if state.original == image_id]


class ReachesCopiesAlone(Ledger):
    """Rule 6: decisions and deletes reach copies, but no collage whose original is another."""

    def _decide(self, view: IndexView, claim: Claim, now: TenantNow) -> tuple[Operation, int]:
        return super()._decide(CopiesAlone(view._source, view._layers), claim, now)


class OldestDecides(Ledger):
    """Rule 6: the original alone decides on a picture that others confirmed, too."""

    def _decide(self, view: IndexView, claim: Claim, now: TenantNow) -> tuple[Operation, int]:
        operation, size = super()._decide(view, claim, now)
        if operation.kind != "settled":
            return operation, size
        states = tuple(self._by_original(view, state) for state in operation.states)
        return replace(operation, states=states), size

    def _by_original(self, view: IndexView, state: State) -> State:
        original = None if state.anchor is not None else view.state(state.original)
        if original is None:
            return state
        proof = state.confirmed[original.image_id]
        value = inherited(original.decision.value, proof, self._rules.decisions)
        return replace(state, decision=replace(state.decision, value=value))


class LeavesTheUpload(Ledger):
    """Rule 6: the delete of an unsettled upload does not end the upload."""

    def _decide(self, view: IndexView, claim: Claim, now: TenantNow) -> tuple[Operation, int]:
        operation, size = super()._decide(view, claim, now)
        return replace(operation, also=()), size


class GoesFirst(Ledger):
    """Rule 6: an original with many copies goes first, its copies are evaluated afterwards."""

    def _decide(self, view: IndexView, claim: Claim, now: TenantNow) -> tuple[Operation, int]:
        operation, size = super()._decide(view, claim, now)
        if operation.kind == "closed":
            operation = replace(operation, states=(), removed=(operation.image_id,))
        return operation, size


class NeverCloses(Ledger):
    """Rule 6: a large group stays open while its copies are evaluated again."""

    def _decide(self, view: IndexView, claim: Claim, now: TenantNow) -> tuple[Operation, int]:
        operation, size = super()._decide(view, claim, now)
        states = tuple(replace(state, closed=False) for state in operation.states)
        return replace(operation, states=states), size


class Holdless(IndexView):
    """Settle view that does not see holds."""

    def state(self, image_id: str) -> State | None:
        state = super().state(image_id)
        return state and replace(state, hold_until=None)


class ForgetsHolds(Ledger):
    """Rule 6: records on hold are deleted and purged all the same."""

    def _decide(self, view: IndexView, claim: Claim, now: TenantNow) -> tuple[Operation, int]:
        if claim.job.kind in ("delete", "purge"):
            view = Holdless(view._source, view._layers)
        return super()._decide(view, claim, now)


class ErasesBlocks(Ledger):
    """Rule 6: the delete of a writer erases a picture that a person blocked."""

    def _decide(self, view: IndexView, claim: Claim, now: TenantNow) -> tuple[Operation, int]:
        claim = replace(claim, job=replace(claim.job, erasure="erase"))
        return super()._decide(view, claim, now)


class KeepsNothing(Projector):
    """Rule 6: hiding removes the fingerprint, too."""

    def _project(self, tenant: str, entry: Entry) -> None:
        super()._project(tenant, entry)
        hidden = [one.image_id for one in entry.operations if one.kind == "hidden"]
        self._blobs.delete([keys.kept(tenant, image_id) for image_id in hidden])


class ShowsBanks(Snapshot):
    """Rule 11: readers overlay the index with a bank's entries, as if they were pictures."""

    def _known(self, image_id: str, record: Record | None) -> Record | None:
        newer = self.tail.layer.states.get(image_id)
        if newer is None or newer.bank is None:
            return super()._known(image_id, record)
        return next(iter(self.shelf.join(self.tenant, self.tail.head, [newer])), None)


class TakesTheNext(Ledger):
    """Rule 7: after an error the next number is taken, without reading this one."""

    def _append(self, tail: LogTail, entry: Entry) -> LogTail:
        for seq in range(entry.seq, entry.seq + 10):
            try:
                self._log.append(tail.tenant, replace(entry, seq=seq))
            except (ExistsError, StoreUnavailableError):
                continue
            return tail._replace(
                nonce=entry.nonce, layer=_laid(tail.layer, entry), entries=(*tail.entries, entry)
            )
        raise StoreUnavailableError("never landed")


class SkipsANumber(Ledger):
    """Rule 7: if no entry landed, the next number is taken."""

    def _append(self, tail: LogTail, entry: Entry) -> LogTail:
        while True:
            try:
                self._log.append(tail.tenant, entry)
            except (ExistsError, StoreUnavailableError):
                there = self._log.read(tail.tenant, entry.seq)
                if there is not None:
                    return tail.plus(there)
                entry = replace(entry, seq=entry.seq + 1)
            else:
                return tail._replace(
                    nonce=entry.nonce,
                    layer=_laid(tail.layer, entry),
                    entries=(*tail.entries, entry),
                )


class KeepsJobsOfOthers(Ledger):
    """Rule 7: the entry at the number is another worker's, and its jobs are not dropped."""

    def _append(self, tail: LogTail, entry: Entry) -> LogTail:
        after = super()._append(tail, entry)
        if after.entries[-1] is entry:
            return after
        layer = after.layer.copy()
        layer.outcomes = dict(tail.layer.outcomes)
        return after._replace(layer=layer)


class DecidesOnce(Ledger):
    """Rule 7: another worker's entry is not overlaid on the candidates."""

    def _append(self, tail: LogTail, entry: Entry) -> LogTail:
        after = super()._append(tail, entry)
        if after.entries[-1] is entry:
            return after
        layer = tail.layer.copy()
        layer.outcomes = after.layer.outcomes
        return after._replace(layer=layer)


class MarksLast(Projector):
    """Rule 8: the watermark passes an entry before its jobs have their done marks."""

    def _project(self, tenant: str, entry: Entry) -> None:
        layer = _laid(OverlayLayer(), entry)
        records = self._shelf.join(tenant, entry.seq, list(layer.states.values()))
        removed, ended = list(layer.removed.values()), list(layer.outcomes.values())
        self._index.project_entry(tenant, entry.seq, records, removed, ended)
        super()._project(tenant, entry)


class ForgetsPendingFirst(Projector):
    """Rule 8: pending objects are removed before the index has their entry."""

    def _project(self, tenant: str, entry: Entry) -> None:
        jobs = _laid(OverlayLayer(), entry).outcomes
        self._blobs.delete([keys.pending(tenant, job_id) for job_id in jobs])
        super()._project(tenant, entry)


class ProjectsTheHead(Projector):
    """Rule 8: only the newest entry is projected."""

    def advance(self, tenant: str) -> int:
        tail = self._follower.tail(tenant)
        if tail.entries:
            self._project(tenant, tail.entries[-1])
        return tail.head


class Skipping(Replica):
    """Rule 8: the watermark may skip numbers."""

    def take(self) -> None:
        seq, written = self.queue[0]
        super().take()
        if written is None:
            self.watermark = max(self.watermark, seq)


class Hasty(MemoryIndex):
    """Rule 8: the watermark is that of one replica."""

    def watermark(self, tenant: str) -> int:
        super().watermark(tenant)
        return max(replica.watermark for replica in self._store.replicas)


class Unkeyed(Replica):
    """Rule 8: the last write wins, not the highest seq."""

    def write(self, seq: int, state: State) -> None:
        if state.image_id not in self.tombstones:
            self.states[state.image_id] = (seq, state)


class Unburied(Replica):
    """Rule 8: tombstones do not stay in the index."""

    def write(self, seq: int, state: State) -> None:
        held = self.states.get(state.image_id)
        if held is None or held[0] <= seq:
            self.states[state.image_id] = (seq, state)


class NoTombstones(Projector):
    """Rule 6: a delete leaves no tombstone object."""

    def _project(self, tenant: str, entry: Entry) -> None:
        super()._project(tenant, entry)
        self._blobs.delete(
            [keys.tombstone(tenant, one) for one in _laid(OverlayLayer(), entry).removed]
        )


class AdvancesOnlyItsOwn(Ledger):
    """Rule 9: a worker that finds its jobs settled does not advance."""

    _appended = False

    def __init__(self, **parts: Any) -> None:  # noqa: ANN401 - passed on as they come
        super().__init__(**parts)
        advance = self._projector.advance

        def own(tenant: str) -> int:
            return advance(tenant) if self._appended else 0

        self._projector.advance = own  # type: ignore[method-assign] # the rule that is broken

    def _step(self, tail: LogTail, source: SettleSource, claims: Sequence[Claim]) -> LogTail:
        self._appended = True
        return super()._step(tail, source, claims)

    def settle(self, tenant: str, claims: Sequence[Claim]) -> list[Operation | None]:
        self._appended = False
        return super().settle(tenant, claims)


class IndexAlone(Snapshot):
    """Rule 11: readers use the index without the tail."""

    def records(self, ids: Sequence[str], *, vectors: bool = False) -> list[Record | None]:
        return self.index.read_records(self.tenant, ids, vectors=vectors)

    def outcomes(self, job_ids: Sequence[str]) -> list[Outcome | None]:
        return self.index.read_outcomes(self.tenant, job_ids)


class LooksBack(LogFollower):
    """Rule 11: a reader keeps the tail of its first read."""

    def tail(self, tenant: str) -> LogTail:
        return self.held(tenant) or super().tail(tenant)


def _laid(layer: OverlayLayer, entry: Entry) -> OverlayLayer:
    layer = layer.copy()
    for operation in entry.operations:
        apply(layer, operation, entry.seq)
    return layer


BREAKS: dict[str, Callable[[], Parts]] = {
    "1 create-only": lambda: Parts(exactly=False, log=Overwriting),
    "2 marks stay": lambda: Parts(exactly=False, projector=FreesMarks),
    "3 the tail": lambda: Parts(exactly=False, ledger=SkipsTheTail),
    "4 tail before marks": lambda: Parts(exactly=False, ledger=LooksUpMarksFirst),
    "4 tail before index": lambda: Parts(exactly=False, ledger=AsksTheIndexFirst),
    "4 marks": lambda: Parts(exactly=False, ledger=NoMarks),
    "4 jobs of the tail": lambda: Parts(exactly=False, ledger=KeepsJobsOfTheTail),
    "5 the batch itself": lambda: Parts(exactly=False, ledger=IgnoresTheBatch),
    "5 the deleted go": lambda: Parts(exactly=False, ledger=KeepsTheDeleted),
    "5 ask for more": lambda: Parts(exactly=False, ledger=NeverAsksForMore, top=1),
    "5 all candidates": lambda: Parts(exactly=False, ledger=KeepsOneCandidate),
    "6 copies anew": lambda: Parts(exactly=False, ledger=LeavesCopies),
    "6 all that name it": lambda: Parts(exactly=False, ledger=ReachesCopiesAlone),
    "6 the strictest": lambda: Parts(exactly=False, ledger=OldestDecides),
    "6 unsettled uploads": lambda: Parts(exactly=False, ledger=LeavesTheUpload),
    "6 tombstones": lambda: Parts(exactly=False, projector=NoTombstones),
    "6 it goes last": lambda: Parts(exactly=False, ledger=GoesFirst),
    "6 it is closed": lambda: Parts(exactly=False, ledger=NeverCloses),
    "6 it is held": lambda: Parts(exactly=False, ledger=ForgetsHolds),
    "6 a block survives": lambda: Parts(exactly=False, ledger=ErasesBlocks),
    "6 kept before the rest goes": lambda: Parts(exactly=False, projector=KeepsNothing),
    "7 read on error": lambda: Parts(exactly=False, ledger=TakesTheNext),
    "7 never skip": lambda: Parts(exactly=False, ledger=SkipsANumber),
    "7 drop their jobs": lambda: Parts(exactly=False, ledger=KeepsJobsOfOthers),
    "7 decide again": lambda: Parts(exactly=False, ledger=DecidesOnce),
    "8 marks before W": lambda: Parts(exactly=False, projector=MarksLast),
    "8 pending last": lambda: Parts(exactly=False, projector=ForgetsPendingFirst),
    "8 every entry": lambda: Parts(exactly=False, projector=ProjectsTheHead, replica=Skipping),
    "8 every replica": lambda: Parts(exactly=False, index=Hasty),
    "8 marks before a new W": lambda: Parts(exactly=False, rash=True),
    "8 W never goes back": lambda: Parts(exactly=False, catches_up=False),
    "8 the highest seq wins": lambda: Parts(exactly=False, replica=Unkeyed),
    "8 tombstones stay": lambda: Parts(exactly=False, replica=Unburied),
    "9 the sweeper": lambda: Parts(exactly=False, sweeps=False),
    "9 advance for others": lambda: Parts(exactly=False, ledger=AdvancesOnlyItsOwn),
    "9 leftovers": lambda: Parts(exactly=False, clears=False),
    "11 reads overlaid": lambda: Parts(exactly=False, overlay=IndexAlone),
    "11 deleted to readers": lambda: Parts(exactly=False, overlay=ShowsBanks),
    "11 reads follow": lambda: Parts(exactly=False, follower=LooksBack),
}
"""Parts with one rule omitted, by the number of the rule."""
