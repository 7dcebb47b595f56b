"""Reads of records and their parts by id, ignoring outdated objects."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import Executor, Future, wait
from typing import Any, TypeVar

from weaviate.classes.query import Filter

from adapters.weaviate_index import collections, mapping
from adapters.weaviate_index.collections import Collections, Found
from adapters.weaviate_index.mapping import StoredRecord, key
from core.records import Outcome, Record, State
from core.types import Fingerprint, Vector

T = TypeVar("T")

LEAN = ("image_id", "seq", "born", "gone", "parts")
"""Properties that show whether an object is current."""
HELD = (*LEAN, "data")
"""All properties of a record."""
_MANY = 2_000
"""Objects of one query of references to records, before it is split."""


class RecordReads:
    """Reads in one generation."""

    def __init__(self, held: Collections, pool: Executor) -> None:
        self.store = held
        self.pool = pool

    def objects(
        self, tenant: str, image_ids: Sequence[str], properties: Sequence[str] = HELD
    ) -> dict[str, list[StoredRecord]]:
        """Return all objects of each record, with outdated ones and tombstones."""
        found: dict[str, list[StoredRecord]] = {}
        wanted = list(dict.fromkeys(image_ids))
        for one in self.store.find(collections.RECORD, tenant, "image_id", wanted, properties):
            read = stored(one)
            found.setdefault(read.image_id, []).append(read)
        return found

    def newest(
        self, tenant: str, image_ids: Sequence[str], properties: Sequence[str] = HELD
    ) -> dict[str, StoredRecord]:
        """Return the newest object of each known record; a tombstone is newest."""
        return {
            image_id: max(those, key=lambda one: one.rank)
            for image_id, those in self.objects(tenant, image_ids, properties).items()
        }

    def live(
        self, tenant: str, image_ids: Sequence[str], properties: Sequence[str] = HELD
    ) -> dict[str, StoredRecord]:
        """Return the newest object of each record that is not deleted."""
        newest = self.newest(tenant, image_ids, properties)
        return {image_id: one for image_id, one in newest.items() if not one.gone}

    def copies(self, tenant: str, image_ids: Sequence[str]) -> list[StoredRecord]:
        """Return live records whose original is one of these, in order of projection."""
        found = self._with(tenant, "original_id", image_ids)
        wanted = set(image_ids)
        live = self.live(tenant, found).values()
        kept = [
            one
            for one in live
            if (state := one.state).original in wanted and state.original != one.image_id
        ]
        return sorted(kept, key=lambda one: one.born)

    def find_states(
        self,
        tenant: str,
        *,
        sha256: AbstractSet[str],
        pixels: AbstractSet[str],
        originals: AbstractSet[str],
        confirmed: AbstractSet[str],
    ) -> list[State]:
        """Return live records with one of these digests, originals or confirmed matches."""
        asked = (
            ("sha256", sha256),
            ("pixels", pixels),
            ("original_id", originals | confirmed),
            ("confirmed", confirmed),
        )
        found = [one for column, values in asked for one in self._with(tenant, column, values)]
        live = sorted(self.live(tenant, found).values(), key=lambda one: one.born)
        return [
            state
            for state in (one.state for one in live)
            if state.sha256 in sha256
            or state.pixels in pixels
            or (state.original in originals and state.original != state.image_id)
            or not confirmed.isdisjoint(state.confirmed)
        ]

    def records(self, tenant: str, held: Iterable[StoredRecord]) -> dict[str, Record]:
        """Return the records by image_id, without vectors."""
        those = list(held)
        prints = self.fingerprints(tenant, those)
        return {
            one.image_id: Record(
                tenant=tenant,
                seq=one.seq,
                state=one.state,
                fingerprint=prints[one.image_id],
                fields=one.fields,
            )
            for one in those
            if one.image_id in prints
        }

    def all_vectors(
        self, tenant: str, held: Iterable[StoredRecord]
    ) -> dict[str, dict[str, Vector]]:
        """Return the (d,) vectors by image_id and space."""
        those = list(held)
        found: dict[str, dict[str, Vector]] = {one.image_id: {} for one in those}
        for space_id in sorted({name for one in those for name in one.spaces}):
            for image_id, vector in self.vectors(tenant, space_id, those).items():
                found[image_id][space_id] = vector
        return found

    def ids(self, tenant: str, condition: Any) -> list[str]:  # noqa: ANN401  # private type
        """Return the ids of all objects that match a condition, in slices if there are many."""
        found = self.store.where(collections.RECORD, tenant, condition, _MANY, ["image_id"])
        if len(found) < _MANY:
            return list({str(one.properties["image_id"]) for one in found})
        return [str(one.properties["image_id"]) for one in self.slices(tenant, condition)]

    def slices(self, tenant: str, condition: Any) -> Iterable[Found]:  # noqa: ANN401  # private type
        """Yield all objects that match a condition, in order of projection."""
        after = -1
        while True:
            more = condition & Filter.by_property("born").greater_than(after)
            found = self.store.where(
                collections.RECORD,
                tenant,
                more,
                _MANY,
                ["image_id", "born"],
                sort=collections.by("born"),
            )
            yield from found
            if len(found) < _MANY:
                return
            after = int(found[-1].properties["born"])

    def jobs(self, tenant: str, job_ids: Sequence[str]) -> dict[str, list[int]]:
        """Return the entries that have an outcome of each job."""
        found: dict[str, list[int]] = {}
        for one in self.store.find(collections.JOB, tenant, "job_id", job_ids, ["job_id", "seq"]):
            told = found.setdefault(str(one.properties["job_id"]), [])
            told.append(int(one.properties["seq"]))
        return found

    def outcomes(self, tenant: str, job_ids: Sequence[str]) -> dict[str, Outcome]:
        """Return the newest outcome of each job."""
        best: dict[str, Found] = {}
        for one in self.store.find(
            collections.JOB, tenant, "job_id", job_ids, ["job_id", "seq", "data"]
        ):
            job_id = str(one.properties["job_id"])
            known = best.get(job_id)
            if known is None or int(known.properties["seq"]) < int(one.properties["seq"]):
                best[job_id] = one
        return {
            job_id: mapping.read_outcome(str(one.properties["data"]))
            for job_id, one in best.items()
        }

    def fingerprints(self, tenant: str, held: Iterable[StoredRecord]) -> dict[str, Fingerprint]:
        """Return the fingerprints by image_id."""
        keys = {
            key(one.image_id, mapping.PRINT, one.parts[mapping.PRINT][0]): one.image_id
            for one in held
        }
        found = self.store.by_key(collections.PRINT, tenant, keys, ["data"])
        return {
            keys[uuid]: mapping.read_fingerprint(str(one.properties["data"]))
            for uuid, one in found.items()
        }

    def vectors(
        self, tenant: str, space_id: str, held: Iterable[StoredRecord]
    ) -> dict[str, Vector]:
        """Return the (d,) vectors of one space by image_id, without missing ones."""
        keys = {
            key(one.image_id, space_id, parts[space_id][0]): one.image_id
            for one in held
            if space_id in (parts := one.parts)
        }
        if not keys or self.store.dimensions(space_id) is None:
            return {}
        found = self.store.by_key(
            collections.space(space_id), tenant, keys, [], include_vector=True
        )
        return {
            keys[uuid]: mapping.read_vector(one.vector["vector"]) for uuid, one in found.items()
        }

    def _with(self, tenant: str, column: str, values: Collection[str]) -> list[str]:
        """Return the ids of records with one of these values, some perhaps twice."""
        found: list[str] = []
        wanted = list(values)
        for start in range(0, len(wanted), collections.PART):
            some = wanted[start : start + collections.PART]
            found += self.ids(tenant, Filter.by_property(column).contains_any(some))
        return found


def all_of(futures: Iterable[Future[T]]) -> list[T]:
    """Return the results once all have ended, so that an error leaves none running."""
    those = list(futures)
    wait(those)
    return [one.result() for one in those]


def stored(one: Found) -> StoredRecord:
    """Convert an object of the collection of records."""
    told = one.properties
    return StoredRecord(
        image_id=str(told["image_id"]),
        seq=int(told["seq"]),
        born=int(told.get("born") or 0),
        gone=bool(told.get("gone")),
        told=str(told.get("parts") or "{}"),
        data=str(told.get("data") or ""),
    )
