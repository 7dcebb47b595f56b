"""Calibrating on what is stored, in an index as a search asks it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from adapters.blobs.opening import open_blobs
from adapters.sqlite_index import SQLiteIndex
from core.calibration.calibrate import Calibrator
from core.calibration.pseudo_queries import question
from core.calibration.store import CalibrationStore
from core.calibration.thresholds import CROWD, SHARE, crowd
from core.errors import MalformedError
from core.matching.policy import POLICY
from core.records import Fields, Record, caption
from tests.doubles.records import image_id, record, tombstone
from tests.doubles.word_embedders import Pair, WordEmbedder, words

VISUAL, CAPTION = "visual-0c0c0c0c", "caption-0c0c0c0c"
TENANT = "default"
VOCABULARY = [f"word{n}" for n in range(400)]


def described(seed: int) -> Fields:
    """Two sentences about one thing, with three words in common."""
    drawn = np.random.default_rng(seed)
    thing = drawn.choice(VOCABULARY, 5, replace=False).tolist()
    return Fields(description=f"{' '.join(thing[:4])}.\n{' '.join(thing[1:])}.")


def picture(n: int, fields: Fields | None = None, original: int | None = None) -> Record:
    """Return the n-th picture, which shows what its fields describe."""
    fields = described(n) if fields is None else fields
    text = caption(fields)
    vectors = {CAPTION: words(text)} if text else {}
    if original is None:
        vectors[VISUAL] = words(f"{text} light shade colour {n}")
    return record(n, 1, fields=fields, vectors=vectors, original=original)


class Shop:
    """An index with a tuner."""

    def __init__(self, folder: Path) -> None:
        self.index = SQLiteIndex(folder / "index.sqlite", POLICY, durable=False)
        self.calibrations = CalibrationStore(open_blobs("memory://"), seconds=0)
        self.embedders = Pair(WordEmbedder("visual"), WordEmbedder("caption"))
        self._seq = 0

    @property
    def tuner(self) -> Calibrator:
        return Calibrator(self.index, self.embedders, self.calibrations)

    def put(self, *records: Record, tenant: str = TENANT) -> None:
        self._seq = self.index.watermark(tenant) + 1
        self.index.project_entry(
            tenant,
            self._seq,
            [replace(one, tenant=tenant, seq=self._seq) for one in records],
            [],
            [],
        )


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """Empty, with both models."""
    made = Shop(tmp_path)
    yield made
    made.index.close()


def test_false_answers_are_as_rare_as_was_asked(shop: Shop) -> None:
    """Queries of 300 pictures set the cut-off; captions of 300 that were never stored search."""
    shop.put(*(picture(n) for n in range(300)))
    made = shop.tuner.calibrate(TENANT, rate=0.2).made["caption"]
    false = []
    for n in range(1_000, 1_300):
        asked = question(image_id(n), described(n))
        assert asked is not None
        near = shop.index.find_neighbours(TENANT, CAPTION, words(asked.text), limit=CROWD)
        best = np.array([one.similarity for one in near])
        false.append(best[0] - SHARE * crowd(best[None])[0] >= made.ways["text"].needed)
    assert np.mean(false) == pytest.approx(0.2, abs=0.07)
    kept = made.ways["text"].kept
    assert kept is not None
    assert kept > 0.5, "two sentences about one thing have most of their words in common"


def test_both_spaces_and_both_ways(shop: Shop) -> None:
    """With where they came from, put in force at once."""
    shop.put(*(picture(n) for n in range(80)))
    heard: list[tuple[int, int]] = []
    tuned = shop.tuner.calibrate(TENANT, told=lambda done, total: heard.append((done, total)))
    assert not tuned.refused
    for kind, space_id in (("visual", VISUAL), ("caption", CAPTION)):
        held = shop.calibrations.get(TENANT, space_id)
        assert held == tuned.made[kind]  # type: ignore[index] # a literal of a loop
        assert held is not None
        assert (held.pictures, held.rate, set(held.ways)) == (80, 0.1, {"text", "picture"})
        assert held.ways["picture"].kept is None
        assert held.bank.shape == (80, 256)
    assert heard[-1] == (320, 320)
    assert [done for done, _ in heard] == sorted(done for done, _ in heard)
    again = shop.tuner.calibrate(TENANT).made["caption"]
    assert replace(again, made_at="") == replace(tuned.made["caption"], made_at="")


def test_too_few_say_how_many_there_are(shop: Shop) -> None:
    """Without pictures, with few, and with pictures that have no description."""
    assert shop.tuner.calibrate(TENANT).refused.keys() == {"visual", "caption"}
    shop.put(*(picture(n) for n in range(49)), *(picture(n, Fields()) for n in range(49, 200)))
    refused = shop.tuner.calibrate(TENANT).refused
    assert "49 stored pictures" in refused["caption"]
    assert shop.calibrations.get(TENANT, CAPTION) is None


def test_a_space_without_a_model_says_so(shop: Shop) -> None:
    """The other one is measured all the same."""
    shop.embedders = Pair(WordEmbedder("visual"), WordEmbedder("caption", "no caption model"))
    shop.put(*(picture(n) for n in range(80)))
    tuned = shop.tuner.calibrate(TENANT)
    assert tuned.refused == {"caption": "no caption model"}
    assert set(tuned.made) == {"visual"}


def test_copies_neither_ask_nor_answer_falsely(shop: Shop) -> None:
    """A copy with its original's words is the same picture."""
    originals = [picture(n) for n in range(80)]
    shop.put(*originals)
    plain = shop.tuner.calibrate(TENANT).made["caption"].ways["text"]
    shop.put(*(picture(100 + n, described(n), original=n) for n in range(80)))
    made = shop.tuner.calibrate(TENANT).made["caption"]
    assert made.pictures == 80
    assert made.ways["text"].best[-1] == pytest.approx(plain.best[-1])


