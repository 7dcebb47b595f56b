"""The index on Weaviate where things go wrong: servers, writers, schemas, generations."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from weaviate.classes.data import DataObject
from weaviate.classes.query import Filter

from adapters.weaviate_index import (
    WeaviateIndex,
    WeaviateNode,
    collections,
    parse,
    range_paging,
)
from adapters.weaviate_index.client import WeaviateCluster
from adapters.weaviate_index.mapping import key
from core.errors import IndexUnavailableError, SettingsError
from core.index_port import Filters
from core.matching.policy import Policy
from core.records import Fields, Record
from tests.backends import servers
from tests.backends.server_process import wait
from tests.doubles import records as made
from tests.doubles.records import SPACE, image_id, outcome, put, query, record
from tests.integration.adapters.weaviate_index.entries import entry, whole

POLICY = Policy(visual_floor=0.25, visual_top=5)

Opens = Callable[..., WeaviateIndex]


def work(index: WeaviateIndex, seq: int) -> None:
    """Project one entry after another."""
    while True:
        entry(index, seq)
        seq += 1


def test_nodes_are_read_from_the_setting() -> None:
    """Ports of Weaviate's own where none is named; what cannot be is refused."""
    assert parse("weaviate://a") == [WeaviateNode("a", 8080, 50051)]
    assert parse("weaviates://a:1,b:2:3, [::1]:4:5/") == [
        WeaviateNode("a", 1, 50051),
        WeaviateNode("b", 2, 3),
        WeaviateNode("::1", 4, 5),
    ]
    for wrong in ("weaviate://", "weaviate://a:b", "weaviate://a:1:2:3", "weaviate://:1", "redis:"):
        with pytest.raises(SettingsError):
            parse(wrong)


@pytest.mark.hard
@pytest.mark.timeout(400)
def test_it_outlives_its_server(tmp_path: Path) -> None:
    """Opened while the server is away, killed in mid-work, back again: errors, and then it goes on.

    The key is required; no projected entry is lost, and the others are projected later.
    """
    with servers.weaviate(tmp_path, key="secret") as server:
        server.stop()
        index = WeaviateIndex(parse(server.url), POLICY, key="secret")
        began = time.monotonic()
        for _ in range(2):
            with pytest.raises(IndexUnavailableError):
                index.watermark("default")
        assert time.monotonic() - began < 30
        server.start()
        stranger = WeaviateIndex(parse(server.url), POLICY, key="wrong")
        with pytest.raises(IndexUnavailableError):
            stranger.watermark("default")
        stranger.close()
        assert index.watermark("default") == 0
        for seq in range(1, 4):
            entry(index, seq)
        before = whole(index)
        timer = threading.Timer(0.3, server.kill)
        timer.start()
        with pytest.raises(IndexUnavailableError):
            work(index, 4)
        timer.join()
        with pytest.raises(IndexUnavailableError):
            index.read_states("default", [image_id(1)])
        server.start()
        seq = index.watermark("default")
        assert seq >= 3
        assert index.read_states("default", [image_id(3)])[0] is not None
        for n in range(seq + 1, seq + 4):
            entry(index, n)
        assert index.watermark("default") == seq + 3
        assert before != whole(index)
        index.close()


def test_one_bad_object_of_a_batch_is_seen(opens: Opens) -> None:
    """The client raises no error by itself: the watermark stays, and the right entry may follow."""
    index = opens()
    put(index, 1, record(1, 1, vectors={SPACE: made.random_vector(1)}))
    bad = [record(n, 2, vectors={SPACE: made.random_vector(n, 8 + n % 2)}) for n in (2, 3)]
    with pytest.raises(IndexUnavailableError, match="refused 1 of 2"):
        put(index, 2, *bad)
    assert index.watermark("default") == 1
    assert index.count_records("default").total.images == 1


def test_racing_projectors_do_no_harm(opens: Opens) -> None:
    """Two instances that project the same entries at once leave what one alone does."""
    one, other, alone = opens(), opens(), opens()
    start = threading.Barrier(2)

    def run(index: WeaviateIndex) -> None:
        for seq in range(1, 9):
            start.wait()
            entry(index, seq)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(run, (one, other)))
    raced = whole(one, 10)
    assert raced == whole(other, 10)
    beside = alone.fresh()
    for seq in range(1, 9):
        entry(beside, seq)
    assert whole(beside, 10) == raced
    beside.close()


