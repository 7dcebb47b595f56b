"""Replaying a log gives the index that settling left, without deciding or decoding anything."""

from __future__ import annotations

import logging

import pytest
from msgspec.structs import replace

from core import keys
from core.errors import CorruptError
from core.event_log.replay import replay
from tests.simulation.memory_index import MemoryIndex
from tests.simulation.play import Play
from tests.simulation.scenarios import scenario
from tests.simulation.schedule import Choices
from tests.simulation.stored import Blobs, Log, Shelf, Store
from tests.simulation.world import TENANT


def played(seed: int) -> Store:
    """Return the store after a play of a scenario."""
    play = Play(scenario(seed), Choices(seed))
    play.run()
    return play.store


def emptied(store: Store) -> MemoryIndex:
    """Return a new index beside the one that settling filled."""
    return MemoryIndex(Store(relation=store.relation))


def test_any_log_fills_an_index_like_the_one_that_was_thrown_away() -> None:
    """Records, tombstones, outcomes and watermark, with deletes and purges in the log."""
    for seed in range(60):
        store = played(seed)
        fresh = emptied(store)
        steps = list(replay(Log(store), Shelf(Blobs(store)), fresh, TENANT, store.head))
        old, new = store.replicas[0], fresh._store.replicas[0]
        assert len(steps) == store.head
        assert (new.watermark, new.tombstones, new.outcomes) == (
            store.head,
            old.tombstones,
            old.outcomes,
        )
        assert {key: state for key, (_, state) in new.states.items()} == {
            key: state for key, (_, state) in old.states.items()
        }


def test_a_replay_goes_on_where_it_stopped() -> None:
    """It begins after the watermark, and is done when there is nothing more."""
    store = played(1)
    fresh = emptied(store)
    log, shelf = Log(store), Shelf(Blobs(store))
    first = replay(log, shelf, fresh, TENANT, store.head)
    next(first)
    first.close()
    assert fresh.watermark(TENANT) == 1
    assert len(list(replay(log, shelf, fresh, TENANT, store.head))) == store.head - 1
    assert list(replay(log, shelf, fresh, TENANT, store.head)) == []


def test_a_replay_stops_at_a_broken_chain() -> None:
    """It also stops at an index that holds more than the log."""
    store = played(1)
    store.log[2] = replace(store.log[2], previous="another")
    log, shelf = Log(store), Shelf(Blobs(store))
    with pytest.raises(CorruptError):
        list(replay(log, shelf, emptied(store), TENANT, store.head))
    ahead = emptied(store)
    ahead._store.replicas[0].watermark = 99
    with pytest.raises(CorruptError, match="entry 99 of t is gone"):
        list(replay(log, shelf, ahead, TENANT, 100))


def test_a_lost_fingerprint_is_named(caplog: pytest.LogCaptureFixture) -> None:
    """A live picture of which nothing is kept is left out, loudly."""
    store = played(1)
    lost = next(iter(store.replicas[0].states))
    for key in (keys.derived(TENANT, lost, "fingerprint"), keys.kept(TENANT, lost)):
        store.objects.pop(key, None)
    fresh = emptied(store)
    with caplog.at_level(logging.ERROR):
        list(replay(Log(store), Shelf(Blobs(store)), fresh, TENANT, store.head))
    (record,) = caplog.records
    assert (record.message, vars(record)["image_ids"]) == ("fingerprints_lost", [lost])
    assert lost not in fresh._store.replicas[0].states
