"""Hostile files: each gets a verdict or a problem that a person understands; others are served."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from operator import itemgetter
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.service import Service, serving
from tests.samples.pictures import jpeg, photo

LONGEST_SECONDS = 10.0
MOST_BYTES = 1_500_000_000


def plain(problem: dict[str, Any]) -> None:
    """Check that a problem has a status below 500 and no class name or path in its text."""
    assert 400 <= problem["status"] < 500, problem
    assert problem["title"]
    assert problem["detail"]
    for bare in ("Error", "Traceback", "object at 0x", "/tmp", "b'"):
        assert bare not in problem["detail"], problem


def ended(service: Service, data: bytes, name: str) -> dict[str, Any]:
    """Upload and wait: the item as its job answers it, or the problem."""
    answer = service.upload([(name, data)], wait=60)
    body: dict[str, Any] = answer.json()
    if answer.status_code >= 400:
        assert answer.headers["content-type"] == "application/problem+json"
        plain(body)
        return body
    assert answer.status_code == 200, (name, answer.text)
    (item,) = body["items"]
    if item["status"] == "failed":
        plain(item["error"])
    else:
        assert item["verdict"]["kind"] in ("exact", "near_duplicate", "similar", "new")
    return dict(item)


def _upload(service: Service, data: bytes) -> None:
    ended(service, data, "odd.jpg")


def checked(service: Service, data: bytes) -> None:
    """Check a file: expect a verdict or a plain problem."""
    answer = service.check(data)
    assert answer.status_code < 500, answer.text
    if answer.status_code != 200:
        plain(answer.json())


def test_bad_files_among_good_ones_in_one_request(tmp_path: Path) -> None:
    """The good are accepted and settled; each bad one has its own problem, in its place."""
    good = [jpeg(photo(seed, 200, 150), 90) for seed in range(3)]
    files = [
        ("a.jpg", good[0]),
        ("empty.jpg", b""),
        ("b.jpg", good[1]),
        ("text.jpg", b"just words, no picture"),
        ("short.jpg", good[2][: len(good[2]) // 2]),
        ("c.jpg", good[2]),
    ]
    with serving(tmp_path / "data") as service:
        answer = service.upload(files, wait=60)
        assert answer.status_code == 200, answer.text
        items = answer.json()["items"]
        told = [
            item["error"]["status"] if "job_id" not in item else item["status"] for item in items
        ]
        assert told == ["done", 422, "done", 415, "failed", "done"]
        plain(items[4]["error"])
        assert items[4]["error"]["status"] == 422


@pytest.mark.hard
@pytest.mark.timeout(900)
def test_every_odd_file_gets_an_answer(tmp_path: Path, shared: Path) -> None:
    """Upload and check each: no 500, none over 10 s, 1.5 GB at most, others served meanwhile."""
    files = sorted(path for path in (shared / "photos" / "hard").rglob("*") if path.is_file())
    assert len(files) > 500
    slowest = ("", 0.0)
    waits: list[float] = []
    with serving(tmp_path / "data") as service:
        service.upload([("warm.jpg", jpeg(photo(1), 90))], wait=60)
        idle = service.memory()
        most = [idle]
        stop = threading.Event()

        def watch() -> None:
            while not stop.wait(0.1):
                most[0] = max(most[0], service.memory())
                before = time.monotonic()
                assert service.client.get("/v1/stats").status_code == 200
                waits.append(time.monotonic() - before)

        with ThreadPoolExecutor(1) as pool:
            watching = pool.submit(watch)
            try:
                for path in files:
                    data = path.read_bytes()
                    for act in (_upload, checked):
                        before = time.monotonic()
                        act(service, data)
                        took = time.monotonic() - before
                        slowest = max(slowest, (path.name, took), key=itemgetter(1))
            finally:
                stop.set()
            watching.result()
    assert slowest[1] <= LONGEST_SECONDS, slowest
    assert most[0] - idle <= MOST_BYTES
    assert max(waits) <= LONGEST_SECONDS
