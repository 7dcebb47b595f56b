"""A few copies of one file, however many there are, decide a verdict as all of them would."""

from __future__ import annotations

import random
from typing import Any, cast

import pytest
from msgspec.structs import replace

from core.event_log.overlay_state import OverlayLayer
from core.event_log.settle_reads import AnchorPool, SettleSource
from core.event_log.settle_view import IndexView
from core.matching.exact_twins import earliest
from core.matching.subject import Subject
from core.records import State, Tombstone
from core.types import Candidates, Decision, Query
from tests.doubles.records import fingerprint, image_id, record

SAME = fingerprint(1)
ORIGINALS = 3
COPIES = 40


class Index:
    """An index that holds these states, and answers look-ups of one file."""

    def __init__(self, states: list[State]) -> None:
        self._states = {state.image_id: state for state in states}

    def find_states(self, _: str, *, sha256: list[str], pixels: list[str]) -> list[State]:
        return [s for s in self._states.values() if s.sha256 in sha256 or s.pixels in pixels]

    def read_states(self, _: str, ids: list[str]) -> list[State | None]:
        return [self._states.get(one) for one in ids]


def made(n: int, dice: random.Random, *, copy: bool) -> State:
    """Return a record of the one file: an original, or a copy of one of the originals."""
    original = dice.randrange(ORIGINALS) if copy else None
    held = record(n, 1 + n, original=original, print_=SAME).state
    return decided(
        replace(held, accepted_at=f"2026-01-01T00:00:{dice.randrange(60):02}.000Z"), dice
    )


def decided(state: State, dice: random.Random) -> State:
    """Return the state with a random decision, by policy or person."""
    value, by = dice.choice(["allow", "review", "block"]), dice.choice(["policy", "person"])
    return replace(state, decision=cast("Decision", replace(state.decision, value=value, by=by)))


@pytest.mark.parametrize("seed", range(200))
def test_the_few_say_what_all_say(seed: int) -> None:
    """They do after any change, removal or addition in the log, for each copy of it."""
    dice = random.Random(seed)
    below = [made(n, dice, copy=n >= ORIGINALS) for n in range(COPIES)]
    layer = OverlayLayer()
    touched = dice.sample(below, dice.randrange(COPIES))
    changed = [decided(one, dice) for one in touched if dice.random() < 0.5]
    gone = [one.image_id for one in touched if dice.random() < 0.5]
    added = [made(COPIES + n, dice, copy=True) for n in range(dice.randrange(4))]
    layer.put([*changed, *added], [Tombstone(one, 99, "2026-01-02T00:00:00.000Z") for one in gone])
    source = SettleSource(
        "t",
        index=cast("Any", Index(below)),
        blobs=cast("Any", None),
        sight=cast("Any", None),
        pool=cast("AnchorPool", None),
        fuse=lambda _: Candidates(hits=(), truncated=False),
    )
    view = IndexView(source, (layer,))
    newest = {one.image_id: one for one in (*below, *changed, *added)}
    whole = [one for name, one in newest.items() if name not in gone]
    me = image_id(dice.randrange(COPIES + 4))
    few = view.same_bytes(SAME.sha256)
    assert len(few) <= len(layer.states) + 2 * 6 * ORIGINALS
    subject = Subject(view, Query(image_id=me, fingerprint=SAME), None, None, blind=False)
    assert earliest(subject, few) == earliest(subject, whole)
    assert earliest(subject, view.same_pixels(SAME.pixels_sha256)) == earliest(subject, whole)
