"""Calls from an API whose workers are away, late or start again."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from litestar.testing import TestClient

from adapters.worker_rpc import rpc
from adapters.worker_rpc.remote_models import OWN
from adapters.worker_rpc.rpc import TimeBudget
from api.app import create_app
from api.routes.health import HealthChecks
from api.upload_spool import UploadSpool
from core import keys
from core.errors import (
    EmbedderUnavailableError,
    QueueUnavailableError,
    SeenitError,
    StoreUnavailableError,
    WorkerUnavailableError,
)
from core.event_log.projector import Projector
from core.ingest.orphans import OLD_SECONDS, clear
from core.search.request import SearchRequest
from core.task_names import QUERY_QUEUE
from core.types import Matrix
from tests.backends import servers
from tests.doubles.toys import ToyCaptions
from tests.e2e.talking import until
from tests.integration.adapters.worker_rpc.api_and_worker import (
    TENANT,
    Pair,
    counted,
    left,
    pair,
)
from tests.samples.pictures import jpeg, photo
from worker.consumer import GracefulConsumer


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Pair]:
    """Yield an API whose worker a test starts, with a short patience."""
    with (
        servers.redis(tmp_path / "redis") as redis,
        pair(tmp_path, redis.url, query_seconds=1.0) as made,
    ):
        yield made


def test_nobody_there_is_told_in_time_and_then_at_once(alone: Pair) -> None:
    """A second question does not wait for what the first found out; a worker is noticed soon."""
    picture = jpeg(photo(1))
    begun = time.monotonic()
    with pytest.raises(WorkerUnavailableError, match="no worker answered within"):
        alone.api.checker.check(TENANT, picture)
    assert 0.9 < time.monotonic() - begun < 5.0
    begun = time.monotonic()
    with pytest.raises(WorkerUnavailableError, match="tried again"):
        alone.api.checker.check(TENANT, picture)
    assert time.monotonic() - begun < 0.9
    assert left(alone.api) == []

    alone.start()
    assert until(lambda: _kind(alone, picture)) == "new"


def _kind(asked: Pair, picture: bytes) -> str | None:
    try:
        return asked.api.checker.check(TENANT, picture)[0].kind
    except WorkerUnavailableError:
        return None


def test_what_nobody_waits_for_is_not_done(alone: Pair) -> None:
    """A worker that comes late drops it unrun."""
    remote = alone.api.remote
    assert remote is not None
    with pytest.raises(WorkerUnavailableError):
        remote.calls.ask(
            "seenit.embed", {"kind": "visual", "source": OWN, "texts": ["too late"]}, dict
        )
    work = alone.start()
    until(lambda: counted(work, kind="embed", outcome="late"))
    assert alone.visual.asked == []


def test_search_goes_on_with_words_alone(alone: Pair) -> None:
    """All calls of one request share one deadline, and `used` names the signals that took part."""
    work = alone.start()
    for model in (alone.api.visual, alone.api.caption):  # known, and then it takes too long
        until(lambda model=model: model.absent is None)  # type: ignore[misc]
    alone.visual.seconds = 3.0
    caption = work.caption
    assert isinstance(caption, ToyCaptions)
    blocked = threading.Event()
    quick = caption.embed_texts

    def slowly(texts: Sequence[str], *, urgent: bool = False) -> Matrix:
        blocked.wait(3.0)
        return quick(texts, urgent=urgent)

    caption.embed_texts = slowly  # type: ignore[method-assign]

    with TestClient(create_app(alone.api)) as client:
        found = client.post("/v1/search", json={"text": "a red dog on a sunny beach"}).json()
    assert found["used"] == ["keyword"]
    assert {one["signal"] for one in found["missing"]} == {"visual", "caption"}
    assert found["took_ms"] < 1900, "not a second for each of two spaces"
    blocked.set()
    with pytest.raises(EmbedderUnavailableError):
        alone.api.searcher.search(TENANT, SearchRequest(text="another question", mode="visual"))


def test_readiness_tells_of_workers(
    alone: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within its patience, asking them now and then alone."""
    health = HealthChecks(alone.api, UploadSpool(tmp_path / "spool"))

    def states() -> dict[str, str]:
        begun = time.monotonic()
        parts = asyncio.run(health.parts())
        assert time.monotonic() - begun < 10.0
        return {name: state for name, (state, _) in parts.items()}

    without = states()
    assert without == {
        "blobs": "ok",
        "index": "ok",
        "queue": "ok",
        "log": "ok",
        "worker": "down",
        "visual": "down",
        "caption": "down",
    }
    monkeypatch.setattr("adapters.worker_rpc.remote_models.FRESH_SECONDS", 0.2)
    work = alone.start()
    until(lambda: set(states().values()) == {"ok"})
    monkeypatch.setattr("adapters.worker_rpc.remote_models.FRESH_SECONDS", 600.0)
    states()
    before = counted(work, kind="space", outcome="answered")
    for _ in range(3):
        states()
    assert counted(work, kind="space", outcome="answered") == before


