"""Projection of a log entry into the index: first a plan, then its objects, and W last.

The plan decides all that is written. It follows from the state before the entry, and is written
first. So every process that projects the same entry, at the same time or later, writes the same
objects, and a delayed one writes objects older than any since.
"""

from __future__ import annotations

import logging
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any
from uuid import UUID

import msgspec
from msgspec import Struct

from adapters.full_text import indexed_texts
from adapters.weaviate_index import collections, counters, mapping
from adapters.weaviate_index.collections import Made, kind_of, outdated
from adapters.weaviate_index.counters import CountedRecord, RecordChange, Tally
from adapters.weaviate_index.mapping import Part, StoredRecord, key
from adapters.weaviate_index.record_reads import RecordReads, all_of
from adapters.weaviate_index.replicas import Replicas
from adapters.weaviate_index.stemming import stemmed
from adapters.weaviate_index.tenant_state import TenantState
from core.errors import IndexUnavailableError
from core.records import Fields, Outcome, Record, State, Tombstone, embeddable_kinds
from core.types import ActiveSpaces

logger = logging.getLogger(__name__)

_STATES = 1 << 20
"""More than the records of an entry: `born` is the entry times this, plus the place in it."""


_BLINK = 5.0
"""Seconds in which no node can be dropped by gossip, come back, and so miss a write unnoticed: it
was dropped after 4.9 s (measured), and has to start besides."""
_LATE = 1.0
"""Seconds after which replicas are checked again before the next write: an entry may have two
thousand records, and servers may be slow."""


class ProjectionPlan(Struct, frozen=True):
    """Plan of an entry: order and parts of its records, and counts after it."""

    born: dict[str, int]
    parts: dict[str, dict[str, Part]]
    counts: dict[str, dict[str, int]]
    """Counts of each changed category."""
    older: dict[str, int]
    """Entry of the previous counts of each category that had some."""


class ProjectedEntry(Struct, frozen=True):
    """Changes of an entry to a tenant."""

    tenant: str
    seq: int
    records: Sequence[Record]
    removed: Sequence[Tombstone]
    outcomes: Sequence[Outcome]
    standings: Sequence[ActiveSpaces]


