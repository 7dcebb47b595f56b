"""Children of the decoder pool as it starts, closes or dies."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import textwrap

import psutil
import pytest

from adapters.decoding.pool import DecoderPool
from core.errors import UnavailableError
from core.types import Limits
from tests.doubles.hostile_decoders import order
from tests.integration.adapters.decoding.decoder_children import children, eventually

LIMITS = Limits(seconds=3.0, pixels=10_000_000)


def test_closing_ends_children_and_work(pictures: list[bytes]) -> None:
    """Running and waiting work fails as unavailable, no process stays, closing twice is safe."""
    held = DecoderPool(Limits(), workers=1, work="tests.doubles.hostile_decoders:obey")
    before = {child.pid for child in children()}
    stuck = [held.submit(order(pictures[0], "spin")), held.submit(pictures[1])]
    assert eventually(stuck[0].running)
    held.close()
    held.close()
    assert [type(future.exception(60)) for future in stuck] == [UnavailableError] * 2
    assert {child.pid for child in children()} <= before
    with pytest.raises(UnavailableError):
        held.submit(pictures[0])


def test_a_child_that_cannot_start_is_told(
    pictures: list[bytes], caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """Unavailable, to be tried again; the reason is on standard error."""
    held = DecoderPool(LIMITS, workers=1, work="tests.doubles.hostile_decoders:missing")
    with caplog.at_level(logging.WARNING):
        (found,) = held.fingerprint([pictures[0]])
    held.close()
    assert isinstance(found, UnavailableError)
    assert "a decoder did not start" in found.detail
    assert "missing" in capfd.readouterr().err


PARENT = """
    import signal, sys, time
    from adapters.decoding.pool import DecoderPool
    from core.types import Limits
    from tests.doubles.hostile_decoders import order
    from tests.samples.pictures import jpeg, photo

    picture = jpeg(photo(0, 320, 240))
    work = "tests.doubles.hostile_decoders:obey"
    decoders = DecoderPool(Limits(seconds=60), workers=2, work=work)
    decoders.fingerprint([picture] * 4)
    {then}
"""


def run(then: str) -> subprocess.Popen[str]:
    """Start a process of its own that uses decoders, and return it."""
    paths = os.pathsep.join(path for path in sys.path if path)
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(PARENT).format(then=then)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": paths},
        start_new_session=True,
    )


@pytest.mark.parametrize("work", ["None", 'decoders.submit(order(picture, "spin"))'])
def test_children_die_with_their_parent(work: str) -> None:
    """Kill -9 of the parent leaves no child, idle or busy, and nothing on standard error."""
    parent = run(f"{work}; time.sleep(0.1); print('up', flush=True); time.sleep(60)")
    assert parent.stdout is not None
    assert parent.stdout.readline() == "up\n"
    left = psutil.Process(parent.pid).children(recursive=True)
    assert len(left) == 2
    parent.kill()
    _, errors = parent.communicate()
    assert eventually(lambda: not any(child.is_running() for child in left))
    assert errors == ""


def test_a_parent_may_end_without_closing() -> None:
    """At the interpreter's end children are ended too: quietly, and at once."""
    parent = run("print('done', flush=True)")
    assert parent.communicate(timeout=60) == ("done\n", "")
    assert parent.returncode == 0


def test_ctrl_c_reaches_the_parent_alone() -> None:
    """An interrupt of the whole terminal prints the parent's own words and no child's."""
    parent = run(
        "hits = []\n"
        "signal.signal(signal.SIGINT, lambda *_: hits.append(1))\n"
        "print('up', flush=True)\n"
        "while not hits: time.sleep(0.01)\n"
        "print(len(decoders.fingerprint([picture] * 3)))"
    )
    assert parent.stdout is not None
    assert parent.stdout.readline() == "up\n"
    os.killpg(parent.pid, signal.SIGINT)
    assert parent.communicate(timeout=60) == ("3\n", "")
