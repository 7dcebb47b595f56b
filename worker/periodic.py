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
from core.ingest.orphans import Unpromised
from core.supervision import LONGEST_PAUSE

TIDY_SECONDS = 600.0
"""Between two clearings of an index: until then its counts may include what was replaced."""
RETAIN_SECONDS = 5.0
"""Between two looks at what has been there for days; most of them find that it is not time yet."""

logger = logging.getLogger(__name__)


class Chore(NamedTuple):
    """Something to be done every so many seconds. It may raise a SeenitError."""

    name: str
    seconds: float
    run: Callable[[], object]


@runtime_checkable
class Tidies(Protocol):
    """An index in which something is left over now and then."""

    def tidy(self, tenant: str) -> object:
        """Clear away what newer states of the same records have replaced."""


@runtime_checkable
class Rests(Protocol):
    """An index that can put idle tenants to rest."""

    def rest(self) -> object:
        """Do so."""


class Rounds:
    """Chores, and when each is due; for one thread."""

    def __init__(self, chores: Sequence[Chore]) -> None:
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
                logger.warning("%s put off: %s", chore.name, error)
            except Exception:  # the process's edge: one chore must not end the others
                self._failures[n] += 1
                self._due[n] += pause_after(self._failures[n], LONGEST_PAUSE)
                logger.exception("%s failed", chore.name)
            else:
                self._failures[n] = 0


def upkeep(services: Services) -> list[Chore]:
    """What every service needs: keeping as long as was asked for, and an index in order."""
    unpromised = Unpromised(services.blobs, services.shelf.remove)
    found = [
        Chore("retention", RETAIN_SECONDS, services.retention.sweep),
        Chore("uploads that broke off", RETAIN_SECONDS, unpromised.sweep),
    ]
    index = services.index
    if isinstance(index, Tidies):

        def tidy(index: Tidies = index) -> None:
            for tenant in services.index.tenants():
                index.tidy(tenant)

        found.append(Chore("tidy", TIDY_SECONDS, tidy))
    if isinstance(index, Rests):
        found.append(Chore("rest", TIDY_SECONDS, index.rest))
    return found
