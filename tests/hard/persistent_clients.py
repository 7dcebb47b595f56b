"""Clients that go on uploading whatever befalls the service, and what must be true at the end."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

import httpx

from tests.e2e.fleet import Fleet
from tests.e2e.test_serial import mixture, verdicts
from tests.hard.serial_run import serial

COUNT = int(os.environ.get("SEENIT_TEST_UPLOADS", "150"))
"""Uploads of each test. Most of a test's time is the serial run of the same files at its end."""
STRETCH = 500 / COUNT
"""Pauses grow as uploads get fewer, so that uploads go on as long as faults do."""
CLIENTS = 2


class Uploads:
    """Files sent by a few clients, each with a key of its own, sent again until it is accepted."""

    def __init__(self, running: Fleet, count: int, seed: int, every: float = 0.0) -> None:
        """Prepare the uploads; a client pauses `every` seconds, to stretch them over a fault."""
        self.files = mixture(count, seed)
        self.told: dict[int, str] = {}
        self.seconds: list[float] = []
        """Response times of all requests."""
        self.refused: list[str] = []
        self._running = running
        self._every = every * STRETCH
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=self._send, args=(n,), daemon=True) for n in range(CLIENTS)
        ]

    @property
    def left(self) -> int:
        """Files not accepted yet."""
        return len(self.files) - len(self.told)

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def join(self, seconds: float = 300.0) -> None:
        """Wait until every file is accepted."""
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        assert len(self.told) == len(self.files), f"{len(self.told)} accepted"

    def _send(self, first: int) -> None:
        url = self._running.urls[first % len(self._running.urls)]
        with httpx.Client(base_url=url, timeout=60.0) as client:
            for n in range(first, len(self.files), CLIENTS):
                while not self._over.is_set() and n not in self.told:
                    self._one(client, n)
                    self._over.wait(self._every)

    def _one(self, client: httpx.Client, n: int) -> None:
        began = time.perf_counter()
        try:
            answer = client.post(
                "/v1/images",
                files={"file": (f"{n}.jpg", self.files[n])},
                headers={"Idempotency-Key": f"key-{n}"},
            )
        except httpx.TransportError:
            self._over.wait(0.05)
            return
        self.seconds.append(time.perf_counter() - began)
        if answer.status_code == httpx.codes.ACCEPTED:
            self.told[n] = answer.json()["items"][0]["image_id"]
        else:
            self.refused.append(answer.text)
            self._over.wait(float(answer.headers.get("Retry-After", "1")))


def endure(
    running: Fleet,
    folder: Path,
    harm: Callable[[Uploads], None],
    *,
    seed: int,
    count: int = COUNT,
    every: float = 0.0,
    refusals: bool = False,
    settle_seconds: float = 240.0,
) -> Uploads:
    """Upload while `harm` is done; then all is settled once, as in the serial run.

    Without `refusals` every upload must have been accepted at the first try, and 19 of 20 in under
    a second: two cores carry the clients and all else, and what hangs is met by hundreds.
    """
    with Uploads(running, count, seed, every) as uploads:
        harm(uploads)
        uploads.join()
    if not refusals:
        assert uploads.refused == []
        assert quantile(uploads.seconds, 0.95) < 1.0, f"slowest: {sorted(uploads.seconds)[-30:]}"
    running.settled(settle_seconds)
    equals(running, folder, uploads)
    return uploads


def equals(running: Fleet, folder: Path, uploads: Uploads) -> None:
    """Check that every upload is settled once, with the verdict of the serial run."""
    running.once(uploads.told)
    place = {image_id: n for n, image_id in uploads.told.items()}
    order = [place[image_id] for image_id in running.order()]
    found = verdicts(running, place)
    assert sorted(found) == sorted(place.values())
    data = folder / "serial"
    data.mkdir(parents=True)
    assert found == serial(data, uploads.files, order)


def quantile(values: Sequence[float], share: float) -> float:
    """Return a quantile of the values."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]
