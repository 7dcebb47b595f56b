"""Pictures over HTTP: upload, read, list, change, delete."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from litestar import Litestar
from litestar.testing import TestClient

from core.errors import CorruptError, IndexUnavailableError
from tests.door import BROKEN, MAX_BYTES, Service
from tests.pictures import photo, png

UNKNOWN = "01900000-0000-7000-8000-000000000000"
LARGE = b"x" * (MAX_BYTES + 1)
ONE, TWO = (png(photo(seed, 96, 64)) for seed in (1, 2))


def send(client: TestClient[Litestar], *files: bytes, **more: Any) -> httpx.Response:  # noqa: ANN401  # any option
    """Upload some files."""
    parts = [("file", (f"{n}.png", data, "image/png")) for n, data in enumerate(files)]
    return client.post(more.pop("url", "/v1/images"), files=parts, **more)


def one(client: TestClient[Litestar], data: bytes = ONE, **fields: Any) -> str:  # noqa: ANN401  # any field
    """Upload one file and return its id."""
    return str(send(client, data, data=fields).json()["items"][0]["image_id"])


def problem(response: httpx.Response) -> dict[str, Any]:
    """The problem of an answer, whose request_id differs each time."""
    assert response.headers["content-type"] == "application/problem+json"
    told = response.json()
    assert told.pop("request_id") == response.headers["x-request-id"]
    return dict(told)


# --- upload ---------------------------------------------------------------------------------------


def test_upload_answers_ids_in_the_order_of_the_parts(client: TestClient[Litestar]) -> None:
    """A bad file among good ones stands in its place as an error and fails nobody."""
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
    """Accepting needs the blob store alone, and jobs are told all the same."""
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
    assert other.status_code == 422
    assert problem(other)["detail"] == "this Idempotency-Key was used for other content"
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
        ({"external_id": "x" * 201}, "external_id"),
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
    """400 naming it."""
    response = send(client, ONE, url=f"/v1/images?wait={wait}")
    assert (response.status_code, problem(response)["field"]) == (400, "wait")


def test_idempotency_key_has_a_length(client: TestClient[Litestar]) -> None:
    """1 to 255 printable characters."""
    response = send(client, ONE, headers={"Idempotency-Key": "x" * 256})
    assert (response.status_code, problem(response)["field"]) == (400, "Idempotency-Key")


# --- read -----------------------------------------------------------------------------------------


def test_record_tells_everything(client: TestClient[Litestar], service: Service) -> None:
    """Ids, fields, fingerprints, verdict and decision, under one ETag."""
    fields = {
        "title": "Mug",
        "description": "Blue\nmug",
        "category": "kitchen",
        "tags": ["mug", "blue", "mug"],
        "owner_id": "o",
        "external_id": "e",
        "source_url": "https://example.org/a?b=c",
        "metadata": '{"sku": {"n": 1}}',
    }
    image_id = one(client, **fields)
    response = client.get(f"/v1/images/{image_id}")
    seen = service.reader.record(service.tenant, image_id)
    state, print_ = seen.record.state, seen.record.fingerprint
    assert response.headers["etag"] == '"1"'
    assert response.json() == {
        "image_id": image_id,
        **fields,
        "tags": ["mug", "blue"],
        "metadata": {"sku": {"n": 1}},
        "filename": "0.png",
        "sha256": print_.sha256,
        "fingerprints": {
            "phash": {"hex": print_.phash, "bits": 64},
            "pdq": {"hex": print_.pdq, "bits": 256, "quality": 100},
            "md5": print_.md5,
            "pixels_sha256": print_.pixels_sha256,
            "pixels_version": 1,
        },
        "width": 640,
        "height": 480,
        "format": "PNG",
        "frames": 1,
        "bytes": len(ONE),
        "content": "stored",
        "accepted_at": state.accepted_at,
        "updated_at": state.updated_at,
        "spaces": {"visual": None, "caption": None},
        "verdict": {
            "kind": "new",
            "original": None,
            "matches": [],
            "missing": [],
            "comparable": True,
            "candidates_truncated": False,
            "policy_version": "1",
            "pipeline_version": "1",
            "revision": 1,
            "decided_at": state.verdict.decided_at,
            "decided_by": "machine",
        },
        "decision": {"value": "allow", "reason": None, "by": "policy", "at": state.decision.at},
        "anchor": True,
        "hold_until": None,
        "revision": 1,
    }


def test_a_copy_tells_whose_it_is(client: TestClient[Litestar]) -> None:
    """The original is joined: ids, decision, time; its revision is in the copy's ETag."""
    original = one(client, owner_id="o", external_id="e")
    copy = one(client)
    client.patch(f"/v1/images/{original}", json={"external_id": "e2"})
    response = client.get(f"/v1/images/{copy}")
    first = client.get(f"/v1/images/{original}").json()
    assert response.headers["etag"] == '"1-2"'
    assert response.json()["verdict"]["original"] == {
        "image_id": original,
        "external_id": "e2",
        "owner_id": "o",
        "decision": first["decision"],
        "accepted_at": first["accepted_at"],
    }


