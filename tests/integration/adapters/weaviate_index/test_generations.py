"""Generations of the index on Weaviate: filled beside the active one, and exchanged."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import pytest

from adapters.weaviate_index import (
    WeaviateIndex,
    generations,
    schema,
)
from adapters.weaviate_index.generation import Generation
from adapters.weaviate_index.projection import ProjectedEntry
from core.errors import IndexDamagedError, IndexUnavailableError
from core.index_port import ServiceIndex
from tests.backends.server_process import wait
from tests.doubles.clock import Clock
from tests.doubles.records import record
from tests.integration.adapters.weaviate_index.entries import entry, put, whole

Opens = Callable[..., WeaviateIndex]


def renewed(index: WeaviateIndex) -> WeaviateIndex:
    """Begin a newer generation, and project the first entry into it."""
    fresh = index.fresh()
    put(fresh, "default", 1)
    return fresh


def test_an_exchange_that_died_stops_nobody_for_ever(
    opens: Opens, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A seal that has run out is not put on again; a later exchange does not wait."""
    clock = Clock()
    for module in (generations, schema):
        monkeypatch.setattr(module, "time", clock)
    died, index = opens(), opens()
    put(index, "default", 1)
    died._generations.seal()
    for _ in range(2):
        with pytest.raises(IndexUnavailableError):
            put(index, "default", 2)
        clock.sleep(generations.SEALED - 1)
    for seq in range(2, 6):
        clock.sleep(generations.LOOK + 0.1)
        put(index, "default", seq)

    def newcomer() -> WeaviateIndex:
        fresh = opens()
        assert fresh.watermark("default") == 5
        clock.sleep(generations.LOOK + 0.1)
        return fresh

    with pytest.raises(IndexUnavailableError):  # for all it knows, the author lives
        put(newcomer(), "default", 6)
    clock.sleep(4 * generations.SEALED)
    put(newcomer(), "default", 6)
    died._generations.seal()
    with pytest.raises(IndexUnavailableError):
        put(index, "default", 7)


def test_a_watermark_told_while_one_goes_over_holds_it_back(opens: Opens) -> None:
    """Otherwise the entries up to it would be looked up in a generation that lacks them."""
    index, other = opens(), opens()
    put(index, "default", 1)
    assert other.watermark("default") == 1
    fresh = renewed(index)
    old, going = other._now, other._generations
    make = going._make

    def told_meanwhile(number: int) -> Generation:
        old.writing.project(ProjectedEntry("default", 2, [record(2, 2)], [], [], []))
        assert other.watermark("default") == 2
        return make(number)

    index._generations.take(fresh._now.number)
    fresh.close()
    going._make = told_meanwhile
    going._looked = 0.0
    assert (other.watermark("default"), other._now.number) == (2, 1)
    with pytest.raises(IndexUnavailableError, match="being replaced"):
        put(other, "default", 3)  # into the one that was left
    put(index, "default", 2)
    going._make = make
    going._looked = 0.0
    assert (other.watermark("default"), other._now.number) == (2, 2)
    put(other, "default", 3)


def test_whoever_begins_anew_spares_what_everybody_reads(opens: Opens) -> None:
    """An instance that has been idle since does not know yet that there is a newer generation."""
    index, idle = opens(), opens()
    put(index, "default", 1)
    assert idle.watermark("default") == 1
    fresh = renewed(index)
    assert index.swap(fresh)
    fresh.close()
    idle._generations._looked = float("inf")  # it has not looked since
    begun = idle.fresh()
    assert (idle._now.number, begun._now.number) == (2, 3)
    begun.close()
    put(index, "default", 2)
    assert opens().watermark("default") == 2


def test_one_that_was_left_and_is_active_again_is_projected_into(opens: Opens) -> None:
    """It becomes active again if the servers have lost the newer one."""
    index, other = opens(), opens()
    for seq in (1, 2):
        put(index, "default", seq)
    assert other.watermark("default") == 2
    fresh = renewed(index)
    index._generations.take(fresh._now.number)
    other._generations._looked = 0.0
    with pytest.raises(IndexUnavailableError):
        put(other, "default", 3)
    index._cluster.run(lambda held: index._generations._meta.forget(held, fresh._now.store))
    fresh.close()
    other._generations._looked = 0.0
    put(other, "default", 3)
    assert other.watermark("default") == 3


def test_nobody_stays_for_ever_on_a_generation_that_was_left(
    opens: Opens, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The watermark goes back by that, as the entries it waits for may never be projected."""
    clock = Clock()
    monkeypatch.setattr(generations, "time", clock)
    index, other = opens(), opens()
    for seq in (1, 2):
        put(index, "default", seq)
    assert other.watermark("default") == 2
    fresh = renewed(index)
    index._generations.take(fresh._now.number)
    fresh.close()
    for seconds, left in ((0.0, 1), (generations.SEALED - 1, 1), (2.0, 2)):
        clock.sleep(seconds + generations.LOOK)
        other.watermark("default")
        assert other._now.number == left
    put(other, "default", 2)
    assert index.watermark("default") == 2


def test_a_fresh_index_takes_the_place_of_the_old_one(
    opens: Opens, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does so for every process at once, and only after it has every projected entry."""
    monkeypatch.setattr(generations, "LOOK", 0.1)
    index, other = opens(), opens()
    assert isinstance(index, ServiceIndex)
    for seq in range(1, 5):
        entry(index, seq)
    before = whole(other)
    fresh = index.fresh()
    assert fresh.watermark("default") == 0
    for seq in range(1, 4):
        entry(fresh, seq)  # type: ignore[arg-type]  # one of ours
    assert index.swap(fresh) is False
    with pytest.raises(IndexUnavailableError):
        entry(index, 5)
    assert whole(other) == before
    entry(fresh, 4)  # type: ignore[arg-type]  # one of ours
    assert index.swap(fresh) is True
    fresh.close()
    assert whole(index) == before
    wait(
        lambda: other.watermark("default") == 4 and other._now.number == 2,
        30.0,
        lambda: f"still in {other._now.number}",
    )
    assert index._now.number == 2
    assert whole(other) == before
    entry(index, 5)
    assert other.watermark("default") == 5
    third = index.fresh()  # and the first one is gone
    names = index._cluster.run(lambda held: list(held.collections.list_all(simple=True)))
    assert not any(name.startswith(f"{index._prefix}1") for name in names)
    third.close()


@pytest.mark.parametrize("kinds", [("Head",), ("Record", "Anchor")])
def test_lost_collections_are_named_and_a_new_generation_takes_their_place(
    opens: Opens, kinds: tuple[str, ...]
) -> None:
    """Deleted by a person, or by a server that lost its disk; also once a write made one again."""
    index = opens()
    for seq in range(1, 4):
        entry(index, seq)
    index.check_sound()
    before = whole(index)
    for kind in kinds:
        name = index._now.store.name(kind)
        index._cluster.run(lambda client, name=name: client.collections.delete(name))
    with suppress(IndexUnavailableError):
        entry(index, 4)  # Weaviate makes a collection of its own for an object without one
    index._sound = float("-inf")
    with pytest.raises(IndexDamagedError, match=f"lost the collections {', '.join(kinds)}"):
        index.check_sound()
    fresh = index.fresh()
    for seq in range(1, 4):
        entry(fresh, seq)
    while not index.swap(fresh):
        pass
    fresh.close()
    index.check_sound()
    assert whole(index) == before
