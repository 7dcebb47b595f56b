"""Administrative tasks over a real Redis: sent again after a crash, and one reindex at a time."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from redis import Redis

from adapters.broker.redis_leases import RedisLeases
from adapters.wiring import Services, build
from core.admin_tasks import AdminTaskReport
from core.errors import QueueUnavailableError
from tests.doubles.line_worker import Pit
from worker.admin_tasks import resend

ENDED = AdminTaskReport(status="done", done=2, total=2)


@pytest.fixture
def services(dug: Pit) -> Iterator[Services]:
    """Yield the services of a process over Redis; none of its threads runs."""
    built = build(dug.read.model_copy(update={"model": "none", "caption_model": "none"}))
    yield built
    built.close()


@pytest.fixture
def redis(services: Services) -> Redis:
    """Return the connection for commands that block."""
    assert services.broker.redis is not None
    return services.broker.redis


@pytest.fixture
def leases(services: Services) -> RedisLeases:
    """Return the leases of this process."""
    assert isinstance(services.broker.hand, RedisLeases)
    return services.broker.hand


def test_a_task_is_sent_again_until_it_has_ended(
    services: Services, redis: Redis, leases: RedisLeases
) -> None:
    """One worker at a time runs it; what a dead worker left goes into the empty queue again."""
    tasks, held = services.admin_tasks, services.broker.held
    task = tasks.request("backfill", {"a": "b"})

    def sent() -> int:
        resend(services, held)
        return int(redis.llen("default"))

    assert (tasks.waiting(), tasks.find(task.task_id), sent()) == ([task], task, 1)
    redis.delete("default")
    with leases.holding(task.lease) as ours, leases.holding(task.lease) as again:
        assert (ours, again, sent()) == (True, False, 0)
        tasks.report(task, AdminTaskReport(status="running"))
    assert (tasks.read_report(task.task_id).status, sent()) == ("running", 1)
    redis.delete("default")
    tasks.report(task, ENDED)
    assert (tasks.waiting(), tasks.read_report(task.task_id), sent()) == ([], ENDED, 0)


def test_one_reindex_runs_at_a_time(services: Services, redis: Redis, leases: RedisLeases) -> None:
    """A second one waits until the first has ended; other tasks run side by side.

    A Redis that was emptied frees no lease whose worker still renews it.
    """
    tasks, held = services.admin_tasks, services.broker.held
    first, second, other = (tasks.request(kind) for kind in ("reindex", "reindex", "backfill"))
    redis.delete("default")
    with leases.holding(first.lease) as ours, leases.holding(other.lease) as beside:
        assert (ours, beside) == (True, True)
        redis.delete("seenit:leases")
        leases.renew()
        with leases.holding(second.lease) as too_soon:
            assert too_soon is False
        resend(services, held)
        assert redis.llen("default") == 0
        for task in (first, other):
            tasks.report(task, ENDED)
    resend(services, held)
    assert redis.llen("default") == 1
    with leases.holding(second.lease) as now:
        assert now


def test_a_request_over_a_broker_that_is_away_is_refused(dug: Pit) -> None:
    """Nothing is left of it that a worker could find."""
    away = {"model": "none", "caption_model": "none", "broker_url": "redis://127.0.0.1:1/0"}
    services = build(dug.read.model_copy(update=away))
    with pytest.raises(QueueUnavailableError):
        services.admin_tasks.request("reindex")
    assert services.admin_tasks.waiting() == []
    services.close()
