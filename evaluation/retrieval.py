"""Evaluation of retrieval by text: recall, and empty answers to unanswerable questions.

Every picture is stored with its first few captions as its description; the other captions are the
questions. Some pictures are left out at first: their captions are questions without an answer in
the store. The cut-off is calibrated on half of the stored pictures; the captions of the other half,
and of the pictures left out, are the test questions. Then the rest is stored, and all of them are
searched for.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from core.calibration.thresholds import CROWD, SHARE, crowd
from core.errors import InputError
from core.imaging.decoding import beginning
from core.search.request import Mode
from core.types import COPY_KINDS, SPACE_KINDS, Matrix, SpaceKind
from evaluation.instance import Told
from evaluation.report import Proportion, share
from evaluation.scratch_library import ScratchLibrary

AT = (1, 5, 10)
"""Ranks at which recall is reported."""
_BATCH = 64
_POINTS = 51
"""Number of thresholds on a curve."""


class RetrievalPlan(Struct, frozen=True, kw_only=True):
    """Pictures to evaluate on, and the measurements to make."""

    pictures: Mapping[str, tuple[Path, tuple[str, ...]]]
    """File and captions of each picture, by name."""
    descriptions: int = 2
    """Number of captions that are stored; the others are questions."""
    leave_out: float = 0.2
    """Share of the pictures that are left out at first."""


class RecallAtK(Struct, frozen=True, kw_only=True):
    """Share of questions whose own picture is among the first hits, for several ranks."""

    asked: str
    """Direction: `text to image` or `image to text`."""
    mode: str
    by: str
    """Method: `search`, or `numpy`: plain products of the same vectors."""
    questions: int
    at: dict[str, float]
    """Share by rank: 1, 5 and 10."""


class ThresholdPoint(Struct, frozen=True):
    """Effect of one threshold on both kinds of question."""

    empty: Proportion
    """Questions without an answer in the store that got an empty one."""
    wrongly: Proportion
    """Questions with an answer in the store that got an empty one."""


class ThresholdCurve(Struct, frozen=True, kw_only=True):
    """Effect of every threshold on one figure."""

    label: str
    points: tuple[tuple[float, float], ...]
    """Shares (empty, wrongly empty), from the lowest threshold to the highest."""
    at_nine_tenths: float
    """Wrongly empty share where nine of ten unanswerable questions are empty."""
    at_one_tenth: float
    """Empty share where one of ten answerable questions is wrongly so."""


class RetrievalReport(Struct, frozen=True, kw_only=True):
    """Complete result of an evaluation."""

    pictures: int
    left_out: int
    refused: dict[str, str]
    copies: int
    """Pictures that were ingested as copies of another, and are found by its id."""
    models: dict[str, str]
    calibrated: dict[str, dict[str, float | None]]
    """Calibration by space: the cut-off for texts, and the expected share of answers kept."""
    told: ThresholdPoint | None
    """Results of the calibrated retriever; None without pictures left out."""
    curves: tuple[ThresholdCurve, ...]
    found: tuple[RecallAtK, ...]
    seconds: float


class RetrievalEvaluation:
    """One evaluation run over one library."""

    def __init__(self, library: ScratchLibrary, plan: RetrievalPlan, told: Told) -> None:
        """Raise InputError if a picture has no caption left as a question."""
        self._library = library
        self._plan = plan
        self._told = told
        names = sorted(plan.pictures, key=lambda name: hashlib.sha256(name.encode()).digest())
        short = [name for name in names if len(plan.pictures[name][1]) <= plan.descriptions]
        if short or not names:
            raise InputError(
                f"{short[0]} has no caption left to ask with" if short else "there is no picture"
            )
        cut = round(plan.leave_out * len(names))
        self._out, self._in = names[:cut], names[cut:]
        self._ids: dict[str, str] = {}
        self._anchors: dict[str, str] = {}
        self._refused: dict[str, str] = {}

    def run(self) -> RetrievalReport:
        """Run all measurements, in order."""
        began = time.monotonic()
        self._store("storing", self._in)
        half = self._in[: len(self._in) // 2]
        calibrated = self._library.calibrate({self._ids[n] for n in half if n in self._ids})
        left = self._unanswerable(self._in[len(half) :]) if self._out else None
        self._store("storing the rest", self._out)
        self._library.calibrate(None)
        return RetrievalReport(
            pictures=len(self._ids),
            left_out=len(self._out),
            refused=self._refused,
            copies=sum(self._anchors[name] != one for name, one in self._ids.items()),
            models={kind: self._library.named(kind) for kind in SPACE_KINDS},
            calibrated={
                kind: {"needed": made.ways["text"].needed, "kept": made.ways["text"].kept}
                for kind, made in calibrated.items()
            },
            told=left[0] if left else None,
            curves=left[1] if left else (),
            found=(*self._plain(), *self._searched()),
            seconds=round(time.monotonic() - began, 1),
        )

    # --- storing --------------------------------------------------------------------------------

    def _store(self, stage: str, names: Sequence[str]) -> None:
        for start in range(0, len(names), _BATCH):
            batch = names[start : start + _BATCH]
            items = [
                (
                    beginning(path, self._library.limits),
                    "\n".join(captions[: self._plan.descriptions]),
                )
                for path, captions in (self._plan.pictures[name] for name in batch)
            ]
            for name, one in zip(batch, self._library.store(items), strict=True):
                if one.verdict is None:
                    self._refused[name] = one.error
                    continue
                self._ids[name] = self._anchors[name] = one.image_id
                if one.verdict.original and one.verdict.kind in COPY_KINDS:
                    self._anchors[name] = one.verdict.original
            self._told(stage, min(start + _BATCH, len(names)), len(names))

    # --- better nothing than something irrelevant -----------------------------------------------

    def _unanswerable(
        self, names: Sequence[str]
    ) -> tuple[ThresholdPoint, tuple[ThresholdCurve, ...]]:
        answerable = self._questions([name for name in names if name in self._ids])
        unanswerable = self._questions(self._out)
        total, done = len(answerable) + len(unanswerable), 0
        empty: list[list[bool]] = []
        for questions in (unanswerable, answerable):
            empty.append([])
            for _, text in questions:
                empty[-1].append(not self._library.answers(text))
                done += 1
                self._told("asking what is not there", done, total)
        curves = []
        for kind in self._kinds():
            pictures = self._stored(kind)[0]
            out, held = (
                -np.sort(-(self._library.texts(kind, [text for _, text in asked]) @ pictures.T))
                for asked in (unanswerable, answerable)
            )
            curves.append(curve(f"{kind} similarity", held[:, 0], out[:, 0]))
            excess = [near[:, 0] - SHARE * crowd(near[:, :CROWD]) for near in (held, out)]
            curves.append(curve(f"{kind}, how far it stands out", *excess))
        return ThresholdPoint(share(empty[0]), share(empty[1])), tuple(curves)

    # --- recall ---------------------------------------------------------------------------------

    def _searched(self) -> list[RecallAtK]:
        asked = self._questions(self._named)
        modes: list[Mode] = [*self._kinds(), "keyword", "hybrid"]
        plan: list[tuple[str, Mode, list[tuple[str, str]]]] = [
            ("text to image", mode, asked) for mode in modes
        ]
        if self._library.embeds("visual"):
            plan.insert(0, ("text to image, every caption", "visual", self._every))
        total, done = sum(len(questions) for *_, questions in plan), 0
        found = []
        for label, mode, questions in plan:
            ranked = np.full(len(questions), np.inf)
            for n, (name, text) in enumerate(questions):
                hits = self._library.search(text, mode, max(AT))
                if self._anchors[name] in hits:
                    ranked[n] = hits.index(self._anchors[name])
                done += 1
                self._told("searching", done, total)
            found.append(_found(label, mode, "search", ranked))
        return found

    def _plain(self) -> list[RecallAtK]:
        """Measure the same, and image to text, by plain products of the stored vectors."""
        found = []
        for kind in self._kinds():
            pictures, ids = self._stored(kind)
            near, right = self._near(kind, self._questions(self._named), pictures, ids)
            found.append(_found("text to image", kind, "numpy", ranks(near, right)))
            if kind == "visual":
                near, right = self._near(kind, self._every, pictures, ids)
                label = "text to image, every caption"
                found.insert(0, _found(label, kind, "numpy", ranks(near, right)))
                own = [np.flatnonzero(right[:, 0] == row) for row in range(len(ids))]
                captions = np.full((len(ids), max(map(len, own))), -1)
                for row, columns in enumerate(own):
                    captions[row, : len(columns)] = columns
                found.append(_found("image to text", kind, "numpy", ranks(near.T, captions)))
        return found

    def _near(
        self, kind: SpaceKind, asked: Sequence[tuple[str, str]], pictures: Matrix, ids: list[str]
    ) -> tuple[Matrix, NDArray[np.integer]]:
        """Return (n, m) similarities of questions and pictures, and (n, 1) right columns."""
        place = {image_id: n for n, image_id in enumerate(ids)}
        near = self._library.texts(kind, [text for _, text in asked]) @ pictures.T
        right = [place.get(self._anchors[name], -1) for name, _ in asked]
        return near, np.array(right)[:, None]

    # --- what there is --------------------------------------------------------------------------

    def _kinds(self) -> list[SpaceKind]:
        return [kind for kind in SPACE_KINDS if self._library.embeds(kind)]

    def _questions(self, names: Sequence[str]) -> list[tuple[str, str]]:
        """Return (name, caption) pairs of the captions that were not stored."""
        held = self._plan.pictures
        return [(name, text) for name in names for text in held[name][1][self._plan.descriptions :]]

    @property
    def _named(self) -> list[str]:
        """Return the names of all stored pictures."""
        return [name for name in self._plan.pictures if name in self._ids]

    @property
    def _every(self) -> list[tuple[str, str]]:
        """Return (name, caption) pairs of all captions of stored pictures."""
        return [(name, text) for name in self._named for text in self._plan.pictures[name][1]]

    def _stored(self, kind: SpaceKind) -> tuple[Matrix, list[str]]:
        """Return the vectors and ids of all pictures that are no copies."""
        originals = [one for name, one in self._ids.items() if self._anchors[name] == one]
        vectors = self._library.vectors(kind, originals)
        held = [
            (one, vector)
            for one, vector in zip(originals, vectors, strict=True)
            if vector is not None
        ]
        return np.array([vector for _, vector in held], np.float32), [one for one, _ in held]


def ranks(near: NDArray[np.floating], right: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return (n,) how many hits come before the best right one of each row, from 0.

    `near` is (n, m) similarities, `right` (n, k) columns, -1 for none; infinite without any. Ties
    go to the picture stored first, as in a search.
    """
    best = np.where(right >= 0, np.take_along_axis(near, np.maximum(right, 0), axis=1), -np.inf)
    top = best.max(axis=1, keepdims=True)
    column = np.where(best == top, right, near.shape[1]).min(axis=1, keepdims=True)
    earlier = np.arange(near.shape[1]) < column
    before = ((near > top) | ((near == top) & earlier)).sum(axis=1).astype(np.float64)
    before[~np.isfinite(top[:, 0])] = np.inf
    return np.asarray(before)


def curve(
    label: str, answerable: NDArray[np.floating], unanswerable: NDArray[np.floating]
) -> ThresholdCurve:
    """Compute the effect of every threshold on the figures of two kinds of question."""
    both = np.concatenate([answerable, unanswerable])
    thresholds = np.quantile(both, np.linspace(0, 1, _POINTS))
    thresholds = np.append(thresholds, np.nextafter(both.max(), np.inf))
    points = [
        (float((unanswerable < at).mean()), float((answerable < at).mean())) for at in thresholds
    ]
    ninth = np.quantile(unanswerable, 0.9)
    first = np.quantile(answerable, 0.1)
    return ThresholdCurve(
        label=label,
        points=tuple(points),
        at_nine_tenths=float((answerable < ninth).mean()),
        at_one_tenth=float((unanswerable < first).mean()),
    )


def _found(asked: str, mode: str, by: str, ranks_: NDArray[np.floating]) -> RecallAtK:
    at = {str(k): round(float((ranks_ < k).mean()), 5) for k in AT}
    return RecallAtK(asked=asked, mode=mode, by=by, questions=len(ranks_), at=at)
