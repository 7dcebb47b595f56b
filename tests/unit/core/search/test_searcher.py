"""Searching: the hits, their order, the originals they stand for, and invalid queries."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

from core.errors import (
    BrokenError,
    ConflictError,
    EmbedderUnavailableError,
    GoneError,
    MalformedError,
    MissingError,
    UnsupportedError,
)
from core.index_port import Filters
from core.search.bands import DEFAULTS, Bands
from core.search.request import SearchRequest
from core.search.searcher import Searcher
from core.types import MODEL_OFF, Absent
from tests.doubles.records import image_id, tombstone
from tests.doubles.small_service import Service
from tests.samples.pictures import png
from tests.unit.core.search.stored_pictures import (
    TENANT,
    flat,
    found,
    hits,
    log,
    picture,
    project,
    seen,
    zoo,
)

EVERY = Filters(decision=("allow", "review", "block"))


# --- ways of asking -------------------------------------------------------------------------------


def test_each_mode_asks_its_own(service: Service) -> None:
    """Words as written, meaning, colour; each hit has its signals and similarities."""
    zoo(service)
    by_word = hits(service, text="Mountains", mode="keyword")
    assert [hit.seen.record.state.image_id for hit in by_word] == [image_id(3), image_id(4)]
    assert (by_word[0].similarities, by_word[0].distance, by_word[0].band) == ({}, None, None)
    assert found(service, text="labrador puppy", mode="keyword") == []
    by_meaning = hits(service, text="labrador puppy", mode="caption", limit=1)[0]
    assert by_meaning.seen.record.state.image_id == image_id(1)
    assert by_meaning.matched_by == ("caption",)
    cosine = by_meaning.similarities["caption"]
    assert by_meaning.distance == pytest.approx(1 - cosine)
    assert by_meaning.band == "very close"
    by_colour = hits(service, text="something red", mode="visual", limit=2)
    assert by_colour[0].seen.record.state.image_id == image_id(4)
    assert by_colour[0].similarities == {"visual": pytest.approx(1.0, abs=1e-6)}
    assert [hit.rank for hit in by_colour] == [1, 2]
    sent = hits(service, vector=seen(service, "orange"), mode="visual", metric="l2", limit=2)
    assert sent[0].seen.record.state.image_id == image_id(2)
    near = sent[1].similarities["visual"]
    assert sent[1].distance == pytest.approx(float(np.sqrt(2 - 2 * near)), abs=1e-6)


def test_hybrid_fuses_what_there_is_and_says_what_is_missing(service: Service) -> None:
    """All three lists; without a model the others go on."""
    zoo(service)
    results = service.searcher.search(TENANT, SearchRequest(text="red car"))
    assert results.used == ("visual", "caption", "keyword")
    assert results.missing == ()
    best = results.hits[0]
    assert best.seen.record.state.image_id == image_id(4)
    assert best.matched_by == ("visual", "caption", "keyword")
    assert set(best.similarities) == {"visual", "caption"}
    assert len(results.hits) == 5  # the sixth is under review
    service.visual.absent = "no weights"
    without = service.searcher.search(TENANT, SearchRequest(text="red car"))
    assert without.used == ("caption", "keyword")
    assert [(one.signal, one.reason) for one in without.missing] == [("visual", "no weights")]
    service.caption.absent = MODEL_OFF["caption"]
    words = service.searcher.search(TENANT, SearchRequest(text="red car"))
    assert words.used == ("keyword",)
    assert words.missing[1] == Absent("caption", "off")
    assert [hit.seen.record.state.image_id for hit in words.hits] == [image_id(4)]


def test_a_stored_picture_asks_by_its_vectors(service: Service) -> None:
    """Itself left out; with a text or another picture both count; one without a vector cannot."""
    zoo(service)
    assert found(service, image_id=image_id(1), mode="caption")[:1] == [2]
    assert 1 not in found(service, image_id=image_id(1))
    results = service.searcher.search(TENANT, SearchRequest(image_id=image_id(5)))
    assert results.used == ("visual",)
    assert results.missing[0].signal == "caption"
    assert 5 not in found(service, image_id=image_id(5), text="yellow")
    assert found(service, image_id=image_id(5), text="car", limit=2)[0] == 4
    with pytest.raises(ConflictError, match="no vector"):
        hits(service, image_id=image_id(5), mode="caption")
    with pytest.raises(ConflictError, match="no vector"):
        hits(service, image_id=image_id(6), mode="visual")
    with pytest.raises(MissingError):
        hits(service, image_id=image_id(99))
    service.index.project_entry(TENANT, 2, [], [tombstone(6, 2)], [])
    with pytest.raises(GoneError):
        hits(service, image_id=image_id(6))


def test_a_picture_sent_along_is_seen_and_not_kept(service: Service) -> None:
    """Its vector is that of its pixels; a broken picture and an absent model are errors."""
    zoo(service)
    before = list(service.blobs.keys("blobs/"))
    vector = service.searcher.see(TENANT, png(flat("orange")))
    assert found(service, vector=vector, limit=1) == [2]
    both = hits(service, vector=vector, text="city street", filters=EVERY)
    by = {hit.seen.record.state.image_id: hit for hit in both}
    assert by[image_id(6)].matched_by == ("caption", "keyword")
    assert by[image_id(2)].similarities["visual"] == pytest.approx(1.0, abs=1e-6)
    assert list(service.blobs.keys("blobs/")) == before
    with pytest.raises(UnsupportedError):
        service.searcher.see(TENANT, b"hello")
    with pytest.raises(BrokenError):
        service.searcher.see(TENANT, png(flat("red"))[:60])
    service.visual.absent = "no weights"
    with pytest.raises(EmbedderUnavailableError, match="no weights"):
        service.searcher.see(TENANT, png(flat("red")))


@pytest.mark.parametrize(
    ("ask", "field"),
    [
        ({}, "text"),
        ({"text": " \n"}, "text"),
        ({"image_id": image_id(1), "mode": "keyword"}, "mode"),
        ({"vector": np.ones(49, np.float32), "mode": "caption"}, "mode"),
        ({"text": "a", "image_id": image_id(1), "mode": "visual"}, "mode"),
        ({"text": "a", "min_similarity": 0.5}, "min_similarity"),
        ({"text": "a", "min_similarity": {"caption": 0.5}, "mode": "caption"}, "min_similarity"),
        ({"text": "a", "min_similarity": {"smell": 0.5}}, "min_similarity.smell"),
        ({"text": "a", "min_similarity": {"visual": 1.5}}, "min_similarity.visual"),
        ({"text": "a", "min_similarity": 0.5, "mode": "keyword"}, "min_similarity"),
        ({"text": "a", "max_distance": 0.5}, "max_distance"),
        ({"text": "a", "max_distance": -0.5, "mode": "visual"}, "max_distance"),
        ({"text": "a", "metric": "l2"}, "metric"),
        ({"text": "a", "space": "smell"}, "space"),
        ({"text": "a", "space": "visual", "mode": "caption"}, "space"),
        ({"text": "a", "limit": 0}, "limit"),
    ],
)
def test_what_cannot_be_asked_is_named(service: Service, ask: dict[str, Any], field: str) -> None:
    """400 with the field, before anything is looked up."""
    with pytest.raises(MalformedError) as refused:
        hits(service, **ask)
    assert refused.value.field == field


def test_another_space_and_an_absent_model_are_refused(service: Service) -> None:
    """409 for a space that is not the active one, 503 for a mode by name without its model."""
    zoo(service)
    assert found(service, text="dog", mode="caption", space="caption-70707070", limit=1) == [1]
    assert found(service, text="dog", space="visual", limit=1) == [1]
    with pytest.raises(ConflictError) as other:
        hits(service, text="dog", space="visual-99999999")
    assert other.value.field == "space"
    service.caption.absent = "no weights"
    for mode in ("caption", "hybrid"):
        if mode == "hybrid":
            assert found(service, text="dog", mode=mode)[0] == 1
            continue
        with pytest.raises(EmbedderUnavailableError, match="no weights"):
            hits(service, text="dog", mode=mode)


# --- bounds ---------------------------------------------------------------------------------------


def test_bounds_let_through_what_they_were_taken_from(service: Service) -> None:
    """A similarity or distance that was returned is itself within; a worse one is not."""
    zoo(service)
    every = hits(service, text="red mountain", mode="caption")
    for n, hit in enumerate(every):
        least = hit.similarities["caption"]
        cut = hits(service, text="red mountain", mode="caption", min_similarity=least)
        assert len(cut) >= n + 1
        assert min(one.similarities["caption"] for one in cut) >= least - 1e-5
    for metric in ("cosine", "l2"):
        told = hits(service, text="red mountain", mode="caption", metric=metric)
        far = told[1].distance
        cut = hits(service, text="red mountain", mode="caption", metric=metric, max_distance=far)
        assert [one.rank for one in cut] == [1, 2]


def test_in_hybrid_one_of_the_spaces_named_must_be_reached(service: Service) -> None:
    """Keywords alone do not bring up a picture that no cosine supports."""
    zoo(service)
    assert found(service, text="red", min_similarity={"visual": 0.99}) == [4]
    both = found(service, text="red", min_similarity={"visual": 0.99, "caption": 0.6})
    assert both == [4]
    reached = hits(service, text="city street", min_similarity={"visual": -1.0})
    assert all("visual" in hit.similarities for hit in reached)
    assert image_id(6) not in [hit.seen.record.state.image_id for hit in reached]


def test_bands_put_the_best_similarity_into_words(service: Service) -> None:
    """By default thresholds of the space and the way of asking, or by calibrated ones."""
    zoo(service)
    assert DEFAULTS["visual", "text"].word(0.3) == "close"
    assert DEFAULTS["visual", "picture"].word(0.3) == "weak"
    asked: list[tuple[str, str, str]] = []

    def scale(tenant: str, space_id: str, way: str) -> Bands | None:
        asked.append((tenant, space_id, way))
        return Bands(very_close=1.1, close=1.05, related=0.5)

    searcher = Searcher(
        service.snapshots,
        service.models,
        service.searcher._sight,
        scale=scale,
    )
    told = searcher.search(TENANT, SearchRequest(text="dog", mode="caption")).hits
    assert told[0].band == "related"
    assert told[-1].band == "weak"
    assert set(asked) == {(TENANT, service.caption.space.space_id, "text")}


# --- as of now ------------------------------------------------------------------------------------


def test_the_tail_wins(service: Service) -> None:
    """Deleted pictures go, changed ones must pass as they are now, and others fill the places."""
    zoo(service)
    log(
        service,
        picture(service, 2, "sleeping cat", "orange", decision="block", seq=9),
        removed=(1,),
    )
    assert 1 not in found(service, text="dog")
    assert found(service, text="dog cat", mode="caption", limit=1, filters=EVERY) == [2]
    allowed = Filters(decision=("allow",))
    assert 2 not in found(service, text="cat", filters=allowed)
    assert len(found(service, text="cat", mode="visual", limit=3, filters=allowed)) == 3
    assert found(service, text="cat", mode="visual", filters=Filters(decision=("block",))) == []
    with pytest.raises(GoneError):
        hits(service, image_id=image_id(1))


def test_a_record_that_became_a_copy_meanwhile_falls_onto_its_original(service: Service) -> None:
    """The tail decides; and a record whose title changed searches by its present fields."""
    zoo(service)
    log(service, picture(service, 2, "sleeping cat", None, original=1, seq=9))
    hit = hits(service, text="cat", mode="caption", limit=1)[0]
    assert (hit.seen.record.state.image_id, hit.matched_copy_id) == (image_id(1), image_id(2))


def test_many_that_the_tail_deleted_are_asked_past(service: Service) -> None:
    """Deeper and deeper, until the answer is full."""
    project(service, *(picture(service, n, "dog", None) for n in range(300)))
    log(service, removed=tuple(range(290)))
    assert found(service, text="dog", mode="caption", limit=20) == list(range(290, 300))
    assert found(service, text="dog", mode="keyword", limit=20) == list(range(290, 300))


def test_twenty_threads_search_while_records_come_and_go(service: Service) -> None:
    """No error, nothing deleted before the search began, filters always kept."""
    zoo(service)
    failures: list[str] = []
    done = threading.Event()
    gone: set[str] = set()

    def ask(n: int) -> None:
        modes = ("hybrid", "visual", "caption", "keyword")
        while not done.is_set():
            before = set(gone)
            try:
                told = hits(
                    service,
                    text="red dog",
                    mode=modes[n % 4],
                    filters=Filters(decision=("allow",)) if n % 2 else Filters(),
                    collapse=n % 3 > 0,
                )
            except Exception as error:  # noqa: BLE001 - whatever it is
                failures.append(repr(error))
                return
            for hit in told:
                state = hit.seen.record.state
                if state.image_id in before:
                    failures.append(f"{state.image_id} was deleted")
                if n % 2 and state.decision.value != "allow" and hit.matched_copy_id is None:
                    failures.append(f"{state.image_id} is not allowed")

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(20)]
    for thread in threads:
        thread.start()
    for n in range(100, 180):
        seq = service.index.watermark(TENANT) + 1
        decision = "allow" if n % 3 else "block"
        fresh = picture(service, n, "red dog", "red", seq=seq, decision=decision)
        removed = [tombstone(n - 5, seq)] if n >= 105 else []
        service.index.project_entry(TENANT, seq, [fresh], removed, [])
        gone.update(stone.image_id for stone in removed)
    done.set()
    for thread in threads:
        thread.join()
    assert failures == []
