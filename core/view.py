"""The live records of one tenant at one moment: the index, overlaid with what it lacks.

Everything is read from the index after its watermark W was, and the layers hold every entry after
W: so what the index says may be old or even newer than the log that was read, but where it is
old, a layer has the newer state, and where it is newer, the append will find its number taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

import msgspec

from core import keys
from core.errors import MissingError
from core.layer import Layer
from core.pool import Pool
from core.ports import Blobs, Index
from core.types import (
    Candidates,
    Comparison,
    Ended,
    Fields,
    Hit,
    Job,
    Query,
    State,
    Tombstone,
)

Fuse = Callable[[Sequence[Hit]], Candidates]

_job = msgspec.json.Decoder(Job)


class Sight(Protocol):
    """What settling may look at beyond states: pictures, and what was said of them."""

    def compare(self, tenant: str, query: Query, candidate_id: str, hit: Hit) -> Comparison:
        """One picture laid over another: a pure function of the two."""

    def query(self, tenant: str, image_id: str) -> Query:
        """A stored picture as it asks for candidates. Raise MissingError."""

    def fields(self, tenant: str, image_id: str, op_id: str | None) -> Fields:
        """What the caller said of it in one call."""


class Source:
    """What one call has read so far; asked again, it answers the same."""

    def __init__(
        self,
        tenant: str,
        *,
        index: Index,
        blobs: Blobs,
        sight: Sight,
        pool: Pool,
        fuse: Fuse,
    ) -> None:
        self.tenant = tenant
        self.fuse = fuse
        self.pool = pool
        self._index = index
        self._blobs = blobs
        self._sight = sight
        self._states: dict[str, State | None] = {}
        self._same: dict[str, list[State]] = {}
        self._copies: dict[str, list[State]] = {}
        self._gone: dict[str, bool] = {}
        self._queries: dict[str, Query] = {}
        self._hits: dict[str, list[Hit]] = {}
        self._compared: dict[tuple[str, str], Comparison] = {}

    def prefetch(self, queries: Sequence[Query]) -> None:
        """Ask for a whole batch at once what it will need."""
        if not queries:
            return
        for query in queries:
            self._queries[query.image_id] = query
        self._ask_same(
            [query.fingerprint.sha256 for query in queries],
            [query.fingerprint.pixels_sha256 for query in queries],
        )
        alone = [
            query
            for query in queries
            if query.fingerprint.comparable
            and not self._same[query.fingerprint.sha256]
            and not self._same[query.fingerprint.pixels_sha256]
        ]
        if alone:
            found = self._index.hits(self.tenant, alone)
            for query, hits in zip(alone, found, strict=True):
                self._hits[query.image_id] = hits

    def state(self, image_id: str) -> State | None:
        """As the index has it."""
        if image_id not in self._states:
            self._states[image_id] = self._index.states(self.tenant, [image_id])[0]
        return self._states[image_id]

    def same(self, sha256: str, pixels: str) -> list[State]:
        """Records of the index with either digest; "" for none."""
        digest = sha256 or pixels
        if digest not in self._same:
            self._ask_same([sha256] if sha256 else [], [pixels] if pixels else [])
        return self._same[digest]

    def copies(self, image_id: str) -> list[State]:
        """As the index has them."""
        if image_id not in self._copies:
            self._copies[image_id] = self._index.copies(self.tenant, image_id)
        return self._copies[image_id]

    def gone(self, image_id: str) -> bool:
        """Whether the index has a tombstone."""
        if image_id not in self._gone:
            self._gone[image_id] = self._index.tombstones(self.tenant, [image_id])[0] is not None
        return self._gone[image_id]

    def upload(self, image_id: str) -> tuple[Ended, bool] | None:
        """An upload that the layers do not hold: ended, still pending, or never there.

        The done mark is asked for first: a pending job goes away only after it has one.
        """
        pending = keys.pending(self.tenant, image_id)
        if self._blobs.exists([keys.done(self.tenant, image_id)])[0]:
            return Ended(image_id, ""), True
        try:
            job = _job.decode(self._blobs.get(pending))
        except MissingError:
            return None
        return Ended(job.job_id, job.accepted_at), False

    def query(self, image_id: str) -> Query:
        """A stored picture, or one of this call. Raise MissingError."""
        if image_id not in self._queries:
            self._queries[image_id] = self._sight.query(self.tenant, image_id)
        return self._queries[image_id]

    def hits(self, query: Query, dead: Iterable[str]) -> list[Hit]:
        """Anchors of the index near a query; where a dead one took a place, ask for more."""
        gone = set(dead)
        hits = self._hits.get(query.image_id)
        if hits is None or any(hit.image_id in gone for hit in hits):
            hits = self._index.hits(self.tenant, [query], without=sorted(gone))[0]
            self._hits[query.image_id] = hits
        return hits

    def compare(self, query: Query, hit: Hit) -> Comparison:
        """One picture laid over another."""
        pair = (query.image_id, hit.image_id)
        if pair not in self._compared:
            self._compared[pair] = self._sight.compare(self.tenant, query, hit.image_id, hit)
        return self._compared[pair]

    def owner(self, image_id: str, fields: str | None) -> str | None:
        """The caller's own owner_id."""
        return self._sight.fields(self.tenant, image_id, fields).owner_id

    def _ask_same(self, sha256: Sequence[str], pixels: Sequence[str]) -> None:
        for digest in (*sha256, *pixels):
            self._same[digest] = []
        for state in self._index.by_content(self.tenant, sha256, pixels):
            self._states[state.image_id] = state
            for digest in {state.sha256, state.pixels} & self._same.keys():
                self._same[digest].append(state)


