"""Pictures over HTTP: change, delete, purge, decide."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from tests.doubles.small_service import BROKEN, Service
from tests.samples.pictures import photo, png
from tests.unit.api.calls import ONE, TWO, one, problem

HELD = "2999-01-01T00:00:00.000Z"


def test_patch_merges(client: TestClient[Litestar]) -> None:
    """RFC 7396: null takes away, what is not named stays, metadata is merged within."""
    image_id = one(client, title="A", category="c", tags=["x"], metadata='{"a":1,"b":{"c":2}}')
    response = client.patch(
        f"/v1/images/{image_id}",
        json={"title": None, "tags": ["y", "z"], "metadata": {"a": None, "b": {"d": 3}}},
        headers={"If-Match": '"1"', "Content-Type": "application/merge-patch+json"},
    )
    told = response.json()
    assert response.headers["etag"] == '"2"'
    assert (told["title"], told["category"], told["tags"], told["filename"]) == (
        None,
        "c",
        ["y", "z"],
        "0.png",
    )
    assert told["metadata"] == {"b": {"c": 2, "d": 3}}
    assert told == client.get(f"/v1/images/{image_id}").json()
    emptied = client.patch(f"/v1/images/{image_id}", json={"metadata": None, "tags": None}).json()
    assert (emptied["metadata"], emptied["tags"]) == ({}, [])


def test_a_patch_that_changes_nothing_writes_nothing(client: TestClient[Litestar]) -> None:
    """The same revision, and no job."""
    url = f"/v1/images/{one(client, title='A')}"
    response = client.patch(url, json={"title": "A", "category": None})
    assert (response.status_code, response.headers["etag"]) == (200, '"1"')
    assert [job["kind"] for job in client.get("/v1/jobs").json()["items"]] == ["ingest"]
    stale = client.patch(url, json={"title": "A"}, headers={"If-Match": '"2"'})
    assert stale.status_code == 412


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'{"sha256": "0"}', "sha256"),
        (b'{"image_id": "0"}', "image_id"),
        (b'{"verdict": {}}', "verdict"),
        (b'{"filename": "a"}', "filename"),
        (b'{"colour": "red"}', "colour"),
        (b'{"title": 5}', "title"),
        (b'{"tags": "x"}', "tags"),
        (b'{"tags": [1]}', "tags"),
        (b'{"metadata": []}', "metadata"),
        (b'{"metadata": {"a": 123456789012345678901234567890}}', "metadata"),
        (b'{"source_url": "data:text/html,x"}', "source_url"),
        (b'{"hold_until": "tomorrow"}', "hold_until"),
        (b'{"hold_until": "2030-01-01T00:00:00"}', "hold_until"),
        (b'{"hold_until": 5}', "hold_until"),
        (b'{"hold_until": "0001-01-01T00:00:00+14:00"}', "hold_until"),
        (b"[]", None),
        (b"nonsense", None),
        (b"", None),
        (b'{"title": "\xff"}', None),
    ],
)
def test_patch_names_what_is_wrong(
    client: TestClient[Litestar], body: bytes, field: str | None
) -> None:
    """400, and the record is as it was."""
    url = f"/v1/images/{one(client)}"
    response = client.patch(url, content=body)
    assert (response.status_code, problem(response).get("field")) == (400, field)
    assert client.get(url).headers["etag"] == '"1"'


def test_if_match_protects(client: TestClient[Litestar]) -> None:
    """412 for another revision, on every change; `*` is any."""
    image_id = one(client)
    url = f"/v1/images/{image_id}"
    stale = {"If-Match": '"7"'}
    answers = [
        client.patch(url, json={"title": "x"}, headers=stale),
        client.put(f"{url}/decision", json={"value": "block"}, headers=stale),
        client.post(f"{url}/purge", headers=stale),
        client.delete(url, headers=stale),
        client.delete(url, headers={"If-Match": "nonsense"}),
    ]
    assert [(a.status_code, problem(a)["field"]) for a in answers] == [(412, "If-Match")] * 5
    assert client.patch(url, json={"title": "x"}, headers={"If-Match": "*"}).status_code == 200
    assert client.delete(url, headers={"If-Match": '"1", "2"'}).status_code == 204


def test_an_edit_without_if_match_is_laid_over_a_newer_record(
    client: TestClient[Litestar], service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two edits at the same time do not undo each other."""
    image_id = one(client)
    operate = service.acceptor.operate
    raced = []

    def racing(tenant: str, kind: Any, image: str, **more: Any) -> Any:  # noqa: ANN401  # as operate
        if not raced:
            raced.append(True)
            fields = service.reader.record(tenant, image).record.fields
            both = type(fields)(title="theirs", filename=fields.filename)
            operate(tenant, "edit", image, fields=both)
        return operate(tenant, kind, image, **more)

    monkeypatch.setattr(service.acceptor, "operate", racing)
    told = client.patch(f"/v1/images/{image_id}", json={"category": "ours"}).json()
    assert (told["title"], told["category"], told["revision"]) == ("theirs", "ours", 3)


