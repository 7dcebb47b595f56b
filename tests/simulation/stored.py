"""Stores in memory that outlive a worker; every call on them is a point of interleaving.

They implement the ports of the ledger and its readers to blobs, log, index, shelf and sight; the
pictures are those of tests/simulation/world.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import msgspec

from core import keys
from core.errors import ExistsError, MissingError, StoreUnavailableError
from core.evidence import Comparison, Evidence
from core.records import Entry, Fields, Job, Record, State
from core.types import Hit, Query, Remade
from tests.simulation.replica import Replica
from tests.simulation.world import TENANT, Relation, fingerprint, of_state, picture_of

Gate = Callable[[str], None]
"""Callback before every step that others can see or be seen by."""


@dataclass
class Store:
    """State that outlives a worker."""

    relation: Relation = field(default_factory=Relation)
    objects: dict[str, bytes] = field(default_factory=dict)
    log: dict[int, Entry] = field(default_factory=dict)
    replicas: list[Replica] = field(default_factory=lambda: [Replica()])
    late: list[Entry] = field(default_factory=list)
    """Appends that will land after their writer has given up waiting."""

    def accept(self, job: Job) -> None:
        """Make a job durable."""
        self.objects[keys.pending(TENANT, job.job_id)] = msgspec.json.encode(job)

    def pending(self) -> list[str]:
        """List the jobs that a sweeper finds."""
        return [
            key.rpartition("/")[2] for key in self.objects if key.startswith(f"pending/{TENANT}/")
        ]

    @property
    def head(self) -> int:
        """Return the highest number taken."""
        return max(self.log, default=0)


def no_gate(_: str) -> None:
    """Pass without interleaving, outside of a run."""


class Blobs:
    """Port Blobs, as far as the ledger uses it."""

    def __init__(self, store: Store, gate: Gate = no_gate) -> None:
        self._objects = store.objects
        self._gate = gate

    def get(self, key: str) -> bytes:
        (data,) = self.get_many([key])
        if data is None:
            raise MissingError(key)
        return data

    def get_many(self, names: Sequence[str]) -> list[bytes | None]:
        self._gate("get")
        return [self._objects.get(name) for name in names]

    def exists(self, names: Sequence[str]) -> list[bool]:
        self._gate("exists")
        return [name in self._objects for name in names]

    def made_again(self, image_id: str) -> list[str]:
        """List the fingerprints of a picture beside that of its upload."""
        return [
            key
            for key in self._objects
            if key.startswith(f"derived/{TENANT}/{image_id}/")
            and key.endswith("/fingerprint")
            and key != keys.derived(TENANT, image_id, "fingerprint")
        ]

    def put(self, items: Iterable[tuple[str, bytes]]) -> None:
        for key, data in items:
            self._gate("put")
            self._objects[key] = data

    def create_many(self, items: Sequence[tuple[str, bytes]]) -> list[bool]:
        """Create one after the other: a crash may come between two."""
        created = []
        for key, data in items:
            self._gate("create")
            created.append(key not in self._objects)
            self._objects.setdefault(key, data)
        return created

    def delete(self, names: Iterable[str]) -> None:
        """Delete one after the other."""
        for name in names:
            self._gate("delete")
            self._objects.pop(name, None)


class Log:
    """Log; `fault` names the failure of an append that gets no answer."""

    def __init__(
        self, store: Store, gate: Gate = no_gate, fault: Callable[[], str] = lambda: ""
    ) -> None:
        self._store = store
        self._gate = gate
        self._fault = fault

    def read(self, tenant: str, seq: int) -> Entry | None:
        assert tenant == TENANT
        self._gate("read")
        return self._store.log.get(seq)

    def append(self, tenant: str, entry: Entry) -> None:
        """Create the entry, with the faults that real stores show."""
        assert tenant == TENANT
        self._gate("append")
        fault = self._fault()
        if fault == "409, nothing landed":
            raise ExistsError("409")
        if fault == "lands later":
            self._store.late.append(entry)
            raise StoreUnavailableError("timeout")
        if not self._land(entry):
            raise ExistsError("taken")
        self._gate("appended")
        if fault == "answer lost":
            raise StoreUnavailableError("timeout")
        if fault == "retried by the client":
            raise ExistsError("412 for one's own")

    def taken(self, tenant: str, numbers: Sequence[int]) -> list[bool]:
        assert tenant == TENANT
        self._gate("read")
        return [seq in self._store.log for seq in numbers]

    def head(self, tenant: str) -> int:
        assert tenant == TENANT
        self._gate("read")
        return self._store.head

    def land(self, entry: Entry) -> None:
        """Land a put that was thought lost."""
        self._land(entry)

    def _land(self, entry: Entry) -> bool:
        if entry.seq in self._store.log:
            return False
        self._store.log[entry.seq] = entry
        return True


class Shelf:
    """Per-picture objects, reduced to the one that counts."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs

    def write(self, image_id: str, picture: str, op_id: str | None = None) -> None:
        """Write a fingerprint; then look for a tombstone and a purge mark."""
        derived = keys.derived(TENANT, image_id, "fingerprint", op_id)
        self._blobs.put([(derived, picture.encode())])
        self.revisit(TENANT, [image_id])

    def revisit(self, tenant: str, ids: Sequence[str]) -> None:
        """Remove objects of pictures that have been deleted or purged meanwhile."""
        for image_id in ids:
            marks = [keys.tombstone(TENANT, image_id), keys.purged(TENANT, image_id)]
            deleted, purged = self._blobs.exists(marks)
            if deleted:
                self.remove(tenant, [image_id])
            elif purged:
                self._strip(image_id)

    def picture(self, image_id: str, remade: Remade | None = None) -> str | None:
        """Return the picture that is stored or was kept."""
        op_id = remade.fingerprint if remade else None
        found = self._blobs.get_many(
            [keys.derived(TENANT, image_id, "fingerprint", op_id), keys.kept(TENANT, image_id)]
        )
        return next((data.decode() for data in found if data is not None), None)

    def join(self, tenant: str, seq: int, states: Sequence[State]) -> list[Record]:
        """Join states to records, without those whose objects are gone."""
        return [
            Record(
                tenant=tenant, seq=seq, state=state, fingerprint=of_state(state), fields=Fields()
            )
            for state in states
            if self.picture(state.image_id, state.remade) is not None
        ]

    def remove(self, _: str, ids: Sequence[str]) -> None:
        self._blobs.delete(
            [
                key
                for image_id in ids
                for key in (
                    keys.derived(TENANT, image_id, "fingerprint"),
                    *self._blobs.made_again(image_id),
                    keys.kept(TENANT, image_id),
                )
            ]
        )

    def drop_pixels(self, image_id: str) -> None:
        """Mark the preview of the upload as removed: its fingerprint stays for replay."""
        self._blobs.put([(keys.derived(TENANT, image_id, "preview"), b"removed")])

    def discard(self, tenant: str, ids: Sequence[str]) -> None:
        """Do nothing: this world has no bytes."""

    def purge(self, _: str, image_id: str, remade: Remade | None = None) -> None:
        """Keep the fingerprint, set the mark, remove the rest."""
        picture = self.picture(image_id, remade)
        if picture is not None:
            self._blobs.put([(keys.kept(TENANT, image_id), picture.encode())])
        self._blobs.create_many([(keys.purged(TENANT, image_id), b"")])
        self._strip(image_id)

    def hide(self, tenant: str, image_id: str, remade: Remade | None = None) -> None:
        """Purge, and set the mark of the hiding first; this world has no fields."""
        self._blobs.create_many([(keys.hidden(TENANT, image_id), b"")])
        self.purge(tenant, image_id, remade)

    def _strip(self, image_id: str) -> None:
        self._blobs.delete(
            [keys.derived(TENANT, image_id, "fingerprint"), *self._blobs.made_again(image_id)]
        )