def test_a_record_that_is_held_is_not_sent_again(client: TestClient[Litestar]) -> None:
    """304 while the ETag holds."""
    url = f"/v1/images/{one(client)}"
    response = client.get(url, headers={"If-None-Match": 'W/"1"'})
    assert (response.status_code, response.content) == (304, b"")
    client.patch(url, json={"title": "x"})
    assert client.get(url, headers={"If-None-Match": '"1"'}).status_code == 200


def test_unsettled_answers_404_with_the_job(client: TestClient[Litestar], service: Service) -> None:
    """Waiting or failed: the record is not there, and the job says why."""
    service.queue.paused = True
    waiting = one(client)
    response = client.get(f"/v1/images/{waiting}")
    assert response.status_code == 404
    assert problem(response)["job"] == client.get(f"/v1/jobs/{waiting}").json()
    service.queue.paused = False
    failed = one(client, ONE + BROKEN)
    told = problem(client.get(f"/v1/images/{failed}"))
    assert told["job"]["status"] == "failed"
    assert "the data ends too early" in told["detail"]


@pytest.mark.parametrize("bad", [UNKNOWN, "x", "..", UNKNOWN.upper() + "A", "a%2Fb", "a" * 4000])
def test_unknown_ids_answer_404(client: TestClient[Litestar], bad: str) -> None:
    """Whatever they look like, on every route."""
    calls = [
        ("GET", "/v1/images/{}", {}),
        ("GET", "/v1/images/{}/duplicates", {}),
        ("GET", "/v1/images/{}/content", {}),
        ("PATCH", "/v1/images/{}", {"json": {}}),
        ("DELETE", "/v1/images/{}", {}),
        ("POST", "/v1/images/{}/purge", {}),
        ("PUT", "/v1/images/{}/decision", {"json": {"value": "allow"}}),
        ("GET", "/v1/jobs/{}", {}),
        ("GET", "/v1/jobs/{}/events", {}),
        ("POST", "/v1/jobs/{}/retry", {}),
    ]
    for method, url, more in calls:
        if bad == ".." or "%2F" in bad:
            url = url.replace("{}", "%2e%2e" if bad == ".." else bad)  # noqa: PLW2901  # told raw
        response = client.request(method, url.format(bad), **more)
        assert (method, url, response.status_code) == (method, url, 404)


# --- lists ----------------------------------------------------------------------------------------


def test_list_pages_through_everything_once(client: TestClient[Litestar]) -> None:
    """Newest first, by cursor, the last part without one."""
    ids = [one(client, png(photo(seed, 40, 30))) for seed in range(5)]
    seen, cursor, parts = [], "", 0
    while True:
        page = client.get(f"/v1/images?limit=2{cursor}").json()
        seen += [item["image_id"] for item in page["items"]]
        parts += 1
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert (seen, parts) == (ids[::-1], 3)


