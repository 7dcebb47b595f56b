"""Administrative tasks over HTTP: started, followed, and no other tenant's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from api.app import create_app
from core.admin_tasks import AdminTaskReport
from tests.doubles.small_service import KEYS, Service

TASKS = "/v1/admin/tasks"
MINE, THEIRS = ({"Authorization": f"Bearer {key.split(':')[0]}"} for key in KEYS[:2])


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """No process runs its tasks."""
    made = Service(tmp_path, api_keys=",".join(KEYS[:2]))
    yield made
    made.close()


@pytest.fixture
def client(service: Service) -> Iterator[TestClient[Litestar]]:
    """Yield a client of the service."""
    with TestClient(create_app(service)) as opened:
        yield opened


def test_a_task_is_followed_from_its_start_to_its_result(
    service: Service, client: TestClient[Litestar]
) -> None:
    """The same task twice is one until it has ended; another tenant's is unknown."""
    body = {"kind": "backfill", "space": "visual"}
    started = client.post(TASKS, json=body, headers=MINE)
    assert (started.status_code, started.json()["status"]) == (202, "queued")
    path = f"{TASKS}/{started.json()['task_id']}"
    assert client.post(TASKS, json=body, headers=MINE).json() == started.json()
    assert client.post(TASKS, json=body, headers=THEIRS).json() != started.json()
    first, _ = service.admin_tasks.waiting()
    assert first.arguments == {"tenant": "t0", "space": "visual"}
    done = AdminTaskReport(status="done", tenant="t0", done=2, total=2, result={"spaces": []})
    for told in (AdminTaskReport(tenant="t0"), done):
        assert client.get(path, headers=THEIRS).status_code == 404
        answer = client.get(path, headers=MINE).json()
        assert (answer["status"], answer["result"]) == (told.status, told.result)
        service.admin_tasks.report(first, done)
    assert client.post(TASKS, json=body, headers=MINE).json() != started.json()


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "kind"),
        ({"kind": "model-add"}, "kind"),
        ({"kind": "reindex", "tenant": "t1"}, "tenant"),
        ({"kind": "reindex", "space": "visual"}, "space"),
        ({"kind": "calibrate", "rate": 0.9}, "rate"),
    ],
)
def test_a_request_that_is_wrong_names_its_field(
    client: TestClient[Litestar], body: dict[str, Any], field: str
) -> None:
    """Models are added by the operator's command alone, as they name files and hubs."""
    answer = client.post(TASKS, json=body, headers=MINE)
    assert (answer.status_code, answer.json()["field"]) == (400, field)


@pytest.mark.parametrize("name", ["0" * 32, "..", "x"])
def test_an_unknown_task_answers_404(client: TestClient[Litestar], name: str) -> None:
    """An id that would be no key of the blob store gets the same."""
    assert client.get(f"{TASKS}/{name.replace('.', '%2e')}", headers=MINE).status_code == 404
