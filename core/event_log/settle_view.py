"""A view of one tenant's live records at one moment: the index, overlaid with the log.

The index is read after its watermark W, and the layers hold every entry after W. A record of the
index may be older or newer than the log that was read: if it is older, a layer has the newer state;
if it is newer, the append finds its number taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from itertools import chain, islice

from msgspec.structs import replace

from core.event_log.overlay_state import OverlayLayer
from core.event_log.settle_reads import Kind, OverlayLayers, SettleSource
from core.evidence import Comparison
from core.records import Ended, State, Tombstone
from core.types import ActiveSpaces, Candidates, Hit, Query, Remade, SpaceKind

Worth = Callable[[Sequence[Hit], str | None], AbstractSet[str]]
"""Selects the image_ids worth an alignment among hits in a space."""

ENOUGH = 100
"""Maximum count of records without a vector: more make no difference."""


class IndexView:
    """A source under layers, the newest first; writes go to the topmost."""

    def __init__(self, source: SettleSource, layers: OverlayLayers) -> None:
        self._source = source
        self._layers = layers
        # This is not in any layer.
        self.owner = source.owner

    def state(self, image_id: str) -> State | None:
        """Return the newest state of a live record, None for any other."""
        layer = self._layer_of(image_id)
        return self._source.state(image_id) if layer is None else layer.states.get(image_id)

    def gone(self, image_id: str) -> bool:
        """Return whether a record was deleted."""
        layer = self._layer_of(image_id)
        return self._source.gone(image_id) if layer is None else layer.gone(image_id)

    def upload(self, image_id: str) -> tuple[Ended, bool] | None:
        """Return an upload's job and whether it has ended; None if there never was one."""
        for layer in self._layers:
            outcome = layer.outcomes.get(image_id)
            if outcome is not None:
                upload = outcome.kind == "ingest"
                return (Ended(image_id, outcome.accepted_at), True) if upload else None
        return self._source.upload(image_id)

    def same_bytes(self, sha256: str) -> list[State]:
        """Return live records of a digest; only two of those that are alike for a verdict."""
        return self._first(
            (layer.same_bytes(sha256) for layer in self._layers), self._source.same(sha256, "")
        )

    def same_pixels(self, pixels: str) -> list[State]:
        """Return live records of a pixel digest, like `same_bytes`."""
        found = self._first(
            (layer.same_pixels(pixels) for layer in self._layers), self._source.same("", pixels)
        )
        return [state for state in found if state.pixels == pixels]

    def query(self, image_id: str) -> Query:
        """Return the query of a picture. Raise MissingError if its fingerprint is not stored."""
        return self._source.query(image_id, self._remade(image_id))

    def compare(self, query: Query, hits: Sequence[Hit]) -> list[Comparison]:
        """Align a picture with candidates, as this view's states name their pixels, and compare."""
        named = [replace(hit, remade=self._remade(hit.image_id)) for hit in hits]
        return self._source.compare(query, named)

    def prepare(self, queries: Sequence[Query], worth: Worth, *, urgent: bool = False) -> None:
        """Have all that the comparisons of new pictures will need read and made at once.

        The earlier ones may be anchors of the later ones, so all are put into the pool: `near`
        leaves out those that are none. A pair that is missed here is compared all the same.
        """
        fresh = self._distinct(queries)
        self._put_into_pool(fresh)
        pairs: list[tuple[Query, Hit]] = []
        earlier: set[str] = set()
        for query in fresh:
            hits = self._near(query, lambda one: one in earlier or self._open(one)).hits
            worthy = worth(hits, query.space_id)
            pairs += ((query, hit) for hit in hits if hit.image_id in worthy)
            earlier.add(query.image_id)
        self._source.fetch_states(hit.image_id for _, hit in pairs)
        self._source.prepare(
            [
                (query, replace(hit, remade=self._remade(hit.image_id)))
                for query, hit in pairs
                if hit.image_id in earlier or self._has_pixels(hit.image_id)
            ],
            urgent=urgent,
        )

    def _put_into_pool(self, queries: Sequence[Query]) -> None:
        self._source.fetch_states(query.image_id for query in queries)
        for query in queries if len(queries) > 1 else ():
            if query.image_id not in self._source.pool:
                self._source.pool.add(query)

    def _distinct(self, queries: Sequence[Query]) -> list[Query]:
        """Return the queries whose bytes and pixels no record and no earlier one has."""
        seen: set[str] = set()
        found = []
        for query in queries:
            digests = {query.fingerprint.sha256, query.fingerprint.pixels_sha256}
            if not digests & seen and not self.same_bytes(query.fingerprint.sha256):
                found.append(query)
            seen |= digests
        return found

    def naming(self, image_id: str) -> list[State]:
        """Return the live records that name another among their confirmed matches."""
        states = self._newest(
            (layer.states.values() for layer in self._layers), self._source.naming(image_id)
        )
        return [state for state in states if state.names(image_id)]

    def near(self, query: Query) -> Candidates:
        """Return the live, open anchors near a query, without itself."""
        return self._near(query, self._open)

    def _near(self, query: Query, admitted: Callable[[str], bool]) -> Candidates:
        hits = {
            hit.image_id: hit
            for hit in self._source.hits(query, self._shut, self._layers)
            if hit.image_id != query.image_id
        }
        self._source.gather(self._layers)
        for hit in self._source.pool.near(query):
            if hit.image_id not in hits and admitted(hit.image_id):
                hits[hit.image_id] = hit
        return self._source.fuse(list(hits.values()))

    def standing(self, kind: SpaceKind) -> ActiveSpaces | None:
        """Return the newest spaces of a kind in the log."""
        for layer in self._layers:
            if kind in layer.standings:
                return layer.standings[kind]
        return self._source.standing(kind)

    def lacking(self, space_id: str) -> int:
        """Count live records that could have a vector and have none, no further than ENOUGH."""
        found: set[str] = set()
        layered = {one for layer in self._layers for one in layer.states}
        below = (state.image_id for state in self._source.lacking(space_id))
        for image_id in chain(layered, below):
            state = self.state(image_id)
            if state is None or space_id in state.spaces:
                continue
            if self._source.able(state, space_id):
                found.add(image_id)
            if len(found) == ENOUGH:
                break
        return len(found)

    def fork(self) -> IndexView:
        """Return the same view with a new topmost layer to write to."""
        return IndexView(self._source, (OverlayLayer(), *self._layers))

    def put(self, states: Sequence[State], removed: Sequence[Tombstone]) -> None:
        """Write states and tombstones to the topmost layer."""
        self._layers[0].put(states, removed)

    def _first(self, layers: Iterable[Iterable[State]], below: Iterable[Kind]) -> list[State]:
        """Return the layers' records, and the first two untouched ones of each kind below.

        One is enough for a verdict, unless it is the picture itself.
        """
        untouched = (
            islice((one for one in kind if self._layer_of(one.image_id) is None), 2)
            for kind in below
        )
        return self._newest(layers, chain.from_iterable(untouched))

    def _layer_of(self, image_id: str) -> OverlayLayer | None:
        """Return the newest layer that has changed or deleted a record, None if none has."""
        for layer in self._layers:
            if image_id in layer.states or image_id in layer.removed:
                return layer
        return None

    def _newest(self, layers: Iterable[Iterable[State]], below: Iterable[State]) -> list[State]:
        """Return the newest state of each of these records that is live."""
        found: dict[str, State | None] = {}
        for states in (*layers, below):
            for state in states:
                if state.image_id not in found:
                    layer = self._layer_of(state.image_id)
                    newest = state if layer is None else layer.states.get(state.image_id)
                    found[state.image_id] = newest
        return [state for state in found.values() if state is not None]

    def _remade(self, image_id: str) -> Remade | None:
        state = self.state(image_id)
        return state.remade if state is not None else None

    def _open(self, image_id: str) -> bool:
        state = self.state(image_id)
        return state is not None and state.anchor is not None and not state.closed

    def _has_pixels(self, image_id: str) -> bool:
        state = self.state(image_id)
        return self._open(image_id) and state is not None and state.content != "purged"

    def _shut(self, image_id: str) -> bool:
        """Return whether a record is no candidate any more, though the index may return it."""
        layer = self._layer_of(image_id)
        if layer is None:
            return False
        state = layer.states.get(image_id)
        return state is None or state.closed or state.anchor is None
