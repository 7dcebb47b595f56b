"""Keys of role `read`: pictures whose decision or original's is not `allow` do not exist."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import msgspec
import pytest
from litestar import Litestar
from litestar.testing import TestClient

from api.app import create_app
from core import keys
from core.evidence import Evidence
from core.records import Fields, Record
from core.types import Match, Value
from tests.doubles.records import image_id, record
from tests.doubles.small_service import BROKEN, Service, tail_of
from tests.samples.pictures import jpeg, photo, png

TENANT = "default"
SEEN = png(photo(40, 64, 48))
"""Bytes of picture 2, which is blocked."""
PREVIEW = jpeg(photo(40, 64, 48))
HIDDEN = (1, 2, 3, 5, 7, 9)
SHOWN = (0, 4, 6, 8)
BY = {role: {"Authorization": f"Bearer a-key-of-role-{role}"} for role in ("read", "write")}


def library(service: Service) -> list[Record]:
    """Return pictures of every kind; each original's verdict names all others as near it."""
    visual, captions = service.visual.space.space_id, service.caption.space.space_id
    image = service.visual.embed_images([photo(1, 32, 32)])[0]

    def one(n: int, decision: Value = "allow", **more: Any) -> Record:  # noqa: ANN401  # any field
        fields = Fields(title="dog", owner_id=f"owner-{n}")
        vectors = {captions: service.caption.of(fields)}
        if "original" not in more:
            vectors[visual] = image
        made = record(n, 1, fields=fields, vectors=vectors, decision=decision, **more)
        near = [k for k in range(9) if k != n]
        matches = tuple(
            Match(image_id=image_id(k), kind="similar", confirmed=False, evidence=Evidence())
            for k in near
        )
        verdict = msgspec.structs.replace(
            made.state.verdict, matches=made.state.verdict.matches + matches
        )
        state = msgspec.structs.replace(made.state, verdict=verdict)
        return msgspec.structs.replace(made, state=state)

    return [
        one(0),
        one(1, "review", original=0),
        one(2, "block"),
        one(3, original=2),
        one(4, original=0),
        one(5, "review", variants=[0]),
        one(6, variants=[0]),
        one(7, "block", original=0),
        one(8),
        one(9),  # blocked in the tail
    ]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Yield a service with the library, the last picture of which was blocked just now."""
    roles = ",".join(f"a-key-of-role-{role}:{TENANT}:{role}" for role in BY)
    made = Service(tmp_path_factory.mktemp("readers"), api_keys=roles)
    made.visual.absent = made.caption.absent = None
    records = library(made)
    made.index.project_entry(TENANT, 1, records, [], [])
    last = records[9]
    for one in records:
        derived = keys.derived(TENANT, one.state.image_id, "fingerprint")
        made.blobs.put([(derived, msgspec.msgpack.encode(one.fingerprint))])
        made.blobs.put([(keys.blob(TENANT, one.state.image_id), SEEN)])
        made.blobs.put([(keys.derived(TENANT, one.state.image_id, "preview"), PREVIEW)])
    made.shelf.write_fields(TENANT, [(image_id(9), "op", last.fields)])
    decision = msgspec.structs.replace(last.state.decision, value="block")
    now = msgspec.structs.replace(last.state, decision=decision, fields="op", revision=9)
    made.follower.tails[TENANT] = tail_of(states={image_id(9): now}, head=2)
    yield made
    made.close()


@pytest.fixture(scope="module")
def client(service: Service) -> Iterator[TestClient[Litestar]]:
    """Yield a client of the service."""
    with TestClient(create_app(service), raise_server_exceptions=False) as opened:
        yield opened


ASKED = (
    ("GET", "/v1/images/{id}", {}),
    ("GET", "/v1/images/{id}/similar", {}),
    ("GET", "/v1/images/{id}/similar?space=caption", {}),
    ("GET", "/v1/images/{id}/duplicates", {}),
    ("GET", "/v1/images/{id}/variants", {}),
    ("GET", "/v1/images/{id}/content", {}),
    ("GET", "/v1/images/{id}/content?size=preview", {}),
    ("GET", "/v1/images/{id}/content?size=thumb", {}),
    ("POST", "/v1/search", {"json": {"image_id": "{id}"}}),
    ("POST", "/v1/search", {"json": {"image_id": "{id}", "mode": "visual"}}),
    ("POST", "/v1/rag/context", {"json": {"images": ["{id}"]}}),
    ("POST", "/v1/rag/context", {"json": {"images": [image_id(0), "{id}"], "query": "dog"}}),
)
"""All that a reader may ask about a picture."""


def ask(
    client: TestClient[Litestar],
    asked: tuple[str, str, dict[str, Any]],
    one: str,
    **headers: str,
) -> httpx.Response:
    """Send one of these requests about a picture."""
    method, path, body = asked
    sent = msgspec.json.decode(msgspec.json.encode(body).replace(b"{id}", one.encode()))
    return client.request(method, path.replace("{id}", one), headers=BY["read"] | headers, **sent)


def hidden_in(answer: httpx.Response, *known: int) -> list[int]:
    """Return the hidden pictures that an answer names, by an id or an owner, but for known ones."""
    text = answer.text
    return [n for n in HIDDEN if n not in known and (image_id(n) in text or f'"owner-{n}"' in text)]


@pytest.mark.parametrize("asked", ASKED)
def test_a_hidden_picture_answers_as_one_that_never_was(
    client: TestClient[Litestar], asked: tuple[str, str, dict[str, Any]]
) -> None:
    """The same 404 but for the id, whatever hides it; a condition changes nothing."""
    unknown = image_id(777)
    strange = ask(client, asked, unknown)
    assert strange.status_code == 404
    for n in HIDDEN:
        for more in ({}, {"If-None-Match": "*"}):
            answer = ask(client, asked, image_id(n), **more)
            told, wanted = answer.json(), strange.json()
            del told["request_id"], wanted["request_id"]
            assert answer.status_code == 404
            assert msgspec.json.encode(told).replace(
                image_id(n).encode(), unknown.encode()
            ) == msgspec.json.encode(wanted)


@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize("n", SHOWN)
def test_no_answer_names_a_hidden_picture(
    client: TestClient[Litestar], asked: tuple[str, str, dict[str, Any]], n: int
) -> None:
    """Nor the owner of one: not in lists, verdicts, evidence or prompts."""
    answer = ask(client, asked, image_id(n))
    assert answer.status_code == 200 or (answer.status_code, n) == (409, 6)
    assert hidden_in(answer) == []


def test_words_and_files_find_nothing_hidden(client: TestClient[Litestar]) -> None:
    """For a search, a prompt, or a check of the very bytes of a blocked picture."""
    file = {"file": ("a.png", SEEN)}
    for path, sent in (
        ("/v1/search", {"json": {"text": "dog", "limit": 50}}),
        ("/v1/search", {"json": {"text": "dog", "limit": 50, "collapse": False}}),
        ("/v1/search", {"json": {"text": "dog", "filters": {"original_id": image_id(2)}}}),
        ("/v1/search", {"json": {"text": "dog", "group_by": "owner_id"}}),
        ("/v1/search", {"files": file}),
        ("/v1/rag/context", {"json": {"query": "dog", "limit": 50}}),
        ("/v1/rag/context", {"files": file}),
        ("/v1/check", {"files": file}),
    ):
        answer = client.post(path, headers=BY["read"], **sent)  # type: ignore[arg-type]
        assert answer.status_code == 200
        assert hidden_in(answer) == []
    refused = client.post(
        "/v1/search",
        json={"text": "dog", "filters": {"decision": ["block"]}},
        headers=BY["read"],
    )
    assert refused.status_code == 403


@pytest.mark.parametrize("path", ["duplicates", "variants"])
def test_pages_are_as_long_as_if_nothing_were_hidden(
    client: TestClient[Litestar], path: str
) -> None:
    """A page cut short, or a cursor made of a hidden picture's id, would give it away."""
    url = f"/v1/images/{image_id(0)}/{path}?limit=1"
    told = client.get(url, headers=BY["read"]).json()
    assert [one["image_id"] for one in told["items"]] == [
        image_id(4 if path == "duplicates" else 6)
    ]
    assert told["next_cursor"] is None
    assert client.get(url, headers=BY["write"]).json()["next_cursor"] is not None


