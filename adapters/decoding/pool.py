"""Pool of decoding children: a picture that crashes, stalls or fills memory fails alone.

One thread serves one child over a socket of their own: children share nothing, so one may die at
any moment, even in the middle of an answer, without an effect on the others.
"""

from __future__ import annotations

import atexit
import itertools
import logging
import os
import queue
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TypeVar

from msgspec.structs import replace

from adapters.decoding.child_process import ChildProcess, DecodingLane, Printed, StarvedError
from adapters.decoding.lane_reserve import LaneReserve
from adapters.decoding.messages import DecodeRequest
from core.errors import BrokenError, DecoderKilledError, SeenitError, UnavailableError
from core.fingerprint.keypoints import DetailKeypoints
from core.imaging.decode_cost import COSTLY_SECONDS, seconds
from core.imaging.decoding import inspect
from core.metrics import UNMETERED, Meter
from core.supervision import SupervisedThread
from core.types import Limits

logger = logging.getLogger(__name__)

_WORK = "core.fingerprint.fingerprint:fingerprint"
_MOST = 8
"""Largest default number of children: beyond that, embedding limits a machine."""
_LIGHT = 300_000_000
"""Address space in bytes above a child at rest that suffices for most pictures. A picture that
needs more is decoded alone, so that all children together use the limit once and this much for each
other."""
_BYTES_A_PIXEL = {"JPEG": 6, "GIF": 8, "BMP": 8, "PPM": 8}
"""Bytes per pixel for decoder and picture: a progressive JPEG holds all its coefficients."""
_BYTES_A_PIXEL_ELSE = 24
"""Bytes per pixel of other formats: WebP, AVIF and HEIF hold planes, canvas and picture; TIFF and
PNG may have 16 bits or masks."""
_LEAST = 1.0
"""Least seconds for the second attempt of a picture that used most of its time in the first."""
_URGENT, _PATIENT, _LAST = range(3)

T = TypeVar("T")


class _Waiting(NamedTuple):
    """A picture, or the stored preview of one, that waits for a child."""

    item: bytes | Path
    keypoints: bool
    future: Future[Any]
    """Gets the keypoints, else pixels and fingerprint."""


class _Demand(NamedTuple):
    """Whether a picture is likely to need little memory, and little time."""

    light: bool
    quick: bool


_Entry = tuple[int, int, "_Waiting | None"]
"""Priority, number, and a picture; None ends a lane."""


