from __future__ import annotations

import logging
import select
import socket
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import numpy as np
import pytest

from adapters.decoding.child_process import ChildProcess
from adapters.decoding.messages import DecodeFailure, DecodeRequest, DecodeResult, send
from adapters.decoding.pool import DecoderPool
from core.errors import (
    BrokenError,
    DecoderKilledError,
    SeenitError,
    TooLargeError,
    UnavailableError,
    UnsupportedError,
)
from core.fingerprint.fingerprint import decode_preview, encode_preview, fingerprint
from core.fingerprint.keypoints import detail
from core.image_formats import BY_DEFAULT, FORMATS, titles
from core.ports import Decoder, KeypointExtractor
from core.types import Limits
from tests.doubles.hostile_decoders import order
from tests.integration.adapters.decoding.decoder_children import children, eventually
from tests.samples.image_files import every
from tests.samples.pictures import jpeg, many_scans, photo

LIMITS = Limits(seconds=3.0, pixels=10_000_000)
FILES = every()
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux's limits and signals")


@pytest.fixture(scope="module")
def decoders() -> Iterator[DecoderPool]:
    """Two children that obey what pictures tell them."""
    held = DecoderPool(LIMITS, workers=2, work="tests.doubles.hostile_decoders:obey")
    yield held
    held.close()


def outcomes(found: Sequence[object]) -> list[object]:
    """Fingerprints, or the kind and words of an error."""
    return [
        (type(one), one.detail) if isinstance(one, SeenitError) else one[1]  # type: ignore[index]
        for one in found
    ]


def test_it_is_a_decoder(decoders: DecoderPool) -> None:
    """The ports are implemented as they are written."""
    assert isinstance(decoders, Decoder)
    assert isinstance(decoders, KeypointExtractor)


def test_children_answer_as_this_process_would(
    decoders: DecoderPool, pictures: list[bytes], tmp_path: Path
) -> None:
    """Bytes and paths, in input order: pixels and fingerprints are those of a decode in here."""
    path = tmp_path / "picture.jpg"
    path.write_bytes(pictures[0])
    found = decoders.fingerprint([*pictures, path])
    expected = [fingerprint(data, LIMITS) for data in [*pictures, pictures[0]]]
    assert outcomes(found) == [printed for _, printed in expected]
    for one, (canonical, _) in zip(found, expected, strict=True):
        assert not isinstance(one, SeenitError)
        assert np.array_equal(one[0].preview, canonical.preview)
        assert one[0].large == canonical.large
        assert (one[0].width, one[0].height) == (canonical.width, canonical.height)


def test_children_extract_the_keypoints_that_this_process_would(
    decoders: DecoderPool, pictures: list[bytes]
) -> None:
    """Keypoints of stored previews, in input order; one that is damaged fails alone."""
    stored = [encode_preview(fingerprint(data, LIMITS)[0].preview) for data in pictures]
    found = decoders.keypoints([*stored, b"no preview", stored[0]], urgent=True)
    expected = [detail(decode_preview(preview)) for preview in stored]
    assert found[: len(stored)] == expected
    assert isinstance(found[-2], SeenitError)
    assert found[-1] == expected[0]


def test_killed_children_lose_no_keypoints(decoders: DecoderPool, pictures: list[bytes]) -> None:
    """Others extract the keypoints of the previews that they had in hand, and of all that wait."""
    preview = encode_preview(fingerprint(pictures[0], LIMITS)[0].preview)
    expected = detail(decode_preview(preview))
    decoders.keypoints([preview])
    with ThreadPoolExecutor(1) as thread:
        asked = thread.submit(decoders.keypoints, [preview] * 20)
        assert eventually(lambda: 0 < decoders._jobs.qsize() < 18)
        for child in children():
            child.kill()
        assert asked.result() == [expected] * 20


def test_a_child_answers_whatever_sockets_do_by_default() -> None:
    """Kombu sets a timeout for all new sockets while it waits: a child started then waits as well.

    A socket with a timeout would break off in the middle of an answer that is read late.
    """
    socket.setdefaulttimeout(5.0)
    try:
        child = ChildProcess("core.fingerprint.fingerprint:fingerprint", LIMITS)
    finally:
        socket.setdefaulttimeout(None)
    try:
        child.wait()
        send(child._line, DecodeRequest(data=jpeg(photo(7, 512, 512), 95)))
        assert select.select([child._line], [], [], 20.0)[0]
        time.sleep(0.3)  # its answer is larger than what the line holds: the rest has to wait
        assert isinstance(child._receive(time.monotonic() + 20.0), DecodeResult)
    finally:
        child.hang_up()


