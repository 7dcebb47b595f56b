"""Searching: the hits, their order, the originals they stand for, and invalid queries."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from PIL import Image

from core import keys
from core.errors import (
    BrokenError,
    ConflictError,
    EmbedderUnavailableError,
    GoneError,
    MalformedError,
    MissingError,
    UnsupportedError,
)
from core.ports import Filters
from core.records import Fields, Record
from core.search import execution
from core.search.bands import DEFAULTS, Bands
from core.search.fusion import fuse, without_hubs
from core.search.request import SearchRequest
from core.search.searcher import FoundPicture, Searcher
from core.types import MODEL_OFF, Absent, Vector
from tests.doubles.records import image_id, record, tombstone
from tests.doubles.small_service import Service, Tail
from tests.samples.pictures import png

TENANT = "default"
EVERY = Filters(decision=("allow", "review", "block"))


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """Yield a service with both models."""
    made = Service(tmp_path)
    made.visual.absent = made.caption.absent = None
    yield made
    made.close()


def flat(colour: str) -> Image.Image:
    """Return a picture of one colour."""
    return Image.new("RGB", (32, 32), colour)


def picture(
    service: Service,
    n: int,
    title: str | None = None,
    colour: str | None = None,
    seq: int = 1,
    **more: Any,  # noqa: ANN401  # any part of a record
) -> Record:
    """Return a record with the vectors of its title and colour."""
    told = {name: more.pop(name) for name in ("category", "owner_id", "tags") if name in more}
    fields = Fields(title=title, **told)
    vectors: dict[str, Vector] = {}
    if title is not None:
        vectors[service.caption.space.space_id] = service.caption.of(fields)
    if colour is not None:
        vectors[service.visual.space.space_id] = seen(service, colour)
    return record(n, seq, fields=fields, vectors=vectors, **more)


def seen(service: Service, colour: str) -> Vector:
    """Return the vector of a picture of one colour."""
    return np.asarray(service.visual.embed_images([flat(colour)])[0], np.float32)


def project(service: Service, *records: Record) -> None:
    """Project records into the index."""
    service.index.project_entry(TENANT, service.index.watermark(TENANT) + 1, records, [], [])


def log(service: Service, *records: Record, removed: tuple[int, ...] = ()) -> None:
    """Into the tail; what belongs to the records goes where a worker puts it."""
    states = {}
    for one in records:
        place = keys.derived(TENANT, one.state.image_id, "fingerprint")
        service.blobs.put([(place, msgspec.msgpack.encode(one.fingerprint))])
        service.shelf.write_fields(TENANT, [(one.state.image_id, "op", one.fields)])
        states[one.state.image_id] = msgspec.structs.replace(one.state, fields="op", revision=9)
    watermark = service.index.watermark(TENANT)
    service.follower.tails[TENANT] = Tail(
        states=states,
        removed={image_id(n): tombstone(n, 9) for n in removed},
        head=watermark + 1,
        watermark=watermark,
    )


def hits(service: Service, **ask: Any) -> list[FoundPicture]:  # noqa: ANN401  # any question
    """Return the hits of a search."""
    return service.searcher.search(TENANT, SearchRequest(**ask)).hits


def found(service: Service, **ask: Any) -> list[int]:  # noqa: ANN401  # any question
    """Numbers of the pictures that are found."""
    return [int(hit.seen.record.state.image_id[-12:]) for hit in hits(service, **ask)]


def zoo(service: Service) -> None:
    """Six pictures with titles, colours and categories."""
    project(
        service,
        picture(service, 1, "a dog in a park", "green", category="pets", tags=("park", "old")),
        picture(service, 2, "sleeping cat", "orange", category="pets", tags=("home",)),
        picture(service, 3, "mountain at sunrise", "blue", category="nature", tags=("old",)),
        picture(service, 4, "red car on a mountain road", "red", category="vehicles"),
        picture(service, 5, None, "yellow", owner_id="o"),
        picture(service, 6, "city street", None, category="urban", decision="review"),
    )


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


# --- copies ---------------------------------------------------------------------------------------


def stars(service: Service) -> None:
    """Project an original with two copies whose fields differ, and a stranger."""
    project(
        service,
        picture(service, 1, "dog", "green", owner_id="a"),
        picture(service, 2, "red car", None, original=1, owner_id="b", category="vehicles"),
        picture(service, 3, None, None, original=1, owner_id="c", tags=("x",)),
        picture(service, 4, "city", "red", owner_id="d"),
    )


def test_hits_of_copies_fall_onto_their_original(service: Service) -> None:
    """Once, at the place of the best; the copy that matched is named."""
    stars(service)
    car = hits(service, text="motorcycle", mode="caption", limit=1)[0]
    assert (car.seen.record.state.image_id, car.matched_copy_id) == (image_id(1), image_id(2))
    dog = hits(service, text="dog", mode="caption", limit=1)[0]
    assert (dog.seen.record.state.image_id, dog.matched_copy_id) == (image_id(1), None)
    assert found(service, text="car", mode="keyword") == [1]
    assert sorted(found(service, text="red car")) == [1, 4]
    hybrid = hits(service, text="car motorcycle", limit=1)[0]
    assert hybrid.matched_copy_id == image_id(2)
    assert hybrid.similarities["caption"] == pytest.approx(car.similarities["caption"], abs=0.2)


def test_copies_appear_by_themselves_where_asked(service: Service) -> None:
    """The original's vector stands for the pixels of a copy."""
    stars(service)
    assert found(service, text="motorcycle", mode="caption", collapse=False)[0] == 2
    shown = hits(service, text="green", mode="visual", collapse=False)
    assert [hit.seen.record.state.image_id for hit in shown[:3]] == [image_id(n) for n in (1, 2, 3)]
    assert len({hit.similarities["visual"] for hit in shown[:3]}) == 1
    assert all(hit.matched_copy_id is None for hit in shown)


