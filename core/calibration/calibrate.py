"""Calibration of the thresholds of a tenant's spaces, which `seenit calibrate` runs.

It needs no queries of users: one sentence of a stored picture's caption is a query for the other
pictures. The rest of the caption, if any, shows how many queries would be answered.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.calibration.pseudo_queries import PseudoQuery, place, question
from core.calibration.store import CalibrationStore
from core.calibration.thresholds import BANK, CROWD, RATE, TWINS, Calibration, CutOff, cut, packed
from core.clock import now
from core.embedding.pipeline import PIPELINE_VERSION
from core.errors import ConflictError, EmbedderUnavailableError, MalformedError
from core.index_port import Filters, Index
from core.ports import TextEmbedder
from core.records import Record
from core.search.searcher import Embedders
from core.types import SPACE_KINDS, Matrix, ReportProgress, SpaceKind, Vector

SAMPLE = 2_000
"""Maximum query pictures: a rate of a tenth is then exact to 1.3 points (95 %)."""
_PAGE = 200
_BATCH = 64


class CalibrationResult(NamedTuple):
    """The result of a run: the calibrations, and why a space has none."""

    made: dict[SpaceKind, Calibration]
    refused: dict[SpaceKind, str]


class _DrawnPicture(NamedTuple):
    """A picture that takes part, with the query of its caption if it has one."""

    image_id: str
    question: PseudoQuery | None


class Calibrator:
    """A calibrator that queries the index like a search, so that the thresholds apply there."""

    def __init__(self, index: Index, models: Embedders, calibrations: CalibrationStore) -> None:
        self._index = index
        self._models = models
        self._calibrations = calibrations

    def calibrate(
        self,
        tenant: str,
        *,
        rate: float = RATE,
        told: ReportProgress = lambda _done, _total: None,
        among: Collection[str] | None = None,
    ) -> CalibrationResult:
        """Calibrate both active spaces, store the thresholds, and return them.

        With `among`, only those pictures are queries; all stored ones may be found. `told` is
        called with the queries done and their total. Raise MalformedError for a rate outside 0 to
        0.5, IndexUnavailableError, StoreUnavailableError.
        """
        if not 0 < rate <= 0.5:  # noqa: PLR2004 - above it a coin does better
            raise MalformedError(
                f"the rate of false answers is {rate}: send a number above 0 and up to 0.5"
            )
        sample = self._drawn(tenant, among)
        total, done = 2 * len(SPACE_KINDS) * len(sample), 0

        def report(count: int) -> None:
            nonlocal done
            done += count
            told(min(done, total), total)

        tuned = CalibrationResult({}, {})
        for number, kind in enumerate(SPACE_KINDS, 1):
            try:
                calibration = self._space(tenant, kind, sample, rate, report)
            except (ConflictError, EmbedderUnavailableError) as error:
                tuned.refused[kind] = error.detail
            else:
                self._calibrations.put(tenant, calibration)
                tuned.made[kind] = calibration
            report(2 * number * len(sample) - done)
        return tuned

    # --- one space ------------------------------------------------------------------------------

    def _space(
        self,
        tenant: str,
        kind: SpaceKind,
        sample: Sequence[_DrawnPicture],
        rate: float,
        report: Callable[[int], None],
    ) -> Calibration:
        """Calibrate one active space. Raise EmbedderUnavailableError, ConflictError."""
        embedder = self._loaded(tenant, kind)
        space = embedder.space
        held = self._index.read_vectors(tenant, space.space_id, [one.image_id for one in sample])
        stored = [
            (drawn, vector)
            for drawn, vector in zip(sample, held, strict=True)
            if vector is not None
        ]

        def nearest(ids: Sequence[str], vectors: Matrix) -> NDArray[np.float64]:
            return self._nearest(tenant, space.space_id, ids, vectors, report)

        questions, by_text = _text_cut_off(embedder, stored, rate, nearest)
        vectors = np.array([vector for _, vector in stored], np.float32)
        others = nearest([drawn.image_id for drawn, _ in stored], vectors)
        return Calibration(
            space_id=space.space_id,
            kind=kind,
            model=space.model,
            pipeline_version=PIPELINE_VERSION,
            made_at=now(),
            rate=rate,
            pictures=len(stored),
            ways={"text": by_text, "picture": cut(others, None, rate)},
            dimensions=space.dimensions,
            texts=packed(questions[:BANK]),
        )

    def _loaded(self, tenant: str, kind: SpaceKind) -> TextEmbedder:
        """Return the embedder of the active space, loaded. Raise EmbedderUnavailableError."""
        models = self._models
        embedder: TextEmbedder = (
            models.visual(tenant) if kind == "visual" else models.caption(tenant)
        )
        embedder.load()
        if embedder.absent is not None:
            raise EmbedderUnavailableError(embedder.absent)
        return embedder

    def _nearest(
        self,
        tenant: str,
        space_id: str,
        ids: Sequence[str],
        vectors: Matrix,
        report: Callable[[int], None],
    ) -> NDArray[np.float64]:
        """Return (n, 11) cosines of the nearest pictures, without itself and its copies."""
        found = np.full((len(ids), CROWD + 1), np.nan)
        for n, (image_id, vector) in enumerate(zip(ids, vectors, strict=True)):
            copies = self._index.find_states(tenant, originals=[image_id])
            near = self._index.find_neighbours(
                tenant,
                space_id,
                vector,
                limit=CROWD + 1,
                without=[image_id, *(copy.image_id for copy in copies)],
            )
            found[n, : len(near)] = [one.similarity for one in near]
            report(1)
        return found

    # --- queries -------------------------------------------------------------------------------

    def _drawn(self, tenant: str, among: Collection[str] | None) -> list[_DrawnPicture]:
        """Draw originals by their ids; return those with a caption first."""
        drawn = heapq.nsmallest(
            SAMPLE,
            (
                ((words is None, place(record.state.image_id)), record.state.image_id, words)
                for record in self._originals(tenant)
                if among is None or record.state.image_id in among
                for words in [question(record.state.image_id, record.fields)]
            ),
            key=lambda one: one[0],
        )
        return [_DrawnPicture(image_id, words) for _, image_id, words in drawn]

    def _originals(self, tenant: str) -> Iterator[Record]:
        before = None
        while True:
            page = self._index.list_records(tenant, Filters(), _PAGE, before)
            yield from (one for one in page.records if one.state.original == one.state.image_id)
            if not page.more or not page.records:
                return
            state = page.records[-1].state
            before = (state.accepted_at, state.image_id)


def _text_cut_off(
    embedder: TextEmbedder,
    stored: Sequence[tuple[_DrawnPicture, Vector]],
    rate: float,
    nearest: Callable[[Sequence[str], Matrix], NDArray[np.float64]],
) -> tuple[Matrix, CutOff]:
    """Return the queries' (n, d) vectors, and the cut-off of searches by text.

    The right answer to a query is its picture, or in a caption space the rest of its caption.
    """
    captioned = [(drawn.image_id, drawn.question, own) for drawn, own in stored if drawn.question]
    questions = _embedded(embedder, [words.text for _, words, _ in captioned])
    others = nearest([image_id for image_id, _, _ in captioned], questions)
    if embedder.space.kind == "visual":
        own = _own(questions, np.array([vector for _, _, vector in captioned]))
        return questions, cut(others, own, rate, twins=np.inf)
    own = _left(embedder, questions, [words.rest for _, words, _ in captioned])
    return questions, cut(others, own, rate, twins=TWINS)


def _own(questions: Matrix, pictures: Matrix) -> NDArray[np.float64]:
    """Return the (n,) cosines of each query and its picture."""
    if not len(questions):
        return np.zeros(0)
    return np.asarray(np.einsum("nd,nd->n", questions, pictures), dtype=np.float64)


def _left(embedder: TextEmbedder, questions: Matrix, rests: Sequence[str]) -> NDArray[np.float64]:
    """Return the (n,) cosines of each query and the rest of its caption, NaN without any."""
    own = np.full(len(rests), np.nan)
    filled = [n for n, rest in enumerate(rests) if rest]
    own[filled] = _own(questions[filled], _embedded(embedder, [rests[n] for n in filled]))
    return own


def _embedded(embedder: TextEmbedder, texts: Sequence[str]) -> Matrix:
    """Return (n, d) vectors in order, embedded in batches so that other calls get a turn."""
    batches = (texts[start : start + _BATCH] for start in range(0, len(texts), _BATCH))
    rows = [vector for batch in batches for vector in embedder.embed_texts(batch)]
    return np.array(rows, np.float32).reshape(len(texts), embedder.space.dimensions)
