"""Cached reads of settling: the index, pictures and pending jobs, each once a call."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Protocol

import msgspec

from core import keys
from core.errors import MissingError
from core.event_log.overlay_state import OverlayLayer
from core.evidence import Comparison
from core.index_port import Index
from core.keys import is_caption
from core.ports import Blobs
from core.records import Ended, Fields, Job, State, caption
from core.types import ActiveSpaces, Candidates, Hit, Query, Remade, SpaceKind

Kind = list[State]
"""Records of one digest with the same original and decision, oldest first: of a hundred thousand
copies of a file a verdict compares one."""
Fuse = Callable[[Sequence[Hit]], Candidates]
_Compared = tuple[str, Remade | None, tuple[tuple[str, Remade | None], ...]]
"""A picture and the candidates that it was compared with, by the pixels that each one has."""
OverlayLayers = tuple[OverlayLayer, ...]
PART = 1_000
"""Records without a vector that are read at a time."""

logger = logging.getLogger(__name__)

_job = msgspec.json.Decoder(Job)


def lacking(index: Index, tenant: str, space_id: str) -> Iterator[State]:
    """Yield records of an index that could have a vector in a space and have none."""
    place: int | None = -1
    while place is not None:
        states, place = index.list_unembedded(tenant, space_id, PART, place)
        yield from states


class LoadsPictures(Protocol):
    """The reads of settling beyond states: pictures and their fields."""

    def align(self, tenant: str, query: Query, hits: Sequence[Hit]) -> list[Comparison]:
        """Align a picture with hits and compare them, in order: a pure function of them all."""

    def prepare(
        self, tenant: str, pairs: Sequence[tuple[Query, Hit]], *, urgent: bool = False
    ) -> None:
        """Read and make at once all that the alignments of these pairs need; changes no result."""

    def query(self, tenant: str, image_id: str, remade: Remade | None = None) -> Query:
        """Return a stored picture's query, by the objects its state names. Raise MissingError."""

    def fields(self, tenant: str, image_id: str, op_id: str | None) -> Fields:
        """Return the fields that the caller sent in one call."""


class AnchorPool(Protocol):
    """A pool of one call's anchors that the index does not hold yet."""

    def __contains__(self, image_id: object) -> bool: ...

    def add(self, anchor: Query) -> None:
        """Add an anchor to the pool."""

    def near(self, query: Query) -> list[Hit]:
        """Return every anchor that a source finds near the query, without itself."""


