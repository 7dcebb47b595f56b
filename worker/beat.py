"""What has to happen from time to time in a service of many processes, done by one of them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence

from adapters.broker.desk import RedisErrands
from adapters.broker.held import SharedHeld
from adapters.wiring import Services
from core.errors import SeenitError, SettingsError
from core.leftovers import clear
from worker.rounds import Chore, Rounds, upkeep

CLEAR_SECONDS = 300.0
"""Between two looks for pictures that a killed process left."""

logger = logging.getLogger(__name__)


class Beat:
    """Sweeps, and does the chores; of several only the one that leads, the others stand by."""

    def __init__(self, services: Services, chores: Sequence[Chore] = ()) -> None:
        """`chores` come on top of its own. Raise SettingsError for a queue inside a process."""
        held = services.broker.held
        if not isinstance(held, SharedHeld):
            raise SettingsError("a beat of its own needs SEENIT_BROKER_URL=redis://…")
        self._held = held
        self._every = services.broker.sweep_seconds
        self._rounds = Rounds([*_own(services), *chores])
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
        self._rounds.go(self._stop)

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
    return [*found, *upkeep(services)]
