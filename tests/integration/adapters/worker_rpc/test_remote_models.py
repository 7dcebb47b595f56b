"""Calls from an API to workers: a real Redis between them, toy models behind it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from adapters.wiring import Services
from adapters.worker_rpc.remote_models import RemoteTextEmbedder
from core.errors import (
    BrokenError,
    EmbedderUnavailableError,
    SeenitError,
    TooLargeError,
    UnsupportedError,
)
from core.search.execution import SearchResults
from core.search.request import SearchRequest
from core.task_names import SPACE_TASK
from tests.backends import servers
from tests.doubles.toy_embedder import ToyEmbedder
from tests.e2e.talking import until
from tests.integration.adapters.worker_rpc.api_and_worker import (
    TENANT,
    Pair,
    left,
    pair,
)
from tests.samples.pictures import flat, jpeg, photo

WORDS = "a red dog on a sunny beach"


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Yield an API and a worker, for tests that leave them as they are."""
    folder = tmp_path_factory.mktemp("remote")
    with servers.redis(folder / "redis") as redis, pair(folder, redis.url) as made:
        made.start()
        yield made


def worker(of: Pair) -> Services:
    """Return the services of the worker."""
    assert of.work is not None
    return of.work


# --- models -------------------------------------------------------------------------------------


def test_words_are_embedded_by_a_worker(both: Pair) -> None:
    """The vectors are equal bit for bit, in the space that the worker reported."""
    for kind, there in (("visual", worker(both).visual), ("caption", worker(both).caption)):
        here = both.api.visual if kind == "visual" else both.api.caption
        assert here.absent is None
        assert here.space == there.space
        texts = [WORDS, "a cat", ""]
        assert np.array_equal(here.embed_texts(texts), there.embed_texts(texts))
        space_id, vector = both.api.searcher.read(TENANT, kind, WORDS)  # type: ignore[arg-type]
        assert space_id == there.space.space_id
        assert np.array_equal(vector, there.embed_texts([WORDS])[0])


def test_a_question_is_embedded_once(both: Pair) -> None:
    """Repeats of it come from the cache."""
    for _ in range(3):
        both.api.searcher.read(TENANT, "visual", "asked three times")
    assert both.visual.asked.count("asked three times") == 1


def test_a_model_that_was_changed_is_noticed(both: Pair) -> None:
    """Its vectors are never taken for those of the one before."""
    before = both.api.visual.space
    both.visual.model = "another toy"
    try:
        with pytest.raises(EmbedderUnavailableError, match=r"changed from .* to another toy"):
            both.api.visual.embed_texts(["a dog"])
        assert both.api.visual.space == both.visual.space != before
        assert len(both.api.visual.embed_texts(["a dog"])) == 1
    finally:
        both.visual.model = "toy"
        with pytest.raises(EmbedderUnavailableError):
            both.api.visual.embed_texts(["a dog"])


def test_a_model_of_another_name_is_opened_there(both: Pair) -> None:
    """The reason comes back as text if it cannot be opened."""
    remote = both.api.remote
    assert remote is not None
    absent = RemoteTextEmbedder(remote, "caption", "none").absent
    assert absent == "SEENIT_CAPTION_MODEL=none: no caption model is wanted"
    with pytest.raises(EmbedderUnavailableError, match="no caption model"):
        RemoteTextEmbedder(remote, "caption", "none").embed_texts(["a dog"])


# --- pictures -----------------------------------------------------------------------------------


def test_a_check_is_what_the_worker_itself_says(both: Pair, tmp_path: Path) -> None:
    """No picture and no record of it stays."""
    picture = photo(3)
    image_id = both.ingest(jpeg(picture), tmp_path)
    for data in (jpeg(picture), jpeg(picture.resize((300, 225)), quality=60), jpeg(photo(4))):
        verdict, decision = both.api.checker.check(TENANT, data)
        there = worker(both).checker.check(TENANT, data)[0]
        assert (verdict.kind, verdict.original) == (there.kind, there.original)
        assert decision.value == "allow"
    assert both.api.checker.check(TENANT, jpeg(picture))[0].original == image_id
    assert both.api.checker.check("another", jpeg(picture))[0].kind == "new"
    until(lambda: left(both.api) == [])


def test_a_picture_is_seen_by_a_worker(both: Pair) -> None:
    """Its vector is bit for bit the one made there."""
    data = jpeg(flat("red"))
    vector = both.api.searcher.see(TENANT, data)
    assert np.array_equal(vector, worker(both).searcher.see(TENANT, data))
    until(lambda: left(both.api) == [])


def test_search_is_the_same_at_both_ends(both: Pair, tmp_path: Path) -> None:
    """The API and the worker find the same in every mode."""
    both.ingest(jpeg(flat("red")), tmp_path, title="a dog on the beach")
    both.ingest(jpeg(photo(8)), tmp_path, title="a mountain trail")
    ask = SearchRequest(text="a red puppy")
    here, there = (one.searcher.search(TENANT, ask) for one in (both.api, worker(both)))
    assert here.used == there.used == ("visual", "caption", "keyword")
    assert _shown(here) == _shown(there) != []


def _shown(found: SearchResults) -> list[tuple[str, dict[str, float]]]:
    return [(hit.seen.record.state.image_id, hit.similarities) for hit in found.hits]


def test_bad_pictures_are_told_by_the_same_errors(both: Pair) -> None:
    """The API reports faults of the header, the worker those of the pixels; no file stays."""
    whole = jpeg(photo(5))
    for data, kind in (
        (b"no picture", UnsupportedError),
        (whole + bytes(both.read.limits.bytes), TooLargeError),
        (whole[: len(whole) // 8], BrokenError),
    ):
        for ask in (both.api.checker.check, both.api.sight.see):
            with pytest.raises(kind):
                ask(TENANT, data)
    until(lambda: left(both.api) == [])


def test_a_defect_there_is_told_without_its_details(both: Pair) -> None:
    """Its worker goes on."""
    remote = both.api.remote
    assert remote is not None
    with pytest.raises(SeenitError, match="something went wrong in a worker") as told:
        remote.calls.ask(SPACE_TASK, {"sources": 7}, dict)
    assert told.value.status == 500
    assert remote.calls.ask(SPACE_TASK, {"sources": {}}, dict) == {}


def test_answers_find_whoever_asked(both: Pair) -> None:
    """Forty callers wait at once."""
    texts = [f"{colour} number {n}" for n in range(10) for colour in ("red", "green", "blue", "x")]
    with ThreadPoolExecutor(len(texts)) as pool:
        found = list(pool.map(lambda text: both.api.visual.embed_texts([text]), texts))
    expected = ToyEmbedder().embed_texts(texts)
    assert np.array_equal(np.concatenate(found), expected)


def test_no_picture_is_embedded_here(both: Pair) -> None:
    """Pictures do not travel over the queue."""
    with pytest.raises(EmbedderUnavailableError):
        both.api.visual.embed_images([Image.new("RGB", (8, 8))])
    assert both.api.decoder is None