class WeaviateProjection:
    """Projection into one generation."""

    def __init__(
        self,
        reading: RecordReads,
        head: TenantState,
        replicas: Replicas,
        prepare: Callable[[str, int], None],
    ) -> None:
        """Create a projection; `prepare` creates the collection of a space by dimensions."""
        self._reading = reading
        self._store = reading.store
        self._pool = reading.pool
        self._head = head
        self._replicas = replicas
        self._prepare = prepare

    def project(self, entry: ProjectedEntry) -> None:
        """Write the changes of an entry if it is the next one, else nothing."""
        tenant, seq = entry.tenant, entry.seq
        now = self._head.read(tenant)
        if seq != now.watermark + 1:
            return
        began = time.monotonic()
        self._ready(entry)
        ids = [*(r.state.image_id for r in entry.records), *(t.image_id for t in entry.removed)]
        ended = [one.job_id for one in entry.outcomes]
        told = self._pool.submit(self._reading.jobs, tenant, ended)
        known = self._reading.objects(tenant, ids)
        jobs = told.result()
        before = {image_id: _before(known.get(image_id, []), seq) for image_id in ids}
        entry = _live(entry, before)
        text = now.plans.get(seq)
        if text is None:
            made = self._planned(entry, before)
            now = self._head.read(tenant)
            text = now.plans.get(seq)
            if text is None:
                if now.watermark != seq - 1:
                    return  # another process has projected it meanwhile
                self._head.plan(tenant, seq, msgspec.json.encode(made).decode())
        plan = made if text is None else msgspec.json.decode(text, type=ProjectionPlan)
        self._write(entry, plan, began)
        self._head.advance(tenant, seq)
        self._clear(entry, plan, known, jobs)

    # --- plan -----------------------------------------------------------------------------------

    def _planned(
        self, entry: ProjectedEntry, before: Mapping[str, StoredRecord | None]
    ) -> ProjectionPlan:
        born: dict[str, int] = {}
        parts: dict[str, dict[str, Part]] = {}
        for n, record in enumerate(entry.records):
            image_id = record.state.image_id
            old = before[image_id]
            born[image_id] = old.born if old is not None else entry.seq * _STATES + n
            had = old.parts if old is not None else {}
            parts[image_id] = {
                name: had[name] if name in had and had[name][1] == digest else (entry.seq, digest)
                for name, digest in mapping.digests(record).items()
            }
        changed = counters.changed(self._change(entry, before))
        held = self._head.tallies(entry.tenant, entry.seq - 1, changed)
        sums = {
            name: _sum(held[name][1] if name in held else None, more)
            for name, more in changed.items()
        }
        return ProjectionPlan(born, parts, sums, {name: seq for name, (seq, _) in held.items()})

    def _change(
        self, entry: ProjectedEntry, before: Mapping[str, StoredRecord | None]
    ) -> RecordChange:
        was = {
            image_id: None if old is None or old.gone else _kin_of(old)
            for image_id, old in before.items()
        }
        becomes: dict[str, CountedRecord | None] = dict(was)
        becomes.update({one.image_id: None for one in entry.removed})
        for record in entry.records:
            becomes[record.state.image_id] = _kin(record.state, record.fields, record.vectors)
        return RecordChange(was, becomes, self._others(entry.tenant, was, becomes))

    def _others(
        self,
        tenant: str,
        was: Mapping[str, CountedRecord | None],
        becomes: Mapping[str, CountedRecord | None],
    ) -> dict[str, CountedRecord]:
        """Return further records that affect counts: originals, and copies of changed records.

        A copy counts by the spaces of its original, so its count changes with them although the
        copy itself is not written.
        """
        known = [one for one in (*was.values(), *becomes.values()) if one is not None]
        originals = {one.original for one in known if one.original is not None} - was.keys()
        moved = [one for one in becomes if _spaces(was[one]) != _spaces(becomes[one])]
        live = self._reading.live(tenant, sorted(originals)).values()
        copies = self._reading.copies(tenant, moved)
        others = {one.image_id: _kin_of(one) for one in (*live, *copies) if one.image_id not in was}
        return {image_id: kin for image_id, kin in others.items() if kin is not None}

    # --- writes ---------------------------------------------------------------------------------

    def _write(self, entry: ProjectedEntry, plan: ProjectionPlan, began: float) -> None:
        tenant = entry.tenant
        made = self._objects(entry, plan)
        kinds = [kind for kind, some in made.items() if some]
        many = self._replicas.count() > 1
        counts: tuple[Any, ...] = (tenant, entry.seq, plan.counts, entry.standings)
        puts: list[Future[None]] = [self._pool.submit(self._head.write_counts, *counts)]
        for start in range(0, max(map(len, made.values())), collections.PART):
            if many and time.monotonic() > began + _LATE:
                began = time.monotonic()
                self._visible(tenant, kinds)
            puts += [
                self._pool.submit(self._store.put, kind, tenant, some)
                for kind in kinds
                if (some := made[kind][start : start + collections.PART])
            ]
            all_of(puts)
            if many:
                _refuse_slow(time.monotonic() - began)
            puts = []
        all_of(puts)
        self._visible(tenant, kinds if many else [kind for kind in kinds if made[kind][0].vector])

    def _ready(self, entry: ProjectedEntry) -> None:
        """Create the tenant and its spaces, and check that every replica is up."""
        spaces = _dimensions(entry.records)
        for space_id, wide in spaces.items():
            self._prepare(space_id, wide)
        kinds = [*collections.OF_TENANTS, *map(collections.space, spaces)]
        for kind in kinds:
            self._store.welcome(kind, entry.tenant)
        if self._replicas.count() > 1:
            self._visible(entry.tenant, kinds)
            self._replicas.check(entry.tenant)

    def _visible(self, tenant: str, kinds: Sequence[str]) -> None:
        """Wait until the objects are indexed on every replica."""
        all_of(self._pool.submit(self._replicas.visible, kind, tenant) for kind in kinds)

    def _objects(self, entry: ProjectedEntry, plan: ProjectionPlan) -> dict[str, list[Made]]:
        made: dict[str, list[Made]] = {
            collections.RECORD: [
                Made(uuid=key(stone.image_id, "gone"), properties=mapping.tombstone(stone))
                for stone in entry.removed
            ],
            collections.PRINT: [],
            collections.ANCHOR: [],
            collections.JOB: [
                Made(uuid=key(one.job_id, one.seq), properties=mapping.outcome(one))
                for one in entry.outcomes
            ],
        }
        texts = [indexed_texts(record.fields) or ("",) * 4 for record in entry.records]
        for record, words in zip(entry.records, stemmed(texts), strict=True):
            image_id = record.state.image_id
            parts = plan.parts[image_id]
            made[collections.RECORD].append(
                Made(
                    uuid=key(image_id, record.seq),
                    properties=mapping.record(record, plan.born[image_id], parts, words),
                )
            )
            for name, (since, _) in parts.items():
                if since == entry.seq:
                    made.setdefault(kind_of(name), []).append(_part(record, name, since))
        return made

    def _clear(
        self,
        entry: ProjectedEntry,
        plan: ProjectionPlan,
        known: Mapping[str, Sequence[StoredRecord]],
        jobs: Mapping[str, Sequence[int]],
    ) -> None:
        """Delete outdated objects; it may fail, as readers ignore them."""
        gone = _outdated(entry, plan, known)
        records = gone.pop(collections.RECORD, [])
        gone[collections.JOB] = [
            key(one.job_id, seq)
            for one in entry.outcomes
            for seq in jobs.get(one.job_id, ())
            if seq < one.seq
        ]
        try:
            all_of(
                self._pool.submit(self._store.delete, kind, entry.tenant, keys)
                for kind, keys in gone.items()
                if keys
            )
            # records last: `Cleanup` finds remaining parts through them
            last = self._pool.submit(self._store.delete, collections.RECORD, entry.tenant, records)
            head = self._pool.submit(self._head.clear, entry.tenant, entry.seq, plan.older)
            all_of([last, head])
        except IndexUnavailableError as error:
            about = {"tenant": entry.tenant, "seq": entry.seq, "reason": str(error)}
            logger.warning("outdated_objects_left", extra=about)