def test_edits_at_the_same_time_all_come_through(
    client: TestClient[Litestar], service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They take turns; an edit that waits too long for its turn is answered to retry."""
    url = f"/v1/images/{one(client)}"

    def edit(n: int) -> int:
        return client.patch(url, json={"metadata": {f"k{n}": n}}).status_code

    with ThreadPoolExecutor(8) as pool:
        with monkeypatch.context() as patched:
            patient = service.settings.model_copy(update={"operation_seconds": 30.0})
            patched.setattr(service, "settings", patient)
            assert list(pool.map(edit, range(16))) == [200] * 16
        told = client.get(url).json()
        assert told["metadata"] == {f"k{n}": n for n in range(16)}
        assert told["revision"] == 17
        service.queue.paused = True
        assert set(pool.map(edit, range(16, 20))) == {503}


def test_decision_is_told_with_its_reason(client: TestClient[Litestar]) -> None:
    """It names a person, and is joined wherever the record is returned."""
    image_id = one(client)
    body = {"value": "block", "reason": "stolen"}
    told = client.put(f"/v1/images/{image_id}/decision", json=body).json()
    assert {**told["decision"], "at": ""} == {**body, "by": "person", "at": ""}
    (job,) = [j for j in client.get("/v1/jobs").json()["items"] if j["kind"] == "decide"]
    assert job["decision"] == told["decision"]
    copy = one(client)
    original = client.get(f"/v1/images/{copy}").json()["verdict"]["original"]
    assert original["decision"] == told["decision"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "value"),
        ({"value": "perhaps"}, "value"),
        ({"value": ["block"]}, "value"),
        ({"value": "block", "reason": 1}, "reason"),
        ({"value": "block", "reason": "x" * 1001}, "reason"),
        ({"value": "block", "why": "x"}, "why"),
    ],
)
def test_decision_names_what_is_wrong(
    client: TestClient[Litestar], body: dict[str, Any], field: str
) -> None:
    """400 with the field."""
    response = client.put(f"/v1/images/{one(client)}/decision", json=body)
    assert (response.status_code, problem(response)["field"]) == (400, field)


def test_delete_once(client: TestClient[Litestar]) -> None:
    """204, and 410 ever after, on every route."""
    image_id = one(client)
    url = f"/v1/images/{image_id}"
    assert client.delete(url).status_code == 204
    answers = [
        client.delete(url),
        client.get(url),
        client.get(f"{url}/content"),
        client.get(f"{url}/duplicates"),
        client.get(f"{url}/variants"),
        client.patch(url, json={"title": "x"}),
        client.post(f"{url}/purge"),
        client.put(f"{url}/decision", json={"value": "allow"}),
    ]
    assert [answer.status_code for answer in answers] == [410] * len(answers)
    assert client.get(f"/v1/jobs/{image_id}").json()["status"] == "done"


def test_what_is_waiting_or_failed_can_be_deleted(
    client: TestClient[Litestar], service: Service
) -> None:
    """There need be no record yet."""
    failed = one(client, ONE + BROKEN)
    assert client.delete(f"/v1/images/{failed}").status_code == 204
    assert client.get(f"/v1/images/{failed}").status_code == 410
    service.queue.paused = True
    waiting = one(client)
    response = client.delete(f"/v1/images/{waiting}")
    assert response.status_code == 503  # the queue is paused, and the operation waits in it
    service.queue.held.reverse()
    with pytest.raises(Exception, match=r"pending|blob"):  # the upload's bytes are gone by then
        service.queue.run()
    assert client.get(f"/v1/images/{waiting}").status_code == 410


def test_an_operation_that_is_not_settled_in_time_answers_503(
    client: TestClient[Litestar], service: Service
) -> None:
    """With Retry-After and the job's id; it still comes through."""
    image_id = one(client)
    service.queue.paused = True
    response = client.patch(f"/v1/images/{image_id}", json={"title": "later"})
    told = problem(response)
    assert (response.status_code, response.headers["retry-after"]) == (503, "1")
    assert told["type"] == "/problems/pending"
    service.queue.run()
    assert client.get(f"/v1/images/{image_id}").json()["title"] == "later"


def test_an_owner_is_erased(client: TestClient[Litestar], service: Service) -> None:
    """Settled, failed and waiting pictures; others stay; again there is nothing left."""
    mine = [one(client, owner_id="o"), one(client, ONE + BROKEN, owner_id="o")]
    other = one(client, TWO, owner_id="p")
    response = client.delete("/v1/images?owner_id=o")
    assert (response.status_code, response.json()) == (
        200,
        {"owner_id": "o", "matched": 2, "deleted": 2, "waiting": 0},
    )
    assert [client.get(f"/v1/images/{i}").status_code for i in (*mine, other)] == [410, 410, 200]
    assert client.delete("/v1/images?owner_id=o").json()["matched"] == 0
    service.queue.paused = True
    one(client, owner_id="p")
    response = client.delete("/v1/images?owner_id=p")
    assert (response.status_code, response.json()) == (
        202,
        {"owner_id": "p", "matched": 2, "deleted": 0, "waiting": 2},
    )
    assert response.headers["retry-after"] == "1"


def test_what_is_held_stays(client: TestClient[Litestar]) -> None:
    """409 to delete and purge, naming the time, until it is lifted; any time zone is accepted."""
    url = f"/v1/images/{one(client, title='A')}"
    told = client.patch(url, json={"hold_until": "2999-01-01T02:00:00+02:00"})
    assert (told.json()["hold_until"], told.json()["title"]) == (HELD, "A")
    assert told.headers["etag"] == '"2"'
    for answer in (client.delete(url), client.post(f"{url}/purge")):
        assert (answer.status_code, problem(answer)["type"]) == (409, "/problems/conflict")
        assert HELD in problem(answer)["detail"]
    again = client.patch(url, json={"hold_until": HELD})
    assert again.headers["etag"] == '"2"'
    edited = client.patch(url, json={"title": "B"}).json()
    assert (edited["hold_until"], edited["title"]) == (HELD, "B")
    both = client.patch(url, json={"title": "C", "hold_until": "2001-01-01T00:00:00Z"}).json()
    assert (both["hold_until"], both["title"]) == ("2001-01-01T00:00:00.000Z", "C")
    assert client.post(f"{url}/purge").status_code == 200
    assert client.patch(url, json={"hold_until": None}).json()["hold_until"] is None
    assert client.delete(url).status_code == 204


def test_an_owners_held_pictures_stay(client: TestClient[Litestar], service: Service) -> None:
    """The others are deleted; the answer counts them and names the time."""
    ids = [one(client, png(photo(n, 64, 64)), owner_id="o") for n in range(3)]
    for image_id, until in zip(ids, (HELD, "2998-01-01T00:00:00Z"), strict=False):
        client.patch(f"/v1/images/{image_id}", json={"hold_until": until})
    for deleted in (1, 0):
        answer = client.delete("/v1/images?owner_id=o")
        told = problem(answer)
        assert answer.status_code == 409
        assert HELD in told["detail"]
        matched = 2 + deleted
        assert told["erased"] == {
            "owner_id": "o",
            "matched": matched,
            "deleted": deleted,
            "waiting": 0,
            "held": 2,
        }
    client.patch(f"/v1/images/{ids[0]}", json={"hold_until": None})
    service.queue.paused = True
    assert client.delete("/v1/images?owner_id=o").status_code == 202


@pytest.mark.parametrize("query", ["", "?owner_id=", f"?owner_id={'x' * 201}", "?owner=o"])
def test_an_owner_must_be_named(client: TestClient[Litestar], query: str) -> None:
    """Nothing is deleted for want of a parameter."""
    image_id = one(client)
    response = client.delete(f"/v1/images{query}")
    field = "owner" if query == "?owner=o" else "owner_id"
    assert (response.status_code, problem(response)["field"]) == (400, field)
    assert client.get(f"/v1/images/{image_id}").status_code == 200
