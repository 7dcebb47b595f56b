"""Pictures for a prompt: near enough or none, and never one that may not be shown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from adapters.blobs.opening import open_blobs
from adapters.sqlite_index import SQLiteIndex
from core.calibration.store import CalibrationStore
from core.calibration.thresholds import Calibration, CutOff
from core.errors import (
    ConflictError,
    EmbedderUnavailableError,
    GoneError,
    MalformedError,
    MissingError,
)
from core.event_log.tail import LogTail
from core.index_port import Filters
from core.matching.policy import POLICY
from core.queries.snapshot import Snapshots
from core.records import Fields, Record, caption
from core.search.searcher import Searcher
from core.storage.picture_store import PictureStore, StoredFingerprint
from core.types import Decision, SpaceKind, Value
from rag.retriever import Retriever
from rag.types import RetrievalResult
from tests.doubles.records import fingerprint, image_id, moment, record, tombstone
from tests.doubles.small_service import tail_of
from tests.doubles.word_embedders import DIMENSIONS, Pair, WordEmbedder, words

VISUAL, CAPTION = "visual-0c0c0c0c", "caption-0c0c0c0c"
TENANT = "default"


class Stock:
    """Records in an index, a tail after it, and a retriever over both."""

    def __init__(self, folder: Path, visual: WordEmbedder, caption: WordEmbedder) -> None:
        self.blobs = open_blobs("memory://")
        self.index = SQLiteIndex(folder / "index.sqlite", POLICY, durable=False)
        self.calibrations = CalibrationStore(self.blobs, seconds=0)
        self.tails: dict[str, LogTail] = {}
        self.embedders = Pair(visual, caption)
        self.shelf = PictureStore(self.blobs)
        searcher = Searcher(
            Snapshots(self.index, self, self.shelf),
            self.embedders,
            None,  # type: ignore[arg-type] # no picture is decoded here
            hubs=self.calibrations.bank,
        )
        self.retriever = Retriever(searcher, self.index, self.embedders, self.calibrations)
        self._seq = 0

    def tail(self, tenant: str) -> LogTail:
        return self.tails.get(tenant, tail_of())

    def put(self, *records: Record, removed: Sequence[int] = ()) -> None:
        """Project one entry of the log."""
        self._seq += 1
        stones = [tombstone(n, self._seq) for n in removed]
        self.index.project_entry(TENANT, self._seq, records, stones, [])

    def find(self, text: str | None = None, **asked: Any) -> RetrievalResult:  # noqa: ANN401
        return self.retriever.retrieve(TENANT, text=text, **asked)

    def decided_in_the_tail(self, found: Record, value: Value) -> None:
        """Record a decision that no index holds yet."""
        made = replace(
            found.state,
            revision=found.state.revision + 1,
            decision=Decision(value=value, by="person", at=moment(999)),
        )
        self.shelf.write(
            TENANT,
            [StoredFingerprint(image_id=made.image_id, fingerprint=found.fingerprint, preview=b"")],
        )
        states = {**self.tail(TENANT).layer.states, made.image_id: made}
        self.tails[TENANT] = tail_of(states=states, head=self._seq + 1)


def picture(n: int, shows: str, said: str | None = None, **state: Any) -> Record:  # noqa: ANN401
    """Return a record that shows some words, with a description."""
    fields = Fields(description=said, category=state.pop("category", None))
    vectors = {}
    if state.get("original") is None:
        vectors[VISUAL] = words(shows)
    if said:
        vectors[CAPTION] = words(caption(fields))
    return record(n, n, fields=fields, vectors=vectors, print_=fingerprint(n), **state)


def ids(found: RetrievalResult) -> list[int]:
    """Return the numbers of the pictures, best first."""
    return [int(one.seen.record.state.image_id[-12:]) for one in found.items]


@pytest.fixture
def stock(tmp_path: Path) -> Iterator[Stock]:
    """Yield a stock with both models."""
    made = Stock(tmp_path, WordEmbedder("visual"), WordEmbedder("caption"))
    yield made
    made.index.close()


# --- what is near enough ------------------------------------------------------------------------


def test_what_is_asked_for_comes_and_nothing_else(stock: Stock) -> None:
    """It is found by its words and by what it shows; the nearest of the rest stays away."""
    stock.put(
        picture(1, "dog grass", "a dog plays on grass"),
        picture(2, "cat blanket", "a cat sleeps on a blanket"),
        picture(3, "dog sofa"),
    )
    found = stock.find("dog grass")
    assert ids(found) == [1, 3]
    assert found.reason is None
    assert set(found.used) == {"visual", "caption", "keyword"}
    assert found.items[0].similarities["caption"] == pytest.approx(0.63, abs=0.1)


def test_nothing_near_is_nothing_with_the_reason(stock: Stock) -> None:
    """How near the best came and what was needed, in cosines."""
    stock.put(picture(1, "dog grass", "a dog plays on grass on a warm day in the park"))
    found = stock.find("quarterly report of day sales")
    assert found.items == ()
    assert found.reason is not None
    assert found.reason.startswith("nothing stored is near enough: best caption similarity 0.")
    assert "needed 0.30" in found.reason


def test_an_empty_store_says_so(stock: Stock) -> None:
    """There is no best similarity to tell."""
    assert stock.find("dog").reason == (
        "no stored picture that passes the filters and may be shown was found"
    )


def test_a_calibrated_space_has_its_own_cut_off(stock: Stock) -> None:
    """The margin over other pictures counts, which an ordinary similarity no longer has."""
    stock.put(picture(1, "dog", "dog grass sun"), picture(2, "cat", "cat grass moon"))
    assert ids(stock.find("dog grass moon")) == [1, 2]
    calibrate(stock, "caption", needed=0.9)
    refused = stock.find("dog grass moon")
    assert ids(refused) == []
    assert "best caption similarity 0." in (refused.reason or "")
    calibrate(stock, "caption", needed=0.1)
    assert ids(stock.find("dog grass moon")) == [1, 2]


def test_of_two_measured_spaces_the_better_one_judges(stock: Stock) -> None:
    """A picture that it knows has no second chance in the other one; one that it lacks has."""
    stock.put(picture(1, "dog", "quarterly numbers"), picture(2, "dog"))
    calibrate(stock, "caption", needed=0.3, kept=0.8)
    calibrate(stock, "visual", needed=0.1, kept=0.4)
    assert ids(stock.find("dog")) == [2]
    calibrate(stock, "visual", needed=0.1, kept=0.9)
    assert ids(stock.find("dog")) == [1, 2]


def test_without_any_model_words_decide(tmp_path: Path) -> None:
    """There is no cosine to hold a picture to."""
    stock = Stock(tmp_path, WordEmbedder("visual", "none"), WordEmbedder("caption", "none"))
    stock.put(picture(1, "", "a dog on grass"), picture(2, "", "a cat"))
    found = stock.find("dogs")
    assert (ids(found), found.used) == ([1], ("keyword",))
    assert stock.find("horse").items == ()
    with pytest.raises(EmbedderUnavailableError):
        stock.find(vectors=[words("dog")])
    stock.index.close()


# --- pictures that ask --------------------------------------------------------------------------


def test_pictures_ask_and_are_left_out(stock: Stock) -> None:
    """Each for itself: what is near one of them comes, none of them does."""
    stock.put(
        picture(1, "dog grass sun"),
        picture(2, "dog grass sun tree"),
        picture(3, "car road night"),
        picture(4, "car road night rain"),
        picture(5, "chart"),
    )
    calibrate(stock, "visual", needed=0.3)
    assert set(ids(stock.find(image_ids=[image_id(1), image_id(3)]))) == {2, 4}
    assert set(ids(stock.find("chart", image_ids=[image_id(1)]))) == {2, 5}
    assert set(ids(stock.find(vectors=[words("car road night")]))) == {3, 4}


def test_a_copy_asks_by_its_original(stock: Stock) -> None:
    """It has no visual vector of its own, and its original is no answer to it."""
    stock.put(picture(1, "dog grass"), picture(2, "dog grass ball"), picture(3, "", original=1))
    calibrate(stock, "visual", needed=0.2)
    assert ids(stock.find(image_ids=[image_id(3)])) == [2]


def test_what_cannot_ask_is_an_error(stock: Stock) -> None:
    """Unknown, deleted, without a vector, or nothing at all; a text beside it still finds."""
    stock.put(picture(1, "dog"), record(2, 1), picture(3, "dog"))
    stock.put(removed=[3])
    with pytest.raises(MissingError):
        stock.find(image_ids=[image_id(9)])
    with pytest.raises(GoneError):
        stock.find(image_ids=[image_id(3)])
    with pytest.raises(ConflictError):
        stock.find(image_ids=[image_id(2)])
    for nothing in (None, "", "  \n"):
        with pytest.raises(MalformedError):
            stock.find(nothing)
    assert ids(stock.find("dog", image_ids=[image_id(2)])) == [1]


# --- what may be shown --------------------------------------------------------------------------


ASKED: list[dict[str, Any]] = [
    {"text": "dog grass"},
    {"image_ids": [image_id(99)]},
    {"vectors": [words("dog grass")]},
    {"text": "dog grass", "image_ids": [image_id(99)], "vectors": [words("dog grass")]},
    {"text": "dog grass", "filters": Filters(decision=("allow",))},
]


@pytest.mark.parametrize("asked", ASKED, ids="+".join)
def test_only_allowed_ones_are_shown(stock: Stock, asked: dict[str, Any]) -> None:
    """Blocked and held ones are left out, and so are their copies, whatever their own decision."""
    said = "dog grass"
    stock.put(
        picture(1, said, said),
        picture(2, said, said, decision="review"),
        picture(3, said, said, decision="block"),
        picture(4, said, said, original=3),
        picture(5, said, said, original=2),
        picture(6, said, said, original=1, decision="block"),
        picture(99, said, said, decision="block"),
    )
    assert ids(stock.find(**asked)) == [1]


@pytest.mark.parametrize("asked", ASKED, ids="+".join)
@pytest.mark.parametrize("value", ["review", "block"])
def test_a_decision_of_this_moment_counts(
    stock: Stock, asked: dict[str, Any], value: Value
) -> None:
    """One that lies in the log's tail alone: of the picture, and of a copy's original."""
    said = "dog grass"
    first, second = picture(1, said, said), picture(2, said, said)
    stock.put(first, second, picture(3, said, said, original=2), picture(99, said, said))
    assert ids(stock.find(**asked))
    stock.decided_in_the_tail(first, value)
    stock.decided_in_the_tail(second, value)
    found = stock.find(**asked)
    assert ids(found) in ([], [99])
    assert all(one.matched_copy_id is None for one in found.items)


def test_what_was_blocked_and_is_allowed_in_the_tail_never_comes_unchecked(stock: Stock) -> None:
    """It may wait until it is projected; its original's block still holds."""
    blocked = picture(1, "dog", "dog", decision="block")
    copy = picture(2, "dog", "dog", original=1, decision="block")
    stock.put(blocked, copy)
    stock.decided_in_the_tail(copy, "allow")
    assert ids(stock.find("dog")) == []


