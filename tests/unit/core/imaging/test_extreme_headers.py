"""Random and extreme headers of every format: each costs its own file at most."""

from __future__ import annotations

import contextlib
import io
import struct

import pytest
from hypothesis import HealthCheck, example, given, settings
from litestar import Litestar
from litestar.testing import TestClient

from core.errors import BrokenError, SeenitError, TooLargeError
from core.image_formats import FORMATS
from core.imaging import headers
from core.imaging.byte_reader import _BLOCK as BLOCK
from core.imaging.byte_reader import _READS as READS
from core.imaging.byte_reader import ByteReader
from core.imaging.decoding import decode, inspect
from core.types import Limits
from tests.samples.extreme_headers import LENGTHS
from tests.samples.extreme_headers import headers as extreme
from tests.unit.api.calls import ONE

ALL = Limits(formats=FORMATS)
PYTHON = ("Error(", "Traceback", "b'", "codec", "invalid literal", "int()", "object at", "0x")
"""Marks of an exception's text in an answer."""


def ppm(digits: int) -> bytes:
    """Return a header whose width is so many nines."""
    return b"P6\n" + b"9" * digits + b" 10\n255\n" + bytes(30)


def plain(problem: dict[str, object]) -> None:
    """Check that it blames the caller's file, in plain words."""
    assert 400 <= int(str(problem["status"])) < 500, problem
    assert 0 < len(str(problem["detail"])) < 400
    assert not [mark for mark in PYTHON if mark in str(problem["detail"])], problem


@settings(max_examples=120, suppress_health_check=list(HealthCheck))
@example(ppm(309))
@example(ppm(4000))
@example(ppm(4301))
@example(b"P5 -1 +5\n255\n")
@given(extreme())
def test_a_header_costs_its_own_file_at_most(client: TestClient[Litestar], data: bytes) -> None:
    """Beside a good picture: 202, the good one accepted, the other too or with a problem.

    A check of it is never a fault of the service.
    """
    files = [("file", ("good.png", ONE)), ("file", ("odd", data))]
    answer = client.post("/v1/images", files=files)
    assert answer.status_code == 202, answer.text
    good, odd = answer.json()["items"]
    assert good["status"] == "queued"
    if "error" in odd:
        plain(odd["error"])
    checked = client.post("/v1/check", files=[("file", ("odd", data))])
    assert checked.status_code < 500, checked.text
    if checked.status_code != 200:
        plain(checked.json())


@settings(max_examples=250, suppress_health_check=list(HealthCheck))
@given(extreme())
def test_a_header_is_within_the_limits_or_one_of_our_errors(data: bytes) -> None:
    """In any format nothing else comes out, and every number is bounded."""
    try:
        header = inspect(data, ALL)
    except SeenitError as error:
        plain({"status": error.status, "detail": error.detail})
        return
    assert 1 <= header.width * header.height <= ALL.pixels
    assert header.frames <= ALL.frames


@pytest.mark.parametrize("digits", [count for count in LENGTHS if count >= 10])
def test_digits_without_end_are_a_size_that_is_too_large(digits: int) -> None:
    """In width and in height; past the first 4 KB of a file the size is unknown."""
    wide, high = ppm(digits), b"P5\n10 " + b"7" * digits + b"\n255\n"
    with pytest.raises(TooLargeError if digits < 4090 else BrokenError):
        inspect(wide, ALL)
    with pytest.raises(TooLargeError):
        inspect(high, ALL)


def test_leading_zeros_are_no_size() -> None:
    """Any number of them is allowed."""
    padded = b"P5\n" + b"0" * 2000 + b"12 10\n255\n" + bytes(120)
    assert inspect(padded, ALL).width == 12


@pytest.mark.parametrize(
    "fault",
    [
        OverflowError("int too large"),
        ValueError("invalid literal"),
        struct.error("unpack"),
        RecursionError("deep"),
        MemoryError(),
        KeyError("x"),
        IndexError("x"),
        TypeError("x"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "x"),
        ZeroDivisionError("x"),
    ],
)
def test_what_a_reader_did_not_foresee_is_this_files_fault(
    fault: Exception, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """One rule for all formats: a broken file for the caller, the whole story for the log."""

    def fails(*_: object) -> tuple[int, int, int]:
        raise fault

    monkeypatch.setattr(headers, "_FORMATS", (((b"BM",), "BMP", fails),))
    with pytest.raises(BrokenError, match="the BMP file's header makes no sense"):
        inspect(b"BM" + bytes(60), ALL)
    assert [record.message for record in caplog.records] == ["header_reader_failed"]


def test_a_disk_that_fails_is_not_the_files_fault() -> None:
    """The error of the disk comes through unchanged."""

    class Torn(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell() > 0:
                raise OSError(5, "Input/output error")
            return super().read(size)

    with pytest.raises(OSError, match="Input/output"):
        headers.read(Torn(b"BM" + bytes(60)), ALL)


@pytest.mark.parametrize("data", [b"P5\n4 4\nnan\n" + bytes(16), b"P5\n4 4\n" + b"9" * 30])
def test_no_words_of_python_are_shown(data: bytes) -> None:
    """A decoder's message is passed on only where it is plain words."""
    with pytest.raises(BrokenError) as told:
        decode(data, ALL)
    assert told.value.detail == "the PPM file is damaged"


def test_a_reader_is_bounded_in_reads() -> None:
    """Any declared number of parts costs a bounded number of reads."""
    source = ByteReader(io.BytesIO(bytes(10)))
    for _ in range(READS):
        source.at(0, 1)
    with pytest.raises(BrokenError, match="too many parts"):
        source.at(0, 1)


SLOW = {
    "stray bytes": b"\xff\xd8\xff\xe0\0\2" + b"a" * 300_000,
    "fill bytes": b"\xff\xd8\xff\xe0\0\2" + b"\xff" * 300_000,
    "empty segments": b"\xff\xd8" + b"\xff\xe1\0\2" * 75_000,
    "padding of a GIF": b"GIF89a\1\0\1\0\0\0\0" + b"a" * 300_000,
    "blocks of a byte": b"GIF89a\1\0\1\0\0\0\0\x21\xff" + b"\1a" * 150_000,
    "fields of a TIFF": b"II*\0\x08\0\0\0\xff\xff" + bytes(300_000),
}
"""Files of 300 kB whose headers have as many parts as can be."""


@pytest.mark.parametrize("name", SLOW)
def test_no_header_takes_long(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred of them, as one request may bring, cost under a second of CPU (were 3 to 11)."""
    reads, at = 0, ByteReader.at

    def counted(self: ByteReader, offset: int, count: int) -> bytes:
        nonlocal reads
        reads += 1
        return at(self, offset, count)

    monkeypatch.setattr(ByteReader, "at", counted)
    with contextlib.suppress(BrokenError):
        inspect(SLOW[name], ALL)
    assert reads <= READS + 1 + len(SLOW[name]) // 50


def test_a_jpeg_s_segments_are_found_beyond_stray_and_fill_bytes() -> None:
    """Wherever a marker lies in the blocks that are read."""
    frame = b"\xff\xc0\0\x11\x08\0\x07\0\x09" + bytes(20)
    for stray in (0, 1, BLOCK - 4, BLOCK - 3, BLOCK - 2, BLOCK - 1, BLOCK, 3 * BLOCK):
        for filler in (b"a", b"\xff", b"\xff\0"):
            read = inspect(b"\xff\xd8\xff\xe0\0\2" + filler * stray + frame, ALL)
            assert (read.width, read.height) == (9, 7)