class Held:
    """Holds an index's writes of records back until it is let go: a writer that stalls."""

    def __init__(self, index: WeaviateIndex, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reached, self.go = threading.Event(), threading.Event()
        held = index._now.store
        really = held.put

        def stalls(kind: str, tenant: str | None, some: list[object]) -> None:
            if kind in (
                collections.RECORD,
                collections.ANCHOR,
                collections.PRINT,
                collections.space(SPACE),
            ):
                self.reached.set()
                assert self.go.wait(60)
            really(kind, tenant, some)  # type: ignore[arg-type]  # passed on

        monkeypatch.setattr(held, "put", stalls)


def test_a_writer_that_was_held_up_brings_nothing_back(
    opens: Opens, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It writes an old state long after newer ones: readers answer the newer, tidy removes it."""
    slow, quick = opens(), opens()
    entry(slow, 1)
    held = Held(slow, monkeypatch)
    with ThreadPoolExecutor(1) as pool:
        late = pool.submit(entry, slow, 2)
        assert held.reached.wait(30)
        for seq in range(2, 6):
            entry(quick, seq)
        put(quick, 6, record(2, 6, decision="block", fields=Fields(title="hats")))
        expected = whole(quick)
        held.go.set()
        late.result()
    assert whole(quick) == expected
    assert whole(slow) == expected
    records = Filter.by_property("born").greater_than(-1)
    count = quick._now.store.count
    assert (
        count(collections.RECORD, "default", records) > quick.count_records("default").total.images
    )
    assert quick.tidy("default") > 0
    assert (
        count(collections.RECORD, "default", records) == quick.count_records("default").total.images
    )
    assert quick.tidy("default") == 0
    assert whole(quick) == expected


def test_long_lists_walk_in_windows(opens: Opens, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the spread of times, ties included: nothing twice, nothing left out."""
    monkeypatch.setattr(range_paging, "WIDE", 4)
    monkeypatch.setattr(range_paging, "TIES", 3)
    index = opens()
    times = [n**3 % 50_000 if n % 3 else 700 for n in range(60)]
    stored = [
        record(n, 1, accepted_at=made.moment(when), decision="block" if n % 4 else "allow")
        for n, when in enumerate(times)
    ]
    ended = [outcome(n, 1, failed=n % 5 == 0) for n in range(60)]
    index.project_entry("default", 1, stored, [], ended)
    model = made.Model()
    model.project(stored, [])
    for filters in (
        Filters(),
        Filters(decision=("allow",)),
        Filters(accepted_after=made.moment(699)),
    ):
        found: list[Record] = []
        before = None
        while True:
            page = index.list_records("default", filters, 7, before)
            found += page.records
            if not page.more:
                break
            before = (found[-1].state.accepted_at, found[-1].state.image_id)
        assert found == model.page(filters)
    lacking, place = [], -1
    while place is not None:
        states, place = index.list_unembedded("default", SPACE, 9, place)
        lacking += states
    assert lacking == [one.state for one in stored]
    failed, more = index.list_outcomes("default", "failed", 5)
    assert (failed, more) == ([one for one in ended[::-1] if one.problem][:5], True)


@pytest.mark.parametrize("nodes", [1, 3])
def test_servers_that_say_nothing_hold_nobody_up(
    monkeypatch: pytest.MonkeyPatch, nodes: int
) -> None:
    """They take connections and never answer: one call tries, all others are refused at once.

    Otherwise every thread of an API would soon wait for them, and uploads for a thread.
    """
    for name in ("CONNECT", "QUERY"):
        monkeypatch.setattr(f"adapters.weaviate_index.client.{name}", 1.5)

    def ask(asked: WeaviateCluster) -> float:
        began = time.monotonic()
        with pytest.raises(IndexUnavailableError):
            asked.run(lambda client: client.is_live())
        return time.monotonic() - began

    with ExitStack() as stack, ThreadPoolExecutor(16) as pool:
        host = "127.0.0.1"
        silent = [stack.enter_context(socket.create_server((host, 0))) for _ in range(2 * nodes)]
        ports = [one.getsockname()[1] for one in silent]
        asked = WeaviateCluster(
            [WeaviateNode(host, *ports[n : n + 2]) for n in range(0, 2 * nodes, 2)]
        )
        assert max(pool.map(ask, [asked] * 16)) < 5.0 * nodes
        assert max(pool.map(ask, [asked] * 10)) < 1.0
        tries: list[Future[float]] = []

        def tries_again() -> bool:
            tries.append(pool.submit(ask, asked))
            return asked._connecting.locked()

        wait(tries_again, 10.0, lambda: "nobody tries again")
        assert max(pool.map(ask, [asked] * 10)) < 1.0
        assert max(one.result() for one in tries) > 1.0
        asked.close()


def test_idle_tenants_rest_until_somebody_asks(
    opens: Opens, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They answer as before when a query comes."""
    index = opens(idle_hours=1.0)
    entry(index, 1)
    before = whole(index)
    assert index.rest() == []
    later = time.time() + 7200
    monkeypatch.setattr("adapters.weaviate_index.cleanup.time.time", lambda: later)
    assert index.rest() == ["default"]
    told = index._cluster.run(
        lambda held: held.collections.use(index._now.store.name(collections.RECORD)).tenants.get()
    )
    assert [one.activity_status.value for one in told.values()] == ["INACTIVE"]
    assert whole(index) == before


@pytest.mark.hard
@pytest.mark.timeout(400)
def test_vectors_in_a_queue_are_waited_for(tmp_path: Path) -> None:
    """If the server indexes asynchronously, the watermark advances only once they are found."""
    with servers.weaviate(tmp_path, environment={"ASYNC_INDEXING": "true"}) as server:
        index = WeaviateIndex(parse(server.url), POLICY)
        for seq in range(1, 30):
            vectors = {SPACE: made.random_vector(seq)}
            put(index, seq, record(seq, seq, vectors=vectors))
            asked = query(
                99, fingerprint=made.fingerprint(seq), vector=vectors[SPACE], space_id=SPACE
            )
            (hits,) = index.find_candidates("default", [asked])
            assert [hit.image_id for hit in hits if hit.hamming == 0] == [image_id(seq)]
            assert image_id(seq) in [hit.image_id for hit in hits if hit.similarity]
        index.close()


@pytest.mark.hard
@pytest.mark.timeout(400)
def test_a_node_of_three_may_die(tmp_path: Path) -> None:
    """Reads go on without an error, whichever node it is; the watermark waits until it is back."""
    with servers.weaviates(tmp_path) as cluster:
        index = WeaviateIndex(parse(cluster.url), POLICY, replication=3)
        for seq in range(1, 4):
            entry(index, seq)
        before = whole(index)
        for node in (cluster.nodes[0], cluster.leader()):
            seq = index.watermark("default")
            node.kill()
            index._now.nearby._source._counted.clear()  # as a minute later
            for _ in range(5):
                assert whole(index) == before
            with pytest.raises(IndexUnavailableError):
                entry(index, seq + 1)
            assert index.watermark("default") == seq
            with pytest.raises(IndexUnavailableError, match="1 of 3 nodes of Weaviate are away"):
                index.check_replicas()
            cluster.start()
            entry(index, seq + 1)
            assert index.watermark("default") == seq + 1
            index.check_replicas()
            before = whole(index)
        index.close()


def test_an_object_of_nobody_harms_nobody(opens: Opens) -> None:
    """An anchor without its record, as a writer leaves that died: found, looked at, left out."""
    index = opens()
    entry(index, 1)
    before = whole(index)
    stray = DataObject(
        uuid=key(image_id(7), "anchor", 1),
        properties={"image_id": image_id(7), "phash": made.fingerprint(7).phash},
        vector={"phash": [1.0] * 64},
    )
    index._now.store.put(collections.ANCHOR, "default", [stray])
    assert whole(index) == before
