"""The pictures that help with a question: near enough, unlike each other, and fit to be shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from core.errors import ConflictError, EmbedderUnavailableError, MalformedError, SeenitError
from core.filters import SHOWN
from core.ports import Filters, Index
from core.search.fusion import K, Way, fuse
from core.search.request import SearchRequest
from core.search.searcher import Embedders, FoundPicture, Searcher
from core.types import SpaceKind, Vector
from rag.mmr import diverse
from rag.thresholds import ReadsCalibrations, SpaceQuestion, Thresholds, bars
from rag.types import DroppedPicture, RelevantPicture, RetrievalResult, allowed

POOL = 50
"""Least pictures looked at: what is unlike the rest must be among them to be chosen."""
DEPTH = 4
"""And as many times what is wanted."""
_KINDS: tuple[SpaceKind, ...] = ("visual", "caption")


class _SpaceAnswer(NamedTuple):
    """What one of the things that ask found, and what a picture has to reach for it."""

    hits: list[FoundPicture]
    bars: Thresholds
    used: tuple[str, ...]

    def near(self, hit: FoundPicture) -> bool:
        """Where words alone could be asked, they alone decide."""
        return self.used == ("keyword",) or self.bars.passes(hit.similarities)


class Retriever:
    """Search for prompts: better nothing than something irrelevant, and only what may be shown."""

    def __init__(
        self, searcher: Searcher, index: Index, embedders: Embedders, measured: ReadsCalibrations
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
        """At most `limit` pictures, best first.

        Each thing that asks has its own list and its own cut-off, and a picture has to pass one of
        them; then the lists are fused. The pictures that ask are left out. Pictures whose decision,
        or whose original's, is not `allow` are never among them, whatever `filters` say. Raise
        MalformedError without anything to ask with, MissingError or GoneError for an unknown or
        deleted picture, EmbedderUnavailableError or ConflictError where nothing could be asked.
        """
        if filters.decision and "allow" not in filters.decision:
            named = ", ".join(filters.decision)
            return RetrievalResult(
                items=(), reason=f"pictures of decision {named} are not shown to a model"
            )
        shown = filters._replace(decision=SHOWN)
        depth = max(POOL, DEPTH * limit)
        answers = self._answers(tenant, _asks(text, image_ids, vectors, shown, depth))
        used = tuple(dict.fromkeys(mode for answer in answers for mode in answer.used))
        asking = set(image_ids)
        found: dict[str, FoundPicture] = {}
        dropped: dict[str, DroppedPicture] = {}
        lists: list[tuple[float, list[str]]] = []
        for answer in answers:
            near: list[str] = []
            for hit in answer.hits:
                image_id = hit.seen.record.state.image_id
                if image_id in asking or not answer.near(hit):
                    continue
                if allowed(hit.seen):
                    near.append(image_id)
                    found.setdefault(image_id, hit)
                else:  # decided since
                    dropped[image_id] = DroppedPicture(image_id, "it may not be shown to a model")
            lists.append((1.0, near))
        if not found:
            return RetrievalResult(
                items=(), dropped=tuple(dropped.values()), reason=_reason(answers), used=used
            )
        ranked = fuse(lists)
        picked = diverse(
            [K / (K + rank) for rank in range(len(ranked))], self._alike(tenant, ranked), limit
        )
        return RetrievalResult(
            items=tuple(_relevant(found[ranked[place]]) for place in picked),
            dropped=tuple(dropped.values()),
            used=used,
        )

    # --- asking ---------------------------------------------------------------------------------

    def _answers(self, tenant: str, asks: Sequence[SearchRequest]) -> list[_SpaceAnswer]:
        """Of all that could be asked. Raise the first error where none could."""
        answers: list[_SpaceAnswer] = []
        refused: list[SeenitError] = []
        for ask in asks:
            try:
                results = self._searcher.search(tenant, ask)
                bar = self._bars(tenant, ask)
            except (EmbedderUnavailableError, ConflictError) as error:
                refused.append(error)
            else:
                answers.append(_SpaceAnswer(results.hits, bar, results.used))
        if not answers:
            raise refused[0]
        return answers

    def _bars(self, tenant: str, ask: SearchRequest) -> Thresholds:
        way: Way = "picture" if ask.text is None else "text"
        asked: list[SpaceQuestion] = []
        for kind in _KINDS:
            space_id = self._embedders.space_id(tenant, kind)
            vector = None if space_id is None else self._vector(tenant, kind, space_id, ask)
            if space_id is not None and vector is not None:
                asked.append(SpaceQuestion(kind, space_id, vector))
        return bars(self._index, self._measured, tenant, way, asked)

    def _vector(
        self, tenant: str, kind: SpaceKind, space_id: str, ask: SearchRequest
    ) -> Vector | None:
        """The question as it lies in a space, None where it does not."""
        if ask.image_id is not None:
            return self._stored(tenant, kind, space_id, ask.image_id)
        if ask.text is None:
            return ask.vector if kind == "visual" else None
        try:
            read, vector = self._searcher.read(tenant, kind, ask.text)
        except EmbedderUnavailableError:
            return None
        return vector if read == space_id else None

    def _stored(self, tenant: str, kind: SpaceKind, space_id: str, image_id: str) -> Vector | None:
        vector = self._index.vector(tenant, space_id, image_id)
        if vector is not None or kind == "caption":
            return vector
        (record,) = self._index.records(tenant, [image_id])
        if record is None or record.state.original == image_id:
            return None
        return self._index.vector(tenant, space_id, record.state.original)

    def _alike(self, tenant: str, ids: Sequence[str]) -> list[Vector | None]:
        """Vectors by which pictures are compared with each other: by what they show, else say."""
        records = self._index.records(tenant, ids, vectors=True)
        for kind in _KINDS:
            space_id = self._embedders.space_id(tenant, kind)
            found = [record.vectors.get(space_id or "") if record else None for record in records]
            if any(vector is not None for vector in found):
                return found
        return [None] * len(ids)


def _asks(
    text: str | None,
    image_ids: Sequence[str],
    vectors: Sequence[Vector],
    filters: Filters,
    depth: int,
) -> list[SearchRequest]:
    asks = [
        SearchRequest(image_id=image_id, filters=filters, limit=depth) for image_id in image_ids
    ]
    asks += [SearchRequest(vector=vector, filters=filters, limit=depth) for vector in vectors]
    if text is not None and text.strip():
        asks.insert(0, SearchRequest(text=text, filters=filters, limit=depth))
    if not asks:
        raise MalformedError("send a query or pictures to find others by", field="query")
    return asks


def _relevant(hit: FoundPicture) -> RelevantPicture:
    return RelevantPicture(
        seen=hit.seen, similarities=hit.similarities, matched_copy_id=hit.matched_copy_id
    )


def _reason(answers: Sequence[_SpaceAnswer]) -> str:
    """Why there is nothing, in words."""
    if not any(answer.hits for answer in answers):
        return "nothing that is stored, passes the filters and may be shown was found"
    lacking = [
        answer.bars.lacking([hit.similarities for hit in answer.hits if not answer.near(hit)])
        for answer in answers
    ]
    told = "; ".join(dict.fromkeys(one for one in lacking if one))
    return f"nothing stored is near enough: {told}" if told else "nothing stored is near enough"
