"""Workers as Celery's own tools see them: status, inspect, control, and events for Flower."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from adapters.broker.celery_app import create_celery
from core.task_names import SETTLE_TASK
from tests.backends import servers
from tests.backends.server_process import ROOT, outside, wait
from tests.doubles.line_worker import Pit, pit

NODE = "one@somewhere"
WANTED = {"worker-online", "task-received", "task-started", "task-succeeded"}

Server = servers.Redis | servers.Given


def test_a_running_turn_is_seen_by_inspect(dug: Pit) -> None:
    """With its tenant, until it ends."""
    app = create_celery(dug.read.broker_url)
    worker = dug.thread(0.5)
    try:
        dug.accept([("some-tenant", str(n)) for n in range(8)])
        inspect = app.control.inspect(timeout=1.0)

        def running() -> list[tuple[str, str]]:
            active: dict[str, list[dict[str, Any]]] = inspect.active() or {}
            return [(task["name"], task["args"][0]) for tasks in active.values() for task in tasks]

        wait(lambda: running() == [(SETTLE_TASK, "some-tenant")], 30.0, lambda: "nothing runs")
    finally:
        worker.close()
        app.close()


def test_celery_worker_is_a_seenit_worker_that_celery_sees(
    tmp_path: Path, redis_server: Server
) -> None:
    """It takes a turn, sends its events, answers a ping, and ends by remote control."""
    with pit(tmp_path, redis_server.url) as made:
        app = create_celery(redis_server.url)
        seen: list[dict[str, Any]] = []
        stop = threading.Event()

        def listen() -> None:
            with app.connection_for_read() as connection:
                receiver = app.events.Receiver(connection, handlers={"*": seen.append})
                while not stop.is_set():
                    try:
                        receiver.capture(limit=None, timeout=0.5, wakeup=True)
                    except TimeoutError:
                        continue

        listener = threading.Thread(target=listen)
        listener.start()
        command = [sys.executable, "-m", "celery", "-A", "worker.celery", "worker"]
        process = subprocess.Popen(
            [*command, "-n", NODE, "-Q", "ingest,default", "-l", "warning"],
            env={
                **outside(),
                "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
                "SEENIT_DATA": str(tmp_path / "data"),
                "SEENIT_BROKER_URL": redis_server.url,
                "SEENIT_MODEL": "none",
                "SEENIT_CAPTION_MODEL": "none",
            },
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
        )
        try:
            pinged = [{NODE: {"ok": "pong"}}]
            wait(lambda: app.control.ping(timeout=0.5) == pinged, 60.0, lambda: "no answer")
            made.broker.queue.enqueue([("some-tenant", "gone")])
            types = lambda: {event["type"] for event in seen}  # noqa: E731
            wait(lambda: types() >= WANTED, 30.0, lambda: f"only {types()}")
            (received,) = [event for event in seen if event["type"] == "task-received"]
            assert (received["name"], received["hostname"]) == (SETTLE_TASK, NODE)
            assert json.loads(
                received["args"].replace("'", '"').replace("(", "[").replace(")", "]")
            )
            app.control.shutdown()
            assert process.wait(30.0) == 0
        finally:
            stop.set()
            listener.join()
            process.kill()
            process.wait()
            app.close()