class Sight:
    """Comparison by the relation, while there are pixels."""

    def __init__(self, store: Store, shelf: Shelf, gate: Gate = no_gate) -> None:
        self._store = store
        self._shelf = shelf
        self._gate = gate

    def align(self, _: str, query: Query, hits: Sequence[Hit]) -> list[Comparison]:
        """Compare by a pure function of two while both are stored."""
        return [self._align(query, hit) for hit in hits]

    def _align(self, query: Query, hit: Hit) -> Comparison:
        self._gate("compare")
        op_id = hit.remade.pixels if hit.remade else None
        other = self._store.objects.get(keys.derived(TENANT, hit.image_id, "fingerprint", op_id))
        removed = keys.derived(TENANT, hit.image_id, "preview") in self._store.objects
        if other is None or (removed and op_id is None):
            return Comparison(relation="unrelated", evidence=Evidence())
        return self._store.relation.compare(picture_of(query.fingerprint), other.decode())

    def prepare(self, _: str, pairs: Sequence[tuple[Query, Hit]], *, urgent: bool = False) -> None:
        """Prepare nothing: a comparison reads one object."""

    def query(self, _: str, image_id: str, remade: Remade | None = None) -> Query:
        picture = self._shelf.picture(image_id, remade)
        if picture is None:
            raise MissingError(image_id)
        return Query(image_id=image_id, fingerprint=fingerprint(picture), remade=remade)

    def fields(self, tenant: str, image_id: str, op_id: str | None) -> Fields:
        del tenant, image_id, op_id
        return Fields()
