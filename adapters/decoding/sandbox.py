"""Decoding child: takes pictures from its socket, one at a time, and returns fingerprints.

Started as `python -P -m adapters.decoding.sandbox FD PARENT WORK LIMITS`, with a bare environment.
It limits itself before the first byte arrives: no files written, no core dumps, an address space,
an alarm that ends it even if no parent is left to kill it, and death with its parent. Then it is
confined: no file, socket or process can be opened.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable

import msgspec
from PIL import Image

from adapters.decoding.confinement import confine
from adapters.decoding.messages import (
    DecodeFailure,
    DecodeRequest,
    DecodeResult,
    KeypointsResult,
    Outcome,
    SandboxReady,
    read_file,
    receive_with_file,
    send,
)
from core.errors import BrokenError, DecoderKilledError, SeenitError
from core.fingerprint.fingerprint import decode_preview
from core.fingerprint.keypoints import detail
from core.imaging.decoding import LONGEST, STRIP
from core.types import Canonical, Fingerprint, Limits

Work = Callable[[bytes, Limits], tuple[Canonical, Fingerprint]]

_PR_SET_PDEATHSIG = 1
_LAZILY = ("numpy.ma",)
"""Modules that libraries import when they are first needed."""
_GROWTH = 150_000_000
"""Bytes of resident memory above the start at which a child ends after its answer: a decoder that
leaks memory costs a start of a quarter of a second instead."""
_PREVIEW = LONGEST * STRIP * 3
"""Bytes of the largest preview, for which there is room though files may be limited to fewer."""


def main(arguments: list[str]) -> None:
    """Serve requests until the parent closes the socket."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    number, parent, work, limits = arguments
    _die_with(int(parent))
    line = socket.socket(fileno=int(number))
    line.setblocking(True)  # noqa: FBT003  it came so as the parent's sockets are by default
    read = msgspec.json.decode(limits, type=Limits)
    with contextlib.suppress(EOFError, OSError):
        _serve(line, _find(work, read), read)


def _serve(line: socket.socket, work: Work, limits: Limits) -> None:
    unbounded = _bound(limits)
    missing = [f"memory: {unbounded}"] if unbounded else []
    memory = _Memory()
    _silence()
    missing += confine()
    send(line, SandboxReady(tuple(missing)))
    rest, resident = memory.used()
    ask = msgspec.msgpack.Decoder(DecodeRequest)
    while True:
        message, file = receive_with_file(line, max(limits.bytes, _PREVIEW) + 4096)
        asked = ask.decode(message)
        if rest and not unbounded:
            room = limits.memory if asked.extra is None else rest + asked.extra
            _soften(min(limits.memory, room))
        signal.alarm(int(limits.seconds) + 2)
        answer = _answer(asked, file, work, limits)
        if rest and not unbounded:
            _soften(limits.memory)
        grown = memory.used()[1] > resident + _GROWTH
        if grown:
            answer = msgspec.structs.replace(answer, last=True)
        send(line, answer)
        signal.alarm(0)
        if answer.last:
            return


def _answer(asked: DecodeRequest, file: int | None, work: Work, limits: Limits) -> Outcome:
    try:
        return _result(asked, file, work, limits)
    except MemoryError:
        return DecodeFailure(DecoderKilledError.__name__, "", last=True)
    except DecoderKilledError as error:
        return DecodeFailure(type(error).__name__, error.detail, last=True)
    except SeenitError as error:
        return DecodeFailure(type(error).__name__, error.detail)
    except OSError as error:  # ours come translated: this one is the file's
        return DecodeFailure(BrokenError.__name__, f"the file cannot be read ({error.strerror})")
    except Exception as error:  # noqa: BLE001 - the process's edge: the parent has to be told
        return DecodeFailure("", f"{type(error).__name__}: {error}", last=True)


def _result(
    asked: DecodeRequest, file: int | None, work: Work, limits: Limits
) -> DecodeResult | KeypointsResult:
    if asked.keypoints:
        return KeypointsResult(detail(decode_preview(asked.data)))
    data = asked.data if file is None else read_file(file, limits.bytes)
    canonical, fingerprint = work(data, limits)
    rows, columns = canonical.preview.shape[:2]
    pixels = canonical.preview.tobytes()
    return DecodeResult(fingerprint, pixels, rows, columns, canonical.large)


def _find(work: str, limits: Limits) -> Work:
    """Import `module:function` and all it needs later: a confined process can import nothing."""
    module, name = work.split(":")
    found: Work = getattr(importlib.import_module(module), name)
    for lazily in _LAZILY:
        importlib.import_module(lazily)
    Image.init()
    with contextlib.suppress(ImportError):
        _single_threaded(limits)
    return found


def _single_threaded(limits: Limits) -> None:
    """Limit libraries to one thread: the children are the parallelism, threads cost memory."""
    import cv2  # noqa: PLC0415 - a child that does not use it need not load it
    from PIL import AvifImagePlugin  # noqa: PLC0415 - likewise

    cv2.setNumThreads(1)
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1
    if "heic" in limits.formats:
        import pi_heif  # noqa: PLC0415 - it loads libheif: not where no HEIC file is decoded

        pi_heif.options.DECODE_THREADS = 1


def _die_with(parent: int) -> None:
    """Let the kernel kill this process with its parent on Linux; EOF and alarm do elsewhere."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(0)


def _bound(limits: Limits) -> str:
    """Limit the resources of the child; return the reason if its address space has no limit."""
    for name in (resource.RLIMIT_CORE, resource.RLIMIT_FSIZE):
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(name, (0, 0))
    try:
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        if sys.platform == "darwin":
            return "macOS does not limit address space"
        most = limits.memory if hard == resource.RLIM_INFINITY else min(limits.memory, hard)
        resource.setrlimit(resource.RLIMIT_AS, (most, hard))
    except (OSError, ValueError) as error:
        return str(error) or "not supported"
    return ""


def _soften(room: int) -> None:
    with contextlib.suppress(OSError, ValueError):
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        most = room if hard == resource.RLIM_INFINITY else min(room, hard)
        resource.setrlimit(resource.RLIMIT_AS, (most, hard))


class _Memory:
    """Address space and resident memory of this process, in bytes; zeros if there is no /proc."""

    def __init__(self) -> None:
        self._page = os.sysconf("SC_PAGESIZE")
        self._statm: int | None = None
        with contextlib.suppress(OSError):
            self._statm = os.open("/proc/self/statm", os.O_RDONLY)

    def used(self) -> tuple[int, int]:
        """Return both, as they are now."""
        if self._statm is None:
            return 0, 0
        total, resident = os.pread(self._statm, 256, 0).split()[:2]
        return int(total) * self._page, int(resident) * self._page


def _silence() -> None:
    """Discard standard error, where C libraries report every damaged file."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)


if __name__ == "__main__":
    main(sys.argv[1:])
