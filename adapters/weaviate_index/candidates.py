"""Candidate search: objects near a query by each source, verified against their records."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import Future
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

import numpy as np

from adapters.weaviate_index import collections, mapping, visual_words
from adapters.weaviate_index.mapping import ANCHOR, StoredRecord, key
from adapters.weaviate_index.record_reads import LEAN, RecordReads, all_of
from core.errors import MalformedError
from core.matching.hough_voting import Ballot
from core.matching.inverted_index import InvertedIndex
from core.matching.policy import Policy
from core.types import Hit, Query, Vector

_HASHES = 256
"""Most anchors per turn of a hash; the nearest 32 of all sources are compared."""
_VOTERS = 48
"""Anchors whose local features are matched with those of a query."""
_MORE = 16
"""Objects queried beyond the limit, in place of outdated ones."""

T = TypeVar("T")


class FoundObject(NamedTuple):
    """Object near a query, unverified: it may be older than its record."""

    image_id: str
    uuid: UUID
    similarity: float


class FoundHash(NamedTuple):
    """Object near a query by its hash, likewise unverified."""

    image_id: str
    uuid: UUID
    phash: str


class SourceAnswers(NamedTuple):
    """Objects that each source found for one query."""

    hashed: list[FoundHash]
    worded: list[tuple[str, str]]
    alike: list[FoundObject]

    @property
    def image_ids(self) -> set[str]:
        """Ids of all records that any source found."""
        return {
            *(one.image_id for one in self.hashed),
            *(image_id for _, image_id in self.worded),
            *(one.image_id for one in self.alike),
        }


class CandidateSearch:
    """Candidate search in one generation."""

    def __init__(self, reading: RecordReads, policy: Policy, *, words: bool) -> None:
        """Create the search; `words` adds local features as a source."""
        self._reading = reading
        self._store = reading.store
        self._policy = policy
        self._words = words
        self._source = visual_words.VisualWordSource()

    def hits(
        self, tenant: str, queries: Sequence[Query], without: Sequence[str]
    ) -> list[list[Hit]]:
        """Return the candidates near each query, in order of projection."""
        self._check(queries)
        hidden = [{*without, query.image_id} for query in queries]
        answers = self._answers(tenant, queries, [len(hide) for hide in hidden])
        named: set[str] = set().union(*(one.image_ids for one in answers))
        anchors = self._anchors(tenant, sorted(named))
        table, rows = self._table(tenant, answers, anchors)
        found: list[list[Hit]] = []
        for query, hide, answer in zip(queries, hidden, answers, strict=True):
            by_id: dict[str, dict[str, Any]] = {}
            for image_id, hamming, turn in self._close(query, answer.hashed, anchors):
                by_id[image_id] = {"hamming": hamming, "turn": turn}
            for image_id, similarity in self._similar(tenant, query, hide, answer.alike, anchors):
                by_id.setdefault(image_id, {}).update(similarity=similarity)
            for image_id, ballot in self._voted(query, hide, table, rows):
                by_id.setdefault(image_id, {}).update(ballot._asdict())
            ordered = sorted(by_id.keys() - hide, key=lambda one: anchors[one].born)
            found.append([Hit(image_id=one, **by_id[one]) for one in ordered])
        return found

    def _anchors(self, tenant: str, image_ids: Sequence[str]) -> dict[str, StoredRecord]:
        live = self._reading.live(tenant, image_ids, LEAN)
        return {image_id: one for image_id, one in live.items() if ANCHOR in one.parts}

    # --- queries --------------------------------------------------------------------------------

    def _answers(
        self, tenant: str, queries: Sequence[Query], hidden: Sequence[int]
    ) -> list[SourceAnswers]:
        """Query all sources of all queries in parallel, as each waits for some milliseconds."""
        pool = self._reading.pool
        asked: list[tuple[list[Future[list[FoundHash]]], list[Future[Any]], list[Future[Any]]]] = []
        for query, hide in zip(queries, hidden, strict=True):
            print_ = query.fingerprint
            turns = dict.fromkeys(print_.turns) if print_.comparable else ()
            hashes = [pool.submit(self._hashed, tenant, turn, _HASHES + hide) for turn in turns]
            seen = self._words and print_.features.words
            worded = [pool.submit(self._worded, tenant, query, _VOTERS + hide)] if seen else []
            wanted = self._policy.visual_top + hide + _MORE
            alike = (
                [pool.submit(self._alike, tenant, query, wanted)]
                if query.vector is not None
                else []
            )
            asked.append((hashes, worded, alike))
        all_of(one for of_one in asked for source in of_one for one in source)
        return [
            SourceAnswers(_flat(hashes), _flat(worded), _flat(alike))
            for hashes, worded, alike in asked
        ]

    def _hashed(self, tenant: str, turn: str, limit: int) -> list[FoundHash]:
        answer = self._store.many(
            collections.ANCHOR,
            tenant,
            lambda held: (
                held.query.near_vector(
                    mapping.bits(turn),
                    target_vector="phash",
                    distance=self._policy.phash_radius,
                    limit=min(limit, collections.MOST),
                    return_properties=["image_id", "phash"],
                ).objects
            ),
        )
        return [
            FoundHash(str(one.properties["image_id"]), one.uuid, str(one.properties["phash"]))
            for one in answer
        ]

    def _worded(self, tenant: str, query: Query, limit: int) -> list[tuple[str, str]]:
        return self._store.many(
            collections.ANCHOR,
            tenant,
            lambda held: self._source.ask(
                held, query.fingerprint.features, min(limit, collections.MOST)
            ),
        )

    def _alike(self, tenant: str, query: Query, limit: int) -> list[FoundObject]:
        if query.vector is None or query.space_id is None:
            return []
        return nearest(self._reading, tenant, query.space_id, query.vector, limit=limit)

    # --- verification ---------------------------------------------------------------------------

    def _close(
        self, query: Query, hashed: Iterable[FoundHash], anchors: Mapping[str, StoredRecord]
    ) -> Iterable[tuple[str, int, int]]:
        """Yield (image_id, hamming, turn), with the first of the closest turns."""
        turns = [int(turn, 16) for turn in query.fingerprint.turns]
        for near in dict.fromkeys(hashed):
            if not current(near, anchors.get(near.image_id), ANCHOR):
                continue
            apart = [(turn ^ int(near.phash, 16)).bit_count() for turn in turns]
            if min(apart) <= self._policy.phash_radius:
                yield near.image_id, min(apart), apart.index(min(apart))

    def _similar(
        self,
        tenant: str,
        query: Query,
        hide: set[str],
        alike: list[FoundObject],
        anchors: dict[str, StoredRecord],
    ) -> list[tuple[str, float]]:
        """Return (image_id, similarity) of the policy's top, querying until it is full."""
        policy, space_id = self._policy, query.space_id
        if space_id is None or not alike:
            return []
        asked = policy.visual_top + len(hide) + _MORE
        while True:
            near = [one for one in alike if one.similarity >= policy.visual_floor]
            kept = still_there(near, anchors, space_id, hide)
            ended = len(near) < asked or asked >= collections.MOST
            if ended or len(kept) >= policy.visual_top:
                kept.sort(key=lambda one: (-one.similarity, anchors[one.image_id].born))
                return [(one.image_id, one.similarity) for one in kept[: policy.visual_top]]
            asked = min(collections.MOST, 4 * asked)
            alike = self._alike(tenant, query, asked)
            anchors.update(self._anchors(tenant, [one.image_id for one in alike]))

    def _table(
        self, tenant: str, answers: Iterable[SourceAnswers], anchors: Mapping[str, StoredRecord]
    ) -> tuple[InvertedIndex, list[str]]:
        """Return an inverted index of all anchors found by words, and their ids by slot."""
        found = {
            image_id: anchors[image_id]
            for one in answers
            for uuid, image_id in one.worded
            if image_id in anchors and uuid == str(_key(anchors[image_id], ANCHOR))
        }
        ids = sorted(found, key=lambda image_id: found[image_id].born)
        prints = self._reading.fingerprints(tenant, [found[one] for one in ids])
        ids = [one for one in ids if one in prints]
        table = InvertedIndex()
        table.extend(range(len(ids)), [prints[one].features for one in ids])
        return table, ids

    def _voted(
        self, query: Query, hide: set[str], table: InvertedIndex, ids: Sequence[str]
    ) -> Iterable[tuple[str, Ballot]]:
        """Yield (image_id, ballot) of at most the policy's top."""
        words = query.fingerprint.features
        if not len(table) or not words.words:
            return
        found = table.search(words, self._policy.feature_top + len(hide))
        kept = [one for one in found if ids[one[0]] not in hide]
        for row, ballot in kept[: self._policy.feature_top]:
            if ballot.votes >= self._policy.feature_votes:
                yield ids[row], ballot

    def _check(self, queries: Sequence[Query]) -> None:
        for query in queries:
            if query.vector is None:
                continue
            if query.space_id is None:
                raise MalformedError("a vector must name its space", field="space_id")
            check(self._reading, query.space_id, query.vector)


