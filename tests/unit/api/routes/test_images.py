"""Pictures over HTTP: records, lists, neighbours, duplicates and variants."""

from __future__ import annotations

from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from msgspec.structs import replace

from api import etags
from core.cursor import encode
from core.queries.joined_views import RecordView
from tests.doubles.records import image_id, record
from tests.doubles.small_service import BROKEN, Service
from tests.samples.pictures import photo, png
from tests.unit.api.calls import ONE, TWO, one, problem

UNKNOWN = "01900000-0000-7000-8000-000000000000"


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
            "features_version": 1,
            "frames_sha256": "",
            "hdr": None,
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
    """Waiting or failed: there is no record, and the job has the reason."""
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


def test_ids_are_read_in_either_case(client: TestClient[Litestar]) -> None:
    """They are UUIDs, in paths, parameters and bodies."""
    image_id = one(client)
    copy = one(client)
    upper = image_id.upper()
    assert client.get(f"/v1/images/{upper}").json()["image_id"] == image_id
    assert client.get(f"/v1/jobs/{upper}").json()["job_id"] == image_id
    assert client.patch(f"/v1/images/{upper}", json={"title": "x"}).status_code == 200
    listed = client.get("/v1/images", params={"original_id": upper}).json()["items"]
    assert [item["image_id"] for item in listed] == [copy]


@pytest.mark.parametrize("bad", [UNKNOWN, "x", "..", UNKNOWN.upper() + "A", "a%2Fb", "a" * 4000])
def test_unknown_ids_answer_404(client: TestClient[Litestar], bad: str) -> None:
    """An id of any form gets one, on every route."""
    calls = [
        ("GET", "/v1/images/{}", {}),
        ("GET", "/v1/images/{}/duplicates", {}),
        ("GET", "/v1/images/{}/variants", {}),
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
    assert listed(tag="u") == listed(tags="u") == [a]
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
        (f"cursor={encode('2024-99-99T99:99:99.999Z', '0' * 36)}", "cursor"),
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
    """The original and its copies, newest first, for any member of the group."""
    original = one(client)
    copies = [one(client) for _ in range(3)]
    for asked in (original, copies[1]):
        told = client.get(f"/v1/images/{asked}/duplicates?limit=2").json()
        assert told["original"]["image_id"] == original
        assert [item["image_id"] for item in told["items"]] == [copies[2], copies[1]]
        rest = client.get(f"/v1/images/{asked}/duplicates?cursor={told['next_cursor']}").json()
        assert [item["image_id"] for item in rest["items"]] == [copies[0]]
        assert rest["next_cursor"] is None


def test_variants_are_listed_both_ways(client: TestClient[Litestar], service: Service) -> None:
    """A verdict names some and others name it, newest first; copies are none."""
    tenant = service.tenant
    named: dict[int, dict[str, Any]] = {
        1: {},
        2: {"variants": (1,)},
        3: {"original": 2},
        4: {"original": 1, "variants": (2,)},
        5: {"variants": (1, 2)},
    }
    records = [record(n, 1, tenant=tenant, **more) for n, more in named.items()]
    service.index.project_entry(tenant, 1, records, [], [])

    def told(n: int, query: str = "") -> tuple[list[str], str | None]:
        answer = client.get(f"/v1/images/{image_id(n)}/variants{query}").json()
        return [item["image_id"] for item in answer["items"]], answer["next_cursor"]

    assert told(1) == ([image_id(5), image_id(2)], None)
    assert told(2) == ([image_id(n) for n in (5, 4, 1)], None)
    assert told(3) == ([], None)
    assert told(4) == ([image_id(2)], None)
    page, cursor = told(2, "?limit=2")
    assert page == [image_id(5), image_id(4)]
    assert told(2, f"?limit=2&cursor={cursor}") == ([image_id(1)], None)
    shown = client.get(f"/v1/images/{image_id(5)}").json()
    assert (shown["verdict"]["kind"], shown["verdict"]["original"]) == ("variant", None)
    assert [(match["kind"], match["confirmed"]) for match in shown["verdict"]["matches"]] == [
        ("variant", False)
    ] * 2
    listed = client.get("/v1/images?verdict=variant").json()["items"]
    assert [item["image_id"] for item in listed] == [image_id(5), image_id(2)]
    other = {"Authorization": "Bearer key-of-tenant-t399"}
    assert client.get(f"/v1/images/{image_id(1)}/variants", headers=other).status_code == 404


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


def test_an_etag_tells_of_matches_that_are_left_out() -> None:
    """The matches were deleted since: the answer differs, the revision does not."""
    seen = RecordView(record=record(1, 1), original=None, reason=None)
    told = [etags.answer(replace(seen, gone=n)).headers["ETag"] for n in range(3)]
    assert len(set(told)) == 3
    revision = seen.record.state.revision
    assert [etags.matched(one, revision) for one in told] == [revision] * 3
