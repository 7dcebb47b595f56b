"""Stop signals: the first lets work in hand finish, the second ends the process."""

from __future__ import annotations

import signal
import threading
from types import FrameType

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def told_to_stop() -> threading.Event:
    """Return an event that the first SIGTERM or Ctrl-C sets; a second ends the process.

    At once is no harm: what a worker had is found again when its leases run out.
    """
    told = threading.Event()

    def first(number: int, frame: FrameType | None) -> None:
        del number, frame
        for each in _SIGNALS:
            signal.signal(each, signal.SIG_DFL)
        told.set()

    for each in _SIGNALS:
        signal.signal(each, first)
    return told
