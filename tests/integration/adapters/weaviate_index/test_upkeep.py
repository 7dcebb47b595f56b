"""The index on Weaviate over months: what died half-way, tenants at rest, very long lists."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from adapters.weaviate_index import (
    WeaviateIndex,
    collections,
    parse,
    projection,
)
from adapters.weaviate_index.projection import ProjectedEntry, ProjectionPlan
from core.errors import IndexUnavailableError
from core.index_port import Filters
from core.matching.policy import Policy
from core.records import Fields
from tests.backends import servers
from tests.doubles.clock import Clock
from tests.doubles.records import fingerprint, image_id, query, record
from tests.integration.adapters.weaviate_index.entries import put

POLICY = Policy(visual_floor=0.25, visual_top=5)

Opens = Callable[..., WeaviateIndex]


def statuses(index: WeaviateIndex, tenant: str) -> set[str]:
    """Return the status of a tenant in each collection that knows it."""
    kept = index._now.store
    names = [kept.name(kind) for kind in collections.OF_TENANTS]
    told = index._cluster.run(
        lambda held: [held.collections.use(name).tenants.get().get(tenant) for name in names]
    )
    return {one.activity_status.value for one in told if one is not None}


def test_upkeep_neither_keeps_nor_wakes_who_rests(
    opens: Opens, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tidying every few minutes is no use of a tenant."""
    index = opens(idle_hours=1.0)
    put(index, "default", 1)
    now = time.time()
    for minutes in (20, 40, 70):
        later = now + 60 * minutes
        monkeypatch.setattr(f"{collections.__name__}.time.time", lambda later=later: later)
        index.tidy("default")
    assert index.rest() == ["default"]
    assert statuses(index, "default") == {"INACTIVE"}
    index.tidy("default")
    assert statuses(index, "default") == {"INACTIVE"}
    assert index.read_states("default", [image_id(1)]) != [None]
    assert "ACTIVE" in statuses(index, "default")


