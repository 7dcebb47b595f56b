"""Prompts over HTTP, and the signed addresses in them."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from PIL import Image

from api.app import create_app
from core.storage.signed_urls import URLSigner
from tests.doubles.small_service import Service
from tests.samples.pictures import jpeg, photo

CONTEXT = "/v1/rag/context"


def upload(client: TestClient[Litestar], seed: int, **fields: Any) -> str:  # noqa: ANN401 - any field
    """Upload a photo of its own, and return its id."""
    data = jpeg(photo(seed, 200, 150))
    response = client.post("/v1/images", files={"file": ("x.jpg", data)}, data=fields)
    return str(response.json()["items"][0]["image_id"])


def asked(client: TestClient[Litestar], **body: Any) -> dict[str, Any]:  # noqa: ANN401 - any field
    """Build a context, and return the answer, which must be a 200."""
    response = client.post(CONTEXT, json=body)
    assert response.status_code == 200, response.text
    return dict(response.json())


def cited(answer: dict[str, Any]) -> set[str]:
    """Ids of the pictures shown."""
    return {one["image_id"] for one in answer["citations"]}


def test_a_question_brings_pictures_with_labels(client: TestClient[Litestar]) -> None:
    """All that the contract names, and no more."""
    mug = upload(client, 1, title="a blue mug", external_id="m-1", tags=["mug"])
    upload(client, 2, title="a horse")
    answer = asked(
        client, query="mug", format="anthropic", model="claude-opus-4-8", token_budget=2000
    )
    assert set(answer) == {
        "messages",
        "blocks",
        "citations",
        "dropped",
        "estimated_tokens",
        "reason",
        "notes",
    }
    (citation,) = answer["citations"]
    assert citation == {
        "label": "[img-1]",
        "image_id": mug,
        "title": "a blue mug",
        "external_id": "m-1",
        "source_url": None,
        "similarities": {},
    }
    (image,) = (part for part in answer["blocks"] if part["type"] == "image")
    picture = Image.open(io.BytesIO(base64.b64decode(image["source"]["data"])))
    assert (picture.format, picture.size) == ("JPEG", (200, 150))
    assert answer["messages"][-1]["content"][-1] == {"type": "text", "text": "mug"}
    assert 0 < answer["estimated_tokens"] <= 2000


@pytest.mark.parametrize("name", ["openai", "openai-responses", "anthropic", "gemini"])
def test_every_format_is_there(client: TestClient[Litestar], name: str) -> None:
    """Each is selected by its name."""
    upload(client, 1, title="a blue mug")
    assert len(asked(client, query="mug", format=name)["citations"]) == 1


def test_filters_narrow(client: TestClient[Litestar]) -> None:
    """They are those of a search."""
    one = upload(client, 1, title="a mug", category="kitchen")
    upload(client, 2, title="a mug", category="office")
    assert cited(asked(client, query="mug", filters={"category": "kitchen"})) == {one}
    assert len(cited(asked(client, text="mug", limit=1.0))) == 1
    form = {"query": (None, "mug"), "filters": (None, '{"category": "kitchen"}')}
    assert cited(client.post(CONTEXT, files=form).json()) == {one}


def test_what_is_decided_against_is_not_shown(client: TestClient[Litestar]) -> None:
    """From the moment of the decision, purge or delete."""
    ids = [upload(client, n, title="a mug") for n in range(4)]
    assert cited(asked(client, query="mug")) == set(ids)
    client.put(f"/v1/images/{ids[0]}/decision", json={"value": "review"})
    client.post(f"/v1/images/{ids[1]}/purge")
    client.delete(f"/v1/images/{ids[2]}")
    answer = asked(client, query="mug")
    assert cited(answer) == {ids[3]}
    assert ids[0] not in json.dumps(answer["messages"])
    assert cited(asked(client, query="mug", filters={"decision": "review"})) == set()


def test_nothing_relevant_says_why(client: TestClient[Litestar]) -> None:
    """200, with no picture and the question still there."""
    upload(client, 1, title="a mug")
    for body in ({"query": "zeppelin"}, {"query": "mug", "token_budget": 5}):
        answer = asked(client, **body)
        assert (answer["citations"], answer["blocks"]) == ([], [])
        assert answer["reason"]
        assert body["query"] in json.dumps(answer["messages"])


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"query": "x", "format": "mistral"}, "format"),
        ({"query": "x", "deliver": "fax"}, "deliver"),
        ({"query": "x", "colour": 1}, "colour"),
        ({"query": "x", "filters": {"colour": "red"}}, "filters.colour"),
        ({"query": "x", "limit": 51}, "limit"),
        ({"query": "x", "limit": True}, "limit"),
        ({"query": "x", "token_budget": "many"}, "token_budget"),
        ({"query": "x", "byte_budget": -1}, "byte_budget"),
        ({"query": 7}, "query"),
        ({"query": "x", "images": "id"}, "images"),
        ({"query": "x", "images": [7]}, "images"),
        ({"query": "x", "model": ["gpt"]}, "model"),
        ({}, "query"),
        ([], None),
    ],
)
def test_what_is_wrong_is_named(client: TestClient[Litestar], body: Any, field: str | None) -> None:  # noqa: ANN401 - any JSON
    """400, in JSON and in a form alike."""
    response = client.post(CONTEXT, json=body)
    assert (response.status_code, response.json().get("field")) == (400, field)
    if isinstance(body, dict) and body and "images" not in body and "model" not in body:
        form = {k: v if isinstance(v, str) else json.dumps(v) for k, v in body.items()}
        sent = client.post(CONTEXT, data=form, files={"none": b""})
        assert sent.status_code == 400


def test_other_bodies_are_refused(client: TestClient[Litestar]) -> None:
    """415 for another type, 413 for too much, 400 for what is no JSON."""
    assert (
        client.post(CONTEXT, content=b"x", headers={"Content-Type": "text/plain"}).status_code
        == 415
    )
    json_type = {"Content-Type": "application/json"}
    assert client.post(CONTEXT, content=b"{", headers=json_type).status_code == 400
    assert client.post(CONTEXT, content=b" " * 2**21, headers=json_type).status_code == 413


def test_a_stored_picture_or_a_file_needs_a_model(client: TestClient[Litestar]) -> None:
    """503 where there is none; 404 for an unknown id."""
    mug = upload(client, 1, title="a mug")
    assert client.post(CONTEXT, json={"images": [mug]}).status_code == 503
    unknown = "01900000-0000-7000-8000-000000000099"
    assert client.post(CONTEXT, json={"images": [unknown]}).status_code == 404
    data = jpeg(photo(9, 64, 64))
    assert client.post(CONTEXT, files={"file": ("x.jpg", data)}).status_code == 503
    form = client.post(CONTEXT, data={"query": "mug", "limit": "3"}, files={"none": b""})
    assert form.status_code == 400  # there is no such part


def test_a_file_asks_by_what_it_shows(client: TestClient[Litestar], service: Service) -> None:
    """With a model; nothing near: a reason. A broken file is a problem."""
    service.visual.absent = None
    data = jpeg(photo(9, 64, 64))
    for name in ("file", "images"):
        sent = client.post(CONTEXT, files={name: ("x.jpg", data)}, data={"format": "gemini"})
        assert (sent.status_code, sent.json()["citations"]) == (200, [])
    other = client.post(CONTEXT, files={"query": ("x.jpg", data)})
    assert (other.status_code, other.json()["field"]) == (400, "query")
    broken = client.post(CONTEXT, files={"file": ("x.jpg", data[:200])})
    assert broken.status_code == 422


# --- signed addresses -----------------------------------------------------------------------------


def address(client: TestClient[Litestar]) -> tuple[str, str]:
    """Return the id of the only picture, and the path of its address with the query."""
    answer = asked(client, query="mug", deliver="url", format="anthropic")
    (image,) = (part for part in answer["blocks"] if part["type"] == "image")
    url = urlsplit(image["source"]["url"])
    assert f"{url.scheme}://{url.netloc}" == str(client.base_url).rstrip("/")
    return answer["citations"][0]["image_id"], f"{url.path}?{url.query}"


def test_addresses_begin_as_the_setting_says(tmp_path: Path) -> None:
    """Behind a proxy the service does not see its own name."""
    service = Service(tmp_path, public_url="https://pictures.example.org/seen/")
    with TestClient(create_app(service), base_url="http://127.0.0.1") as client:
        image_id = upload(client, 1, title="a mug")
        answer = asked(client, query="mug", deliver="url")
    service.close()
    (url,) = (part["image_url"]["url"] for part in answer["blocks"] if part["type"] == "image_url")
    assert url.startswith(f"https://pictures.example.org/seen/v1/images/{image_id}/content?")


def opened(client: TestClient[Litestar], path: str, method: str = "GET") -> int:
    """Return the status of a request without any key."""
    key = client.headers.pop("Authorization")
    try:
        return int(client.request(method, path).status_code)
    finally:
        client.headers["Authorization"] = key


def test_an_address_opens_its_picture_without_a_key(client: TestClient[Litestar]) -> None:
    """It opens that picture in that size; HEAD works too."""
    upload(client, 1, title="a mug")
    image_id, path = address(client)
    assert opened(client, path) == opened(client, path, "HEAD") == 200
    assert (
        client.get(path).content
        == client.get(f"/v1/images/{image_id}/content?size=preview").content
    )
    assert opened(client, f"/v1/images/{image_id}/content?size=preview") == 401
    assert opened(client, path.replace("/content", "")) in (400, 401)


def test_nothing_of_an_address_can_be_changed(client: TestClient[Litestar]) -> None:
    """403 for each part; another's picture stays closed, with whatever key beside it."""
    upload(client, 1, title="a mug")
    _, path = address(client)
    other = upload(client, 2, title="a horse")
    place, query = path.split("?")
    told = {name: values[0] for name, values in parse_qs(query).items()}
    for changed in (
        {"size": "original"},
        {"tenant": "t-other"},
        {"expires": str(int(told["expires"]) + 1)},
        {"signature": "0" * 64},
        {"signature": ""},
    ):
        assert opened(client, f"{place}?{urlencode(told | changed)}") == 403
    for left_out in ("tenant", "expires", "size"):
        rest = {name: value for name, value in told.items() if name != left_out}
        assert opened(client, f"{place}?{urlencode(rest)}") == 403
    assert opened(client, f"/v1/images/{other}/content?{query}") == 403
    assert client.get(f"/v1/images/{other}/content?{query}").status_code == 403
    assert opened(client, f"{path}&more=1") == 400
    for route in ("", "/similar", "/duplicates", "/variants"):
        assert opened(client, f"/v1/images/{other}{route}?{query}") == 401


