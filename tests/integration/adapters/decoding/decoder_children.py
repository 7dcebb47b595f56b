"""Decoding children of this process, and waiting for what becomes of them."""

from __future__ import annotations

import time
from collections.abc import Callable

import psutil


def children() -> list[psutil.Process]:
    """Return the decoding children of this process."""
    return [
        process
        for process in psutil.Process().children()
        if process.status() != psutil.STATUS_ZOMBIE
        and "adapters.decoding.sandbox" in " ".join(process.cmdline())
    ]


def eventually(holds: Callable[[], bool], seconds: float = 60.0) -> bool:
    """Return whether it comes to hold before the deadline."""
    until = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True