class SettleSource:
    """A cache of one call's reads: a repeated read returns the same."""

    def __init__(
        self,
        tenant: str,
        *,
        index: Index,
        blobs: Blobs,
        sight: LoadsPictures,
        pool: AnchorPool,
        fuse: Fuse,
    ) -> None:
        self.tenant = tenant
        self.fuse = fuse
        self.pool = pool
        self._index = index
        self._blobs = blobs
        self._sight = sight
        self._states: dict[str, State | None] = {}
        self._same: dict[str, list[Kind]] = {}
        self._naming: dict[str, list[State]] = {}
        self._gone: dict[str, bool] = {}
        self._queries: dict[tuple[str, Remade | None], Query] = {}
        self._hits: dict[tuple[str, tuple[str, ...]], list[Hit]] = {}
        self._compared: dict[_Compared, list[Comparison]] = {}
        self._gathered: dict[OverlayLayer, int] = {}

    def prefetch(self, queries: Sequence[Query]) -> None:
        """Read duplicates and candidates for a whole batch at once."""
        if not queries:
            return
        self._queries.update(((query.image_id, query.remade), query) for query in queries)
        self._read_same(
            [query.fingerprint.sha256 for query in queries],
            [query.fingerprint.pixels_sha256 for query in queries],
        )
        alone = [
            query
            for query in queries
            if not self._same[query.fingerprint.sha256]
            and not self._same[query.fingerprint.pixels_sha256]
        ]
        if alone:
            found = self._index.find_candidates(self.tenant, alone)
            for query, hits in zip(alone, found, strict=True):
                self._hits[query.image_id, ()] = hits

    def state(self, image_id: str) -> State | None:
        """Return a state from the index, None if there is none."""
        if image_id not in self._states:
            self._states[image_id] = self._index.read_states(self.tenant, [image_id])[0]
        return self._states[image_id]

    def fetch_states(self, image_ids: Iterable[str]) -> None:
        """Read the states that are not cached yet, all at once."""
        unread = sorted(set(image_ids) - self._states.keys())
        if unread:
            states = self._index.read_states(self.tenant, unread)
            self._states.update(zip(unread, states, strict=True))

    def same(self, sha256: str, pixels: str) -> list[Kind]:
        """Return records of the index with either digest ("" for none), grouped by `Kind`."""
        digest = sha256 or pixels
        if digest not in self._same:
            self._read_same([sha256] if sha256 else [], [pixels] if pixels else [])
        return self._same[digest]

    def naming(self, image_id: str) -> list[State]:
        """Return the records of the index that name another among their confirmed matches.

        All that they name is read at once, as their decisions depend on it.
        """
        if image_id not in self._naming:
            found = self._index.find_states(self.tenant, confirmed=[image_id])
            self.fetch_states(one for state in found for one in state.confirmed)
            self._naming[image_id] = found
        return self._naming[image_id]

    def gone(self, image_id: str) -> bool:
        """Return whether the index has a tombstone."""
        if image_id not in self._gone:
            self._gone[image_id] = (
                self._index.read_tombstones(self.tenant, [image_id])[0] is not None
            )
        return self._gone[image_id]

    def upload(self, image_id: str) -> tuple[Ended, bool] | None:
        """Return an upload missing in the layers and whether it ended; None if there is none.

        The done mark is read first: a pending job is deleted only after it has one. Operations
        have either as well, and are no uploads.
        """
        pending = keys.pending(self.tenant, image_id)
        if self._blobs.exists([keys.done(self.tenant, image_id)])[0]:
            (outcome,) = self._index.read_outcomes(self.tenant, [image_id])
            other = outcome is not None and outcome.kind != "ingest"
            return None if other else (Ended(image_id, ""), True)
        try:
            job = _job.decode(self._blobs.get(pending))
        except MissingError:
            return None
        return (Ended(job.job_id, job.accepted_at), False) if job.kind == "ingest" else None

    def standing(self, kind: SpaceKind) -> ActiveSpaces | None:
        """Return the spaces of a kind from the index."""
        return self._index.active_spaces(self.tenant).get(kind)

    def lacking(self, space_id: str) -> Iterator[State]:
        """Yield records of the index that could have a vector in a space and have none."""
        return lacking(self._index, self.tenant, space_id)

    def able(self, state: State, space_id: str) -> bool:
        """Return whether a record could have a vector in a space: it has pixels, or a caption."""
        if is_caption(space_id):
            return bool(caption(self._sight.fields(self.tenant, state.image_id, state.fields)))
        return state.content != "purged"

    def query(self, image_id: str, remade: Remade | None) -> Query:
        """Return the query of a stored picture, or of this call. Raise MissingError."""
        key = image_id, remade
        if key not in self._queries:
            self._queries[key] = self._sight.query(self.tenant, image_id, remade)
        return self._queries[key]

    def hits(self, query: Query, shut: Callable[[str], bool], layers: OverlayLayers) -> list[Hit]:
        """Return anchors of the index near a query; search again without those that are `shut`.

        Only a record that one of the layers changed may be shut.
        """
        hits = self._candidates(query, ())
        if not any(shut(hit.image_id) for hit in hits):
            return hits
        changed = {one for layer in layers for one in (*layer.removed, *layer.states)}
        return self._candidates(query, tuple(sorted(filter(shut, changed))))

    def _candidates(self, query: Query, without: tuple[str, ...]) -> list[Hit]:
        """Return hits, cached with `without`: a later attempt may leave out other records."""
        key = (query.image_id, without)
        if key not in self._hits:
            self._hits[key] = self._index.find_candidates(self.tenant, [query], without=without)[0]
        return self._hits[key]

    def gather(self, layers: OverlayLayers) -> None:
        """Put every anchor of the layers into the pool."""
        for layer in layers:
            for image_id in islice(layer.anchors, self._gathered.get(layer, 0), None):
                if image_id in self.pool:
                    continue
                state = layer.states.get(image_id)
                try:
                    self.pool.add(self.query(image_id, state.remade if state else None))
                except MissingError:
                    # Deleted by an entry that was not read yet: the append will meet it.
                    about = {"tenant": self.tenant, "image_id": image_id}
                    logger.info("anchor_deleted", extra=about)
            self._gathered[layer] = len(layer.anchors)

    def prepare(self, pairs: Sequence[tuple[Query, Hit]], *, urgent: bool) -> None:
        """Have all that the comparisons of these pairs need read and made at once."""
        if pairs:
            self._sight.prepare(self.tenant, pairs, urgent=urgent)

    def compare(self, query: Query, hits: Sequence[Hit]) -> list[Comparison]:
        """Compare a picture with candidates, the same ones once."""
        key = (query.image_id, query.remade, tuple((hit.image_id, hit.remade) for hit in hits))
        if key not in self._compared:
            self._compared[key] = self._sight.align(self.tenant, query, hits)
        return self._compared[key]

    def owner(self, image_id: str, fields: str | None) -> str | None:
        """Return the owner_id in a picture's fields."""
        return self._sight.fields(self.tenant, image_id, fields).owner_id

    def _read_same(self, sha256: Sequence[str], pixels: Sequence[str]) -> None:
        found: dict[str, dict[tuple[object, ...], Kind]] = {one: {} for one in (*sha256, *pixels)}
        states = self._index.find_states(self.tenant, sha256=sha256, pixels=pixels)
        for state in sorted(states, key=lambda one: (one.accepted_at, one.image_id)):
            self._states[state.image_id] = state
            decision = state.decision
            kind = state.original, state.anchor, state.bank, decision.by, decision.value
            for digest in {state.sha256, state.pixels} & found.keys():
                found[digest].setdefault(kind, []).append(state)
        self._same.update((digest, list(kinds.values())) for digest, kinds in found.items())