class DecoderPool:
    """Implements `Decoder` and `KeypointExtractor`; one object serves any number of threads.

    Children start with the first picture, `workers` of them (as many as there are cores, at most
    eight). `work` names the function they run, "module:name". Make it after forking, not before.
    """

    def __init__(
        self,
        limits: Limits,
        workers: int | None = None,
        work: str = _WORK,
        *,
        meter: Meter = UNMETERED,
    ) -> None:
        self._limits = limits
        self._work = work
        self._workers = workers or min(_MOST, _cores())
        self._jobs: queue.PriorityQueue[_Entry] = queue.PriorityQueue()
        self._reserve: LaneReserve[_Entry] = LaneReserve(self._workers)
        self._count = itertools.count()
        self._lanes: list[SupervisedThread] = []
        self._over = threading.Event()
        self._meter = meter
        self._children: set[ChildProcess] = set()
        self._guard = threading.Lock()
        self._heavy = threading.Lock()
        self._closed = False
        self._told = False

    def fingerprint(
        self, items: Sequence[bytes | Path], *, urgent: bool = False
    ) -> list[Printed | SeenitError]:
        """Decode and fingerprint in parallel; return results in input order, errors included.

        Urgent pictures go before all that wait, because a caller waits for the answer.
        """
        return _results([self.submit(item, urgent=urgent) for item in items])

    def keypoints(
        self, previews: Sequence[bytes], *, urgent: bool = False
    ) -> list[DetailKeypoints | SeenitError]:
        """Extract the keypoints of stored previews in parallel, in input order, errors included."""
        waiting: list[Future[DetailKeypoints]] = [Future() for _ in previews]
        for preview, future in zip(previews, waiting, strict=True):
            self._put(_Waiting(preview, keypoints=True, future=future), urgent=urgent)
        return _results(waiting)

    def submit(self, item: bytes | Path, *, urgent: bool = False) -> Future[Printed]:
        """Queue one picture; the future raises what `fingerprint` would return.

        Raise UnavailableError once closed.
        """
        future: Future[Printed] = Future()
        self._put(_Waiting(item, keypoints=False, future=future), urgent=urgent)
        return future

    def start(self) -> None:
        """Start the children now instead of with the first picture."""
        with self._guard:
            if not self._closed:
                self._open()

    def close(self) -> None:
        """End the children; their current and queued pictures fail as unavailable."""
        with self._guard:
            if self._closed:
                return
            self._closed = True
            self._over.set()
            for child in self._children:
                child.kill()
        atexit.unregister(self.close)
        for _ in self._lanes:
            self._jobs.put((_LAST, next(self._count), None))
        for lane in self._lanes:
            lane.join()
        left = self._reserve.drain()
        while not self._jobs.empty():  # where lanes had failed
            left.append(self._jobs.get())
        for _, _, job in left:
            if job is not None:
                job.future.set_exception(UnavailableError("the decoders were closed"))

    def _put(self, job: _Waiting, *, urgent: bool) -> None:
        with self._guard:
            if self._closed:
                raise UnavailableError("the decoders are closed")
            self._open()
            self._jobs.put((_URGENT if urgent else _PATIENT, next(self._count), job))

    def _open(self) -> None:
        if self._lanes:
            return
        atexit.register(self.close)
        for number in range(self._workers):
            name = f"decoder-{number}"
            lane = SupervisedThread(name, self._attend, self._over, meter=self._meter)
            self._lanes.append(lane)
            lane.start()

    def _attend(self) -> None:
        """Serve one lane until the pool closes."""
        lane = DecodingLane(self._limits, self._child, self._forget)
        try:
            lane.fill()
        except UnavailableError as error:
            if not self._closed:
                logger.warning("decoder_unavailable", extra={"reason": error.detail})
        while job := (entry := self._jobs.get())[2]:
            demand = self._demand(job)
            if isinstance(demand, SeenitError) or all(demand):
                self._serve(lane, job, demand)
            elif self._reserve.enter(entry):
                self._serve(lane, job, demand)
                for waiting in self._reserve.leave():
                    self._jobs.put(waiting)
        lane.drop()

    def _serve(self, lane: DecodingLane, job: _Waiting, demand: _Demand | SeenitError) -> None:
        future = job.future
        if not future.set_running_or_notify_cancel():
            return
        if isinstance(demand, SeenitError):
            future.set_exception(demand)
            return
        try:
            future.set_result(self._decode(lane, job, light=demand.light))
        except SeenitError as error:
            future.set_exception(error)
        except BaseException:  # a lane outlives whatever happens in it
            logger.exception("decoding_failed")
            future.set_exception(UnavailableError("decoding failed; the log says how"))

    def _decode(
        self, lane: DecodingLane, job: _Waiting, *, light: bool
    ) -> Printed | DetailKeypoints:
        if self._closed:
            raise UnavailableError("the decoders were closed")
        if isinstance(job.item, bytes):
            asked = DecodeRequest(data=job.item, keypoints=job.keypoints)
            return self._run(lane, asked, light=light)
        with _opened(job.item) as file:
            return self._run(lane, DecodeRequest(), file.fileno(), light=light)

    def _run(
        self, lane: DecodingLane, asked: DecodeRequest, file: int | None = None, *, light: bool
    ) -> Printed | DetailKeypoints:
        """Process a picture among others if it is light, else or if that fails alone."""
        seconds = self._limits.seconds
        if light:
            begun = time.monotonic()
            try:
                return lane.run(replace(asked, extra=_LIGHT), seconds, file)
            except StarvedError:
                logger.info("decoding_alone", extra={"reason": "more memory than most, or a crash"})
                seconds = max(_LEAST, seconds - (time.monotonic() - begun))
        with self._heavy:
            try:
                return lane.run(asked, seconds, file)
            except StarvedError as starved:
                if starved.cause:
                    said = f"it crashed its decoder ({starved.cause})"
                else:
                    most = self._limits.memory / 1e9
                    said = f"decoding needed more than {most:.3g} GB and was stopped"
                raise DecoderKilledError(said) from None

    def _demand(self, job: _Waiting) -> _Demand | SeenitError:
        """Return what a picture needs, by its header, or the error of a header that is refused."""
        if job.keypoints:
            return _Demand(light=True, quick=True)
        try:
            with _readable():
                header = inspect(job.item, self._limits)
                quick = seconds(header, job.item) < COSTLY_SECONDS
        except SeenitError as error:
            return error
        except Exception:  # the lane's edge
            logger.exception("decoding_failed")
            return UnavailableError("decoding failed; the log says how")
        each = _BYTES_A_PIXEL.get(header.format, _BYTES_A_PIXEL_ELSE)
        return _Demand(light=header.width * header.height * each < _LIGHT, quick=quick)

    def _child(self) -> ChildProcess:
        """Start a child and wait until it is ready. Raise UnavailableError."""
        with self._guard:
            if self._closed:
                raise UnavailableError("the decoders were closed")
            try:
                child = ChildProcess(self._work, self._limits)
            except OSError as error:
                raise UnavailableError(f"a decoder cannot be started ({error})") from error
            self._children.add(child)
        try:
            missing = child.wait()
        except UnavailableError:
            child.hang_up()
            self._forget(child)
            raise
        if missing and not self._told:
            self._told = True
            logger.warning("decoder_not_confined", extra={"missing": list(missing)})
        return child

    def _forget(self, child: ChildProcess) -> None:
        with self._guard:
            self._children.discard(child)


def lacking(limits: Limits) -> tuple[str, ...]:
    """Start a child and return the limits that it lacks. Raise UnavailableError."""
    child = ChildProcess(_WORK, limits)
    try:
        return child.wait()
    finally:
        child.hang_up()


@contextmanager
def _readable() -> Iterator[None]:
    """Translate the error of a file that cannot be read into BrokenError."""
    try:
        yield
    except OSError as error:
        raise BrokenError(f"the file cannot be read ({error.strerror})") from error


def _opened(path: Path) -> BinaryIO:
    """Open a file for a child, which cannot. Raise BrokenError."""
    with _readable():
        return path.open("rb")


def _results(futures: Sequence[Future[T]]) -> list[T | SeenitError]:
    """Wait for all of them; return results in order, errors included."""
    found: list[T | SeenitError] = []
    for future in futures:
        try:
            found.append(future.result())
        except SeenitError as error:
            found.append(error)
    return found


def _cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