def test_a_filter_that_only_a_copy_passes_finds_its_original(service: Service) -> None:
    """By every mode, naming the copy; not collapsed, the copy itself."""
    stars(service)
    for owner, copy in (("b", 2), ("c", 3)):
        for mode in ("visual", "hybrid"):
            (hit,) = hits(service, text="green", mode=mode, filters=Filters(owner_id=owner))
            assert hit.seen.record.state.image_id == image_id(1)
            assert hit.matched_copy_id == image_id(copy)
            (alone,) = hits(
                service, text="green", mode=mode, filters=Filters(owner_id=owner), collapse=False
            )
            assert alone.seen.record.state.image_id == image_id(copy)
    assert found(service, text="green", mode="visual", filters=Filters(tags=("x",))) == [1]
    assert found(service, text="dog", mode="keyword", filters=Filters(owner_id="b")) == []
    assert found(service, text="car", mode="keyword", filters=Filters(owner_id="b")) == [1]


def test_a_copy_asks_by_its_originals_vector(service: Service) -> None:
    """Neither of the two is an answer, nor what falls onto them; its caption is its own."""
    stars(service)
    assert found(service, image_id=image_id(2), mode="visual") == [4]
    assert found(service, image_id=image_id(3), mode="visual") == [4]
    assert found(service, image_id=image_id(1)) == [4]
    assert found(service, image_id=image_id(2), mode="caption") == [4]
    with pytest.raises(ConflictError):
        hits(service, image_id=image_id(3), mode="caption")


# --- groups ---------------------------------------------------------------------------------------


def test_groups_show_the_best_of_each(service: Service) -> None:
    """Groups are in order of rank; without a value there is no group; each tag counts."""
    zoo(service)
    best = hits(service, text="dog", mode="caption", group_by="category")
    assert [hit.group for hit in best][:1] == ["pets"]
    assert sorted(str(hit.group) for hit in best) == ["nature", "pets", "vehicles"]
    assert best[0].seen.record.state.image_id == image_id(1)
    tags = hits(service, text="dog", mode="caption", group_by="tag")
    assert {hit.group: hit.seen.record.state.image_id for hit in tags} == {
        "park": image_id(1),
        "old": image_id(1),
        "home": image_id(2),
    }
    assert [hit.rank for hit in tags] == [1, 2, 3]
    decided = hits(service, text="dog", group_by="decision")
    assert [hit.group for hit in decided] == ["allow"]
    decided = hits(service, text="dog", group_by="decision", filters=EVERY)
    assert [hit.group for hit in decided] == ["allow", "review"]