def test_an_address_ends(client: TestClient[Litestar], service: Service) -> None:
    """A signed URL is refused after its hour."""
    upload(client, 1, title="a mug")
    image_id, _ = address(client)
    past = URLSigner(service.signer._secret, lambda: 1000.0)
    assert opened(client, past.path(service.tenant, image_id, "preview")) == 403


def test_an_address_closes_with_the_decision(client: TestClient[Litestar]) -> None:
    """403 while it is not allow, also by its original; 410 once purged or deleted."""
    upload(client, 1, title="a mug")
    image_id, path = address(client)
    for value, status in (("review", 403), ("block", 403), ("allow", 200)):
        client.put(f"/v1/images/{image_id}/decision", json={"value": value})
        assert opened(client, path) == status
    client.post(f"/v1/images/{image_id}/purge")
    assert opened(client, path) == 410
    client.delete(f"/v1/images/{image_id}")
    assert opened(client, path) == 410


def test_a_copy_closes_with_its_original(client: TestClient[Litestar], service: Service) -> None:
    """Whose decision is not allow."""
    original = upload(client, 1, title="a mug")
    copy = upload(client, 1, title="a mug")
    path = service.signer.path(service.tenant, copy, "preview")
    assert opened(client, path) == 200
    client.put(f"/v1/images/{original}/decision", json={"value": "block"})
    assert opened(client, path) == 403