def test_matches_with_shown_pictures_stay(client: TestClient[Litestar]) -> None:
    """A writer sees all of them, and the two have other ETags."""
    answers = [client.get(f"/v1/images/{image_id(4)}", headers=BY[role]) for role in BY]
    seen, whole = (
        {match["image_id"] for match in answer.json()["verdict"]["matches"]} for answer in answers
    )
    assert seen == {image_id(n) for n in (0, 6, 8)}
    assert whole == {image_id(n) for n in range(9) if n != 4}
    assert answers[0].headers["etag"] != answers[1].headers["etag"]


def test_an_unsettled_picture_is_unknown_to_a_reader(
    client: TestClient[Litestar], service: Service
) -> None:
    """Its job is the writer's, and so is the reason why it failed."""
    service.queue.paused = True
    for data in (png(photo(50, 64, 48)), png(photo(51, 64, 48)) + BROKEN):
        sent = client.post("/v1/images", files={"file": data}, headers=BY["write"])
        one = sent.json()["items"][0]["image_id"]
        if data.endswith(BROKEN):
            service.queue.paused = False
            service.queue.run()
        for role, job in (("write", True), ("read", False)):
            answer = client.get(f"/v1/images/{one}", headers=BY[role])
            assert (answer.status_code, "job" in answer.json()) == (404, job)
            assert ("no picture" in answer.json()["detail"]) is not job


def test_a_check_tells_a_reader_the_decision_and_never_whose(
    client: TestClient[Litestar], service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy of a blocked picture is reported as blocked and as a copy; no picture is named."""
    found = library(service)[3].state
    blocked = msgspec.structs.replace(found.decision, value="block")
    monkeypatch.setattr(service.checker, "check", lambda *_: (found.verdict, blocked))
    file = {"file": ("a.png", SEEN)}
    answer = client.post("/v1/check", files=file, headers=BY["read"])
    told = answer.json()
    assert (told["decision"]["value"], told["verdict"]["kind"]) == ("block", "near_duplicate")
    assert told["verdict"]["original"] is None
    assert hidden_in(answer) == []
    whole = client.post("/v1/check", files=file, headers=BY["write"]).json()
    assert whole["verdict"]["original"]["owner_id"] == "owner-2"
