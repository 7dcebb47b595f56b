"""Messages between a decoding child and its parent.

They are msgpack, not pickle: an attacker who controls a child through a decoder's fault can send
data, and no code.
"""

from __future__ import annotations

import os
import socket
import struct
import time

import msgspec
from msgspec import Struct

from core.fingerprint.keypoints import DetailKeypoints
from core.types import Fingerprint

_LENGTH = struct.Struct(">Q")


class SandboxReady(Struct, frozen=True, tag="ready"):
    """First message of a child, when everything is imported and confined."""

    missing: tuple[str, ...] = ()
    """Limits that could not be set, and why; empty if the child is fully confined."""


class DecodeRequest(Struct, frozen=True, tag="ask"):
    """Request to fingerprint a picture, or to extract the keypoints of a preview."""

    data: bytes = b""
    """Bytes of the picture; empty if an open file comes with the message."""
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


def send(line: socket.socket, message: Struct, file: int | None = None) -> None:
    """Write one message after its length, with an open file if one is given."""
    body = msgspec.msgpack.encode(message)
    length = _LENGTH.pack(len(body))
    if file is None:
        line.sendall(length)
    else:
        line.sendall(length[socket.send_fds(line, [length], [file]) :])
    line.sendall(body)


def receive(line: socket.socket, most: int, until: float | None = None) -> bytearray:
    """Read one message of at most `most` bytes, by `until` on the monotonic clock.

    Raise EOFError if the other side is gone or sends too much, or TimeoutError.
    """
    return _body(line, _exactly(line, _LENGTH.size, until), most, until)


def receive_with_file(line: socket.socket, most: int) -> tuple[bytearray, int | None]:
    """Read one message, and the open file that came with it, if any. Raise EOFError."""
    length, files, _, _ = socket.recv_fds(line, _LENGTH.size, 1)
    if not length:
        raise EOFError
    head = bytearray(length) + _exactly(line, _LENGTH.size - len(length), None)
    return _body(line, head, most, None), files[0] if files else None


def read_file(file: int, most: int) -> bytes:
    """Return the first bytes of an open file, at most so many and one more, and close it."""
    parts, at = list[bytes](), 0
    try:
        while at <= most and (part := os.pread(file, min(most + 1 - at, 2**24), at)):
            parts.append(part)
            at += len(part)
    finally:
        os.close(file)
    return b"".join(parts)


def _body(line: socket.socket, head: bytearray, most: int, until: float | None) -> bytearray:
    length = _LENGTH.unpack(head)[0]
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