def nearest(
    reading: RecordReads,
    tenant: str,
    space_id: str,
    vector: Vector,
    *,
    limit: int,
    condition: Any | None = None,  # noqa: ANN401  # private type
) -> list[FoundObject]:
    """Return objects near a vector in a space, best first, compared exactly by `numpy.dot`."""
    if not check(reading, space_id, vector):
        return []
    query = np.asarray(vector, np.float32)
    answer = reading.store.many(
        collections.space(space_id),
        tenant,
        lambda held: (
            held.query.near_vector(
                query.tolist(),
                target_vector="vector",
                filters=condition,
                limit=min(limit, collections.MOST),
                include_vector=True,
                return_properties=["image_id"],
            ).objects
        ),
    )
    found = [
        FoundObject(
            str(one.properties["image_id"]),
            one.uuid,
            float(np.dot(query, mapping.read_vector(one.vector["vector"]))),
        )
        for one in answer
    ]
    return sorted(found, key=lambda near: -near.similarity)


def check(reading: RecordReads, space_id: str, vector: Vector) -> bool:
    """Return whether a space exists. Raise MalformedError for a vector of other dimensions."""
    dimensions = reading.store.dimensions(space_id)
    given = np.asarray(vector).shape
    if dimensions is not None and given != (dimensions,):
        raise MalformedError(
            f"the space has {dimensions} dimensions, the vector has shape {given}", field="vector"
        )
    return dimensions is not None


def current(near: FoundObject | FoundHash, held: StoredRecord | None, part: str) -> bool:
    """Return whether an object is the current one of its record's part."""
    return held is not None and near.uuid == _key(held, part)


def still_there(
    found: Iterable[FoundObject],
    held: Mapping[str, StoredRecord],
    part: str,
    hidden: AbstractSet[str],
) -> list[FoundObject]:
    """Return the objects that are current parts of their records, without hidden records."""
    return [
        one
        for one in found
        if one.image_id not in hidden and current(one, held.get(one.image_id), part)
    ]


def _key(held: StoredRecord, part: str) -> UUID | None:
    """Return the id of the object of a record's part, None if it has no such part."""
    there = held.parts.get(part)
    return None if there is None else key(held.image_id, part, there[0])


def _flat(asked: Iterable[Future[list[T]]]) -> list[T]:
    return [one for future in asked for one in future.result()]