def _refuse_slow(seconds: float) -> None:
    """Raise IndexUnavailableError if a write took so long that a replica may have missed it."""
    if seconds > _BLINK:
        raise IndexUnavailableError(
            f"Weaviate took {seconds:.1f} s to write (limit {_BLINK:.0f} s): "
            "a replica may have missed it"
        )


def _outdated(
    entry: ProjectedEntry,
    plan: ProjectionPlan,
    known: Mapping[str, Sequence[StoredRecord]],
) -> dict[str, list[UUID]]:
    """Return by kind the objects of records that the entry made outdated."""
    gone: defaultdict[str, list[UUID]] = defaultdict(list)
    written = {(record.state.image_id, record.seq) for record in entry.records}
    # for other records the stored objects are newer than the entry
    touched = {*plan.parts, *(stone.image_id for stone in entry.removed)}
    for image_id in known.keys() & touched:
        keep = plan.parts.get(image_id, {})
        for old in known[image_id]:
            newer = old.seq >= entry.seq or (image_id, old.seq) in written
            if old.gone or newer:
                continue
            for kind, uuid in outdated(old, keep):
                gone[kind].append(uuid)
    return gone


def _spaces(one: CountedRecord | None) -> tuple[str, ...]:
    return () if one is None else one.spaces


def _kin(state: State, fields: Fields, spaces: Iterable[str]) -> CountedRecord | None:
    """Return the counted fields of a record with vectors in these spaces, None if a bank has it."""
    if state.bank is not None:
        return None
    return CountedRecord(
        category=fields.category or "",
        verdict=state.verdict.kind,
        decision=state.decision.value,
        spaces=tuple(sorted(spaces)),
        able=embeddable_kinds(state, fields),
        original=state.original if state.original != state.image_id else None,
    )


def _kin_of(held: StoredRecord) -> CountedRecord | None:
    """Return the counted fields of a stored record."""
    return _kin(held.state, held.fields, held.spaces)


def _before(found: Iterable[StoredRecord], seq: int) -> StoredRecord | None:
    """Return a record's object before entry `seq`; a deleted record stays deleted."""
    older = [one for one in found if one.seq < seq]
    return max(older, key=lambda one: one.rank, default=None)


def _live(entry: ProjectedEntry, before: Mapping[str, StoredRecord | None]) -> ProjectedEntry:
    """Return the entry without records that are deleted, or stored in a newer state."""
    leaving = {one.image_id for one in entry.removed}

    def wanted(record: Record) -> bool:
        old = before[record.state.image_id]
        if record.state.image_id in leaving:
            return False
        return old is None or (not old.gone and old.seq <= record.seq)

    def fresh(stone: Tombstone) -> bool:
        old = before[stone.image_id]
        return old is None or not old.gone

    last = {record.state.image_id: record for record in entry.records}
    return msgspec.structs.replace(
        entry,
        records=[record for record in last.values() if wanted(record)],
        removed=[stone for stone in entry.removed if fresh(stone)],
    )


def _part(record: Record, name: str, since: int) -> Made:
    image_id = record.state.image_id
    made = key(image_id, name, since)
    if name == mapping.PRINT:
        told = {"image_id": image_id, **mapping.fingerprint(record)}
        return Made(uuid=made, properties=told)
    if name == mapping.ANCHOR:
        properties, vectors = mapping.anchor(record)
        return Made(uuid=made, properties=properties, vector=vectors)
    return Made(
        uuid=made,
        properties=mapping.asked_by(record.state, record.fields),
        vector={"vector": record.vectors[name].tolist()},
    )


def _dimensions(records: Sequence[Record]) -> dict[str, int]:
    return {name: len(vector) for record in records for name, vector in record.vectors.items()}


def _sum(one: Tally | None, other: Tally) -> dict[str, int]:
    made = Counter(one or {})
    made.update(other)
    return {name: n for name, n in made.items() if n}