@LINUX
@pytest.mark.parametrize("formats", [BY_DEFAULT, FORMATS])
def test_a_child_loads_libheif_only_where_heic_is_on(formats: tuple[str, ...]) -> None:
    """Refused in parent and child alike where it is off; one child decodes all else."""
    limits = Limits(formats=formats)
    held = DecoderPool(limits, workers=1, work="tests.doubles.hostile_decoders:obey")
    try:
        found = dict(zip(FILES, held.fingerprint(list(FILES.values())), strict=True))
        (loaded,) = held.fingerprint([order(FILES["png"], "loaded pi_heif")])
        line = ChildProcess("core.fingerprint.fingerprint:fingerprint", limits)
        line.wait()
        asked = line.ask(DecodeRequest(data=FILES["heic"]), 20.0)
        line.hang_up()
    finally:
        held.close()
    refused = [name for name, one in found.items() if isinstance(one, SeenitError)]
    if formats == FORMATS:
        assert (refused, str(loaded), type(asked)) == ([], "True", DecodeResult)
        return
    assert (refused, str(loaded)) == (["heic"], "False")
    assert isinstance(asked, DecodeFailure)
    assert (asked.kind, asked.detail[:16]) == ("UnsupportedError", "HEIC is off here")


def test_no_pictures_need_no_child() -> None:
    """Nothing to do starts nothing."""
    held = DecoderPool(LIMITS, workers=1)
    assert held.fingerprint([]) == []
    held.close()