def test_list_filters(client: TestClient[Litestar]) -> None:
    """Every filter, alone and together."""
    a = one(client, ONE, category="c", tags=["t", "u"], owner_id="o", external_id="e")
    b = one(client, ONE)
    c = one(client, TWO, category="c")
    client.put(f"/v1/images/{c}/decision", json={"value": "block"})
    at = {i: client.get(f"/v1/images/{i}").json()["accepted_at"] for i in (a, b, c)}
    sha256 = client.get(f"/v1/images/{a}").json()["sha256"]

    def listed(**filters: str) -> list[str]:
        items = client.get("/v1/images", params=filters).json()["items"]
        return [item["image_id"] for item in items]

    assert listed() == [c, b, a]
    assert listed(category="c") == [c, a]
    assert listed(tag="u") == [a]
    assert listed(verdict="exact") == [b]
    assert listed(decision="block") == [c]
    assert listed(owner_id="o") == [a]
    assert listed(external_id="e") == [a]
    assert listed(sha256=sha256.upper()) == [b, a]
    assert listed(original_id=a) == [b]
    assert listed(accepted_after=at[a]) == [c, b]
    assert listed(accepted_before=at[b]) == [a]
    assert listed(accepted_after=at[a].replace("Z", "+00:00")) == [c, b]
    assert listed(category="c", verdict="new", decision="allow") == [a]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=many", "limit"),
        ("cursor=abc", "cursor"),
        ("cursor=%00", "cursor"),
        ("verdict=maybe", "verdict"),
        ("decision=no", "decision"),
        ("accepted_after=yesterday", "accepted_after"),
        ("accepted_before=2026-01-01", "accepted_before"),
        ("accepted_before=0001-01-01T00:00:00%2B23:59", "accepted_before"),
        ("catgory=c", "catgory"),
    ],
)
def test_list_names_a_bad_parameter(client: TestClient[Litestar], query: str, field: str) -> None:
    """400 naming it; an unknown one too, as it would be ignored and answer everything."""
    response = client.get(f"/v1/images?{query}")
    assert (response.status_code, problem(response)["field"]) == (400, field)


def test_duplicates_are_the_star(client: TestClient[Litestar]) -> None:
    """The original and its copies, newest first, whichever of them is asked."""
    original = one(client)
    copies = [one(client) for _ in range(3)]
    for asked in (original, copies[1]):
        told = client.get(f"/v1/images/{asked}/duplicates?limit=2").json()
        assert told["original"]["image_id"] == original
        assert [item["image_id"] for item in told["items"]] == [copies[2], copies[1]]
        rest = client.get(f"/v1/images/{asked}/duplicates?cursor={told['next_cursor']}").json()
        assert [item["image_id"] for item in rest["items"]] == [copies[0]]
        assert rest["next_cursor"] is None


def test_similar_needs_a_model(client: TestClient[Litestar], service: Service) -> None:
    """503 with the reason without one; a bad space 400, a stale one 409, no vector 409."""
    url = f"/v1/images/{one(client)}/similar"
    response = client.get(url)
    assert (response.status_code, problem(response)["detail"]) == (503, "no visual model is wanted")
    assert response.headers["retry-after"] == "5"
    service.visual.absent = None
    assert client.get(url).status_code == 409
    assert client.get(f"{url}?space=visual-99999999").status_code == 409
    assert client.get(f"{url}?space=caption").status_code == 503
    for query, field in (("space=smell", "space"), ("min_similarity=nan", "min_similarity")):
        assert problem(client.get(f"{url}?{query}"))["field"] == field


# --- changes --------------------------------------------------------------------------------------


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
    """Of two edits at the same time neither undoes the other."""
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
    client: TestClient[Litestar], service: Service
) -> None:
    """They take turns; one whose turn does not come is told to come again."""
    url = f"/v1/images/{one(client)}"

    def edit(n: int) -> int:
        return client.patch(url, json={"metadata": {f"k{n}": n}}).status_code

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(edit, range(16))) == [200] * 16
        told = client.get(url).json()
        assert told["metadata"] == {f"k{n}": n for n in range(16)}
        assert told["revision"] == 17
        service.queue.paused = True
        assert set(pool.map(edit, range(16, 20))) == {503}


def test_decision_is_told_with_its_reason(client: TestClient[Litestar]) -> None:
    """By a person, and joined wherever the record is told."""
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


HELD = "2999-01-01T00:00:00.000Z"


def test_what_is_held_stays(client: TestClient[Litestar]) -> None:
    """409 to delete and purge, naming the time, until it is lifted; told in every time zone."""
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
