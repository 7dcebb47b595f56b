"""Periodic work, and a runner that does each task when it is due."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

from adapters.wiring import Services
from core.backoff import pause_after
from core.errors import SeenitError
from core.event_log.log_watch import LogWatch
from core.ingest.orphans import Leftovers, Orphans
from core.supervision import LONGEST_PAUSE

TIDY_SECONDS = 600.0
"""Between two clearings of an index: until then its counts may include what was replaced."""
LOG_SECONDS = 30.0
"""Between two looks at the logs: of a bucket, some requests a second."""
RETAIN_SECONDS = 5.0
"""Between two checks for objects past their retention; most checks find none due."""

logger = logging.getLogger(__name__)


class PeriodicTask(NamedTuple):
    """A call to be made every so many seconds; it may raise a SeenitError."""

    name: str
    seconds: float
    run: Callable[[], object]


@runtime_checkable
class CleansUp(Protocol):
    """An index that keeps replaced states until it is tidied, and idle tenants until they rest."""

    def tidy(self, tenant: str) -> object:
        """Delete states that newer ones of the same records have replaced."""

    def rest(self) -> object:
        """Put the tenants to rest that were idle."""


@runtime_checkable
class KeepsReserve(Protocol):
    """A blob store that sets bytes aside for the time when its disk is full."""

    def keep_reserve(self) -> object:
        """Set them aside if they are not, and there are enough."""


class PeriodicRunner:
    """A list of periodic tasks and when each is due; for one thread."""

    def __init__(self, chores: Sequence[PeriodicTask]) -> None:
        self._chores = list(chores)
        self._due = [0.0] * len(self._chores)
        self._failures = [0] * len(self._chores)

    def go(self, stop: threading.Event) -> None:
        """Run each due task once, until `stop`; a failed task runs again when next due.

        A defect waits longer each time: its traceback must not fill the log.
        """
        for n, chore in enumerate(self._chores):
            now = time.monotonic()
            if self._due[n] > now or stop.is_set():
                continue
            self._due[n] = now + chore.seconds
            try:
                chore.run()
            except SeenitError as error:
                about = {"task": chore.name, "reason": str(error)}
                logger.warning("periodic_task_put_off", extra=about)
            except Exception:  # the process's edge: one chore must not end the others
                self._failures[n] += 1
                self._due[n] += pause_after(self._failures[n], LONGEST_PAUSE)
                logger.exception("periodic_task_failed", extra={"task": chore.name})
            else:
                self._failures[n] = 0


def upkeep(services: Services) -> list[PeriodicTask]:
    """Return the tasks every service needs: retention, clean-up and index maintenance."""
    unpromised = Orphans(services.blobs, services.shelf.remove)
    leftovers = Leftovers(
        services.blobs, services.log, services.projector.marked, services.shelf.revisit
    )
    watch = LogWatch(services.log, services.index, services.follower)
    found = [
        PeriodicTask("logs", LOG_SECONDS, watch.sweep),
        PeriodicTask("retention", RETAIN_SECONDS, services.retention.sweep),
        PeriodicTask("uploads that broke off", RETAIN_SECONDS, unpromised.sweep),
        PeriodicTask("leftovers of deleted pictures", RETAIN_SECONDS, leftovers.sweep),
        PeriodicTask("admin reports", TIDY_SECONDS, services.admin_tasks.expire),
    ]
    index, blobs = services.index, services.blobs
    if isinstance(blobs, KeepsReserve):
        found.append(PeriodicTask("disk reserve", TIDY_SECONDS, blobs.keep_reserve))
    if isinstance(index, CleansUp):

        def tidy(index: CleansUp = index) -> None:
            for tenant in services.index.tenants():
                index.tidy(tenant)

        found += [
            PeriodicTask("tidy", TIDY_SECONDS, tidy),
            PeriodicTask("rest", TIDY_SECONDS, index.rest),
        ]
    return found