class IndexView:
    """A source under some layers, the newest first; writing goes to the topmost."""

    def __init__(self, source: Source, layers: tuple[Layer, ...]) -> None:
        self._source = source
        self._layers = layers

    def state(self, image_id: str) -> State | None:
        """The newest of a live record."""
        for layer in self._layers:
            if image_id in layer.removed:
                return None
            state = layer.states.get(image_id)
            if state is not None:
                return state
        return self._source.state(image_id)

    def gone(self, image_id: str) -> bool:
        """Whether it was deleted."""
        return any(image_id in layer.removed for layer in self._layers) or self._source.gone(
            image_id
        )

    def upload(self, image_id: str) -> tuple[Ended, bool] | None:
        """An upload's own job and whether it has ended; None where there never was one."""
        for layer in self._layers:
            outcome = layer.outcomes.get(image_id)
            if outcome is not None:
                return Ended(image_id, outcome.accepted_at), True
        return self._source.upload(image_id)

    def same_bytes(self, sha256: str) -> list[State]:
        """Live records of that digest."""
        return self._newest(
            (layer.same_bytes(sha256) for layer in self._layers), self._source.same(sha256, "")
        )

    def same_pixels(self, pixels: str) -> list[State]:
        """Live records of that digest."""
        return self._newest(
            (layer.same_pixels(pixels) for layer in self._layers), self._source.same("", pixels)
        )

    def copies(self, image_id: str) -> list[State]:
        """Live records whose original it is, itself left out."""
        states = self._newest(
            (layer.states.values() for layer in self._layers), self._source.copies(image_id)
        )
        return [
            state for state in states if state.original == image_id and state.image_id != image_id
        ]

    def near(self, query: Query) -> Candidates:
        """Live anchors other than itself that take new copies."""
        hits = {
            hit.image_id: hit
            for hit in self._source.hits(query, self._dead())
            if hit.image_id != query.image_id
        }
        self._gather()
        for hit in self._source.pool.near(query):
            if hit.image_id not in hits and self._open(hit.image_id):
                hits[hit.image_id] = hit
        return self._source.fuse(list(hits.values()))

    def compare(self, query: Query, hit: Hit) -> Comparison:
        """The picture laid over a candidate."""
        return self._source.compare(query, hit)

    def owner(self, image_id: str, fields: str | None) -> str | None:
        """The caller's own owner_id."""
        return self._source.owner(image_id, fields)

    def query(self, image_id: str) -> Query:
        """A stored picture as it asks for candidates."""
        return self._source.query(image_id)

    def fork(self) -> IndexView:
        """The same view, to be written upon."""
        return IndexView(self._source, (Layer(), *self._layers))

    def put(self, states: Sequence[State], removed: Sequence[Tombstone]) -> None:
        """Lay these over the view."""
        self._layers[0].put(states, removed)

    def _newest(self, layers: Iterable[Iterable[State]], below: Iterable[State]) -> list[State]:
        """Of every record among these the newest state, where it is live."""
        found: dict[str, State | None] = {}
        for states in (*layers, below):
            for state in states:
                if state.image_id not in found:
                    found[state.image_id] = self._over(state)
        return [state for state in found.values() if state is not None]

    def _over(self, state: State) -> State | None:
        """What the layers say of a record, else the state itself."""
        for layer in self._layers:
            if state.image_id in layer.removed:
                return None
            newer = layer.states.get(state.image_id)
            if newer is not None:
                return newer
        return state

    def _open(self, image_id: str) -> bool:
        state = self.state(image_id)
        return state is not None and state.anchor is not None and not state.closed

    def _dead(self) -> Iterator[str]:
        """What the index may still give as a candidate although it is none any more."""
        for layer in self._layers:
            yield from layer.removed
            yield from (
                state.image_id
                for state in layer.states.values()
                if state.closed or state.anchor is None
            )

    def _gather(self) -> None:
        """Put every anchor of the layers into the pool."""
        pool = self._source.pool
        for layer in self._layers:
            for state in layer.states.values():
                if state.anchor is not None and state.image_id not in pool:
                    pool.add(self._source.query(state.image_id))
