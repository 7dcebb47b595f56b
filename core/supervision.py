"""Supervised threads: one that fails logs why and runs again after a pause."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from core.backoff import pause_after
from core.errors import SeenitError
from core.metrics import UNMETERED, Meter

LONGEST_PAUSE = 30.0
"""Seconds between two runs of a thread that keeps failing; also how long a run must have lasted
for the next failure to count as the first one again."""
STEADY_SECONDS = 5.0
"""A run that has lasted so long counts as recovered."""

logger = logging.getLogger(__name__)


class SupervisedThread:
    """A daemon thread that runs `run` again and again until `stop` is set.

    `run` may return only after a stop. Whatever it raises, and a return before a stop, is a
    failure: it is logged with its reason, counted as `restarts`, and followed by a pause that
    doubles up to half a minute. Every thread of the service that lives as long as the service is
    one of these: a thread that ended silently would leave the service accepting uploads for ever
    and settling none.
    """

    def __init__(
        self,
        name: str,
        run: Callable[[], object],
        stop: threading.Event,
        *,
        meter: Meter = UNMETERED,
        failed: Callable[[str, BaseException], object] | None = None,
    ) -> None:
        """Prepare the thread without starting it.

        `name` is also the metric's label. `failed` receives the reason and the error of each
        failure, in the thread itself.
        """
        self._name = name
        self._run = run
        self._stop = stop
        self._meter = meter
        self._failed = failed
        self._thread: threading.Thread | None = None
        self._reason: str | None = None
        self._since = 0.0

    @property
    def failure(self) -> str | None:
        """Return why it does not run, or did not a moment ago; None if it runs steadily."""
        reason, lasted = self._reason, time.monotonic() - self._since
        return None if reason is None or lasted >= STEADY_SECONDS else reason

    def start(self) -> None:
        """Begin to run, unless it runs; once it was joined it may be started again."""
        if self._thread is not None and self._thread.is_alive():
            return
        self._reason = None
        self._thread = threading.Thread(target=self._supervise, name=self._name, daemon=True)
        self._thread.start()

    def join(self) -> None:
        """Wait for the end of a thread whose stop is set, if it was ever started."""
        if self._thread is not None:
            self._thread.join()

    def _supervise(self) -> None:
        failures = 0
        while True:  # at least once: what waits for it may have to be turned away
            self._since = started = time.monotonic()
            try:
                self._run()
                if self._stop.is_set():
                    return
                error: BaseException = RuntimeError("it ended by itself")
            except BaseException as raised:  # noqa: BLE001  a Rust panic, a library's exit
                if self._stop.is_set() and isinstance(raised, SystemExit):
                    return
                error = raised
            failures = 1 if time.monotonic() - started >= LONGEST_PAUSE else failures + 1
            pause = pause_after(failures, LONGEST_PAUSE)
            self._tell(error, failures, pause)
            self._since = time.monotonic() + pause
            if self._stop.wait(pause):
                return

    def _tell(self, error: BaseException, failures: int, pause: float) -> None:
        reason = describe(error)
        news = reason != self._reason
        self._reason = reason
        self._meter.count("restarts", thread=self._name)
        # The traceback of a defect is logged once, not with every try.
        logger.error(
            "thread %s failed: %s; it runs again in %.1f s",
            self._name,
            reason,
            pause,
            extra={"reason": reason, "times": failures},
            exc_info=error if news and not isinstance(error, SeenitError) else None,
        )
        if self._failed is not None:
            self._failed(reason, error)


def describe(error: BaseException) -> str:
    """Say in one line what went wrong, with the class of an error that is not ours."""
    if isinstance(error, SeenitError):
        return error.detail
    said = (str(error).strip().splitlines() or [""])[0]
    return f"{type(error).__name__}: {said}" if said else type(error).__name__
