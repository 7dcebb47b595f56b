"""Celery's and kombu's inside, as worker/consumer.py uses it: a new version must be looked at."""

from __future__ import annotations

import inspect
from importlib.metadata import version

import pytest
from celery.concurrency.thread import TaskPool
from celery.worker import WorkController
from celery.worker.consumer import Consumer
from kombu import Connection
from kombu.message import Message
from kombu.transport.virtual import QoS

OVERRIDDEN = {
    "loop": None,  # set by Consumer.__init__, called with `loop_args`
    "call_soon": ("self", "p", "args", "kwargs"),
    "ensure_connected": ("self", "conn"),
    "on_connection_error_after_connected": ("self", "exc"),
    "on_connection_error_before_connected": ("self", "exc"),
}


@pytest.mark.parametrize(("name", "pinned"), [("celery", "5.6."), ("kombu", "5.7.")])
def test_the_version_is_one_that_was_looked_at(name: str, pinned: str) -> None:
    """With another one read worker/consumer.py against it, run tests/hard, and move this line."""
    assert version(name).startswith(pinned)


def test_what_the_consumer_overrides_is_there() -> None:
    """A method that was renamed would not be called any more, and nothing would say so."""
    for name, arguments in OVERRIDDEN.items():
        if arguments is not None:
            assert tuple(inspect.signature(getattr(Consumer, name)).parameters) == arguments, name
    source = inspect.getsource(Consumer.loop_args)
    wanted = "self, self.connection, self.task_consumer,\n                self.blueprint, self.hub"
    assert wanted in source
    handler = "".join(inspect.getsource(Consumer.create_task_handler).split())
    assert "promise(call_soon,(message.ack_log_error,)," in handler
    assert "self._pending_operations.append(p)" in inspect.getsource(Consumer.call_soon)
    assert "conn.ensure_connection" in inspect.getsource(Consumer.ensure_connected)


def test_what_it_reads_is_there() -> None:
    """Acknowledging, prefetching, and forgetting what a lost connection had fetched."""
    assert tuple(inspect.signature(Message.ack_log_error).parameters)[1:3] == ("logger", "errors")
    assert "self._on_collect = Finalize(" in inspect.getsource(QoS.__init__)
    assert callable(Connection.collect)
    assert "self.executor" in inspect.getsource(TaskPool.on_apply)
    options = inspect.signature(WorkController.setup_defaults).parameters
    assert {"concurrency", "pool", "consumer_cls", "loglevel"} <= options.keys()