def test_groups_that_are_not_there_are_not_looked_for_to_the_end(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Too many to search each, and fewer than wanted: no search reads a whole tenant."""
    monkeypatch.setattr(execution, "MANY", 2)
    monkeypatch.setattr(execution, "DEEPEST", 400)
    pets = (picture(service, n, "dog", None, category=f"c{n % 9}") for n in range(1000))
    project(service, *pets)
    asked: list[int] = []
    neighbours = service.index.find_neighbours

    def counted(*args: Any, limit: int, **more: Any) -> Any:  # noqa: ANN401  # as the index
        asked.append(limit)
        return neighbours(*args, limit=limit, **more)

    monkeypatch.setattr(service.index, "find_neighbours", counted)
    best = hits(service, text="dog", mode="caption", group_by="category", limit=50)
    assert len(best) == 9
    assert max(asked) <= 4 * 400


def test_groups_are_looked_for_until_the_index_ends(service: Service) -> None:
    """If hundreds of one group come first, the others are found behind them."""
    project(
        service,
        *(picture(service, n, "dog", None, category="pets") for n in range(500)),
        picture(service, 600, "mountain", None, category="nature"),
        picture(service, 601, "city", None, owner_id="o"),
    )
    best = hits(service, text="dog", mode="caption", group_by="category", limit=2)
    assert [hit.group for hit in best] == ["pets", "nature"]
    assert [hit.group for hit in hits(service, text="dog", group_by="owner_id")] == ["o"]


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


# --- fusing ---------------------------------------------------------------------------------------


def test_fusion_sums_weighted_reciprocal_ranks() -> None:
    """By hand: 1/10 + 0.7/12 beats 1/11 + 0.7/11, which beats one list alone."""
    assert fuse([(1.0, ["a", "b", "c"]), (0.7, ["d", "b", "a"])]) == ["a", "b", "c", "d"]
    assert fuse([(1.0, ["a"]), (1.0, ["b"])]) == ["a", "b"]
    assert fuse([]) == []


def test_what_is_near_every_text_falls_behind() -> None:
    """A picture near the whole bank loses against one near the question alone."""
    bank = np.eye(4, dtype=np.float32)[:2]
    hub = np.array([1, 1, 0, 0], np.float32) / np.sqrt(2)
    plain = np.array([0, 0, 1, 0], np.float32)
    assert without_hubs([0.5, 0.4], [hub, plain], bank) == [1, 0]
    assert without_hubs([0.5, 0.4], [None, plain], bank) == [0, 1]
    assert without_hubs([0.5, 0.4], [hub, plain], bank[:0]) == [0, 1]


def test_hubs_are_mended_in_hybrid_alone(service: Service) -> None:
    """The hub vectors are read by tenant and space; a space by name stays as it is."""
    zoo(service)
    asked: list[tuple[str, str]] = []
    bank = np.stack([seen(service, "red")] * 3)

    def hubs(tenant: str, space_id: str) -> np.ndarray[Any, Any] | None:
        asked.append((tenant, space_id))
        return bank if space_id == service.visual.space.space_id else None

    searcher = Searcher(
        service.snapshots,
        service.models,
        service.searcher._sight,
        hubs=hubs,
    )
    plain = searcher.search(TENANT, SearchRequest(text="red orange", mode="visual", limit=2)).hits
    assert asked == []
    mended = searcher.search(TENANT, SearchRequest(text="red orange")).hits
    assert asked == [(TENANT, one.space.space_id) for one in (service.visual, service.caption)]
    assert {hit.similarities["visual"] for hit in plain} <= {
        hit.similarities.get("visual", 0.0) for hit in mended
    }
