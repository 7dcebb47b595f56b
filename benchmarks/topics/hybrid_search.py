"""Speed of search over 100,000 records with words and vectors in two spaces."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from adapters.blobs.opening import open_blobs
from adapters.embedding.caption import CaptionEmbedder
from adapters.embedding.visual import VisualEmbedder
from adapters.settings import Settings
from adapters.sqlite_index import SQLiteIndex
from benchmarks.data import models, photos
from benchmarks.report import Row, Run, fastest
from core.index_port import Filters
from core.matching.policy import POLICY
from core.queries.snapshot import Snapshots
from core.records import Fields, Record
from core.search.request import Mode, SearchRequest
from core.search.searcher import Searcher
from core.storage.picture_store import PictureStore
from core.types import Matrix, Space, SpaceKind, Vector
from tests.doubles.records import moment, record
from tests.doubles.small_service import Follower

TENANT = "default"
SUBJECTS = 2_000
"""Number of subjects: pictures of one are near each other, and share words."""
NOISE = 0.7
"""Length of the vector from a subject's centre to a picture."""
DIMENSIONS: dict[SpaceKind, int] = {"visual": 512, "caption": 384}
VOCABULARY = 20_000
COMMON = ("a", "the", "of", "in", "on", "with", "is", "and", "at")
CATEGORIES = 20
OWNERS = 5_000
SYLLABLES = ("ba", "co", "di", "fu", "ga", "lo", "mi", "nu", "pa", "ro", "sa", "te", "va", "zo")


class Size(NamedTuple):
    """Numbers of records and queries."""

    pictures: int
    entry: int
    """Pictures of one entry of the log."""
    queries: int


FULL = Size(100_000, 1_000, 60)
QUICK = Size(1_000, 500, 4)


class Made:
    """An Embedder with prepared vectors of texts."""

    absent: str | None = None

    def __init__(self, kind: SpaceKind, vectors: dict[str, np.ndarray]) -> None:
        self.space = Space(f"{kind}-00000000", kind, "made", DIMENSIONS[kind], 0.9)
        self._vectors = vectors

    def load(self) -> None:
        """Do nothing, as there is no model."""

    def embed_texts(self, texts: Sequence[str], *, urgent: bool = False) -> Matrix:  # noqa: ARG002 - the port's
        """Return the prepared (n, d) vectors in input order."""
        return np.stack([self._vectors[text] for text in texts])

    def embed_images(self, images: Sequence[Image.Image], *, urgent: bool = False) -> Matrix:
        """Raise NotImplementedError: every query here is a text."""
        raise NotImplementedError


class Both:
    """The Embedders, and LoadsQueryPicture, of two made spaces, for texts only."""

    def __init__(self, made: Mapping[SpaceKind, Made]) -> None:
        self._made = made

    def visual(self, tenant: str) -> Made:  # noqa: ARG002 - the port's
        """Return the embedder of the visual space."""
        return self._made["visual"]

    def caption(self, tenant: str) -> Made:  # noqa: ARG002 - likewise
        """Return the embedder of the caption space."""
        return self._made["caption"]

    def space_id(self, tenant: str, kind: SpaceKind) -> str:  # noqa: ARG002 - likewise
        """Return the id of a made space."""
        return self._made[kind].space.space_id

    def see(self, tenant: str, data: bytes) -> tuple[str, Vector]:
        """Raise NotImplementedError: every query here is a text."""
        raise NotImplementedError