def test_bad_files_fail_alone(decoders: DecoderPool, pictures: list[bytes], tmp_path: Path) -> None:
    """Each gets its own error in words; the good ones between them are fingerprinted."""
    good = fingerprint(pictures[1], LIMITS)[1]
    found = decoders.fingerprint(
        [
            pictures[1],
            b"",
            b"<svg xmlns='http://www.w3.org/2000/svg'/>",
            pictures[0][: len(pictures[0]) // 2],
            tmp_path / "missing.jpg",
            order(pictures[0], "refuse it is green"),
            b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"
            b"\x00\x01\x00\x00\x00\x00\x01\x00" + b"\x08\x02" + bytes(7),
            pictures[1],
        ]
    )
    assert outcomes(found) == [
        good,
        (BrokenError, "the file is empty"),
        (
            UnsupportedError,
            f"SVG files are not read here; what is read: {titles(BY_DEFAULT)}",
        ),
        (BrokenError, "the file ends in the middle of the picture"),
        (BrokenError, "the file cannot be read (No such file or directory)"),
        (BrokenError, "it is green"),
        (
            TooLargeError,
            "the picture has 65536 by 256 pixels, that is 16.8 million; the limit is 10 million",
        ),
        good,
    ]


@pytest.mark.parametrize(
    ("attack", "words"),
    [
        pytest.param("abort", "it crashed its decoder (signal 6)", marks=LINUX),
        ("fail", "it crashed its decoder (a fault that the log names)"),
        ("spin", "decoding took over 3 s and was stopped"),
        pytest.param("exit", "it crashed its decoder (exit status 3)", marks=pytest.mark.hard),
        pytest.param("swallow", "decoding took over 3 s and was stopped", marks=pytest.mark.hard),
        pytest.param(
            "eat 2000000000", "decoding needed more than 1.5 GB and was stopped", marks=LINUX
        ),
    ],
)
def test_an_attack_costs_itself_alone(
    decoders: DecoderPool, pictures: list[bytes], attack: str, words: str
) -> None:
    """A picture that kills, stalls or starves its decoder gets an error; its neighbours pass."""
    evil = order(pictures[0], attack)
    found = decoders.fingerprint([*pictures[:3], evil, *pictures[3:], pictures[0]])
    good = [fingerprint(data, LIMITS)[1] for data in [*pictures, pictures[0]]]
    assert outcomes(found) == [*good[:3], (DecoderKilledError, words), *good[3:]]


@LINUX
def test_a_picture_that_needs_much_gets_it_alone(
    decoders: DecoderPool, pictures: list[bytes]
) -> None:
    """More than most pictures do with, less than the limit: decoded on a second try."""
    found = decoders.fingerprint([order(pictures[0], "eat 600000000")])
    assert outcomes(found) == [fingerprint(pictures[0], LIMITS)[1]]


def test_a_child_that_the_system_ends_is_replaced(
    decoders: DecoderPool, pictures: list[bytes]
) -> None:
    """The picture it was at is decoded by the next one: it was not to blame."""
    waiting = decoders.submit(order(pictures[0], "nap 1"))
    assert eventually(waiting.running)
    for child in children():
        child.kill()
    assert waiting.result()[1] == fingerprint(pictures[0], LIMITS)[1]
    for child in children():
        child.kill()
    found = decoders.fingerprint(pictures)
    assert outcomes(found) == [fingerprint(data, LIMITS)[1] for data in pictures]


def test_a_child_sees_no_secret(pictures: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """Code that takes over a child finds no key in its environment."""
    monkeypatch.setenv("SEENIT_API_KEYS", "secret")
    held = DecoderPool(LIMITS, workers=1, work="tests.doubles.hostile_decoders:obey")
    (seen,) = held.fingerprint([order(pictures[0], "see")])
    held.close()
    assert isinstance(seen, BrokenError)
    assert "PYTHONPATH" in seen.detail
    assert "SEENIT" not in seen.detail


@pytest.fixture(params=["both", "landlock_alone", "seccomp_alone"])
def lock(request: pytest.FixtureRequest) -> str:
    """Name the locks that a child has; a kernel may lack either."""
    return str(request.param)


SEMI_OPEN = {
    "landlock_alone": {
        *("fork", "limit the parent", "change the user", "run data as code"),
        *("send a datagram", "leave the name spaces"),
    },
    "seccomp_alone": set[str](),
    "both": set[str](),
}
"""Doors that one lock leaves open for a child of root; others are shut by its user's rights."""


@LINUX
def test_every_door_of_a_child_is_shut(lock: str, pictures: list[bytes], tmp_path: Path) -> None:
    """Code that takes over a child can compute, and write to its parent; each lock alone holds."""
    secret = tmp_path / "secret"
    secret.write_text("secret", encoding="utf-8")
    held = DecoderPool(LIMITS, workers=1, work=f"tests.doubles.locks_of_decoders:{lock}")
    (told,) = held.fingerprint([order(pictures[0], f"doors {secret}")])
    held.close()
    assert isinstance(told, BrokenError)
    found = msgspec.json.decode(told.detail, type=dict[str, str])
    assert {name for name, how in found.items() if how == "open"} <= SEMI_OPEN[lock], found
    assert secret.read_text(encoding="utf-8") == "secret"
    assert list(tmp_path.iterdir()) == [secret]


def test_without_a_limit_on_memory_it_works_and_says_so_once(
    pictures: list[bytes], caplog: pytest.LogCaptureFixture
) -> None:
    """Some machines let no address space be limited."""
    held = DecoderPool(LIMITS, workers=2, work="tests.doubles.unlimited_decoder:fingerprint")
    with caplog.at_level(logging.WARNING):
        found = held.fingerprint(pictures)
        held.close()
    assert outcomes(found) == [fingerprint(data, LIMITS)[1] for data in pictures]
    assert [
        (record.getMessage(), getattr(record, "missing", None)) for record in caplog.records
    ] == [("decoder_not_confined", ["memory: [Errno 1] not here"])]


def test_many_threads_share_them(decoders: DecoderPool, pictures: list[bytes]) -> None:
    """Each caller gets its own results, in its own order."""
    good = [fingerprint(data, LIMITS)[1] for data in pictures]
    found: dict[int, list[object]] = {}

    def call(shift: int) -> None:
        turned = pictures[shift:] + pictures[:shift]
        found[shift] = outcomes(list(decoders.fingerprint(turned)))

    threads = [threading.Thread(target=call, args=(shift,)) for shift in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {shift: good[shift:] + good[:shift] for shift in range(6)}


def test_an_urgent_picture_passes_those_that_wait(pictures: list[bytes]) -> None:
    """With one child, a check sent after twelve uploads is answered among the first."""
    held = DecoderPool(LIMITS, workers=1)
    ended: list[str] = []
    try:
        waiting = [held.submit(picture) for picture in pictures * 2]
        for future in waiting:
            future.add_done_callback(lambda _: ended.append("patient"))
        before = len(ended)
        urgent = held.submit(pictures[0], urgent=True)
        urgent.add_done_callback(lambda _: ended.append("urgent"))
        for future in [*waiting, urgent]:
            future.result(60)
    finally:
        held.close()
    assert before < 10, "it came too late to pass anything"
    assert ended.index("urgent") <= before + 2


def test_demanding_pictures_leave_a_lane_to_others(pictures: list[bytes]) -> None:
    """Others are decoded beside them; those that wait go on one after another, or fail at close."""
    held, data = DecoderPool(Limits(seconds=2.0), workers=2), many_scans(4000, 3000, 1000)
    try:
        held.fingerprint(pictures[:1])
        slow = [held.submit(data, urgent=True) for _ in range(3)]
        assert not isinstance(held.fingerprint(pictures[:1])[0], SeenitError)
        assert not any(future.done() for future in slow[1:])
        for future in slow[:2]:
            assert isinstance(future.exception(10), DecoderKilledError)
        assert not slow[2].done()
    finally:
        held.close()
    assert isinstance(slow[2].exception(1), UnavailableError)
