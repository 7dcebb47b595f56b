"""Searching over HTTP: questions as JSON and as forms, answers, and every wrong one named."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from litestar import Litestar
from litestar.testing import TestClient
from PIL import Image

from api.schemas.requests import HITS
from core.records import Fields
from tests.doubles.records import image_id, record
from tests.doubles.small_service import MAX_BYTES, Service
from tests.samples.pictures import png
from tests.unit.api.calls import problem

RED = png(Image.new("RGB", (32, 32), "red"))


@pytest.fixture
def stocked(service: Service) -> Service:
    """Three pictures with titles and colours, and both models."""
    service.visual.absent = service.caption.absent = None
    made = []
    for n, (title, colour, category) in enumerate(
        [("a dog in a park", "green", "pets"), ("red car", "red", "vehicles"), ("sea", "blue", "x")]
    ):
        fields = Fields(title=title, category=category, tags=(colour,))
        image = Image.new("RGB", (32, 32), colour)
        vectors = {
            service.caption.space.space_id: service.caption.of(fields),
            service.visual.space.space_id: service.visual.embed_images([image])[0],
        }
        made.append(record(n, 1, tenant=service.tenant, fields=fields, vectors=vectors))
    service.index.project_entry(service.tenant, 1, made, [], [])
    return service


def ask(client: TestClient[Litestar], **body: Any) -> httpx.Response:  # noqa: ANN401  # any field
    """Search by a JSON body."""
    return client.post("/v1/search", json=body)


def ids(response: httpx.Response) -> list[str]:
    """Return the ids of the pictures found."""
    assert response.status_code == 200, response.text
    return [hit["image"]["image_id"] for hit in response.json()["hits"]]


@pytest.mark.usefixtures("stocked")
def test_a_text_is_searched_for(client: TestClient[Litestar]) -> None:
    """Best first, with records, similarities, band and what took part."""
    told = ask(client, text="a puppy in the park", limit=2).json()
    assert told["used"] == ["visual", "caption", "keyword"]
    assert (told["missing"], told["took_ms"] > 0) == ([], True)
    best = told["hits"][0]
    assert best["image"]["title"] == "a dog in a park"
    assert best["rank"] == 1
    assert set(best["matched_by"]) >= {"caption", "keyword"}
    assert set(best["similarities"]) == {"visual", "caption"}
    assert best["band"] in ("very close", "close", "related", "weak")
    assert not {"distance", "group", "matched_copy_id"} & set(best)
    assert len(told["hits"]) == 2


@pytest.mark.usefixtures("stocked")
def test_modes_filters_groups_and_bounds(client: TestClient[Litestar]) -> None:
    """Each field has its documented effect."""
    assert ids(ask(client, text="crimson", mode="caption", limit=1)) == [image_id(1)]
    assert ids(ask(client, query="cars", mode="keyword", limit=10.0)) == [image_id(1)]
    assert ids(ask(client, text="car", filters={"category": "pets"})) == [image_id(0)]
    assert ids(ask(client, text="car", filters={"tag": "blue", "decision": "allow"})) == [
        image_id(2)
    ]
    assert ids(ask(client, text="car", filters={"accepted_after": "2026-01-01T00:00:00.001Z"})) == [
        image_id(2)
    ]
    grouped = ask(client, text="dog", mode="caption", group_by="category").json()["hits"]
    assert {hit["group"] for hit in grouped} == {"pets", "vehicles", "x"}
    near = ask(client, text="dog", mode="caption", metric="l2", max_distance=2).json()["hits"]
    far = near[0]["distance"]
    assert ids(ask(client, text="dog", mode="caption", metric="l2", max_distance=far)) == [
        image_id(0)
    ]
    near = {"mode": "visual", "collapse": False, "limit": 9}
    assert ids(ask(client, image_id=image_id(0).upper(), **near))[0] != image_id(0)
    assert ids(ask(client, text="dog", min_similarity={"caption": 0.9})) == [image_id(0)]
    assert ids(ask(client, text="dog", min_similarity=0.9, mode="caption")) == [image_id(0)]
    nulls = dict.fromkeys(("image_id", "filters", "limit", "group_by", "space"))
    assert ids(ask(client, text="dog", **nulls))[0] == image_id(0)


@pytest.mark.usefixtures("stocked")
def test_a_file_is_searched_for_and_not_kept(
    client: TestClient[Litestar], service: Service
) -> None:
    """The form has the same names; values that are not text are JSON."""
    files = {"file": ("a.png", RED)}
    assert ids(client.post("/v1/search", files=files))[0] == image_id(1)
    form = {"mode": "visual", "limit": "1.0", "filters": '{"tag":"blue"}', "text": "", "query": ""}
    form["collapse"] = "True"  # as a generated client writes it
    assert ids(client.post("/v1/search", files=files, data=form)) == [image_id(2)]
    both = client.post("/v1/search", files=files, data={"text": "sea"}).json()
    assert both["used"] == ["visual", "caption", "keyword"]
    assert ids(client.post("/v1/search", files={"text": (None, "sea")}))[0] == image_id(2)
    assert list((service.settings.data / "spool").iterdir()) == []
    assert client.get("/v1/jobs").json()["items"] == []


@pytest.mark.parametrize(
    ("data", "form", "status", "field"),
    [
        (b"hello", {}, 415, None),
        (RED[:60], {}, 422, None),
        (b"x" * (MAX_BYTES + 1), {}, 413, "file"),
        (RED, {"mode": "caption"}, 400, "mode"),
        (RED, {"mode": "keyword"}, 400, "mode"),
        (RED, {"limit": "many"}, 400, "limit"),
        (RED, {"filters": "{"}, 400, "filters"),
        (RED, {"colour": "red"}, 400, "colour"),
        (RED, {"space": "visual-99999999"}, 409, "space"),
        (RED, {"min_similarity": "0.5"}, 400, "min_similarity"),
    ],
)
@pytest.mark.usefixtures("stocked")
def test_a_form_that_is_wrong_is_named(  # noqa: PLR0917 - two fixtures, four columns
    client: TestClient[Litestar],
    service: Service,
    data: bytes,
    form: dict[str, str],
    status: int,
    field: str | None,
) -> None:
    """No file stays on the disk."""
    response = client.post("/v1/search", files={"file": ("a.png", data)}, data=form)
    told = problem(response)
    assert (response.status_code, told.get("field")) == (status, field)
    assert list((service.settings.data / "spool").iterdir()) == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "text"),
        ({"text": 7}, "text"),
        ({"text": "x" * 10_001}, "text"),
        ({"query": 7}, "text"),
        ({"text": "a", "query": "a"}, "query"),
        ({"text": "a", "mode": "smell"}, "mode"),
        ({"text": "a", "mode": ["visual"]}, "mode"),
        ({"text": "a", "metric": "dot"}, "metric"),
        ({"text": "a", "group_by": "title"}, "group_by"),
        ({"text": "a", "limit": 0}, "limit"),
        ({"text": "a", "limit": HITS + 1}, "limit"),
        ({"text": "a", "limit": True}, "limit"),
        ({"text": "a", "limit": 2.5}, "limit"),
        ({"text": "a", "collapse": "no"}, "collapse"),
        ({"text": "a", "filters": []}, "filters"),
        ({"text": "a", "filters": {"colour": "red"}}, "filters.colour"),
        ({"text": "a", "filters": {"category": 7}}, "filters.category"),
        ({"text": "a", "filters": {"tags": "red"}}, "filters.tags"),
        ({"text": "a", "filters": {"tags": [None]}}, "filters.tags"),
        ({"text": "a", "filters": {"decision": "maybe"}}, "filters.decision"),
        ({"text": "a", "filters": {"verdict": {}}}, "filters.verdict"),
        ({"text": "a", "filters": {"accepted_after": "yesterday"}}, "filters.accepted_after"),
        ({"text": "a", "min_similarity": "0.5"}, "min_similarity"),
        ({"text": "a", "min_similarity": {"visual": None}}, "min_similarity.visual"),
        ({"text": "a", "mode": "caption", "min_similarity": 2}, "min_similarity"),
        ({"text": "a", "mode": "caption", "max_distance": 3}, "max_distance"),
        ({"text": "a", "mode": "caption", "max_distance": 10**400}, "max_distance"),
        ({"text": "a", "space": "smell"}, "space"),
        ({"image_id": image_id(0), "mode": "keyword"}, "mode"),
    ],
)
def test_a_question_that_is_wrong_is_named(
    client: TestClient[Litestar], body: dict[str, Any], field: str
) -> None:
    """400, the path within filters included."""
    response = client.post("/v1/search", content=json.dumps(body), headers=JSON)
    assert (response.status_code, problem(response)["field"]) == (400, field)


JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"", "application/json", 400),
        (b"[]", "application/json", 400),
        (b'"a"', "application/json", 400),
        (b'{"text": "\xff"}', "application/json", 400),
        (b'{"text": "\\ud800"}', "application/json", 400),
        (b"[" * 100_000, "application/json", 400),
        (b" " * (1024 * 1024 + 1), "application/json", 413),
        (b"text=a", "application/x-www-form-urlencoded", 415),
        (b"x", "multipart/form-data", 400),
    ],
)
def test_a_body_that_is_none_is_refused(
    client: TestClient[Litestar], content: bytes, kind: str, status: int
) -> None:
    """With a problem, whatever it holds."""
    response = client.post("/v1/search", content=content, headers={"Content-Type": kind})
    assert (response.status_code, problem(response)["status"]) == (status, status)


def test_models_and_spaces_that_are_not_there(
    client: TestClient[Litestar], stocked: Service
) -> None:
    """503 with the reason, 409 for another space, 404 for an unknown picture."""
    assert ask(client, text="a", space="caption-99999999").status_code == 409
    assert ask(client, image_id=image_id(77)).status_code == 404
    stocked.caption.absent = "no caption weights"
    response = ask(client, text="a", mode="caption")
    told = problem(response)
    assert (response.status_code, told["detail"]) == (503, "no caption weights")
    assert told["type"] == "/problems/model-absent"
    assert "retry-after" in response.headers
    hybrid = ask(client, text="dog").json()
    assert hybrid["used"] == ["visual", "keyword"]
    assert hybrid["missing"] == [{"signal": "caption", "reason": "no caption weights"}]
    stocked.visual.absent = "no visual weights"
    assert client.post("/v1/search", files={"file": ("a.png", RED)}).status_code == 503


@pytest.mark.usefixtures("stocked")
def test_neighbours_by_caption(client: TestClient[Litestar]) -> None:
    """GET similar works in either space."""
    url = f"/v1/images/{image_id(0)}/similar"
    for space in ("visual", "caption", "caption-70707070"):
        found = client.get(f"{url}?space={space}").json()
        assert found["space"].startswith(space)
        assert [one["image"]["image_id"] for one in found["items"]] != []
        assert image_id(0) not in [one["image"]["image_id"] for one in found["items"]]
    assert client.get(f"{url}?space=caption-99999999").status_code == 409


ODD = """" ' * ^ ( ) - + : { } NEAR AND OR NOT title dog 😀 é % \\ -- ; NEAR(a"""
HOSTILE = st.text(max_size=200) | st.lists(
    st.sampled_from([*ODD.split(), "\x00", "DROP TABLE words_1", "NEAR(a b, 5)"]), max_size=30
).map(" ".join)


@given(text=HOSTILE, mode=st.sampled_from(["keyword", "hybrid", "caption"]), deep=st.booleans())
@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@pytest.mark.usefixtures("stocked")
def test_no_text_is_ever_an_error(
    client: TestClient[Litestar], text: str, mode: str, deep: bool
) -> None:
    """In the query and in a filter: 200, or 400 if no words are left."""
    filters = {"category": text[:100], "tags": [text[:100]]} if deep else {}
    response = client.post("/v1/search", json={"text": text, "mode": mode, "filters": filters})
    assert response.status_code == (200 if text.strip() else 400), response.text


def test_the_reference_tells_of_search(client: TestClient[Litestar]) -> None:
    """Both kinds of body, examples, and the errors."""
    told = client.get("/schema").json()["paths"]["/v1/search"]["post"]
    content = told["requestBody"]["content"]
    assert set(content) == {"application/json", "multipart/form-data"}
    assert len(content["application/json"]["examples"]) >= 3
    assert {"200", "400", "401", "404", "409", "410", "413", "415", "422", "503"} <= set(
        told["responses"]
    )
    assert "example" in told["responses"]["200"]["content"]["application/json"]["examples"]
