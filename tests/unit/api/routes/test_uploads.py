"""Pictures over HTTP: upload."""

from __future__ import annotations

import json
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from core.errors import CorruptError, IndexUnavailableError
from tests.doubles.small_service import BROKEN, MAX_BYTES, Service
from tests.unit.api.calls import ONE, TWO, one, problem, send

LARGE = b"x" * (MAX_BYTES + 1)


def test_upload_answers_ids_in_the_order_of_the_parts(client: TestClient[Litestar]) -> None:
    """A bad file among good ones stands in its place as an error and does not fail the others."""
    response = send(client, ONE, b"no picture", TWO)
    items = response.json()["items"]
    assert response.status_code == 202
    assert [item.get("status") for item in items] == ["queued", None, "queued"]
    assert items[0]["job_id"] == items[0]["image_id"] < items[2]["image_id"]
    assert items[1]["error"]["status"] == 415
    assert items[1]["error"]["filename"] == "1.png"
    assert client.get(f"/v1/images/{items[2]['image_id']}").status_code == 200


def test_upload_with_wait_answers_what_the_jobs_answer(client: TestClient[Litestar]) -> None:
    """200 once all have ended, each item as its job."""
    response = send(client, ONE, ONE, ONE + BROKEN, url="/v1/images?wait=5")
    items = response.json()["items"]
    jobs = [client.get(f"/v1/jobs/{item['job_id']}").json() for item in items]
    assert response.status_code == 200
    assert items == jobs
    assert [item["status"] for item in items] == ["done", "done", "failed"]
    assert items[1]["verdict"]["original"]["image_id"] == items[0]["image_id"]
    assert items[2]["error"] == {
        "type": "/problems/broken",
        "title": "Cannot be read",
        "status": 422,
        "detail": "the data ends too early",
    }


def test_upload_with_wait_answers_202_when_time_is_up(
    client: TestClient[Litestar], service: Service
) -> None:
    """The same body, with what is known by then."""
    service.queue.paused = True
    response = send(client, ONE, url="/v1/images?wait=0.1")
    assert response.status_code == 202
    assert response.json()["items"][0]["status"] == "queued"
    assert response.json()["items"][0]["verdict"] is None


def test_upload_is_accepted_while_the_broker_is_down(
    client: TestClient[Litestar], service: Service
) -> None:
    """Accepting needs the blob store alone, and the job's status is served all the same."""
    service.queue.down = True
    image_id = one(client)
    assert client.get(f"/v1/jobs/{image_id}").json()["status"] == "queued"


@pytest.mark.parametrize("error", [IndexUnavailableError("down"), CorruptError("a gap")])
def test_what_is_accepted_is_told_so_whatever_can_be_read(
    client: TestClient[Litestar], service: Service, error: Exception
) -> None:
    """Index down or log broken: 202 with the ids, waited for or sent again."""
    service.follower.fails = error
    for url in ("/v1/images?wait=1", "/v1/images"):
        response = send(client, ONE, url=url, headers={"Idempotency-Key": "k"})
        (item,) = response.json()["items"]
        assert (response.status_code, item["status"]) == (202, "queued")


def test_upload_repeats_under_an_idempotency_key(client: TestClient[Litestar]) -> None:
    """Same key and content: same ids and how they stand; other content: 422."""
    key = {"Idempotency-Key": "k1"}
    first, again = send(client, ONE, headers=key), send(client, ONE, headers=key)
    assert "idempotent-replay" not in first.headers
    assert again.headers["idempotent-replay"] == "true"
    (was,), (now,) = first.json()["items"], again.json()["items"]
    assert now == {**was, "status": "done"}
    other = send(client, TWO, headers=key)
    told = problem(other)
    assert (told["status"], told["type"], told["field"]) == (
        422,
        "/problems/idempotency-key-reused",
        "Idempotency-Key",
    )
    assert len(client.get("/v1/images").json()["items"]) == 1


@pytest.mark.parametrize(
    ("files", "status", "kind"),
    [
        ([LARGE, LARGE], 413, "too-large"),
        ([b"no picture"], 415, "unsupported"),
        ([b"no picture", b"nor this"], 415, "unsupported"),
        ([ONE[:20]], 422, "broken"),
        ([b"no picture", LARGE], 422, "broken"),
        ([b""], 422, "broken"),
    ],
)
def test_upload_of_which_none_is_accepted(
    client: TestClient[Litestar], service: Service, files: list[bytes], status: int, kind: str
) -> None:
    """413 if all are too large, 415 if all are unsupported, else 422; one problem a file."""
    response = send(client, *files)
    told = problem(response)
    assert (response.status_code, told["type"]) == (status, f"/problems/{kind}")
    assert [error["filename"] for error in told["errors"]] == [
        f"{n}.png" for n in range(len(files))
    ]
    assert client.get("/v1/jobs").json()["items"] == []
    assert list((service.settings.data / "spool").iterdir()) == []


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ({"titel": "x"}, "titel"),
        ({"title": "x" * 501}, "title"),
        ({"title": "a\x00b"}, "title"),
        ({"title": ["a", "b"]}, "title"),
        ({"description": "x" * 10_001}, "description"),
        ({"category": "x" * 101}, "category"),
        ({"owner_id": "x" * 201}, "owner_id"),
        ({"external_id": "x" * 1_025}, "external_id"),
        ({"tags": ["x" * 101]}, "tags"),
        ({"tags": [str(n) for n in range(51)]}, "tags"),
        ({"source_url": "javascript:alert(1)"}, "source_url"),
        ({"source_url": "http://"}, "source_url"),
        ({"source_url": "http://[::1"}, "source_url"),
        ({"metadata": "[1]"}, "metadata"),
        ({"metadata": "{"}, "metadata"),
        ({"metadata": json.dumps({"a": "x" * 16_384})}, "metadata"),
        ({"metadata": '{"a":' * 3000 + "1" + "}" * 3000}, "metadata"),
        ({"on_duplicate": "drop"}, "on_duplicate"),
    ],
)
def test_upload_names_a_malformed_field(
    client: TestClient[Litestar], data: dict[str, Any], field: str
) -> None:
    """400 with the field, and nothing is left behind."""
    response = send(client, ONE, data=data)
    assert (response.status_code, problem(response)["field"]) == (400, field)
    assert client.get("/v1/jobs").json()["items"] == []


def test_external_id_takes_one_file(client: TestClient[Litestar]) -> None:
    """With two it could only be wrong for one."""
    response = send(client, ONE, TWO, data={"external_id": "a"})
    assert (response.status_code, problem(response)["field"]) == (400, "external_id")


@pytest.mark.parametrize("wait", ["-1", "61", "soon", "nan"])
def test_wait_is_zero_to_sixty(client: TestClient[Litestar], wait: str) -> None:
    """The answer is 400, and names the parameter."""
    response = send(client, ONE, url=f"/v1/images?wait={wait}")
    assert (response.status_code, problem(response)["field"]) == (400, "wait")


def test_idempotency_key_has_a_length(client: TestClient[Litestar]) -> None:
    """1 to 255 printable characters."""
    response = send(client, ONE, headers={"Idempotency-Key": "x" * 256})
    assert (response.status_code, problem(response)["field"]) == (400, "Idempotency-Key")
