"""Fingerprints computed again: which records name them, and how the log is read with them."""

from __future__ import annotations

from msgspec.structs import replace

from core.event_log.overlay_state import OverlayLayer
from core.event_log.tail import format_of
from core.records import Operation, Refingerprinted, State
from core.types import Remade
from tests.simulation.case import Case, state
from tests.simulation.world import operation


def again(case: Case, job_id: str, *made: Refingerprinted) -> Operation:
    """Settle a job that fingerprinted pictures again."""
    job = replace(operation(job_id, "refingerprint", ""), sha256="a1")
    return case.settle(job, refingerprinted=made)


def new(
    image_id: str, spaces: tuple[str, ...] | None = None, before: Remade | None = None
) -> Refingerprinted:
    """Make a new fingerprint; with `spaces` its pixels changed."""
    return Refingerprinted(image_id=image_id, before=before, pixels="new", spaces=spaces)


def uploaded(**pictures: str) -> Case:
    """Return a case in which these pictures have a visual and a caption vector."""
    case = Case()
    case.uploads(**pictures)
    spaces = ("visual-1", "caption-1")
    held = (replace(one, spaces=spaces) for one in case.world.states.values())
    case.world.put(list(held), [])
    return case


def test_refingerprint_keeps_verdict_decision_and_caption_vector() -> None:
    """New pixels have vectors of their own; the caption's stays."""
    case = uploaded(a="a1")
    old = state(case, "a")
    again(case, "j", new("a", ("visual-1", "visual-2")))
    found = state(case, "a")
    assert (found.remade, found.pixels) == (Remade("j", "j"), "new")
    assert found.spaces == ("visual-1", "visual-2", "caption-1")
    assert found.revision == old.revision + 1
    kept = (found.verdict, found.decision, found.anchor, found.content)
    assert kept == (old.verdict, old.decision, old.anchor, old.content)


def test_refingerprint_without_new_pixels_keeps_their_objects() -> None:
    """Preview and vectors are those of the upload, or of an earlier job."""
    case = uploaded(a="a1")
    again(case, "j1", new("a"))
    assert state(case, "a").remade == Remade("j1", None)
    assert state(case, "a").source_of("visual-1") is None
    again(case, "j2", new("a", ("visual-1",), Remade("j1", None)))
    again(case, "j3", new("a", None, Remade("j2", "j2")))
    found = state(case, "a")
    assert found.remade == Remade("j3", "j2")
    assert (found.source_of("visual-1"), found.source_of("caption-1")) == ("j2", found.fields)


def test_refingerprint_leaves_out_what_changed_meanwhile() -> None:
    """Purged, deleted, unknown, or fingerprinted by another job since it was read."""
    case = uploaded(a="a1", b="b1", c="c1", d="d1")
    case.settle(operation("p", "purge", "a"))
    case.settle(operation("x", "delete", "b"))
    again(case, "j1", new("c"))
    done = again(case, "j2", *(new(one) for one in ("a", "b", "c", "d", "nobody")))
    assert [one.image_id for one in done.states] == ["d"]


def test_an_older_version_stops_at_a_record_that_names_new_objects() -> None:
    """It would read the objects of the upload, and forget the name with the next change."""
    case = uploaded(a="a1")
    made = again(case, "j", new("a"))
    edited = case.settle(operation("e", "edit", "a"))
    assert format_of([made]) == format_of([edited]) == 4
    assert format_of([]) == 1


def test_a_layer_finds_a_state_by_its_newest_pixels_alone() -> None:
    """The digest of earlier pixels finds it no more."""
    case = uploaded(a="a1")
    old: State = state(case, "a")
    changed = replace(old, pixels="new")
    layer = OverlayLayer()
    layer.put([old], [])
    layer.put([changed], [])
    assert list(layer.same_pixels("new")) == [changed]
    assert list(layer.same_pixels(old.pixels)) == []
    layer.put([old], [])
    assert set(map(id, layer.same_pixels(old.pixels))) == {id(old)}