def test_a_filter_by_decision_opens_nothing(stock: Stock) -> None:
    """The result has a reason, instead of blocked pictures for a model."""
    stock.put(picture(1, "dog", "dog", decision="block"))
    for value in ("block", "review"):
        found = stock.find("dog", filters=Filters(decision=(value,)))
        assert found.items == ()
        assert value in (found.reason or "")


def test_filters_hold(stock: Stock) -> None:
    """Other ones as in any search."""
    stock.put(
        picture(1, "dog", "dog", category="pets"), picture(2, "dog", "dog", category="nature")
    )
    assert ids(stock.find("dog", filters=Filters(category="pets"))) == [1]


# --- once each ----------------------------------------------------------------------------------


def test_copies_fall_onto_their_original(stock: Stock) -> None:
    """Found by a copy's words, the original is shown and the copy named."""
    stock.put(
        picture(1, "dog", "holiday"),
        picture(2, "", "a brown dog", original=1),
        picture(3, "", "brown dog on grass", original=1),
    )
    found = stock.find("brown dog")
    assert ids(found) == [1]
    assert found.items[0].matched_copy_id == image_id(2)


def test_the_same_thing_again_gives_way(stock: Stock) -> None:
    """Six pictures of one scene leave room for another scene among three."""
    alike = [picture(n, "dog grass sun", "dog grass") for n in range(1, 7)]
    stock.put(*alike, picture(7, "dog beach wave sand boat", "dog grass beach"))
    found = ids(stock.find("dog grass", limit=3))
    assert len(found) == 3
    assert 7 in found[:2]