def test_a_broker_that_falls_silent_costs_little(tmp_path: Path) -> None:
    """Half-open, cut, and mended again."""
    with (
        servers.redis(tmp_path / "redis") as redis,
        servers.toxiproxy(tmp_path / "toxiproxy") as proxy,
    ):
        link = proxy.link("127.0.0.1", redis.port)
        with pair(tmp_path, f"redis://127.0.0.1:{link.port}/0") as made:
            made.read = made.read.model_copy(update={"broker_url": redis.url})
            made.start()
            until(lambda: made.api.visual.absent is None)
            link.half_open()
            begun = time.monotonic()
            with pytest.raises(EmbedderUnavailableError, match="broker does not answer"):
                made.api.visual.embed_texts(["a dog"])
            assert time.monotonic() - begun < 5.0
            begun = time.monotonic()
            with pytest.raises(EmbedderUnavailableError, match="tried again"):
                made.api.visual.embed_texts(["a dog"])
            assert time.monotonic() - begun < 0.9
            link.mend()
            until(lambda: _embeds(made))
            link.cut()
            with pytest.raises(SeenitError):
                made.api.checker.check(TENANT, jpeg(photo(1)))
            link.mend()
            until(lambda: _embeds(made))


def test_answers_and_questions_do_not_pile_up(alone: Pair) -> None:
    """Without a worker few queries are queued; replies without a reader expire."""
    remote, redis = alone.api.remote, alone.api.broker.redis
    assert remote is not None
    assert redis is not None
    for _ in range(50):
        with pytest.raises((WorkerUnavailableError, QueueUnavailableError)):
            remote.calls.ask("seenit.check", {"tenant": TENANT, "asked_id": "none"}, dict)
    assert redis.llen(QUERY_QUEUE) <= 3
    work = alone.start()
    replies = work.replies
    assert replies is not None
    replies.answer("space", "seenit:reply:nobody", time.time() + 60, dict)
    assert 0 < int(redis.ttl("seenit:reply:nobody")) <= 30


def test_what_was_killed_leaves_nothing_for_long(tmp_path: Path) -> None:
    """Query pictures are removed once their callers must have given up."""
    with pair(tmp_path, "redis://127.0.0.1:1/0") as made:
        blobs = made.api.blobs
        blobs.put([(keys.asked("a", "1"), b"x"), (keys.asked("b", "2"), b"y")])
        assert clear(blobs) == 0
        assert clear(blobs, now=time.time() + OLD_SECONDS + 5) == 2
        assert left(made.api) == []


def test_a_question_without_time_shuts_nobody_else_out(alone: Pair) -> None:
    """The last of eight pictures of a request had milliseconds: no answer to it shows nothing."""
    alone.start()
    until(lambda: _embeds(alone))

    def late() -> None:
        spent = TimeBudget()
        spent.left(0.1)
        rpc._budget.set(spent)
        alone.visual.seconds = 0.4
        with pytest.raises(EmbedderUnavailableError):
            alone.api.visual.embed_texts(["late"])

    contextvars.copy_context().run(late)
    alone.visual.seconds = 0.0
    assert alone.api.remote is not None
    alone.api.remote.calls._breaker.check()


def _embeds(of: Pair) -> bool:
    """Return whether a worker embeds a text by now."""
    with suppress(EmbedderUnavailableError):
        of.api.visual.embed_texts(["warm"])
        return True
    return False


@pytest.mark.parametrize("kind", [StoreUnavailableError, SystemExit, ZeroDivisionError])
def test_a_worker_that_cannot_begin_or_whose_consumers_end_tries_again(
    alone: Pair,
    monkeypatch: pytest.MonkeyPatch,
    kind: type[BaseException],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It logs the reason and tries again: a silent worker that does nothing would go unnoticed."""
    monkeypatch.setattr("core.backoff.FIRST_PAUSE", 0.1)
    faults = dict.fromkeys(("catch_up", "loop"), 2)
    catch_up, loop = Projector.catch_up, GracefulConsumer.loop

    def begin(self: Projector) -> None:
        if faults["catch_up"]:
            faults["catch_up"] -= 1
            raise kind("not yet")
        catch_up(self)

    def consume(self: GracefulConsumer, *arguments: Any) -> None:  # noqa: ANN401 - Celery's own
        if faults["loop"]:
            faults["loop"] -= 1
            raise kind("a defect")
        loop(self, *arguments)

    monkeypatch.setattr(Projector, "catch_up", begin)
    monkeypatch.setattr(GracefulConsumer, "loop", consume)
    work = alone.start()
    alone.ingest(jpeg(photo(5)), tmp_path)
    assert faults == {"catch_up": 0, "loop": 0}
    assert "thread worker failed: " in caplog.text
    restarts = {
        sample.labels["thread"]: sample.value
        for metric in work.meter.registry.collect()
        for sample in metric.samples
        if sample.name == "seenit_restarts_total"
    }
    assert restarts["worker"] == 2
    assert sum(restarts.values()) == 4
