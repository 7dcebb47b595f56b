"""The cut-off on known distributions, and what of it is stored."""

from __future__ import annotations

import logging

import msgspec
import numpy as np
import pytest

from adapters.blobs.opening import open_blobs
from core import keys
from core.calibration.pseudo_queries import question
from core.calibration.store import CalibrationStore
from core.calibration.thresholds import BANK, SHARE, Calibration, crowd, cut, packed
from core.errors import ConflictError, StoreUnavailableError
from core.ports import Blobs
from core.records import Fields
from tests.doubles.records import SPACE, image_id, random_vector


def lists(count: int, seed: int) -> np.ndarray:
    """Similarities of the eleven nearest pictures, as good as random."""
    drawn = np.random.default_rng(seed).normal(0.4, 0.1, (count, 400))
    return -np.sort(-drawn, axis=1)[:, :11]


def calibration(needed: float = 0.3, texts: int = 3) -> Calibration:
    """Return a calibration with a bank of random texts."""
    made = cut(lists(100, 1), None, 0.1)
    return Calibration(
        space_id=SPACE,
        kind="visual",
        model="toy",
        pipeline_version="1.1",
        made_at="2026-01-01T00:00:00.000Z",
        rate=0.1,
        pictures=100,
        ways={"text": msgspec.structs.replace(made, needed=needed)},
        dimensions=8,
        texts=packed(np.array([random_vector(n) for n in range(texts)])),
    )


# --- the cut-off --------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [0.02, 0.1, 0.3])
def test_other_questions_are_answered_falsely_as_often_as_was_asked(rate: float) -> None:
    """Measured on 1,000, it holds on 20,000 others of the same kind."""
    made = cut(lists(1_000, 1), None, rate)
    asked = lists(20_000, 2)
    false = asked[:, 0] - SHARE * crowd(asked) >= made.needed
    assert np.mean(false) == pytest.approx(rate, abs=0.35 * rate)


def test_the_bound_holds_for_few_questions() -> None:
    """On average over many draws of 50, false answers stay within the rate."""
    others = lists(5_000, 3)
    stood = others[:, 0] - 0.5 * crowd(others)
    shares = [(stood >= cut(lists(50, seed), None, 0.1).needed).mean() for seed in range(10, 210)]
    assert np.mean(shares) <= 0.102


def test_answers_that_stand_out_are_kept() -> None:
    """All that lie far above the rest, none that lie below, and half of a mixture."""
    others = lists(200, 4)
    assert cut(others, np.full(200, 0.99), 0.1).kept == 1.0
    assert cut(others, np.full(200, -1.0), 0.1).kept == pytest.approx(0.1, abs=0.01)
    half = np.where(np.arange(200) % 2 == 0, 0.99, np.nan)
    assert cut(others, half, 0.1).kept == 1.0, (
        "questions without an answer of their own are no loss"
    )
    assert cut(others, np.full(200, np.nan), 0.1).kept is None


def test_a_question_near_to_everything_is_held_to_more() -> None:
    """The same similarity stands out less in a crowd."""
    alone, crowded = crowd(np.array([[0.6, *[0.1] * 9], [0.6, *[0.55] * 9]]))
    assert alone < crowded
    assert crowd(np.zeros((1, 0))) == [0.0]


def test_another_picture_that_says_the_same_is_no_false_answer() -> None:
    """Goods with one description would otherwise leave every question empty."""
    others = lists(200, 5)
    others[::2, 0] = 0.97
    assert cut(others, None, 0.1, twins=0.95).asked == 100
    assert cut(others, None, 0.1, twins=0.95).needed < cut(others, None, 0.1).needed


@pytest.mark.parametrize("count", [0, 1, 49])
def test_too_few_are_refused(count: int) -> None:
    """The error names how many there are, and how many are needed."""
    with pytest.raises(ConflictError, match=f"{count} stored pictures.* 50 "):
        cut(lists(count, 1), None, 0.1)


