"""Decoding child: takes pictures from its socket, one at a time, and returns fingerprints.

Started as `python -P -m adapters.decoding.sandbox FD PARENT WORK LIMITS`, with a bare environment.
It limits itself before the first byte arrives: no files written, no core dumps, an address space,
an alarm that ends it even if no parent is left to kill it, and death with its parent. Answers are
msgpack, not pickle: an attacker who controls a child through a decoder's fault can send data, and
no code.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import os
import resource
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
from msgspec import Struct

from core.errors import BrokenError, DecoderKilledError, SeenitError
from core.fingerprint.fingerprint import decode_preview
from core.fingerprint.keypoints import DetailKeypoints, detail
from core.imaging.decoding import LONGEST, STRIP
from core.types import Canonical, Fingerprint, Limits

Work = Callable[[bytes, Limits], tuple[Canonical, Fingerprint]]

_LENGTH = struct.Struct(">Q")
_PR_SET_PDEATHSIG = 1
_GROWTH = 150_000_000
"""Bytes of resident memory above the start at which a child ends after its answer: a decoder that
leaks memory costs a start of a quarter of a second instead."""
_PREVIEW = LONGEST * STRIP * 3
"""Bytes of the largest preview, for which there is room though files may be limited to fewer."""


class SandboxReady(Struct, frozen=True, tag="ready"):
    """First message of a child, when everything is imported and limited."""

    unbounded: str = ""
    """Reason why the address space could not be limited; empty if it is."""


class DecodeRequest(Struct, frozen=True, tag="ask"):
    """Request to fingerprint a picture, its bytes or their path, or to extract keypoints."""

    data: bytes = b""
    path: str = ""
    extra: int | None = None
    """Address space it may use above that at rest; None: all of the limit."""
    keypoints: bool = False
    """Whether `data` is a stored preview whose keypoints are wanted, and nothing else."""


class DecodeResult(Struct, frozen=True, tag="done"):
    """Result: a fingerprint, and the preview's pixels row by row."""

    fingerprint: Fingerprint
    preview: bytes
    rows: int
    columns: int
    large: bytes = b""
    """Large preview of a drawn picture, as WebP."""
    last: bool = False
    """Whether the child ends after this answer."""


class KeypointsResult(Struct, frozen=True, tag="keypoints"):
    """Result: the keypoints of a preview."""

    keypoints: DetailKeypoints
    last: bool = False


class DecodeFailure(Struct, frozen=True, tag="failed"):
    """Failure: the class name of one of our errors, or no name for an unforeseen exception."""

    kind: str
    detail: str
    last: bool = False


Outcome = DecodeResult | KeypointsResult | DecodeFailure
Answer = SandboxReady | Outcome


def send(line: socket.socket, message: Struct) -> None:
    """Write one message after its length."""
    body = msgspec.msgpack.encode(message)
    line.sendall(_LENGTH.pack(len(body)))
    line.sendall(body)


def receive(line: socket.socket, most: int, until: float | None = None) -> bytearray:
    """Read one message of at most `most` bytes, by `until` on the monotonic clock.

    Raise EOFError if the other side is gone or sends too much, or TimeoutError.
    """
    length = _LENGTH.unpack(_exactly(line, _LENGTH.size, until))[0]
    if length > most:
        raise EOFError
    return _exactly(line, length, until)


def _exactly(line: socket.socket, count: int, until: float | None) -> bytearray:
    held = bytearray(count)
    view, at = memoryview(held), 0
    while at < count:
        if until is not None:
            line.settimeout(max(0.001, until - time.monotonic()))
        read = line.recv_into(view[at:])
        if read == 0:
            raise EOFError
        at += read
    return held


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
    send(line, SandboxReady(unbounded))
    _silence()
    rest, resident = _memory()
    ask = msgspec.msgpack.Decoder(DecodeRequest)
    while True:
        asked = ask.decode(receive(line, max(limits.bytes, _PREVIEW) + 4096))
        if rest and not unbounded:
            room = limits.memory if asked.extra is None else rest + asked.extra
            _soften(min(limits.memory, room))
        signal.alarm(int(limits.seconds) + 2)
        answer = _answer(asked, work, limits)
        if rest and not unbounded:
            _soften(limits.memory)
        grown = _memory()[1] > resident + _GROWTH
        if grown:
            answer = msgspec.structs.replace(answer, last=True)
        send(line, answer)
        signal.alarm(0)
        if answer.last:
            return


def _answer(asked: DecodeRequest, work: Work, limits: Limits) -> Outcome:
    try:
        return _result(asked, work, limits)
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


def _result(asked: DecodeRequest, work: Work, limits: Limits) -> DecodeResult | KeypointsResult:
    if asked.keypoints:
        return KeypointsResult(detail(decode_preview(asked.data)))
    data = Path(asked.path).read_bytes() if asked.path else asked.data
    canonical, fingerprint = work(data, limits)
    rows, columns = canonical.preview.shape[:2]
    pixels = canonical.preview.tobytes()
    return DecodeResult(fingerprint, pixels, rows, columns, canonical.large)


def _find(work: str, limits: Limits) -> Work:
    """Import `module:function` here, so that its time and memory are the child's."""
    module, name = work.split(":")
    found: Work = getattr(importlib.import_module(module), name)
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


def _memory() -> tuple[int, int]:
    """Return address space and resident memory in bytes; zeros if there is no /proc."""
    try:
        pages = Path("/proc/self/statm").read_text("ascii").split()
    except OSError:
        return 0, 0
    page = os.sysconf("SC_PAGESIZE")
    return int(pages[0]) * page, int(pages[1]) * page


def _silence() -> None:
    """Discard standard error, where C libraries report every damaged file."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)


if __name__ == "__main__":
    main(sys.argv[1:])
