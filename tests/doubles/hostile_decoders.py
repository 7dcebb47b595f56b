"""Decoders that misbehave as their input orders, run by a decoding child."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from core.errors import BrokenError
from core.fingerprint.fingerprint import fingerprint
from core.types import Canonical, Fingerprint, Limits

ORDER = b"order:"
"""Marker after the picture's own bytes, where every decoder has stopped reading."""


def order(picture: bytes, name: str) -> bytes:
    """Append an order to a picture's bytes."""
    return picture + ORDER + name.encode()


def obey(data: bytes, limits: Limits) -> tuple[Canonical, Fingerprint]:
    """Obey the order in the bytes, then fingerprint the picture."""
    picture, _, name = data.partition(ORDER)
    word, _, argument = name.decode().partition(" ")
    if word:
        _ATTACKS[word](argument)
    return fingerprint(picture, limits)


def _spin(_: str) -> None:
    while True:
        pass


def _swallow(_: str) -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    time.sleep(3600)


def _once(mark: str) -> None:
    """Die the first time as if killed by the system; the mark is a folder, not a file."""
    if not Path(mark).exists():
        Path(mark).mkdir()
        os.kill(os.getpid(), signal.SIGKILL)


def _refuse(words: str) -> None:
    raise BrokenError(words)


def _fail(words: str) -> None:
    raise ZeroDivisionError(words)


def _babble(words: str) -> None:
    """Write bytes to the parent that no child would."""
    os.write(int(sys.argv[1]), words.encode() * 99)


_ATTACKS: dict[str, Callable[[str], object]] = {
    "abort": lambda _: os.abort(),
    "exit": lambda _: os._exit(3),
    "babble": _babble,
    "spin": _spin,
    "swallow": _swallow,
    "eat": lambda count: np.empty(int(count), np.uint8),
    "once": _once,
    "write": lambda path: Path(path).write_bytes(b"written by a child"),
    "refuse": _refuse,
    "fail": _fail,
    "see": lambda _: _refuse(" ".join(sorted(os.environ))),
}
