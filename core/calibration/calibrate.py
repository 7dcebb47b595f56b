"""Measuring what is near enough in a tenant's spaces: what `seenit calibrate` does.

Nobody's questions are needed: one sentence of what was written about a stored picture asks for the
others. Where something else was written too, it also shows how many questions would be answered.
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
from core.ports import Filters, Index, TextEmbedder
from core.records import Record
from core.search.searcher import Embedders
from core.types import SPACE_KINDS, Matrix, ReportProgress, SpaceKind, Vector

SAMPLE = 2_000
"""Most pictures that ask: at a rate of a tenth the share is then right to 1.3 points (95 %)."""
_PAGE = 200
_BATCH = 64


class CalibrationResult(NamedTuple):
    """What came of it: the calibrations, and why a space has none."""

    made: dict[SpaceKind, Calibration]
    refused: dict[SpaceKind, str]


class _Asker(NamedTuple):
    """A picture that takes part, and its own words where there are any."""

    image_id: str
    question: PseudoQuery | None


class Calibrator:
    """Asks the index as a search does, so that what holds here holds there."""

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
        """Measure both active spaces and put what was found in force.

        Only pictures in `among` ask, where it is given; all stored ones may answer. Raise
        MalformedError for a rate outside 0 to 0.5, IndexUnavailableError, StoreUnavailableError.
        """
        if not 0 < rate <= 0.5:  # noqa: PLR2004 - above it a coin does better
            raise MalformedError("the rate of false answers lies above 0 and up to 0.5")
        askers = self._drawn(tenant, among)
        total, done = 2 * len(SPACE_KINDS) * len(askers), 0

        def asked(count: int) -> None:
            nonlocal done
            done += count
            told(min(done, total), total)

        tuned = CalibrationResult({}, {})
        for number, kind in enumerate(SPACE_KINDS, 1):
            try:
                calibration = self._space(tenant, kind, askers, rate, asked)
            except (ConflictError, EmbedderUnavailableError) as error:
                tuned.refused[kind] = error.detail
            else:
                self._calibrations.put(tenant, calibration)
                tuned.made[kind] = calibration
            asked(2 * number * len(askers) - done)
        return tuned

    # --- one space ------------------------------------------------------------------------------

    def _space(
        self,
        tenant: str,
        kind: SpaceKind,
        askers: Sequence[_Asker],
        rate: float,
        asked: Callable[[int], None],
    ) -> Calibration:
        """Measure one active space. Raise EmbedderUnavailableError, ConflictError."""
        embedder = self._loaded(tenant, kind)
        space = embedder.space
        held = self._index.read_vectors(tenant, space.space_id, [one.image_id for one in askers])
        stored = [
            (asker, vector)
            for asker, vector in zip(askers, held, strict=True)
            if vector is not None
        ]

        def nearest(ids: Sequence[str], vectors: Matrix) -> NDArray[np.float64]:
            return self._nearest(tenant, space.space_id, ids, vectors, asked)

        questions, by_text = _text_cut_off(embedder, stored, rate, nearest)
        vectors = np.array([vector for _, vector in stored], np.float32)
        others = nearest([asker.image_id for asker, _ in stored], vectors)
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
        asked: Callable[[int], None],
    ) -> NDArray[np.float64]:
        """(n, 11) similarities of the nearest pictures, its own and its copies left out."""
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
            asked(1)
        return found

    # --- who asks -------------------------------------------------------------------------------

    def _drawn(self, tenant: str, among: Collection[str] | None) -> list[_Asker]:
        """Originals drawn by their ids; those with words before those without."""
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
        return [_Asker(image_id, words) for _, image_id, words in drawn]

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
    stored: Sequence[tuple[_Asker, Vector]],
    rate: float,
    nearest: Callable[[Sequence[str], Matrix], NDArray[np.float64]],
) -> tuple[Matrix, CutOff]:
    """Return the questions' (n, d) vectors, and the cut-off of texts asking for pictures.

    A question's own answer is its picture, or in a caption space the rest of that picture's words.
    """
    said = [(asker.image_id, asker.question, own) for asker, own in stored if asker.question]
    questions = _embedded(embedder, [words.text for _, words, _ in said])
    others = nearest([image_id for image_id, _, _ in said], questions)
    if embedder.space.kind == "visual":
        own = _own(questions, np.array([vector for _, _, vector in said]))
        return questions, cut(others, own, rate, twins=np.inf)
    own = _left(embedder, questions, [words.rest for _, words, _ in said])
    return questions, cut(others, own, rate, twins=TWINS)


def _own(questions: Matrix, pictures: Matrix) -> NDArray[np.float64]:
    """(n,) similarity of each question and the picture it was written about."""
    if not len(questions):
        return np.zeros(0)
    return np.asarray(np.einsum("nd,nd->n", questions, pictures), dtype=np.float64)


def _left(embedder: TextEmbedder, questions: Matrix, rests: Sequence[str]) -> NDArray[np.float64]:
    """(n,) similarity of each question and the rest of its picture's words, NaN without any."""
    own = np.full(len(rests), np.nan)
    told = [n for n, rest in enumerate(rests) if rest]
    own[told] = _own(questions[told], _embedded(embedder, [rests[n] for n in told]))
    return own


def _embedded(embedder: TextEmbedder, texts: Sequence[str]) -> Matrix:
    """(n, d) in order, a batch at a time: others want their turn."""
    rows: list[Vector] = []
    for start in range(0, len(texts), _BATCH):
        rows += list(embedder.embed_texts(texts[start : start + _BATCH]))
    return np.array(rows, np.float32).reshape(len(texts), embedder.space.dimensions)
