"""Decoders that misbehave as their input orders, run by a decoding child."""

from __future__ import annotations

import ctypes
import json
import mmap
import os
import platform
import resource
import signal
import socket
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


def _refuse(words: str) -> None:
    raise BrokenError(words)


def _fail(words: str) -> None:
    raise ZeroDivisionError(words)


def _babble(words: str) -> None:
    """Write bytes to the parent that no child would."""
    os.write(int(sys.argv[1]), words.encode() * 99)


def _fork() -> None:
    if os.fork() == 0:
        os._exit(0)


def _connect(family: int, address: object) -> None:
    with socket.socket(family, socket.SOCK_STREAM) as line:
        line.settimeout(1.0)
        line.connect(address)


def _call(number: int, *arguments: int) -> None:
    """Call the kernel itself, past Python and the C library."""
    if ctypes.CDLL(None, use_errno=True).syscall(number, *map(ctypes.c_long, arguments)) < 0:
        raise OSError(ctypes.get_errno(), "refused")


def _shellcode() -> None:
    with mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC):
        pass


def _doors(secret: str) -> dict[str, Callable[[], object]]:
    """Return what a confined process may not do; `secret` is a file that its user can read."""
    parent = os.getppid()
    return {
        "read a secret": lambda: Path(secret).read_bytes(),
        "read the parent's environment": lambda: Path(f"/proc/{parent}/environ").read_bytes(),
        "read the parent's memory": lambda: Path(f"/proc/{parent}/mem").open("rb"),
        "list a folder": lambda: next(Path("/").iterdir()),
        "write a file": lambda: Path(f"{secret}.written").write_bytes(b"by a child"),
        "remove a file": lambda: Path(secret).unlink(),
        "open a socket": lambda: _connect(socket.AF_INET, ("127.0.0.1", 9)),
        "open a local socket": lambda: _connect(socket.AF_UNIX, secret),
        "send a datagram": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
        "fork": _fork,
        "start a program": lambda: os.execv(sys.executable, [sys.executable, "-V"]),
        "stop the parent": lambda: os.kill(parent, signal.SIGCONT),
        "limit the parent": lambda: resource.prlimit(parent, resource.RLIMIT_CORE, (0, 0)),
        "run data as code": _shellcode,
        "change the user": lambda: os.setuid(1),
        "trace the parent": lambda: _call(TRACE[platform.machine()], 16, parent, 0, 0),
        "leave the name spaces": lambda: _call(UNSHARE[platform.machine()], 0x10000000),
    }


TRACE, UNSHARE = {"x86_64": 101, "aarch64": 117}, {"x86_64": 272, "aarch64": 97}
"""Numbers of ptrace and unshare; 16 is PTRACE_ATTACH, 0x10000000 CLONE_NEWUSER."""


def _try_doors(secret: str) -> None:
    """Try to get out by every door; report those that were open, and how the others are shut."""
    found = {}
    for name, door in _doors(secret).items():
        try:
            door()
        except (OSError, RuntimeError, ValueError) as error:
            found[name] = f"{type(error).__name__}"
        else:
            found[name] = "open"
    _refuse(json.dumps(found))


_ATTACKS: dict[str, Callable[[str], object]] = {
    "abort": lambda _: os.abort(),
    "exit": lambda _: os._exit(3),
    "babble": _babble,
    "spin": _spin,
    "swallow": _swallow,
    "eat": lambda count: np.empty(int(count), np.uint8),
    "nap": lambda seconds: time.sleep(float(seconds)),
    "doors": _try_doors,
    "loaded": lambda module: _refuse(str(module in sys.modules)),
    "write": lambda path: Path(path).write_bytes(b"written by a child"),
    "refuse": _refuse,
    "fail": _fail,
    "see": lambda _: _refuse(" ".join(sorted(os.environ))),
}