def test_fewer_than_eleven_others_will_do() -> None:
    """NaN gaps are left out, and pictures without any other do not search."""
    others = lists(100, 6)
    others[:, 4:] = np.nan
    others[:20] = np.nan
    made = cut(others, None, 0.1)
    assert made.asked == 80
    assert np.isfinite([made.needed, *made.best]).all()


def test_bands_follow_the_best_false_answers() -> None:
    """Close is what nine of ten stay under."""
    others = lists(500, 7)
    bands = cut(others, None, 0.1).bands
    assert bands.very_close > bands.close > bands.related
    assert (others[:, 0] < bands.close).mean() == pytest.approx(0.9, abs=0.01)


# --- questions ----------------------------------------------------------------------------------


def test_one_sentence_asks_and_the_rest_answers() -> None:
    """Whichever it is, the same at every run, and never a file's name."""
    fields = Fields(
        title="IMG 0042",
        description="A dog runs on grass. Two men watch it!\nA red ball",
        tags=("a",),
    )
    asked = {question(image_id(n), fields) for n in range(40)}
    assert {one.text for one in asked if one} == {
        "A dog runs on grass.",
        "Two men watch it!",
        "A red ball",
    }
    for one in asked:
        assert one is not None
        assert one.text not in one.rest
        assert "IMG 0042" in one.rest
        assert one.rest.endswith("\na")
    assert question(image_id(1), fields) == question(image_id(1), fields)
    assert question(image_id(1), Fields(title="IMG 0042")) is None
    assert question(image_id(1), Fields()) is None


# --- kept ---------------------------------------------------------------------------------------


def test_what_was_put_is_read_whole_and_a_newer_one_is_noticed() -> None:
    """Another process notices it too, after the seconds for which it keeps the old one."""
    blobs = open_blobs("memory://")
    writer, reader = CalibrationStore(blobs), CalibrationStore(blobs, seconds=0)
    assert reader.get("a", SPACE) is None
    assert reader.bank("a", SPACE) is None
    assert reader.bands("a", SPACE, "text") is None
    writer.put("a", calibration(0.3))
    assert reader.get("a", SPACE) == calibration(0.3)
    assert reader.get("b", SPACE) is None, "another tenant has its own"
    writer.put("a", calibration(0.4))
    held = reader.get("a", SPACE)
    assert held is not None
    assert held.ways["text"].needed == 0.4
    assert writer.get("a", SPACE) == held
    assert reader.bands("a", SPACE, "text") == held.ways["text"].bands
    assert reader.bands("a", SPACE, "picture") is None
    assert [(tenant, one.space_id) for tenant, one in reader.all()] == [("a", SPACE)]


def test_the_bank_is_of_unit_vectors_and_bounded() -> None:
    """In half precision on disk, close to what was given."""
    bank = calibration(texts=1_200).bank
    assert bank.shape == (BANK, 8)
    assert np.allclose(np.linalg.norm(bank, axis=1), 1, atol=1e-6)
    assert np.allclose(bank[7], random_vector(7), atol=1e-3)


def test_one_that_cannot_be_read_counts_as_none(caplog: pytest.LogCaptureFixture) -> None:
    """Search goes on by the default, and the log has the reason."""
    blobs = open_blobs("memory://")
    blobs.put([(keys.calibration("a", SPACE), b"not a calibration")])
    with caplog.at_level(logging.WARNING):
        assert CalibrationStore(blobs).get("a", SPACE) is None
    assert "cannot be read" in caplog.text


class _Away:
    """A store that answers at first."""

    def __init__(self, blobs: Blobs) -> None:
        self.blobs = blobs
        self.down = False

    def get(self, key: str) -> bytes:
        if self.down:
            raise StoreUnavailableError("away")
        return self.blobs.get(key)


def test_while_the_store_is_away_the_last_one_holds() -> None:
    """Without an earlier one there is none."""
    blobs = open_blobs("memory://")
    CalibrationStore(blobs).put("a", calibration())
    away = _Away(blobs)
    reader = CalibrationStore(away, seconds=0)  # type: ignore[arg-type] # the part of the port used
    held = reader.get("a", SPACE)
    away.down = True
    assert held is not None
    assert reader.get("a", SPACE) == held
    assert reader.get("a", "visual-00000000") is None