def test_only_some_may_ask(shop: Shop) -> None:
    """All others may be found."""
    shop.put(*(picture(n) for n in range(120)))
    made = shop.tuner.calibrate(TENANT, among={image_id(n) for n in range(60)}).made["caption"]
    assert (made.pictures, made.ways["text"].asked) == (60, 60)


def test_a_tenant_is_measured_by_its_own_pictures(shop: Shop) -> None:
    """Pictures of another tenant change nothing."""
    shop.put(*(picture(n) for n in range(80)))
    alone = shop.tuner.calibrate(TENANT).made["caption"]
    shop.put(*(picture(n) for n in range(500, 700)), tenant="other")
    beside = shop.tuner.calibrate(TENANT).made["caption"]
    assert replace(alone, made_at="") == replace(beside, made_at="")
    assert shop.calibrations.get("other", CAPTION) is None


def test_calibrating_anew_forgets_what_was_deleted(shop: Shop) -> None:
    """Its words' vector is in the bank before, and not after."""
    shop.put(*(picture(n) for n in range(80)))
    asked = question(image_id(7), described(7))
    assert asked is not None
    bank = shop.tuner.calibrate(TENANT).made["caption"].bank
    assert (bank @ words(asked.text)).max() > 0.999
    shop.index.project_entry(TENANT, 2, [], [tombstone(7, 2)], [])
    bank = shop.tuner.calibrate(TENANT).made["caption"].bank
    assert len(bank) == 79
    assert (bank @ words(asked.text)).max() < 0.99


@pytest.mark.parametrize("rate", [0.0, -0.1, 0.51, float("nan")])
def test_a_rate_must_make_sense(shop: Shop, rate: float) -> None:
    """More than half of false answers is no target."""
    with pytest.raises(MalformedError, match="rate"):
        shop.tuner.calibrate(TENANT, rate=rate)
