"""What has to happen from time to time, whatever runs it: each thing when it is due."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

from adapters.wiring import Services
from core.backoff import pause_after
from core.errors import SeenitError
from core.ingest.orphans import Orphans
from core.supervision import LONGEST_PAUSE

TIDY_SECONDS = 600.0
"""Between two clearings of an index: until then its counts may include what was replaced."""
RETAIN_SECONDS = 5.0
"""Between two looks at what has been there for days; most of them find that it is not time yet."""

logger = logging.getLogger(__name__)


class PeriodicTask(NamedTuple):
    """Something to be done every so many seconds. It may raise a SeenitError."""

    name: str
    seconds: float
    run: Callable[[], object]


@runtime_checkable
class CleansUp(Protocol):
    """An index in which something is left over now and then."""

    def tidy(self, tenant: str) -> object:
        """Clear away what newer states of the same records have replaced."""


@runtime_checkable
class RestsTenants(Protocol):
    """An index that can put idle tenants to rest."""

    def rest(self) -> object:
        """Do so."""


class PeriodicRunner:
    """Chores, and when each is due; for one thread."""

    def __init__(self, chores: Sequence[PeriodicTask]) -> None:
        self._chores = list(chores)
        self._due = [0.0] * len(self._chores)
        self._failures = [0] * len(self._chores)

    def go(self, stop: threading.Event) -> None:
        """Do once what is due, up to a stop; what fails is tried again when it is due again.

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
    """What every service needs: keeping as long as was asked for, and an index in order."""
    unpromised = Orphans(services.blobs, services.shelf.remove)
    found = [
        PeriodicTask("retention", RETAIN_SECONDS, services.retention.sweep),
        PeriodicTask("uploads that broke off", RETAIN_SECONDS, unpromised.sweep),
        PeriodicTask("admin reports", TIDY_SECONDS, services.admin_tasks.expire),
    ]
    index = services.index
    if isinstance(index, CleansUp):

        def tidy(index: CleansUp = index) -> None:
            for tenant in services.index.tenants():
                index.tidy(tenant)

        found.append(PeriodicTask("tidy", TIDY_SECONDS, tidy))
    if isinstance(index, RestsTenants):
        found.append(PeriodicTask("rest", TIDY_SECONDS, index.rest))
    return found
