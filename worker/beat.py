"""What has to happen from time to time in a service of many processes, done by one of them."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

from adapters.broker.desk import RedisErrands
from adapters.broker.held import SharedHeld
from adapters.wiring import Services
from core.errors import SeenitError, SettingsError
from core.leftovers import clear

TIDY_SECONDS = 600.0
"""Between two clearings of an index: until then its counts may include what was replaced."""

CLEAR_SECONDS = 300.0
"""Between two looks for pictures that a killed process left."""

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


class Beat:
    """Sweeps, and does the chores; of several only the one that leads, the others stand by."""

    def __init__(self, services: Services, chores: Sequence[Chore] = ()) -> None:
        """`chores` come on top of its own. Raise SettingsError for a queue inside a process."""
        held = services.broker.held
        if not isinstance(held, SharedHeld):
            raise SettingsError("a beat of its own needs SEENIT_BROKER_URL=redis://…")
        self._held = held
        self._every = services.broker.sweep_seconds
        self._chores = [*_own(services), *chores]
        self._due = dict.fromkeys(range(len(self._chores)), 0.0)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="beat", daemon=True)

    def start(self) -> None:
        """Begin in a thread."""
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether it still beats."""
        return self._thread.is_alive()

    def close(self) -> None:
        """End the round under way and leave the lead to another."""
        self._stop.set()
        self._thread.join()
        try:
            self._held.resign()
        except SeenitError as error:
            logger.warning("the lead runs out by itself: %s", error)

    def round(self) -> None:
        """Do once what is due. Raise QueueUnavailableError where nobody can say who leads."""
        if not self._held.leads():
            return
        for n, chore in enumerate(self._chores):
            now = time.monotonic()
            if self._due[n] > now or self._stop.is_set():
                continue
            self._due[n] = now + chore.seconds
            try:
                chore.run()
            except SeenitError as error:
                logger.warning("%s put off: %s", chore.name, error)
            except Exception:  # the process's edge: one chore must not end the others
                logger.exception("%s failed", chore.name)

    def _run(self) -> None:
        while True:
            try:
                self.round()
            except SeenitError as error:
                logger.warning("nothing swept: %s", error)
            if self._stop.wait(self._every):
                return


def _own(services: Services) -> list[Chore]:
    every = services.broker.sweep_seconds
    found = [Chore("sweep", 0.0, services.sweeper.sweep)]
    if isinstance(services.errands, RedisErrands):
        found.append(Chore("errands", every, services.errands.resend))
    found.append(Chore("pictures asked about", CLEAR_SECONDS, lambda: clear(services.blobs)))
    index = services.index
    if isinstance(index, Tidies):

        def tidy(index: Tidies = index) -> None:
            for tenant in services.index.tenants():
                index.tidy(tenant)

        found.append(Chore("tidy", TIDY_SECONDS, tidy))
    if isinstance(index, Rests):
        found.append(Chore("rest", TIDY_SECONDS, index.rest))
    return found
