"""Implementation of the port `Index` on one SQLite file and numpy: exact, for one machine."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import msgspec

from adapters.sqlite_index import candidates, keyword_search, lists, mapping, projection, statistics
from adapters.sqlite_index.connection import FILES, Database
from adapters.sqlite_index.read_snapshot import ReadSnapshot
from adapters.sqlite_index.tenant_cache import TenantCache
from adapters.sqlite_index.vector_search import VectorSearch
from core.errors import IndexUnavailableError
from core.filters import ALLOWED
from core.index_port import Filters, Index, IndexPage, MissingVectors, Neighbour, RecordCard, Stats
from core.matching.policy import Policy
from core.records import Outcome, Record, State, Tombstone
from core.types import ActiveSpaces, Hit, Query, SpaceKind, Vector


class SQLiteIndex:
    """Index in a file; several processes may read it while one writes."""

    def __init__(
        self, path: Path, policy: Policy, *, durable: bool = True, features: bool = True
    ) -> None:
        """Open or create the file. Raise IndexUnavailableError.

        `durable` flushes each projected entry to the disk; `features` finds candidates by local
        features too.
        """
        self._database = Database(path, durable=durable)
        self._policy = policy
        self._features = features
        self._memories: dict[str, TenantCache] = {}
        self._lock = threading.Lock()
        self._lagging: dict[str, int] | None = None

    def watermark(self, tenant: str) -> int:
        """Return W, up to which every entry is visible; 0 for an unknown tenant."""
        with self._at(tenant) as now:
            return now.watermark

    def check_sound(self) -> None:
        """Raise IndexDamagedError if damage was met: the file is not read for it."""
        self._database.check_sound()

    def check_replicas(self) -> None:
        """Do nothing: one file has no replicas."""

    def tenants(self) -> list[str]:
        """Return the tenants that have a watermark, sorted."""
        with self._database.reading() as db:
            return [row[0] for row in db.execute("SELECT tenant FROM tenants ORDER BY tenant")]

    def project_entry(
        self,
        tenant: str,
        seq: int,
        records: Sequence[Record],
        removed: Sequence[Tombstone],
        outcomes: Sequence[Outcome],
        *,
        standings: Sequence[ActiveSpaces] = (),
    ) -> None:
        """Write the changes of entry `seq` and W = seq in one transaction, if it is the next."""
        with self._database.writing() as db:
            projection.project(
                db,
                tenant,
                seq,
                records=records,
                removed=removed,
                outcomes=outcomes,
                standings=standings,
            )

    def active_spaces(self, tenant: str) -> dict[SpaceKind, ActiveSpaces]:
        """Return the active spaces by kind, of the kinds that the log has set."""
        with self._at(tenant) as now:
            found = now.db.execute("SELECT data FROM standings WHERE tenant = ?", (now.number,))
            return {one.kind: one for one in (mapping.read_standing(*row) for row in found)}

    def list_unembedded(
        self, tenant: str, space_id: str, limit: int, after: int = -1
    ) -> MissingVectors:
        """Return records that lack a possible vector in a space, in order of projection."""
        with self._at(tenant) as now:
            found = now.db.execute(
                "SELECT slot, state FROM records INDEXED BY record_by_slot "
                "WHERE tenant = ? AND slot > ? AND able & ? "
                "AND instr(' ' || held || ' ', ' ' || ? || ' ') = 0 ORDER BY slot LIMIT ?",
                (now.number, after, mapping.ABLE[space_id.partition("-")[0]], space_id, limit),
            ).fetchall()
            states = [mapping.read_state(state) for _, state in found]
        return MissingVectors(states, found[-1][0] if len(found) == limit else None)

    def read_states(self, tenant: str, image_ids: Sequence[str]) -> list[State | None]:
        """Return the states in order of the ids; None for unknown and deleted records."""
        with self._at(tenant) as now:
            found = now.by_id(image_ids, "r.state", banks=True)
            return [None if row is None else mapping.read_state(*row) for row in found]

    def find_states(
        self,
        tenant: str,
        *,
        sha256: Sequence[str] = (),
        pixels: Sequence[str] = (),
        originals: Sequence[str] = (),
        confirmed: Sequence[str] = (),
    ) -> list[State]:
        """Return live records with one of these digests, originals or confirmed matches, in order.

        A record's original is one of its confirmed matches. The order is that of projection.
        """
        found: dict[int, bytes] = {}
        columns = (
            ("sha256", sha256),
            ("pixels", pixels),
            ("original_id", (*originals, *confirmed)),
        )
        with self._at(tenant) as now:
            for column, values in columns:
                if values:
                    found.update(
                        now.db.execute(
                            f"SELECT slot, state FROM records INDEXED BY record_by_{column} "  # noqa: S608  # constants
                            f"WHERE tenant IN (?, ?) "
                            f"AND {column} IN (SELECT value FROM json_each(?))",
                            (now.number, -now.number, json.dumps(list(values))),
                        ).fetchall()
                    )
            if confirmed:
                found.update(
                    now.db.execute(
                        "SELECT r.slot, r.state FROM confirmed c CROSS JOIN records r "
                        "ON r.row = c.row WHERE c.tenant IN (?, ?) "
                        "AND c.confirmed IN (SELECT value FROM json_each(?))",
                        (now.number, -now.number, json.dumps(list(confirmed))),
                    ).fetchall()
                )
            return [mapping.read_state(found[slot]) for slot in sorted(found)]

    def find_candidates(
        self, tenant: str, queries: Sequence[Query], *, without: Sequence[str] = ()
    ) -> list[list[Hit]]:
        """Return the anchors near each query from every source, in order of projection.

        Closed and flat anchors, those in `without` and the query's own picture are left out; a
        flat query has none. Raise MalformedError for a vector without its space or of other
        dimensions than the space has.
        """
        spaces = {q.space_id for q in queries if q.vector is not None and q.space_id is not None}
        named = [query.image_id for query in queries]
        words = self._features and any(query.fingerprint.features.words for query in queries)
        with self._ready(tenant, spaces, words=words) as (now, memory, vectors):
            slots = now.slots([*named, *without])
        gone = {slots[image_id] for image_id in without if image_id in slots}
        hidden = [frozenset(gone | {slots.get(image_id, -1)}) for image_id in named]
        return candidates.hits(memory, vectors, queries, hidden, self._policy, words=words)

    def read_records(
        self, tenant: str, image_ids: Sequence[str], *, vectors: bool = False
    ) -> list[Record | None]:
        """Return the records in order of the ids; None for unknown and deleted ones."""
        with self._at(tenant) as now:
            found = now.by_id(image_ids, mapping.JOINED)
            records = [None if row is None else mapping.read_record(tenant, row) for row in found]
            if not vectors:
                return records
            return [
                record and msgspec.structs.replace(record, vectors=now.vectors_of(image_id))
                for image_id, record in zip(image_ids, records, strict=True)
            ]

    def read_tombstones(self, tenant: str, image_ids: Sequence[str]) -> list[Tombstone | None]:
        """Return the tombstones in order of the ids; None for records that were not deleted."""
        with self._at(tenant) as now:
            found = now.db.execute(
                "SELECT image_id, seq, deleted_at FROM tombstones "
                "WHERE tenant = ? AND image_id IN (SELECT value FROM json_each(?))",
                (now.number, json.dumps(list(image_ids))),
            ).fetchall()
            banked = now.db.execute(
                "SELECT seq, state FROM records "
                "WHERE tenant = ? AND image_id IN (SELECT value FROM json_each(?))",
                (-now.number, json.dumps(list(image_ids))),
            ).fetchall()
        by_id = {row[0]: Tombstone(*row) for row in found}
        for seq, data in banked:
            state = mapping.read_state(data)
            by_id[state.image_id] = Tombstone(state.image_id, seq, state.updated_at)
        return [by_id.get(image_id) for image_id in image_ids]

    def list_records(
        self,
        tenant: str,
        filters: Filters,
        limit: int,
        before: tuple[str, str] | None = None,
    ) -> IndexPage:
        """Return records older than (accepted_at, image_id) `before` that pass every filter.

        `accepted_after` and `accepted_before` exclude the time itself; `original_id` selects the
        copies of an original, not the original.
        """
        with self._at(tenant) as now:
            found = now.db.execute(*lists.query(now.number, filters, limit, before)).fetchall()
            records = [mapping.read_record(tenant, row) for row in found[:limit]]
        return IndexPage(records, len(found) > limit)

    def read_outcomes(self, tenant: str, job_ids: Sequence[str]) -> list[Outcome | None]:
        """Return the outcomes in order of the ids; None for jobs that have not ended."""
        with self._at(tenant) as now:
            found = now.db.execute(
                "SELECT job_id, data FROM outcomes "
                "WHERE tenant = ? AND job_id IN (SELECT value FROM json_each(?))",
                (now.number, json.dumps(list(job_ids))),
            )
            by_id = {job_id: mapping.read_outcome(data) for job_id, data in found}
        return [by_id.get(job_id) for job_id in job_ids]

    def list_variants(
        self, tenant: str, image_id: str, limit: int, before: tuple[str, str] | None = None
    ) -> list[State]:
        """Return records whose verdict names a picture as a variant, newest first."""
        with self._at(tenant) as now:
            found = now.db.execute(*lists.variants(now.number, image_id, limit, before))
            return [mapping.read_state(*row) for row in found]

    def list_outcomes(
        self,
        tenant: str,
        status: Literal["done", "failed"] | None,
        limit: int,
        before: tuple[str, str] | None = None,
    ) -> tuple[list[Outcome], bool]:
        """Return ended jobs older than (accepted_at, job_id) `before`, and whether more follow."""
        with self._at(tenant) as now:
            found = now.db.execute(*lists.outcomes(now.number, status, limit, before)).fetchall()
            return [mapping.read_outcome(*row) for row in found[:limit]], len(found) > limit

    def find_neighbours(
        self,
        tenant: str,
        space_id: str,
        vector: Vector,
        *,
        limit: int,
        min_similarity: float = -1.0,
        without: Sequence[str] = (),
        filters: Filters | None = None,
    ) -> list[Neighbour]:
        """Return the exact nearest records of a space, best first, equal ones in projection order.

        A record passes the filters itself, or by a copy without a vector of its own there. Raise
        MalformedError for a vector of other dimensions than the space has.
        """
        with self._ready(tenant, {space_id}, columns=filters is not None) as (now, memory, spaces):
            hidden = frozenset(now.slots(without).values())
            passes = None
            if filters is not None:
                passes = memory.columns.passing(now.db, now.number, filters)
        return candidates.neighbours(
            memory,
            spaces[space_id],
            vector,
            limit=limit,
            min_similarity=min_similarity,
            hidden=hidden,
            passes=passes,
            alone=filters == ALLOWED,
        )

    def search_keywords(
        self,
        tenant: str,
        text: str,
        *,
        limit: int,
        without: Sequence[str] = (),
        filters: Filters | None = None,
    ) -> list[Neighbour]:
        """Return records with any of a text's words, most relevant first (`keyword_search.search`).

        Similarity is BM25 over the stored words: 0 or above, not comparable between queries.
        """
        with self._ready(tenant, set(), columns=filters is not None) as (now, memory, _):
            if not now.watermark:
                return []
            among = None
            if filters is not None:
                passes = memory.columns.passing(now.db, now.number, filters)
                among = memory.columns.rows(passes)
            return keyword_search.search(
                now.db, now.number, text, limit=limit, without=without, among=among
            )

    def list_values(
        self,
        tenant: str,
        by: Literal["category", "owner_id", "decision", "verdict", "tag"],
        limit: int,
    ) -> list[str]:
        """Return at most `limit` values of a column, sorted; each takes one index lookup."""
        with self._at(tenant) as now:
            found = now.db.execute(lists.values(by), {"tenant": now.number, "limit": limit})
            return [row[0] for row in found]

    def read_cards(self, tenant: str, image_ids: Sequence[str]) -> list[RecordCard | None]:
        """Return the cards in order of the ids; None for unknown and deleted records."""
        with self._at(tenant) as now:
            found = now.by_id(image_ids, mapping.CARD)
        return [None if row is None else mapping.read_card(row) for row in found]

    def read_vectors(
        self, tenant: str, space_id: str, image_ids: Sequence[str]
    ) -> list[Vector | None]:
        """Return each record's own (d,) float32 vector of a space; a copy has no visual one."""
        with self._at(tenant) as now:
            return now.vectors_in(space_id, image_ids)

    def count_records(self, tenant: str, spaces: Sequence[str] = ()) -> Stats:
        """Return the counts as of W, also of these spaces if no record has a vector in them."""
        with self._at(tenant) as now:
            return statistics.stats(now.db, now.number, now.watermark, spaces)

    def fresh(self) -> SQLiteIndex:
        """Return an empty index in a file beside this one, replacing a leftover one."""
        path = self._database.path
        beside = path.with_name(f"{path.name}.new")
        for suffix in FILES:
            beside.with_name(beside.name + suffix).unlink(missing_ok=True)
        return SQLiteIndex(beside, self._policy, durable=False)

    def swap(self, fresh: Index) -> bool:
        """Replace the contents by those of an index made by `fresh`, and remove its file.

        Return False if it lags behind; one that lags as far at the next call has all of the log.
        """
        if not isinstance(fresh, SQLiteIndex):
            raise IndexUnavailableError(
                f"an SQLite index cannot take the contents of a {type(fresh).__name__}"
            )
        if self._database.damage is None and self._leads(fresh):
            return False
        fresh.close()
        self.take(fresh._database.path)  # noqa: SLF001  # of the same class
        return True

    def _leads(self, fresh: Index) -> bool:
        """Return whether `fresh` lacks entries that this one has, and may still receive them."""
        marks = {tenant: fresh.watermark(tenant) for tenant in self.tenants()}
        behind = any(mark < self.watermark(tenant) for tenant, mark in marks.items())
        known, self._lagging = self._lagging, marks
        return behind and marks != known

    def take(self, path: Path) -> None:
        """Replace the contents by those of the closed index file at `path`, and remove that file.

        Every reader, in this process and in others, sees all of the old or all of the new contents.
        Raise IndexUnavailableError on failure, which changes nothing.
        """
        self._database.take(path)

    def close(self) -> None:
        """Close the files and free the memory; later calls raise IndexUnavailableError."""
        self._database.close()
        with self._lock:
            self._memories.clear()

    @contextmanager
    def _at(self, tenant: str) -> Iterator[ReadSnapshot]:
        with self._database.reading() as db:
            about = db.execute(
                "SELECT ifnull(t.number, 0), ifnull(t.watermark, 0), a.generation "
                "FROM about a LEFT JOIN tenants t ON t.tenant = ?",
                (tenant,),
            ).fetchone()
            yield ReadSnapshot(db, *about)

    @contextmanager
    def _ready(
        self,
        tenant: str,
        spaces: AbstractSet[str],
        *,
        words: bool = False,
        columns: bool = False,
    ) -> Iterator[tuple[ReadSnapshot, TenantCache, dict[str, VectorSearch | None]]]:
        """Yield a snapshot, the tenant's cache at least as new, and the vectors of these spaces."""
        while True:
            with self._at(tenant) as now:
                with self._lock:
                    memory = self._memories.get(tenant)
                    if memory is None or memory.generation != now.generation:
                        memory = TenantCache(now.generation, now.number)
                        if now.number:
                            self._memories[tenant] = memory
                vectors = memory.prepare(
                    now.db, now.watermark, spaces, words=words, columns=columns
                )
                if vectors is not None:
                    yield now, memory, vectors
                    return
