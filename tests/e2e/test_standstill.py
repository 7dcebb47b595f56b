"""Faults that once stopped the engine for good, with uploads answered 202 and no log line."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from adapters.blobs.directory import DirectoryBlobs
from tests.backends.server_process import free_ports
from tests.doubles import tiny_models
from tests.e2e.command import ran_here
from tests.e2e.fleet import Process
from tests.e2e.service import Service, serving
from tests.e2e.talking import until
from tests.samples.pictures import photo, png

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"a" * 64 + b"\nsize 600\n"


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a tiny model that loads."""
    pytest.importorskip("torch")
    return tiny_models.clip(tmp_path_factory.mktemp("clip"))


def test_a_lock_that_cannot_be_opened_is_told_and_waited_for(tmp_path: Path) -> None:
    """503 with the reason while it is a directory; once that is gone all of it is settled."""
    data = tmp_path / "data"
    (data / "engine.lock").mkdir(parents=True)
    service = Service(data)
    try:
        service.start(ready=False)
        answer = until(lambda: _stuck(service), 60.0, 0.1)
        problem = answer.json()
        assert answer.headers["Retry-After"] == "5"
        assert problem["type"] == "/problems/engine-unavailable"
        assert problem["parts"]["engine"] == "down"
        assert "engine.lock cannot be taken: is a directory" in problem["reasons"]["engine"]
        taken = service.upload([("a.png", png(photo(1)))])
        assert taken.status_code == httpx.codes.ACCEPTED
        (data / "engine.lock").rmdir()
        until(lambda: service.ready().get("parts", {}).get("engine") == "ok", 60.0, 0.1)
        service.settled()
        assert service.order() == [taken.json()["items"][0]["image_id"]]
        assert service.client.get("/health/ready").status_code == httpx.codes.OK
        told = [line for line in service.log().splitlines() if "thread engine failed" in line]
        assert 1 <= len(told) <= 12  # with a pause that doubles: no flood
        figures = service.client.get("/metrics").text
        assert f'seenit_restarts_total{{thread="engine"}} {len(told)}.0' in figures
    finally:
        service.client.close()
        service.stop()


def test_a_process_whose_neighbour_holds_the_folder_is_ready(tmp_path: Path) -> None:
    """The engine elsewhere is as good; this one takes over when that one ends."""
    with serving(tmp_path / "data") as first:
        second = Service(tmp_path / "data")
        try:
            second.start()
            assert second.ready()["parts"]["engine"] == "ok"
            assert (
                second.upload([("a.png", png(photo(1)))], wait=30).json()["items"][0]["status"]
                == "done"
            )
            first.stop()
            until(lambda: second.ready()["parts"]["engine"] == "ok", 30.0, 0.1)
            second.upload([("b.png", png(photo(2)))], wait=30)
            second.settled()
        finally:
            second.client.close()
            second.stop()


