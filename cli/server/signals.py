"""Being told to stop: the first time what is in hand is finished, the second time nothing is."""

from __future__ import annotations

import signal
import threading
from types import FrameType

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def told_to_stop() -> threading.Event:
    """An event that the first SIGTERM or Ctrl-C sets; the second one ends the process at once.

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