class World:
    """A generator of records: their captions, and their vectors."""

    def __init__(self) -> None:
        self._random = np.random.default_rng(5)
        self._words = [
            "".join(self._random.choice(SYLLABLES, 3)) + str(n % 7 or "") for n in range(VOCABULARY)
        ]
        # word frequencies of a language: the n-th commonest 1/n times as often (Zipf)
        shares = 1 / np.arange(1, VOCABULARY + 1)
        self._shares = np.cumsum(shares) / shares.sum()
        self._shares[-1] = 1.0
        self._topics = self._random.integers(0, VOCABULARY, (SUBJECTS, 8))
        self._centres = {
            kind: _unit(self._random.standard_normal((SUBJECTS, size), np.float32))
            for kind, size in DIMENSIONS.items()
        }

    def text(self, subject: int, own: int, other: int) -> str:
        """Return a text of a subject's words, the language's, and common ones between them."""
        topic = self._random.permutation(self._topics[subject])[:own].tolist()
        rest = np.searchsorted(self._shares, self._random.random(other)).tolist()
        glue = self._random.integers(0, len(COMMON), (own + other) // 2).tolist()
        words = [*(self._words[n] for n in (*topic, *rest)), *(COMMON[n] for n in glue)]
        return " ".join(words)

    def vectors(self, kind: SpaceKind, subjects: np.ndarray) -> Matrix:
        """Return (n, d) unit vectors near the centres of (n,) subjects."""
        size = DIMENSIONS[kind]
        noise = _unit(self._random.standard_normal((len(subjects), size), np.float32))
        return _unit(self._centres[kind][subjects] + NOISE * noise)

    def entry(self, seq: int, size: int) -> list[Record]:
        """Return `size` new records."""
        subjects = self._random.integers(0, SUBJECTS, size)
        found = {kind: self.vectors(kind, subjects) for kind in DIMENSIONS}
        return [
            record(
                (seq - 1) * size + n,
                seq,
                decision="review" if n % 10 == 0 else "allow",
                accepted_at=moment((seq - 1) * size + n),
                fields=Fields(
                    title=self.text(subject, 2, 3),
                    description=self.text(subject, 4, 8),
                    category=f"c{subject % CATEGORIES}",
                    tags=(self._words[self._topics[subject, 0]],),
                    owner_id=f"o{n * seq % OWNERS}",
                ),
                vectors={f"{kind}-00000000": rows[n] for kind, rows in found.items()},
            )
            for n, subject in enumerate(subjects.tolist())
        ]


def rows(run: Run) -> list[Row]:
    """Measure hybrid and each mode, with and without filters; then with texts embedded."""
    size = QUICK if run.quick else FULL
    with (
        photos.folder() as folder,
        closing(SQLiteIndex(folder / "index.db", POLICY, durable=False)) as index,
    ):
        world = World()
        entries = range(1, size.pictures // size.entry + 1)
        title = f"storing {size.pictures:,} records"
        for seq in run.progress.track(entries, description=title):
            index.project_entry(TENANT, seq, world.entry(seq, size.entry), [], [])
        return _measured(run, size, index, world, folder)


def _measured(run: Run, size: Size, index: SQLiteIndex, world: World, folder: Path) -> list[Row]:
    subjects = np.arange(size.queries) * 7 % SUBJECTS
    texts = [world.text(subject, 3, 4) for subject in subjects.tolist()]
    made = {
        kind: Made(kind, dict(zip(texts, world.vectors(kind, subjects), strict=True)))
        for kind in DIMENSIONS
    }
    shelf = PictureStore(open_blobs((folder / "blobs").as_uri(), durable=False))
    both = Both(made)
    searcher = Searcher(Snapshots(index, Follower(index), shelf), both, both)
    allowed = Filters(decision=("allow",))
    one = Filters(category="c3", decision=("allow",))
    rare = Filters(owner_id="o7")
    asks: list[tuple[str, Mode, Filters]] = [
        ("hybrid", "hybrid", Filters()),
        ("hybrid, allowed ones (90 %)", "hybrid", allowed),
        ("hybrid, one category of 20", "hybrid", one),
        ("hybrid, one owner of 5,000", "hybrid", rare),
        ("visual", "visual", Filters()),
        ("caption", "caption", Filters()),
        ("keyword", "keyword", Filters()),
    ]
    searcher.search(TENANT, SearchRequest(text=texts[0], filters=allowed))  # reads the columns
    found: list[Row] = []
    for title, mode, filters in run.progress.track(asks, description="searching"):

        def search(text: str, mode: Mode = mode, filters: Filters = filters) -> None:
            searcher.search(TENANT, SearchRequest(text=text, mode=mode, filters=filters))

        found.append(
            _row(f"{title}, {size.pictures:,} records, the question embedded before", search, texts)
        )
    work = f"hybrid, {size.pictures:,} records, from the text on"
    clip = models.untrained(folder / "clip", quick=run.quick)
    return [*found, _embedded(work, searcher, clip, texts)]


def _embedded(work: str, searcher: Searcher, clip: models.BenchmarkModel, texts: list[str]) -> Row:
    """Return models of the settings, or of their shape; only their time is added."""
    caption = CaptionEmbedder(Settings.model_fields["caption_model"].default, device="cpu")
    visual = VisualEmbedder(str(clip.folder), device="cpu")
    for model in (caption, visual):
        model.load()
        if model.absent:
            return Row(work=work, unit="ms", value=None, details={"needs": model.absent})

    def search(text: str) -> None:
        caption.embed_texts([text], urgent=True)
        visual.embed_texts([text], urgent=True)
        searcher.search(TENANT, SearchRequest(text=text))

    return _row(work, search, texts)


def _row(work: str, search: Callable[[str], None], texts: list[str]) -> Row:
    """Return median and 95th percentile of the queries, each run once after a warm-up."""
    search(texts[0])
    clocks, cpus = np.array([fastest(partial(search, text), 1) for text in texts]).T * 1e3
    low, high = np.percentile(clocks, [50, 95])
    return Row(
        work=work,
        unit="ms",
        value=float(low),
        better="less",
        details={
            "95th percentile, ms": float(high),
            "CPU of this thread, median, ms": float(np.median(cpus)),
        },
    )


def _unit(rows: Matrix) -> Matrix:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))
