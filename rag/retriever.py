"""Retrieval for prompts: pictures near enough, unlike each other, and allowed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from msgspec.structs import replace

from core.calibration.store import CalibrationStore
from core.errors import ConflictError, EmbedderUnavailableError, MalformedError, SeenitError
from core.filters import SHOWN
from core.index_port import Filters, Index
from core.search.fusion import K, fuse
from core.search.request import SearchRequest
from core.search.searcher import Embedders, FoundPicture, Searcher
from core.types import SPACE_KINDS, Vector
from rag.mmr import diverse
from rag.thresholds import Thresholds, thresholds
from rag.types import DroppedPicture, RelevantPicture, RetrievalResult, allowed

POOL = 50
"""Least number of candidates: a picture unlike the others must be among them to be chosen."""
DEPTH = 4
"""Candidates for each picture of the limit, if that is more than POOL."""
NOTHING_NEAR = "nothing stored is near enough"


class _SpaceAnswer(NamedTuple):
    """The hits of one search, with the thresholds that they have to reach."""

    hits: list[FoundPicture]
    thresholds: Thresholds
    used: tuple[str, ...]

    def passes(self, hit: FoundPicture) -> bool:
        """Return whether a hit is near enough; any is if only keywords were searched."""
        return self.used == ("keyword",) or self.thresholds.passes(hit.similarities)

    def lacking(self) -> str:
        """Return the best similarity below the threshold, and the threshold, in words."""
        return self.thresholds.lacking([h.similarities for h in self.hits if not self.passes(h)])


class Retriever:
    """Search for prompts, which returns nothing rather than irrelevant or disallowed pictures."""

    def __init__(
        self, searcher: Searcher, index: Index, embedders: Embedders, measured: CalibrationStore
    ) -> None:
        self._searcher = searcher
        self._index = index
        self._embedders = embedders
        self._measured = measured

    def retrieve(
        self,
        tenant: str,
        *,
        text: str | None,
        image_ids: Sequence[str] = (),
        vectors: Sequence[Vector] = (),
        filters: Filters = Filters(),  # noqa: B008 - a value that never changes
        limit: int = 8,
    ) -> RetrievalResult:
        """Return at most `limit` pictures, best first.

        The text, each picture and each vector is one search, with its own list and thresholds; a
        picture has to pass one of them, and then the lists are fused. The pictures searched by are
        left out. Pictures whose decision or original's is not `allow` are never returned, whatever
        `filters` name. Raise MalformedError without anything to search by, MissingError or
        GoneError for an unknown or deleted picture, EmbedderUnavailableError or ConflictError if
        no search was possible.
        """
        if filters.decision and "allow" not in filters.decision:
            named = ", ".join(filters.decision)
            return RetrievalResult(
                items=(), reason=f"pictures of decision {named} are not shown to a model"
            )
        requests = _requests(text, image_ids, vectors, filters._replace(decision=SHOWN), limit)
        answers = self._search(tenant, requests)
        used = tuple(dict.fromkeys(mode for answer in answers for mode in answer.used))
        found: dict[str, FoundPicture] = {}
        dropped: dict[str, DroppedPicture] = {}
        lists: list[tuple[float, list[str]]] = []
        for answer in answers:
            near: list[str] = []
            for hit in filter(answer.passes, answer.hits):
                image_id = hit.seen.record.state.image_id
                if image_id in image_ids:
                    continue
                if allowed(hit.seen):
                    near.append(image_id)
                    found.setdefault(image_id, hit)
                else:  # decided after the index was read
                    dropped[image_id] = DroppedPicture(image_id, "it may not be shown to a model")
            lists.append((1.0, near))
        picked = self._diverse(tenant, [found[image_id] for image_id in fuse(lists)], limit)
        return RetrievalResult(
            items=picked,
            dropped=tuple(dropped.values()),
            reason=None if found else _reason(answers),
            used=used,
        )

    def _search(self, tenant: str, requests: Sequence[SearchRequest]) -> list[_SpaceAnswer]:
        """Return the answers of all possible searches. Raise the first error if none is."""
        answers: list[_SpaceAnswer] = []
        refused: list[SeenitError] = []
        for request in requests:
            try:
                results = self._searcher.search(tenant, request)
            except (EmbedderUnavailableError, ConflictError) as error:
                refused.append(error)
            else:
                lists = results.lists
                needed = thresholds(self._index, self._measured, tenant, lists)
                answers.append(_SpaceAnswer(results.hits, needed, results.used))
        if not answers:
            raise refused[0]
        return answers

    def _diverse(
        self, tenant: str, ranked: Sequence[FoundPicture], limit: int
    ) -> tuple[RelevantPicture, ...]:
        """Return at most `limit` pictures unlike each other, by visual, else by caption vectors."""
        vectors: list[Vector | None] = []
        for kind in SPACE_KINDS:
            space_id = self._embedders.space_id(tenant, kind) or ""
            vectors = [hit.seen.record.vectors.get(space_id) for hit in ranked]
            if any(vector is not None for vector in vectors):
                break
        relevance = [K / (K + rank) for rank in range(len(ranked))]
        chosen = (ranked[place] for place in diverse(relevance, vectors, limit))
        return tuple(
            RelevantPicture(
                seen=hit.seen, similarities=hit.similarities, matched_copy_id=hit.matched_copy_id
            )
            for hit in chosen
        )


def _requests(
    text: str | None,
    image_ids: Sequence[str],
    vectors: Sequence[Vector],
    filters: Filters,
    limit: int,
) -> list[SearchRequest]:
    """Return a search for each text, picture and vector. Raise MalformedError without any."""
    whole = SearchRequest(filters=filters, limit=max(POOL, DEPTH * limit), with_vectors=True)
    requests = [replace(whole, text=text)] if text is not None and text.strip() else []
    requests += [replace(whole, image_id=image_id) for image_id in image_ids]
    requests += [replace(whole, vector=vector) for vector in vectors]
    if not requests:
        raise MalformedError("send a query or pictures to find others by", field="query")
    return requests


def _reason(answers: Sequence[_SpaceAnswer]) -> str:
    """Return why there is nothing, in words."""
    if not any(answer.hits for answer in answers):
        return "no stored picture that passes the filters and may be shown was found"
    lacking = "; ".join(dict.fromkeys(filter(None, (answer.lacking() for answer in answers))))
    return f"nothing stored is near enough: {lacking}" if lacking else NOTHING_NEAR
