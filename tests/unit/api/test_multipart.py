"""Multipart bodies as they come over the wire: broken, odd and hostile ones."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from litestar import Litestar
from litestar.testing import TestClient

from api.app import create_app
from api.multipart import CHUNK, TEXT, TEXTS, FormLimits, FormReceiver, ReceivedForm
from api.upload_spool import UploadSpool
from core.errors import MalformedError, SeenitError, TooLargeError
from core.ingest.accept import Upload
from tests.doubles.small_service import Service
from tests.samples.pictures import photo, png

PICTURE = png(photo(3, 64, 48))
TYPE = "multipart/form-data; boundary=XX"


def part(name: str, data: bytes, more: str = '; filename="a.png"') -> bytes:
    """Return one part of a form."""
    head = f'--XX\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'
    return head.encode() + data + b"\r\n"


END = b"--XX--\r\n"


def post(client: TestClient[Litestar], body: bytes | Iterator[bytes], kind: str = TYPE) -> Any:  # noqa: ANN401  # a response
    """Send a body as it is."""
    return client.post("/v1/images", content=body, headers={"Content-Type": kind})


def test_a_form_without_names_or_with_odd_ones_is_taken(client: TestClient[Litestar]) -> None:
    """No file name, a path, control characters, and one that is too long."""
    names = ["", '; filename="C:\\dir\\ä.png"', '; filename="../../etc/passwd"']
    names += [f'; filename="{"x" * 400}.png"', '; filename="a%0D%0Ab.png"']
    body = b"".join(part("file", PICTURE, name) for name in names) + END
    items = post(client, body).json()["items"]
    told = [client.get(f"/v1/images/{item['image_id']}").json()["filename"] for item in items]
    assert told == [None, "ä.png", "passwd", "x" * 255, "ab.png"]


@pytest.mark.parametrize(
    ("body", "kind", "status", "field"),
    [
        (b"{}", "application/json", 415, "Content-Type"),
        (b"a=b", "application/x-www-form-urlencoded", 415, "Content-Type"),
        (b"", "", 415, "Content-Type"),
        (b"", "multipart/form-data", 400, "Content-Type"),
        (b"", TYPE, 400, None),
        (b"nothing of the kind", TYPE, 400, None),
        (END, TYPE, 400, "file"),
        (part("title", b"x", "") + END, TYPE, 400, "file"),
        (part("file", PICTURE), TYPE, 400, None),
        (part("file", PICTURE)[:-20], TYPE, 400, None),
        (b"--XX\r\n\r\nx\r\n" + END, TYPE, 400, None),
        (b"--XX\r\n" + b"A: b\r\n" * 9 + b"\r\nx\r\n" + END, TYPE, 400, None),
        (b"--XX\r\nA: " + b"b" * 9000 + b"\r\n\r\nx\r\n" + END, TYPE, 400, None),
        (part("", b"x", "") + END, TYPE, 400, ""),
        (part("files", PICTURE) + END, TYPE, 400, "files"),
        (part("title", b"x", '; filename="a.txt"') + END, TYPE, 400, "title"),
        (part("title", b"\xff", "") + END, TYPE, 400, "title"),
        (part("title", b"x" * (TEXT + 1), "") + END, TYPE, 400, "title"),
        (part("tags", b"x", "") * (TEXTS + 1) + END, TYPE, 400, "tags"),
        (part("file", PICTURE) * 101 + END, TYPE, 400, "file"),
    ],
)
def test_a_form_that_cannot_be_understood(  # noqa: PLR0917  # fixtures and a row of the table
    client: TestClient[Litestar],
    service: Service,
    body: bytes,
    kind: str,
    status: int,
    field: str | None,
) -> None:
    """A problem that names what is wrong; nothing is accepted, nothing stays on the disk."""
    response = post(client, body, kind)
    told = response.json()
    assert (response.status_code, told.get("field")) == (status, field)
    assert client.get("/v1/jobs").json()["items"] == []
    assert list((service.settings.data / "spool").iterdir()) == []


def test_a_hundred_parts_are_taken(client: TestClient[Litestar]) -> None:
    """The most there may be."""
    response = post(client, part("file", PICTURE) * 100 + END)
    assert (response.status_code, len(response.json()["items"])) == (202, 100)


def test_a_request_is_bounded_as_a_whole(client: TestClient[Litestar], service: Service) -> None:
    """The announced length counts, and the received one, in pieces of any size."""
    most = 100 * int(service.settings.max_bytes) + 1024 * 1024
    announced = {"Content-Type": TYPE, "Content-Length": str(most + 1)}
    response = client.post("/v1/images", content=b"", headers=announced)
    assert (response.status_code, response.json()["type"]) == (413, "/problems/too-large")

    def endless() -> Iterator[bytes]:
        yield part("file", b"")[:-2]
        for _ in range(most // 65_536 + 1):
            yield b"x" * 65_536

    response = post(client, endless())
    assert (response.status_code, response.json()["type"]) == (413, "/problems/too-large")


def test_a_full_disk_is_told(client: TestClient[Litestar], service: Service) -> None:
    """503 with Retry-After: it is the service's trouble, not the caller's."""
    spool = service.settings.data / "spool"
    spool.rmdir()
    try:
        response = post(client, part("file", PICTURE) + END)
    finally:
        spool.mkdir()
    assert (response.status_code, response.headers["retry-after"]) == (503, "5")


def test_nothing_is_written_on_a_full_disk(
    client: TestClient[Litestar], service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """503 with Retry-After before the body is read; readiness reports the same."""
    monkeypatch.setattr(service.blobs, "free", lambda: 1_000_000)
    monkeypatch.setattr("api.routes.uploads.received", None)
    for body in (part("file", PICTURE) + END, b"no form"):
        response = post(client, body)
        assert (response.status_code, response.headers["retry-after"]) == (503, "5")
        assert response.json()["detail"].startswith("the disk is full")
    ready = client.get("/health/ready")
    assert (ready.status_code, ready.headers["retry-after"]) == (503, "5")
    image_id = "01900000-0000-7000-8000-000000000000"
    assert client.delete(f"/v1/images/{image_id}").status_code == 404


def test_a_full_backlog_is_told(tmp_path: Path) -> None:
    """503 with Retry-After and its own type, unless it is a repeat; deletes go through."""
    service = Service(tmp_path, backlog=2)
    with TestClient(create_app(service)) as client:
        key = {"Content-Type": TYPE, "Idempotency-Key": "k"}
        body = part("file", PICTURE) + END
        first = client.post("/v1/images", content=body, headers=key).json()["items"][0]
        service.queue.paused = True
        for _ in range(2):
            assert post(client, body).status_code == 202
        service.moment = 1.0
        response = post(client, body)
        assert (response.status_code, response.headers["retry-after"]) == (503, "10")
        assert response.json()["type"] == "/problems/backlog"
        again = client.post("/v1/images", content=body, headers=key)
        assert (again.status_code, again.json()["items"][0]["image_id"]) == (202, first["image_id"])
        service.queue.run()
        service.queue.paused = False
        service.queue.held += [("t", "x"), ("t", "y")]
        service.queue.paused = True
        assert client.delete(f"/v1/images/{first['image_id']}").status_code == 503  # waits, is kept
        assert len(service.queue.held) == 3
        service.queue.down, service.moment = True, 2.0
        assert post(client, body).status_code == 202
    service.close()


def test_folders_of_killed_processes_are_taken_away(tmp_path: Path) -> None:
    """Old ones; a young one may be in use by another process."""
    old, young = tmp_path / "spool" / "old", tmp_path / "spool" / "young"
    for folder in (old, young):
        folder.mkdir(parents=True)
        (folder / "0").write_bytes(b"x")
    os.utime(old, (0, 0))
    asyncio.run(UploadSpool(tmp_path / "spool").tidy())
    assert [folder.name for folder in (tmp_path / "spool").iterdir()] == ["young"]


def read(folder: Path, body: bytes, cuts: list[int], limit: int = 10**9) -> ReceivedForm:
    """Return the form that a receiver makes of a body in pieces."""

    async def pieces() -> Any:  # noqa: ANN401  # an async generator
        places = sorted({min(cut, len(body)) for cut in cuts} | {0, len(body)})
        for start, end in itertools.pairwise(places):
            yield body[start:end]

    bounds = FormLimits(100, limit, frozenset({"title", "tags"}))
    return asyncio.run(FormReceiver(folder, bounds, asyncio.to_thread).read(pieces(), "XX"))


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.binary(max_size=300), max_size=4), st.lists(st.integers(0, 2000), max_size=12))
def test_files_are_the_same_however_they_are_cut(
    tmp_path: Path, files: list[bytes], cuts: list[int]
) -> None:
    """Bytes, both digests and order, and the fields between them."""
    body = part("title", b"t", "") + b"".join(part("file", data) for data in files)
    body += part("tags", b"a", "") + part("tags", b"b", "") + END
    form = read(tmp_path, body, cuts)
    assert form.texts == {"title": ["t"], "tags": ["a", "b"]}
    assert [
        (file.path.read_bytes(), file.sha256, file.md5, file.bytes)
        for file in form.files
        if isinstance(file, Upload)
    ] == [
        (
            data,
            hashlib.sha256(data).hexdigest(),
            hashlib.md5(data, usedforsecurity=False).hexdigest(),
            len(data),
        )
        for data in files
    ]
    for path in tmp_path.iterdir():
        path.unlink()


def test_a_large_file_is_refused_alone_and_leaves_the_disk(tmp_path: Path) -> None:
    """It is read to its end, so that the next part is found; the limit itself is allowed."""
    limit = 2 * CHUNK + 7
    sizes = [limit + 1, limit, 3]
    body = b"".join(part("file", b"x" * size) for size in sizes) + END
    form = read(tmp_path, body, list(range(0, len(body), 65_536)), limit)
    assert [type(file) if isinstance(file, SeenitError) else file.bytes for file in form.files] == [
        TooLargeError,
        limit,
        3,
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1", "2"]


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_no_body_makes_it_stumble(tmp_path: Path, data: st.DataObject) -> None:
    """Any body is a form or one of our errors."""
    whole = part("title", b"t", "") + part("file", b"x" * 50) + part("file", b"y", "") + END
    body = bytearray(whole)
    for _ in range(data.draw(st.integers(0, 6))):
        at = data.draw(st.integers(0, len(body) - 1))
        match data.draw(st.integers(0, 2)):
            case 0:
                body[at] = data.draw(st.integers(0, 255))
            case 1:
                del body[at : at + data.draw(st.integers(1, 9))]
            case _:
                body[at:at] = data.draw(st.sampled_from([b"\r\n", b"--XX", b"\x00", b'"', b"\n"]))
        body = body or bytearray(b"x")
    try:
        form = read(tmp_path, bytes(body), data.draw(st.lists(st.integers(0, 400), max_size=5)))
    except MalformedError:
        return
    assert len(form.files) == len(form.names)
