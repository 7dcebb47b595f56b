from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from adapters.decoding.pool import DecoderPool
from core.errors import InputError, SeenitError
from core.fingerprint.phash import hamming
from core.imaging.decoding import inspect
from core.types import Canonical, Fingerprint, Header, Limits

pytestmark = [pytest.mark.hard, pytest.mark.timeout(600)]
LIMITS = Limits()


@pytest.fixture(scope="module")
def decoders() -> Iterator[DecoderPool]:
    """Two children within the shipped limits."""
    held = DecoderPool(LIMITS, workers=2)
    held.start()
    yield held
    held.close()


def resident() -> int:
    """Return the bytes of memory of this process and its children."""
    processes = [psutil.Process(), *psutil.Process().children(recursive=True)]
    total = 0
    for process in processes:
        try:
            total += process.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total


def look(path: Path) -> Header | SeenitError:
    """Return the header that is read at accept, or the error."""
    try:
        return inspect(path, LIMITS)
    except SeenitError as error:
        return error


def test_every_hard_file_is_a_picture_or_a_reason(shared: Path, decoders: DecoderPool) -> None:
    """One at a time: within ten seconds and 1.5 GB, a fingerprint or an error in words.

    Measured: half a second and 91 MB, on two cores that had much else to do.
    """
    files = sorted(path for path in (shared / "photos" / "hard").rglob("*") if path.is_file())
    assert len(files) > 900
    decoders.fingerprint(files[:2])
    idle = resident()
    outcomes: Counter[str] = Counter()
    slowest, most = 0.0, 0
    for path in files:
        begun = time.monotonic()
        header = look(path)
        (found,) = decoders.fingerprint([path])
        slowest, most = max(slowest, time.monotonic() - begun), max(most, resident() - idle)
        if isinstance(found, SeenitError):
            assert isinstance(found, InputError), (path, found)
            assert found.detail, path
            if isinstance(header, SeenitError):
                assert (type(header), str(header)) == (type(found), str(found))
        else:
            assert not isinstance(header, SeenitError), path
        outcomes[type(found).__name__] += 1
    told = f"{dict(outcomes)}, slowest {slowest:.2f} s, at most {most / 1e6:.0f} MB above idle"
    logging.getLogger(__name__).info("%s", told)
    assert outcomes["tuple"] > 500
    assert slowest < 10
    assert most < 1.5e9


def test_all_hard_files_at_once_are_the_same(shared: Path, decoders: DecoderPool) -> None:
    """In one batch each gets what it gets alone: none fails for its neighbour."""
    files = sorted(path for path in (shared / "photos" / "hard").rglob("*") if path.is_file())
    once, again = decoders.fingerprint(files), decoders.fingerprint(list(reversed(files)))
    for path, one, other in zip(files, once, reversed(again), strict=True):
        if isinstance(one, SeenitError) or isinstance(other, SeenitError):
            assert str(one) == str(other), path
        else:
            assert one[1] == other[1], path


@pytest.mark.parametrize("name", ["Landscape", "Portrait"])
def test_exif_sets_look_alike(shared: Path, decoders: DecoderPool, name: str) -> None:
    """Nine files, nine orientations, one upright picture."""
    files = sorted((shared / "photos" / "exif").glob(f"{name}_?.jpg"))
    assert len(files) == 9
    found: list[tuple[Canonical, Fingerprint]] = []
    for one in decoders.fingerprint(files):
        assert not isinstance(one, SeenitError)
        found.append(one)
    first, printed = found[0]
    for canonical, other in found[1:]:
        assert (canonical.width, canonical.height) == (first.width, first.height)
        assert hamming(printed.phash, other.phash) <= 2
        assert hamming(printed.pdq, other.pdq) <= 16
        assert np.abs(canonical.preview.astype(int) - first.preview).mean() < 6
