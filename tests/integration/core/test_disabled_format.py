"""HEIC turned off under a service that had accepted it: nothing stalls, what is stored stays."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from adapters import wiring
from adapters.settings import Settings
from api.app import create_app
from core.image_formats import BY_DEFAULT, FORMATS
from tests.doubles.toy_embedder import ToyEmbedder
from tests.samples.image_files import HEIC, HEIC_TURNED
from tests.samples.pictures import photo, png
from worker.embedded import EmbeddedEngine

GOOD = png(photo(1, 96, 64))
OFF = (
    "HEIC is off here; what is read: JPEG, PNG, GIF, WebP, AVIF, TIFF, BMP, PPM. "
    "Send the picture as one of these, or have the operator add heic to SEENIT_FORMATS"
)


@contextmanager
def running(
    folder: Path, formats: tuple[str, ...], *, engine: bool = True
) -> Iterator[TestClient[Litestar]]:
    """Run a service on a folder, with or without an engine that settles uploads."""
    services = wiring.build(
        Settings(
            data=folder,
            model="none",
            caption_model="none",
            durable=False,
            decoders=1,
            formats=formats,
        ),
        visual=ToyEmbedder(),
    )
    settling = EmbeddedEngine(services) if engine else None
    if settling is not None:
        settling.start()
        assert settling.wait(60)
    with TestClient(create_app(services)) as client:
        yield client
    if settling is not None:
        settling.close()
    services.close()


def upload(client: TestClient[Litestar], data: bytes, wait: int = 60) -> str:
    """Upload a picture; its id."""
    answer = client.post(f"/v1/images?wait={wait}", files={"file": ("a.heic", data)})
    assert answer.status_code in (200, 202), answer.text
    return str(answer.json()["items"][0]["image_id"])


def until(ask: Callable[[], Any], holds: Callable[[Any], bool]) -> Any:  # noqa: ANN401  # any answer
    """Repeat until it holds, for half a minute at most: an index follows the log by a moment."""
    last = time.monotonic() + 30
    while not holds(answer := ask()):
        assert time.monotonic() < last, answer
        time.sleep(0.02)
    return answer


def ended(client: TestClient[Litestar], job_id: str) -> dict[str, Any]:
    """Wait until a job has ended, and return it."""
    found: dict[str, Any] = until(
        lambda: client.get(f"/v1/jobs/{job_id}").json(),
        lambda job: job["status"] in ("done", "failed"),
    )
    return found


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, list[str]]:
    """Return a folder with a stored HEIC picture, and pending uploads of HEIC and PNG."""
    folder = tmp_path_factory.mktemp("formats")
    with running(folder, FORMATS) as client:
        stored = upload(client, HEIC_TURNED)
    with running(folder, FORMATS, engine=False) as client:
        waiting = [upload(client, data, 0) for data in (HEIC, GOOD, HEIC + b"\0")]
    return folder, stored, waiting


def test_heic_that_waits_fails_and_what_is_stored_is_served(
    left: tuple[Path, str, list[str]],
) -> None:
    """A job of each HEIC ends with the 415 that an upload gets; its neighbour is done."""
    folder, stored, waiting = left
    with running(folder, BY_DEFAULT) as client:
        jobs = [ended(client, one) for one in waiting]
        assert [job["status"] for job in jobs] == ["failed", "done", "failed"]
        for job in (jobs[0], jobs[2]):
            assert (job["error"]["status"], job["error"]["detail"]) == (415, OFF)
        retried = until(
            lambda: client.post(f"/v1/jobs/{waiting[0]}/retry"),
            lambda answer: answer.status_code != 409,
        )
        assert (retried.status_code, retried.json()["detail"]) == (415, OFF)
        until(
            lambda: {one["image_id"] for one in client.get("/v1/images").json()["items"]},
            lambda listed: listed == {stored, waiting[1]},
        )
        assert client.get(f"/v1/images/{stored}/content").content == HEIC_TURNED
        preview = client.get(f"/v1/images/{stored}/content?size=preview")
        assert (preview.status_code, preview.headers["content-type"]) == (200, "image/jpeg")
        assert client.get(f"/v1/images/{stored}/similar").status_code == 200
    with running(folder, FORMATS) as client:
        again = client.post(f"/v1/jobs/{waiting[0]}/retry").json()
        assert ended(client, again["job_id"])["status"] == "done"


def test_every_door_refuses_alike(tmp_path: Path) -> None:
    """Upload beside a good picture, upload alone, check, search and prompt by file."""
    file = {"file": ("a.heic", HEIC)}
    with running(tmp_path, BY_DEFAULT) as client:
        both = [("file", ("a.png", GOOD)), ("file", ("a.heic", HEIC))]
        items = client.post("/v1/images?wait=60", files=both).json()["items"]
        assert items[0]["status"] == "done"
        assert (items[1]["error"]["status"], items[1]["error"]["detail"]) == (415, OFF)
        for path in ("/v1/images", "/v1/check", "/v1/search", "/v1/rag/context"):
            answer = client.post(path, files=file)
            assert (answer.status_code, answer.json()["type"], answer.json()["detail"]) == (
                *(415, "/problems/unsupported"),
                OFF,
            ), path
        assert len(client.get("/v1/jobs").json()["items"]) == 1
