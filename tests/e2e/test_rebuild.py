"""The index can be thrown away: the log makes it again, to the same answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from unittest.mock import ANY

import httpx
import pytest

from tests.doubles import damages
from tests.e2e.command import ran
from tests.e2e.service import Service, serving
from tests.e2e.talking import until
from tests.e2e.test_serial import mixture
from tests.samples.pictures import jpeg, photo


def seenit(service: Service, *words: str, **settings: str) -> None:
    """Run the command line on a service's data directory."""
    done = ran({**service.settings, **settings}, *words)
    assert done.returncode == 0, done.stderr


def fill(service: Service) -> None:
    """Send uploads of every kind, a broken one, an edit, decisions, a purge and a delete."""
    files = [*mixture(60, 9), b"\xff\xd8\xff\xe0 broken", jpeg(photo(77), 90)[:20_000]]
    for n, data in enumerate(files):
        answer = service.upload([(f"{n}.jpg", data)], title=f"number {n}", tags="t")
        assert answer.status_code == (422 if data.endswith(b"broken") else 202), answer.text
    service.settled()
    client = service.client
    live = [record["image_id"] for record in service.images()]
    client.patch(f"/v1/images/{live[0]}", json={"title": "edited"}).raise_for_status()
    client.put(f"/v1/images/{live[1]}/decision", json={"value": "block", "reason": "no"})
    client.post(f"/v1/images/{live[2]}/purge").raise_for_status()
    client.delete(f"/v1/images/{live[3]}").raise_for_status()
    service.settled()


def answers(service: Service, probes: list[bytes]) -> dict[str, Any]:
    """Return all answers that depend on the index."""
    records = service.images()
    told: dict[str, Any] = {
        "records": records,
        "jobs": service.jobs(),
        "stats": service.client.get("/v1/stats").json(),
    }
    told["duplicates"] = {
        record["image_id"]: service.client.get(f"/v1/images/{record['image_id']}/duplicates").json()
        for record in records
    }
    told["checks"] = []
    for probe in probes:
        verdict = service.check(probe).json()["verdict"]
        verdict.pop("decided_at")
        told["checks"].append(verdict)
    return told


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Yield one service for all tests: each leaves it running, with its index rebuilt."""
    with serving(tmp_path_factory.mktemp("rebuilt") / "data") as service:
        fill(service)
        yield service


def unindexed(service: Service) -> None:
    """Stop it and take its index away."""
    service.stop()
    for path in service.data.glob("index.sqlite*"):
        path.unlink()


def test_a_deleted_index_is_made_again_to_the_same_answers(filled: Service) -> None:
    """Records, jobs, stars, statistics and checks are equal after `seenit reindex`."""
    probes = [*mixture(12, 9), jpeg(photo(901), 85)]
    before = answers(filled, probes)
    unindexed(filled)
    seenit(filled, "reindex")
    filled.start()
    assert answers(filled, probes) == before


def test_a_reindex_beside_a_running_service_changes_no_answer(filled: Service) -> None:
    """The holder carries it out; uploads meanwhile are settled all the same."""
    probes = mixture(6, 9)
    before = answers(filled, probes)
    seenit(filled, "reindex")
    assert answers(filled, probes) == before
    late = filled.upload([("late.jpg", jpeg(photo(555), 90))], wait=60)
    assert late.json()["items"][0]["verdict"]["kind"] == "new"


def test_a_damaged_index_is_made_again_by_itself(filled: Service) -> None:
    """From the first read that meets the damage on; to the same answers."""
    before = answers(filled, [])
    filled.stop()
    damages.page(filled.data / "index.sqlite")
    found = ran(filled.settings, "doctor")
    (row,) = [one for one in json.loads(found.stdout) if one["name"] == "index"]
    assert (found.returncode, row["state"]) == (1, "missing")
    assert "index.sqlite is damaged" in row["says"]
    assert "from the log" in row["remedy"]
    filled.start()
    assert filled.client.get("/v1/images").json()["type"] == "/problems/index-unavailable"
    late = filled.upload([("late.jpg", jpeg(photo(556), 90))])
    assert late.status_code == httpx.codes.ACCEPTED
    filled.settled()
    filled.client.delete(f"/v1/images/{late.json()['items'][0]['image_id']}").raise_for_status()
    before |= {"stats": ANY, "jobs": ANY}
    until(lambda: filled.ready()["status"] == "ready")
    assert answers(filled, []) == before
    assert filled.log().count("index_damaged") == filled.log().count("index_made_again") == 1


def test_a_missing_index_is_made_again_at_the_start(filled: Service) -> None:
    """A service that finds a log and no index follows the log from its beginning."""
    before = answers(filled, [])
    unindexed(filled)
    filled.start()
    until(lambda: filled.client.get("/v1/stats").json()["log"]["lag"] == 0)
    assert answers(filled, []) == before