def test_a_log_that_is_damaged_stops_its_own_tenant_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One whose end is gone and one with a damaged entry: the reason goes to that tenant."""
    keys = {tenant: f"a key of tenant {tenant}".replace(" ", "-") for tenant in ("a", "b", "c")}
    grants = ",".join(f"{key}:{tenant}:admin" for tenant, key in keys.items())
    headers = {tenant: {"Authorization": f"Bearer {key}"} for tenant, key in keys.items()}

    def upload(service: Service, tenant: str, n: int) -> httpx.Response:
        files = {"file": (f"{n}.png", png(photo(n, 64, 48)))}
        return service.client.post("/v1/images", files=files, headers=headers[tenant])

    with serving(tmp_path / "data", SEENIT_API_KEYS=grants) as service:
        for tenant in keys:
            for n in range(3):
                assert upload(service, tenant, n).status_code == httpx.codes.ACCEPTED
                service.settled()
        service.stop()
        logs = service.data / "blobs" / "log"
        end = logs / "a" / "0" / f"{3:020d}"
        inside = logs / "b" / "0" / f"{1:020d}"
        end.unlink()
        inside.write_bytes(inside.read_bytes()[:-5])
        service.start()
        reasons = {
            "a": "entry 3 of a is gone, and the index has it",
            "b": "entry 1 of b cannot be read",
        }
        until(lambda: service.ready()["reasons"].get("log", "").startswith("the logs of 2 tenants"))
        for tenant in keys:
            assert upload(service, tenant, 9).status_code == httpx.codes.ACCEPTED
            answer = service.client.get("/v1/images", headers=headers[tenant])
            if tenant == "c":
                assert len(answer.raise_for_status().json()["items"]) >= 3
                continue
            assert answer.headers["Retry-After"] == "60"
            assert answer.json()["type"] == "/problems/log-corrupt"
            assert reasons[tenant] in answer.json()["detail"]
        assert service.client.get("/health/ready").status_code == httpx.codes.OK
        rows = json.loads(ran_here(capsys, service.settings, "doctor", "--json").stdout)
        found = [row["says"] for row in rows if row["name"] == "log" and row["state"] == "missing"]
        assert [reasons["a"] in found[0], reasons["b"] in found[1], len(found)] == [True, True, 2]
        stopped = [line for line in service.log().splitlines() if "tenant_stopped" in line]
        assert len(stopped) == 2


def test_a_store_that_may_not_be_written_is_told_and_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Rights that go while it runs: uploads and deletes are refused, reads go on, then all do."""
    with serving(tmp_path / "data") as service:
        item = service.upload([("a.png", png(photo(1)))], wait=30).json()["items"][0]
        with _unwritable(service.data / "blobs" / ".tmp"):
            problem = until(lambda: _stuck(service), 30.0, 0.2).json()
            assert problem["parts"]["blobs"] == "down"
            assert "not permitted" in problem["reasons"]["blobs"].replace("denied", "not permitted")
            refused = service.upload([("b.png", png(photo(2)))])
            assert refused.json()["type"] == "/problems/store-unavailable"
            assert (refused.status_code, refused.headers["Retry-After"]) == (503, "5")
            path = f"/v1/images/{item['image_id']}"
            assert service.client.delete(path).status_code == httpx.codes.SERVICE_UNAVAILABLE
            assert service.client.get(path).status_code == httpx.codes.OK
            rows = json.loads(ran_here(capsys, service.settings, "doctor", "--json").stdout)
            states = {row["name"]: row["state"] for row in rows}
            assert (states["store"], states["index"], states["log"]) == ("missing", "ok", "ok")
        assert "part_unavailable" in service.log()
        assert service.client.delete(path).status_code == httpx.codes.NO_CONTENT