def test_no_more_than_asked_for(stock: Stock) -> None:
    """The limit holds for a large stock."""
    stock.put(*(picture(n, "dog", "dog") for n in range(1, 80)))
    assert [len(ids(stock.find("dog", limit=n))) for n in (1, 8, 60)] == [1, 8, 60]


@pytest.mark.parametrize("asked", ASKED, ids="+".join)
def test_a_thing_that_asks_reads_its_hits_once(
    stock: Stock, asked: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The search hands on the records with their vectors, and the question's own."""
    said = "dog grass"
    stock.put(picture(1, said, said), picture(2, "dog grass sun", said), picture(99, said, said))
    read, reads = stock.index.read_records, []

    def counting(tenant: str, image_ids: Sequence[str], **how: Any) -> Any:  # noqa: ANN401
        if set(image_ids) != {image_id(99)}:  # the picture that asks
            reads.append(list(image_ids))
        return read(tenant, image_ids, **how)

    monkeypatch.setattr(stock.index, "read_records", counting)
    found = stock.find(**asked)
    assert len(found.items) >= 2
    assert all(VISUAL in one.seen.record.vectors for one in found.items)
    hits = [ids for ids in reads if ids]  # a verdict without an original names none
    assert len(hits) == sum(name != "filters" for name in asked)


def calibrate(stock: Stock, kind: SpaceKind, needed: float, kept: float = 0.9) -> None:
    """Put a cut-off in force."""
    cut = CutOff(needed=needed, asked=100, kept=kept, best=(0.1, 0.2, 0.3))
    made = Calibration(
        space_id=VISUAL if kind == "visual" else CAPTION,
        kind=kind,
        model="words",
        pipeline_version="1.1",
        made_at=moment(0),
        rate=0.1,
        pictures=100,
        ways={"text": cut, "picture": replace(cut, kept=None)},
        dimensions=DIMENSIONS,
    )
    stock.calibrations.put(TENANT, made)
