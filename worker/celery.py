"""The Celery application: `celery -A worker.celery worker`, `inspect`, `status`, and Flower.

Made when its name `app` is first read, from the settings in SEENIT_*; an import does nothing.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from celery import Celery

from adapters import settings
from adapters.broker.celery_app import create_celery

ROOT = Path(__file__).parents[1]

logger = logging.getLogger(__name__)


class WorkerCommand:
    """The worker of `celery worker`: it becomes `seenit worker`, with the options both know.

    Celery's own worker has one pool for all queues, in which uploads would delay the queries for
    which a caller waits, and its default pool forks, which ends a GPU's context.
    """

    exitcode = 0

    def __init__(
        self,
        *,
        hostname: str | None = None,
        queues: Sequence[str] | None = None,
        concurrency: int | None = None,
        loglevel: str | int | None = None,
        **others: Any,  # noqa: ANN401 - Celery's
    ) -> None:
        """Take Celery's options: name, queues, `concurrency` as SEENIT_FLIGHTS, and log level."""
        self._arguments = ["worker"]
        if queues:
            self._arguments += ["--queues", ",".join(queues)]
        if hostname:
            self._arguments += ["--name", hostname]
        self._environment: dict[str, str] = {}
        if concurrency:
            self._environment["SEENIT_FLIGHTS"] = str(concurrency)
        if isinstance(loglevel, int):
            loglevel = logging.getLevelName(loglevel)
        if loglevel:
            level = loglevel.lower()
            self._environment["SEENIT_LOG_LEVEL"] = _LEVELS.get(level, level)
        ignored = sorted(name for name in _UNUSED if others.get(name))
        if ignored:
            logger.warning("celery_options_unused", extra={"reason": ", ".join(ignored)})

    def start(self) -> None:
        """Replace this process by `seenit worker`, which keeps its id and takes its signals."""
        paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
        environment = {
            **os.environ,
            **self._environment,
            "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        }
        os.execve(  # noqa: S606  this very program
            sys.executable, [sys.executable, "-m", "cli", *self._arguments], environment
        )


_LEVELS = {"critical": "error", "fatal": "error"}
"""Names of Celery's log levels that SEENIT_LOG_LEVEL does not have."""
_UNUSED = ("autoscale", "beat", "logfile", "pidfile", "statedb", "max_tasks_per_child")
"""Options of `celery worker` with no counterpart."""


@cache
def _application() -> Celery:
    app = create_celery(settings.load().broker_url, events=True, control=True)
    app.Worker = WorkerCommand
    return app


def __getattr__(name: str) -> Celery:
    """Return the application as `app`. Raise SettingsError for a wrong setting."""
    if name == "app":
        return _application()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
