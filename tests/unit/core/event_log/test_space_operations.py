"""Vectors made later, a second space beside the first, and the flip: in the order of the log."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from adapters.sqlite_index import SQLiteIndex
from core import clock
from core.event_log.decide import apply, decide
from core.event_log.operations import TenantNow
from core.event_log.overlay_state import OverlayLayer
from core.event_log.space_operations import choose
from core.matching.policy import POLICY
from core.records import Embedded, Fields, Job, LogPlace, Operation, State
from core.types import ActiveSpaces, ChosenSpace, Decision, Remade, Space, Verdict
from tests.doubles import records
from tests.simulation import world

OLD = ChosenSpace(Space("visual-0a0a0a0a", "visual", "old", 8, 0.9), "old")
NEW = ChosenSpace(Space("visual-0b0b0b0b", "visual", "new", 4, 0.9), "new")
NOW = TenantNow(7, 0, clock.stamp(clock.parse("2026-01-01T00:00:00Z")))


def state(image_id: str, *spaces: str, fields: str | None = None) -> State:
    """Return a record as the log stores it."""
    verdict = Verdict(
        kind="new", original=None, policy_version="1", pipeline_version="1", decided_at=NOW.at
    )
    return State(
        image_id=image_id,
        sha256="",
        pixels="",
        accepted_at=NOW.at,
        updated_at=NOW.at,
        verdict=verdict,
        decision=Decision(value="allow", by="policy", at=NOW.at),
        anchor=LogPlace(1, 0),
        spaces=spaces,
        fields=fields,
    )


class Desk:
    """A world with some records, and one job after another."""

    def __init__(self, *states: State) -> None:
        self.world = world.World(world.Relation(), [])
        self.world.put(states, [])
        self._jobs = 0

    def run(self, kind: str, chosen: ChosenSpace | None = None, *made: Embedded) -> Operation:
        """Settle one job, and return its operation."""
        self._jobs += 1
        job = Job(
            job_id=f"j{self._jobs}",
            tenant="t",
            image_id="",
            kind=kind,  # type: ignore[arg-type]
            accepted_at=NOW.at,
            chosen=chosen,
            present=OLD,
        )
        done = choose(self.world, job, made, NOW)
        self.world.take(done, NOW.seq)
        return done


def test_a_space_is_added_filled_and_activated() -> None:
    """Refused while a picture lacks a vector in it; the refusal names what to do."""
    desk = Desk(state("a", OLD.space.space_id), state("b", OLD.space.space_id))
    assert desk.run("add_space", NEW).standing == ActiveSpaces(active=OLD, added=(NEW,))
    early = desk.run("activate_space", NEW)
    assert early.kind == "refused"
    assert "2 pictures" in (early.problem.detail if early.problem else "")
    done = desk.run(
        "embed", None, Embedded("a", NEW.space.space_id), Embedded("b", NEW.space.space_id)
    )
    assert [s.revision for s in done.states] == [2, 2]
    assert desk.run("activate_space", NEW).standing == ActiveSpaces(active=NEW)
    assert desk.world.standing("visual") == ActiveSpaces(active=NEW)
    assert desk.run("activate_space", NEW).standing == ActiveSpaces(active=NEW), "said twice"


def test_what_was_not_added_is_not_activated() -> None:
    """The active one is not added again, and adding twice is adding once."""
    desk = Desk()
    assert desk.run("activate_space", NEW).kind == "refused"
    assert desk.run("add_space", OLD).kind == "refused"
    desk.run("add_space", NEW)
    assert desk.run("add_space", NEW).standing == ActiveSpaces(active=OLD, added=(NEW,))


def test_a_vector_of_what_changed_meanwhile_is_left_out() -> None:
    """Deleted pictures, captions that were edited, and what is known already."""
    desk = Desk(state("a", fields="said-2"), state("b", "caption-0c0c0c0c", fields="b"), state("c"))
    done = desk.run(
        "embed",
        None,
        Embedded("a", "caption-0c0c0c0c", "said-1"),
        Embedded("b", "caption-0c0c0c0c", "b"),
        Embedded("gone", NEW.space.space_id),
        Embedded("c", NEW.space.space_id),
    )
    assert [(s.image_id, s.spaces) for s in done.states] == [("c", (NEW.space.space_id,))]


def test_a_vector_of_pixels_that_were_decoded_again_is_left_out() -> None:
    """Only one of the present pixels is recorded."""
    space = NEW.space.space_id
    remade = Remade("job", "job")
    desk = Desk(*(replace(state(one), remade=remade) for one in "ab"), state("c"))
    made = (Embedded("a", space), Embedded("b", space, "job"), Embedded("c", space))
    assert [one.image_id for one in desk.run("embed", None, *made).states] == ["b", "c"]


def test_an_edit_leaves_the_old_captions_vectors_behind() -> None:
    """It keeps the vectors of what the picture shows."""
    desk = Desk(state("a", OLD.space.space_id, "caption-0c0c0c0c", fields="a"))
    job = Job(job_id="e", tenant="t", image_id="a", kind="edit", accepted_at=NOW.at, fields="e")
    claim = world.Claim(job=job, spaces=("caption-0d0d0d0d",))
    edited = decide(desk.world, claim, NOW, world.RULES)
    assert edited.states[0].spaces == (OLD.space.space_id, "caption-0d0d0d0d")


def test_a_layer_carries_the_newest_standing() -> None:
    """A copy of it is independent."""
    layer = OverlayLayer()
    first, second = ActiveSpaces(active=OLD, added=(NEW,)), ActiveSpaces(active=NEW)
    base = Desk().run("add_space", NEW)
    apply(layer, base, 1)
    copied = layer.copy()
    apply(copied, replace(base, standing=second), 2)
    assert (layer.standings, copied.standings) == ({"visual": first}, {"visual": second})


@pytest.fixture
def index(tmp_path: Path) -> Iterator[SQLiteIndex]:
    """Yield an index on a disk."""
    opened = SQLiteIndex(tmp_path / "index.sqlite", POLICY)
    yield opened
    opened.close()


def test_the_index_keeps_standings_and_tells_what_lacks_a_vector(index: SQLiteIndex) -> None:
    """In pieces, and leaving out what could have none."""
    made = [
        records.record(0, 1, fields=Fields(title="a dog")),
        records.record(1, 1, fields=Fields(category="dogs")),
        records.record(2, 1, spaces=("visual-0b0b0b0b",), vectors={"visual-0b0b0b0b": _unit(4)}),
        records.record(3, 1, content="purged"),
    ]
    index.project_entry("t", 1, made, [], [], standings=[ActiveSpaces(active=OLD, added=(NEW,))])
    assert index.active_spaces("t") == {"visual": ActiveSpaces(active=OLD, added=(NEW,))}
    first = index.list_unembedded("t", NEW.space.space_id, 1)
    assert [s.image_id for s in first.states] == [records.image_id(0)]
    assert first.place is not None
    rest = index.list_unembedded("t", NEW.space.space_id, 5, first.place)
    assert ([s.image_id for s in rest.states], rest.place) == ([records.image_id(1)], None)
    said = index.list_unembedded("t", "caption-0c0c0c0c", 5)
    assert [s.image_id for s in said.states] == [records.image_id(0)]
    counted = index.count_records("t", ["caption-0c0c0c0c"]).total.spaces
    assert counted["caption-0c0c0c0c"] == (0, 1, 0)
    assert counted["visual-0b0b0b0b"] == (1, 2, 0)


def _unit(dimensions: int) -> np.ndarray:
    return np.eye(dimensions, dtype=np.float32)[0]