def test_an_entry_under_way_is_no_disorder(opens: Opens, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise a tenant with constant writes would have every record checked, all the time."""
    index = opens()
    put(index, "default", 1)
    now = index._now
    looked: list[str] = []
    clear, advance = now.tidying._clear, now.writing._head.advance

    def looks(tenant: str, ids: Sequence[str]) -> int:
        looked.extend(ids)
        return clear(tenant, ids)

    def dies(*_: object) -> None:
        assert index.tidy("default") == 0
        raise IndexUnavailableError("the writer died")

    monkeypatch.setattr(now.tidying, "_clear", looks)
    monkeypatch.setattr(now.writing._head, "advance", dies)
    with pytest.raises(IndexUnavailableError):
        put(index, "default", 2)
    assert looked == []
    monkeypatch.setattr(now.writing._head, "advance", advance)
    put(index, "default", 2)
    stale = replace(record(2, 1), state=replace(record(2, 1).state, revision=0))
    at_work = ProjectedEntry("default", 1, [stale], [], [], [])
    put_back = now.writing._objects(
        at_work, ProjectionPlan({image_id(2): 1}, {image_id(2): {}}, {}, {})
    )
    now.store.put(collections.RECORD, "default", put_back[collections.RECORD])
    assert index.tidy("default") == 1
    assert sorted(looked) == [image_id(1), image_id(2)]


def test_slow_servers_hold_no_large_entry_up_for_ever(
    opens: Opens, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With replicas each part is written within the time in which none can come and go unseen."""
    index = opens()
    put(index, "default", 1)
    now = index._now
    jobs, put_, seen = now.reading.jobs, now.store.put, []

    clock = Clock()

    def slow(seconds: float, call: Callable[..., Any]) -> Callable[..., Any]:
        def later(*given: object) -> object:
            if given[0] in (
                "default",
                collections.RECORD,
            ):  # other kinds are written beside records
                clock.sleep(seconds)
            return call(*given)

        return later

    monkeypatch.setattr(projection, "time", clock)
    monkeypatch.setattr(collections, "PART", 2)
    monkeypatch.setattr(now.replicas, "count", lambda: 2)
    monkeypatch.setattr(now.replicas, "visible", lambda kind, _: seen.append(kind))
    monkeypatch.setattr(now.reading, "jobs", slow(projection._BLINK + 1, jobs))
    monkeypatch.setattr(now.store, "put", slow(projection._LATE + 1, put_))
    many = [record(n, 2) for n in range(2, 10)]
    index.project_entry("default", 2, many, [], [])
    assert index.watermark("default") == 2
    assert seen.count(collections.RECORD) > 3
    monkeypatch.setattr(now.store, "put", slow(projection._BLINK + 1, put_))
    with pytest.raises(IndexUnavailableError, match="a replica may have missed it"):
        index.project_entry("default", 3, [record(11, 3)], [], [])


def test_a_list_ends_though_most_of_it_was_deleted_meanwhile(
    opens: Opens, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No window is ever wide enough for what is no longer there."""
    index = opens()
    put(index, "default", 1)
    kept = index._now.store
    count, before = kept.count, iter([10_000])
    monkeypatch.setattr(kept, "count", lambda *asked: next(before, None) or count(*asked))
    page = index.list_records("default", Filters(), 50)
    assert [one.state.image_id for one in page.records] == [image_id(1)]


def test_tenants_are_told_however_many_they_are(
    opens: Opens, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than Weaviate gives at once."""
    index = opens()
    names = [f"t{n}-{n % 3}" for n in range(7)]
    for name in names:
        put(index, name, 1)
    monkeypatch.setattr(collections, "MOST", 3)
    assert index.tenants() == names
    assert sorted(index._now.head.used()) == names


def test_categories_are_counted_however_many_they_are(
    opens: Opens, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than Weaviate returns at once; the watermark stays known, and nothing counts as old."""
    index = opens()
    names = ["c", "Z", "a ", "a", "B", "b", "Zz", "y", "0"]
    for seq, name in enumerate(names, 1):
        index.project_entry(
            "default", seq, [record(seq, seq, fields=Fields(category=name))], [], []
        )
    monkeypatch.setattr(collections, "MOST", 4)
    counted = index.count_records("default")
    assert counted.total.images == 9
    assert sorted(counted.categories) == sorted(names)
    index.tidy("default")
    assert (index.watermark("default"), index.count_records("default")) == (9, counted)


def test_as_many_may_be_left_out_as_there_are(opens: Opens) -> None:
    """While the watermark waits, the log may change tens of thousands of records."""
    index = opens()
    put(index, "default", 1)
    without = [f"nobody-{n}" for n in range(collections.MOST + 500)]
    asked = query(2, fingerprint=fingerprint(1))
    (found,) = index.find_candidates("default", [asked], without=without)
    assert [hit.image_id for hit in found] == [image_id(1)]


def test_a_tenant_that_a_node_does_not_know_is_not_an_empty_one(opens: Opens) -> None:
    """Otherwise a node whose schema lags would answer that no picture was seen before."""
    index = opens()
    assert index.find_candidates("default", [query(1)]) == [[]]
    put(index, "default", 1)
    name = index._now.store.name(collections.ANCHOR)
    index._cluster.run(lambda held: held.collections.use(name).tenants.remove(["default"]))
    with pytest.raises(IndexUnavailableError):
        index.find_candidates("default", [query(1)])
    assert index.find_candidates("other", [query(1)]) == [[]]


@pytest.mark.hard
@pytest.mark.timeout(400)
def test_a_tenant_at_rest_is_written_to_on_every_replica(tmp_path: Path) -> None:
    """A tenant at rest has no shard in memory: a write wakes it, and is no failure."""
    with servers.weaviates(tmp_path) as cluster:
        index = WeaviateIndex(parse(cluster.url), POLICY, replication=3, idle_hours=1e-9)
        try:
            put(index, "default", 1)
            assert index.rest() == ["default"]
            assert statuses(index, "default") == {"INACTIVE"}
            until = time.monotonic() + 60.0
            while index.watermark("default") < 2 and time.monotonic() < until:
                with suppress(IndexUnavailableError):
                    put(index, "default", 2)
            assert index.watermark("default") == 2
        finally:
            index.close()


@pytest.mark.hard
@pytest.mark.timeout(400)
def test_a_node_that_comes_back_empty_is_never_taken_for_whole(tmp_path: Path) -> None:
    """Otherwise it would answer that no picture was seen before, once the watermark advances."""
    with servers.weaviates(tmp_path) as cluster:
        # of one node alone: with all three, a call that fails is made of the emptied one next
        index = WeaviateIndex(parse(cluster.nodes[0].url), POLICY, replication=3)
        for seq in range(1, 4):
            put(index, "default", seq)
        index.check_replicas()
        empty = cluster.nodes[2]
        empty.kill()
        shutil.rmtree(empty.data)
        empty.start()
        cluster.whole()
        through = WeaviateIndex(parse(empty.url), POLICY, replication=3)
        asked = query(9, fingerprint=fingerprint(1))

        def missed() -> bool:
            """Return whether the first entry is in the watermark, but its picture is not found."""
            return (
                through.watermark("default") >= 1
                and not through.find_candidates("default", [asked])[0]
            )

        try:
            for _ in range(3):
                assert index.watermark("default") == 3
                with pytest.raises(IndexUnavailableError, match="reindex"):
                    put(index, "default", 4)
                with suppress(IndexUnavailableError):
                    put(through, "default", 1)
                assert not missed()
                with pytest.raises(IndexUnavailableError, match="reindex"):
                    index.check_replicas()
            fresh = index.fresh()
            for seq in range(1, 5):
                put(fresh, "default", seq)
            assert index.swap(fresh)
            fresh.close()
            until = time.monotonic() + 60.0
            while through.watermark("default") < 4 and time.monotonic() < until:
                time.sleep(0.2)
            assert through.watermark("default") == 4
            assert not missed()
            index.check_replicas()
        finally:
            through.close()
            index.close()
