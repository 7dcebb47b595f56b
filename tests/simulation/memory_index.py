"""Index in memory, in replicas that writes reach late; every call is a point of interleaving."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from core.index_port import MissingVectors
from core.records import Fields, Outcome, Record, State, Tombstone
from core.types import ActiveSpaces, Hit, Query
from tests.simulation.replica import Replica
from tests.simulation.stored import Gate, Store, no_gate
from tests.simulation.world import TENANT, measure, of_state, picture_of


class MemoryIndex:
    """Port Index, as far as the ledger uses it: replicas, each behind a queue, read at random."""

    def __init__(
        self, store: Store, gate: Gate = no_gate, choose: Callable[[int], int] = lambda _: 0
    ) -> None:
        self._store = store
        self._gate = gate
        self._choose = choose
        self.top = 0

    def _replica(self) -> Replica:
        self._gate("index")
        replicas = self._store.replicas
        return replicas[self._choose(len(replicas)) if len(replicas) > 1 else 0]

    def watermark(self, tenant: str) -> int:
        """Return the watermark that every replica shows."""
        assert tenant == TENANT
        self._gate("watermark")
        return min(replica.watermark for replica in self._store.replicas)

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
        """Queue one document after the other, then the watermark, for each replica."""
        assert tenant == TENANT
        states = [record.state for record in records]
        for written in (*removed, *states, *outcomes, *standings, None):
            self._gate("project")
            for replica in self._store.replicas:
                replica.queue.append((seq, written))
                if len(self._store.replicas) == 1:
                    replica.take()

    def active_spaces(self, _: str) -> dict[str, ActiveSpaces]:
        return {kind: standing for kind, (_, standing) in self._replica().standings.items()}

    def list_unembedded(self, _: str, space_id: str, limit: int, after: int = -1) -> MissingVectors:
        """Return all at once: every picture here has pixels."""
        del limit, after
        held = [state for _, state in self._replica().states.values()]
        return MissingVectors([state for state in held if space_id not in state.spaces], None)

    def read_states(self, _: str, image_ids: Sequence[str]) -> list[State | None]:
        held = self._replica().states
        return [held[one][1] if one in held else None for one in image_ids]

    def read_records(
        self, tenant: str, image_ids: Sequence[str], *, vectors: bool = False
    ) -> list[Record | None]:
        """Read records, which have no vectors here."""
        del vectors
        return [
            Record(tenant=tenant, seq=0, state=state, fingerprint=of_state(state), fields=Fields())
            if state is not None and state.bank is None
            else None
            for state in self.read_states(tenant, image_ids)
        ]

    def read_tombstones(self, _: str, image_ids: Sequence[str]) -> list[Tombstone | None]:
        replica = self._replica()
        banked = {
            one: Tombstone(one, seq, state.updated_at)
            for one, (seq, state) in replica.states.items()
            if state.bank is not None
        }
        return [replica.tombstones.get(one) or banked.get(one) for one in image_ids]

    def read_outcomes(self, _: str, job_ids: Sequence[str]) -> list[Outcome | None]:
        held = self._replica().outcomes
        return [held.get(one) for one in job_ids]

    def find_states(
        self,
        _: str,
        *,
        sha256: Sequence[str] = (),
        pixels: Sequence[str] = (),
        originals: Sequence[str] = (),
        confirmed: Sequence[str] = (),
    ) -> list[State]:
        """Return live records with one of these digests, originals or matches."""
        return [
            state
            for _, state in self._replica().states.values()
            if state.sha256 in sha256
            or state.pixels in pixels
            or (state.original in originals and state.original != state.image_id)
            or not state.confirmed.keys().isdisjoint(confirmed)
        ]

    def find_candidates(
        self, _: str, queries: Sequence[Query], *, without: Sequence[str] = ()
    ) -> list[list[Hit]]:
        """Return every open anchor."""
        anchors = [
            state
            for _, state in self._replica().states.values()
            if state.anchor and not state.closed and state.image_id not in without
        ]
        return [self._near(query, anchors) for query in queries]

    def _near(self, query: Query, anchors: Sequence[State]) -> list[Hit]:
        hits = (
            measure(query, Query(image_id=anchor.image_id, fingerprint=of_state(anchor)))
            for anchor in self._best(query, anchors)
        )
        return [hit for hit in hits if hit is not None]

    def _best(self, query: Query, anchors: Sequence[State]) -> list[State]:
        """Return all anchors, or only so many of those that will confirm, the first ones first."""
        if not self.top:
            return list(anchors)
        mine = picture_of(query.fingerprint)
        relation = self._store.relation
        found = [
            one
            for one in anchors
            if of_state(one).comparable and relation.confirms(mine, picture_of(of_state(one)))
        ]
        return sorted(found, key=lambda one: one.anchor or ())[: self.top]
