"""The model of a filled service is changed while it serves: add, backfill, activate."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

import pytest

from tests.backends.server_process import ROOT, outside
from tests.doubles import tiny_models
from tests.e2e.command import line, ran
from tests.e2e.service import Service, serving
from tests.e2e.talking import until
from tests.e2e.test_serial import mixture
from tests.samples.pictures import jpeg, photo


def seenit(service: Service, *words: str, fails: bool = False) -> dict[str, Any]:
    """Run the command line beside a service; return its JSON, or its error output as `said`."""
    done = ran(service.settings, *words)
    assert (done.returncode != 0) == fails, done.stderr
    answer: dict[str, Any] = {"said": done.stderr} if fails else json.loads(done.stdout)
    return answer


class Crowd:
    """Clients that upload and look meanwhile, and what went wrong for them."""

    def __init__(self, service: Service, files: list[bytes]) -> None:
        self.faults: list[str] = []
        self.sent = self.looked = 0
        self._service = service
        self._files = files
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._guarded, args=(run,)) for run in (self._send, self._look)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _guarded(self, run: Callable[[], None]) -> None:
        try:
            run()
        except Exception as error:  # noqa: BLE001 - any is a fault
            self.faults.append(repr(error))

    def _send(self) -> None:
        for data in self._files:
            if self._stop.is_set():
                return
            answer = self._service.upload([("x.jpg", data)], wait=60)
            item = answer.json()["items"][0]
            if answer.status_code != 200 or item["status"] != "done":
                self.faults.append(answer.text)
            self.sent += 1

    def _look(self) -> None:
        known = self._service.images()[0]["image_id"]
        while not self._stop.is_set():
            near = self._service.client.get(f"/v1/images/{known}/similar", params={"limit": 3})
            sought = self._service.client.post(
                "/v1/search", json={"text": "a red cat", "mode": "visual", "limit": 3}
            )
            for answer in (near, sought):
                if answer.status_code != 200:
                    self.faults.append(answer.text)
            if not sought.json()["hits"]:
                self.faults.append("nothing was found")
            self.looked += 1


def changed(
    service: Service, model: Path, stored: list[tuple[bytes, bytes]], sent: list[bytes]
) -> dict[str, int]:
    """Change the model under a service that holds the first of each pair, while `sent` comes in.

    Each second one is a copy of its first, and the service of the new model must report it as one.
    """
    first = service.images()[0]["image_id"]
    before = service.client.get(f"/v1/images/{first}").json()["spaces"]["visual"]
    refused = seenit(service, "model", "activate", str(model), fails=True)
    assert "was not added" in refused["said"]
    with Crowd(service, sent) as crowd:
        added = seenit(service, "model", "add", str(model))["space_id"]
        early = seenit(service, "model", "activate", str(model), fails=True)
        assert "run backfill" in early["said"]
        made = 0
        for _ in range(5):  # one that came in while `add` was written may be late
            filled = seenit(service, "backfill", "--space", added)["spaces"]
            made += sum(one["made"] for one in filled)
            if not any(one["missing"] for one in filled):
                break
        seenit(service, "model", "activate", str(model))
    assert crowd.faults == []
    listed = seenit(service, "model", "list")["spaces"]
    assert [(one["space_id"], one["active"], one["missing"]) for one in listed] == [
        (added, True, 0)
    ]
    stats = service.client.get("/v1/stats").json()["total"]["spaces"]
    assert stats[added]["missing"] == 0
    assert service.client.get(f"/v1/images/{first}").json()["spaces"]["visual"] == added
    old = service.client.get(f"/v1/images/{first}/similar", params={"space": before})
    assert (old.status_code, old.json()["type"]) == (409, "/problems/conflict")
    near = service.client.get(f"/v1/images/{first}/similar").json()
    assert near["space"] == added
    for _, copy in stored:
        verdict = service.upload([("copy.jpg", copy)], wait=60).json()["items"][0]["verdict"]
        assert verdict["kind"] in ("near_duplicate", "exact"), verdict
    return {"made": made, "sent": crowd.sent, "looked": crowd.looked}


@pytest.mark.hard
@pytest.mark.timeout(600)
def test_a_model_is_changed_while_uploads_and_searches_go_on(tmp_path: Path) -> None:
    """No upload fails, every search answers, a copy of an old picture is not reported as new."""
    old, new = tiny_models.two_towers(tmp_path / "old"), tiny_models.clip(tmp_path / "new")
    settings: Mapping[str, str] = {"SEENIT_MODEL": str(old), "SEENIT_SIMILAR_AT": "0.9999"}
    # few: an untrained model finds any two pictures alike, and all that is alike is laid over
    stored = [(jpeg(photo(n), 92), jpeg(photo(n), 40)) for n in range(8)]
    with serving(tmp_path / "data", **settings) as service:
        files = [(f"{m}.jpg", data) for m, (data, _) in enumerate(stored)]
        assert service.upload(files, wait=60).status_code == 200
        told = changed(service, new, stored, [jpeg(photo(n), 90) for n in range(100, 120)])
        assert told["made"] >= len(stored)
        service.stop()
    with serving(tmp_path / "data", **settings) as again:  # what the log says goes before settings
        shown = again.images()[0]
        near = again.client.get(f"/v1/images/{shown['image_id']}/similar").json()
        assert near["space"] == shown["spaces"]["visual"]


@pytest.mark.hard
@pytest.mark.timeout(1200)
def test_a_model_is_changed_under_a_thousand_pictures(tmp_path: Path, shared: Path) -> None:
    """With real photos and models."""
    photos = sorted((shared / "photos" / "captioned").glob("*.jpg"))[:1000]
    copies = [photo.read_bytes() for photo in photos[::25]]
    more = mixture(200, 11)
    with serving(tmp_path / "data", SEENIT_MODEL=str(shared / "models" / "mini-clip")) as service:
        for n in range(0, len(photos), 50):
            files = [(path.name, path.read_bytes()) for path in photos[n : n + 50]]
            assert service.upload(files, wait=60).status_code in (200, 202)
        service.settled()
        pairs = [(data, data) for data in copies]
        told = changed(service, shared / "models" / "dual-encoder", pairs, more)
    assert told["made"] >= 990
    print(told)  # noqa: T201 - a figure for whoever looks


@pytest.mark.hard
@pytest.mark.timeout(600)
def test_a_backfill_outlives_the_process_that_does_it(tmp_path: Path) -> None:
    """Kill -9 of the holder in the middle: the command that waits takes over and ends it."""
    old, new = tiny_models.two_towers(tmp_path / "old"), tiny_models.clip(tmp_path / "new")
    settings: Mapping[str, str] = {"SEENIT_MODEL": str(old), "SEENIT_SIMILAR_AT": "0.99999"}
    files = [(f"{n}.jpg", jpeg(photo(n, 160, 120), 80)) for n in range(300)]
    with serving(tmp_path / "data", **settings) as service:
        for n in range(0, len(files), 100):
            assert service.upload(files[n : n + 100]).status_code == 202
        service.settled()
        added = seenit(service, "model", "add", str(new))["space_id"]
        with subprocess.Popen(
            line("backfill", "--space", added),
            env={**outside(), **service.settings},
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as command:
            until(lambda: filled(service, added) > 0, every=0.005)
            service.kill()
            said, why = command.communicate(timeout=120)
        assert command.returncode == 0, why
        (told,) = json.loads(said)["spaces"]
        assert (told["failed"], told["missing"]) == (0, 0)
        service.start()
        assert filled(service, added) == len(files)
        seenit(service, "model", "activate", str(new))


def filled(service: Service, space_id: str) -> int:
    """Return the number of records with a vector in a space."""
    spaces = service.client.get("/v1/stats").json()["total"]["spaces"]
    return int(spaces.get(space_id, {"with": 0})["with"])
