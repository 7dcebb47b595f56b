"""A decoding child as its parent sees it: started, sent requests, killed and replaced."""

from __future__ import annotations

import json
import logging
import math
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable

import msgspec
import numpy as np

from adapters.decoding.messages import (
    Answer,
    DecodeFailure,
    DecodeRequest,
    KeypointsResult,
    Outcome,
    SandboxReady,
    receive,
    send,
)
from core import errors
from core.errors import BrokenError, DecoderKilledError, InputError, UnavailableError
from core.fingerprint.keypoints import DetailKeypoints
from core.imaging.decoding import LONGEST, STRIP
from core.imaging.large_preview import MOST_BYTES
from core.types import Canonical, Fingerprint, Limits

logger = logging.getLogger(__name__)

Printed = tuple[Canonical, Fingerprint]

_START = 30.0
"""Seconds a child may take to be ready; a quarter of one is usual."""
_TASKS = 2_000
"""Pictures after which a child is replaced: whatever leaks in a decoder is bounded."""
_ANSWER = LONGEST * STRIP * 3 + MOST_BYTES + 1_000_000
"""Bytes of the largest answer: the two previews of a strip, and a fingerprint of under 10 KB."""
_KEPT = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "LANG", "LC_ALL", "TMPDIR")
"""Environment variables that a child may see: no keys, no passwords."""
_SETTINGS = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MALLOC_MMAP_THRESHOLD_": str(4 * 2**20),
    "MALLOC_TRIM_THRESHOLD_": str(16 * 2**20),
}
"""Settings of a child: one thread, and up to 16 MB of freed memory kept by its C library; otherwise
each picture's buffers come from the system again, which cost 6 of 48 ms (measured)."""
_SYSTEM = (9, 15)
"""SIGKILL and SIGTERM from outside: the system reclaimed memory, or an operator intended it."""


class StarvedError(Exception):
    """A child's address space was too small, or the child crashed, perhaps because of that.

    `cause` names the crash, and is empty if the child reported that memory ran out.
    """

    def __init__(self, cause: str = "") -> None:
        super().__init__(cause)
        self.cause = cause


class ChildProcess:
    """Child process with the socket to it."""

    def __init__(self, work: str, limits: Limits) -> None:
        self._line, theirs = socket.socketpair()
        self.served = 0
        bare = {name: os.environ[name] for name in _KEPT if name in os.environ}
        bare |= {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        bare |= _SETTINGS
        told = json.dumps(msgspec.to_builtins(limits))
        command = (sys.executable, "-P", "-m", "adapters.decoding.sandbox")
        with theirs:
            number = theirs.fileno()
            self.process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                (*command, str(number), str(os.getpid()), work, told),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=(number,),
                env=bare,
                start_new_session=True,  # Ctrl-C is for the parent alone
            )

    def wait(self) -> tuple[str, ...]:
        """Wait until it is ready; return the limits that it lacks. Raise UnavailableError."""
        try:
            answer = self._receive(time.monotonic() + _START)
        except (EOFError, OSError, msgspec.MsgspecError):
            raise UnavailableError(f"a decoder did not start ({_named(self.end())})") from None
        return answer.missing if isinstance(answer, SandboxReady) else ()

    def ask(self, asked: DecodeRequest, seconds: float, file: int | None = None) -> Outcome:
        """Send a request, with an open file if it is not in memory; wait so long for the result.

        Raise TimeoutError, EOFError, OSError or MsgspecError.
        """
        self.served += 1
        until = time.monotonic() + seconds
        self._line.settimeout(seconds)
        send(self._line, asked, file)
        answer = self._receive(until)
        if not isinstance(answer, SandboxReady):
            return answer
        raise EOFError

    def _receive(self, until: float) -> Answer:
        answer: Answer = msgspec.msgpack.decode(receive(self._line, _ANSWER, until), type=Answer)
        return answer

    def end(self) -> int:
        """Return the exit status, a signal as a negative number; 0 if it had to be killed."""
        try:
            return self.process.wait(0.5)
        except subprocess.TimeoutExpired:
            self.kill()
            return 0

    def kill(self) -> None:
        """Kill the process; a thread that waits for its answer gets EOFError."""
        self.process.kill()
        self.process.wait()

    def hang_up(self) -> None:
        """Kill the process and close the socket; only for the thread that sends requests."""
        self.kill()
        self._line.close()


class DecodingLane:
    """A child and its successors, served by one thread."""

    def __init__(
        self,
        limits: Limits,
        start: Callable[[], ChildProcess],
        forget: Callable[[ChildProcess], None],
    ) -> None:
        self._limits = limits
        self._start = start
        self._forget = forget
        self._child: ChildProcess | None = None

    def fill(self) -> ChildProcess:
        """Return a child that is ready. Raise UnavailableError."""
        if self._child is None or self._child.process.poll() is not None:
            self.drop()
            self._child = self._start()
        return self._child

    def drop(self) -> None:
        """Drop the child of this lane."""
        if self._child:
            self._child.hang_up()
            self._forget(self._child)
            self._child = None

    def run(
        self, asked: DecodeRequest, seconds: float, file: int | None = None
    ) -> Printed | DetailKeypoints:
        """Process one picture; once more if the system, not the picture, ended the child.

        Raise the picture's own error, DecoderKilledError, StarvedError or UnavailableError.
        """
        for again in (True, False):
            child = self.fill()
            try:
                answer = child.ask(asked, seconds, file)
            except TimeoutError:
                self.drop()
                raise DecoderKilledError(
                    f"decoding took over {self._limits.seconds:g} s and was stopped"
                ) from None
            except (EOFError, OSError, msgspec.MsgspecError):
                status = child.end()
                self.drop()
                if -status not in _SYSTEM:
                    raise StarvedError(_named(status)) from None
                if again:
                    continue
                raise DecoderKilledError(
                    "the system stopped decoding it twice, probably for want of memory"
                ) from None
            if answer.last or child.served >= _TASKS:
                self.drop()
            return _result(answer)
        raise UnavailableError("decoding came to no end")


def _result(answer: Outcome) -> Printed | DetailKeypoints:
    """Return a child's result. Raise the error it names, or StarvedError if memory ran out."""
    if isinstance(answer, KeypointsResult):
        return answer.keypoints
    if isinstance(answer, DecodeFailure):
        if answer.kind == DecoderKilledError.__name__:
            raise StarvedError
        if not answer.kind:
            logger.error("decoder_crashed", extra={"reason": answer.detail})
            raise StarvedError("a fault that the log names")
        kind = getattr(errors, answer.kind, BrokenError)
        fits = isinstance(kind, type) and issubclass(kind, InputError)
        raise (kind if fits else BrokenError)(answer.detail)
    printed = answer.fingerprint
    shape = answer.rows, answer.columns, 3
    if not 0 < min(shape) <= max(shape) <= LONGEST or math.prod(shape) != len(answer.preview):
        raise StarvedError(_named(0))
    preview = np.frombuffer(answer.preview, np.uint8).reshape(shape).copy()
    canonical = Canonical(
        preview,
        printed.width,
        printed.height,
        printed.format,
        printed.frames,
        pixels_version=printed.pixels_version,
        large=answer.large,
    )
    return canonical, printed


def _named(status: int) -> str:
    """Name an exit status in words."""
    if status == 0:
        return "its answer made no sense"
    return f"signal {-status}" if status < 0 else f"exit status {status}"