def test_an_api_without_its_redis_accepts_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Uploads wait in the store; readiness, the log and doctor name the queue."""
    (port, free) = free_ports(2)
    settings = {
        "SEENIT_DATA": str(tmp_path / "data"),
        "SEENIT_MODEL": "none",
        "SEENIT_CAPTION_MODEL": "none",
        "SEENIT_BROKER_URL": f"redis://127.0.0.1:{free}/0",
        "SEENIT_LOG_LEVEL": "warning",
    }
    api = Process(tmp_path, "api", "api", "--port", str(port), settings=settings)
    api.start()
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60.0) as client:
            ready = until(lambda: _answer(client, "/health/ready"), 60.0, 0.1)
            told = ready.json()
            assert (ready.status_code, told["status"]) == (httpx.codes.OK, "degraded")
            assert (told["parts"]["queue"], told["parts"]["blobs"]) == ("down", "ok")
            assert (told["parts"]["worker"], "queue" in told["reasons"]) == ("down", True)
            taken = client.post("/v1/images", files={"file": ("a.png", png(photo(1)))})
            assert taken.status_code == httpx.codes.ACCEPTED
            job = client.get(f"/v1/jobs/{taken.json()['items'][0]['job_id']}").json()
            assert job["status"] == "queued"
        rows = json.loads(ran_here(capsys, settings, "doctor", "--json").stdout)
        states = {row["name"]: row["state"] for row in rows}
        assert (states["queue"], states["store"]) == ("missing", "ok")
        assert "enqueue_failed" in api.log.read_text()
    finally:
        api.stop()


@contextmanager
def _unwritable(folder: Path) -> Iterator[None]:
    """Take the right to write into a folder away; from root too, where the file system can."""
    if os.geteuid():
        take, give = ["chmod", "a-w", str(folder)], ["chmod", "u+w", str(folder)]
    else:
        take, give = ["chattr", "+i", str(folder)], ["chattr", "-i", str(folder)]
    if shutil.which(take[0]) is None or subprocess.run(take, check=False).returncode:
        pytest.skip("root may write anywhere here")
    try:
        yield
    finally:
        subprocess.run(give, check=True)


def _answer(client: httpx.Client, path: str) -> httpx.Response | None:
    try:
        return client.get(path)
    except httpx.TransportError:
        return None


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Yield a file system of 40 MB, which takes the right to mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, check=False).returncode:
        pytest.skip("this user may not mount a file system")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_still_starts_reads_and_deletes(
    tmp_path: Path,
    small_disk: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """To the last byte: what is set aside lets a delete be written. Uploads are refused."""
    monkeypatch.setattr(DirectoryBlobs, "free", lambda _: 10**12)
    with serving(tmp_path / "data") as service:
        item = service.upload([("a.png", png(photo(1)))], wait=30).json()["items"][0]
        assert item["status"] == "done"
    service.stop()
    shutil.copytree(service.data, small_disk / "data")
    DirectoryBlobs(small_disk / "data" / "blobs").keep_reserve()
    with (small_disk / "rest").open("wb", buffering=0) as rest, suppress(OSError):
        while True:
            rest.write(bytes(512))
    assert shutil.disk_usage(small_disk).free == 0
    full = Service(small_disk / "data")
    full.log_file = tmp_path / "full.log"
    try:
        full.start(ready=False)
        answer = until(lambda: _stuck(full), 60.0, 0.1)
        problem = answer.json()
        assert (problem["type"], problem["parts"]["blobs"]) == (
            "/problems/store-unavailable",
            "down",
        )
        assert "the disk is full" in problem["reasons"]["blobs"]
        until(lambda: full.ready()["parts"]["engine"] == "ok")
        refused = full.upload([("b.png", png(photo(2)))])
        assert refused.status_code == httpx.codes.SERVICE_UNAVAILABLE
        assert "the disk is full" in refused.json()["detail"]
        path = f"/v1/images/{item['image_id']}"
        assert full.client.get(f"{path}/content").content == png(photo(1))
        rows = json.loads(ran_here(capsys, full.settings, "doctor", "--json").stdout)
        (row,) = [row for row in rows if row["name"] == "data"]
        assert (row["state"], "uploads are refused" in row["remedy"]) == ("absent", True)
        assert full.client.delete(path).status_code == httpx.codes.NO_CONTENT
        assert full.client.get(path).status_code == httpx.codes.GONE
        assert "disk_full" in full.log()
    finally:
        full.client.close()
        full.stop()


@pytest.mark.parametrize(
    "name", ["pytorch_model.bin", pytest.param("model.safetensors", marks=pytest.mark.hard)]
)
def test_a_pointer_in_the_place_of_weights_leaves_the_model_absent(
    tmp_path: Path, clip: Path, name: str
) -> None:
    """The log reports it once, with a remedy; uploads are settled without a model."""
    folder = tmp_path / "model"
    shutil.copytree(clip, folder)
    (folder / "model.safetensors").unlink()
    (folder / name).write_bytes(POINTER)
    with serving(tmp_path / "data", SEENIT_MODEL=str(folder)) as service:
        until(lambda: service.ready()["parts"]["engine"] == "ok", 60.0, 0.1)
        item = service.upload([("a.png", png(photo(1)))], wait=30).json()["items"][0]
        assert item["status"] == "done"
        told = service.ready()
        assert told["parts"]["visual"] == "absent"
        assert "is a Git LFS pointer, not weights: run `git lfs pull`" in told["reasons"]["visual"]
        assert service.log().count("NO VISUAL MODEL") == 1


def _stuck(service: Service) -> httpx.Response | None:
    answer = _answer(service.client, "/health/ready")
    return answer if answer and answer.status_code == httpx.codes.SERVICE_UNAVAILABLE else None
