"""Isolation of tenants, tried at every operation that the reference names.

Alpha has pictures in every state. Beta knows everything that alpha was ever sent: ids, cursors,
ETags, keys, signatures, even the bytes. Each answer to beta is as if alpha did not exist.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from typing import Any

import httpx
import pytest
from litestar.testing import TestClient
from uuid_utils import uuid7

from adapters import wiring
from adapters.settings import Settings
from api.app import create_app
from tests.doubles.toy_embedder import ToyEmbedder
from tests.doubles.toys import ToyCaptions
from tests.integration.api.two_tenants import (
    HELD,
    SEEN,
    UNSEEN,
    WORD,
    Door,
    Known,
    ask_while_a_worker_runs,
    jobs_of,
    settle,
)
from worker.embedded import EmbeddedEngine

# --- alpha's pictures -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Known]:
    """Yield alpha and beta at one embedded service."""
    settings = Settings(
        data=tmp_path_factory.mktemp("walls"),
        model="none",
        durable=False,
        decoders=1,
        operation_seconds=60,
        api_keys="key-of-tenant-alpha:alpha:admin,key-of-tenant-beta:beta:admin",
    )
    services = wiring.build(settings, visual=ToyEmbedder(), caption=ToyCaptions())
    engine = EmbeddedEngine(services)
    engine.start()
    assert engine.wait(60)
    with TestClient(create_app(services), raise_server_exceptions=False) as client:
        made = Known(Door(client, "alpha"), Door(client, "beta"), services)
        settle(made)
        ask_while_a_worker_runs(made)
        engine.close()
        files = {"file": ("w.jpg", UNSEEN[0])}
        (item,) = made.alpha.call("POST", "/v1/images", files=files).json()["items"]
        made.images["waiting"] = item["image_id"]
        made.jobs.append(item["job_id"])
        for kind in ("calibrate", "backfill"):
            task = made.alpha.call("POST", "/v1/admin/tasks", json={"kind": kind}).json()
            made.tasks.append(task["task_id"])
            answer = made.alpha.call("GET", f"/v1/admin/tasks/{task['task_id']}")
            assert answer.json()["status"] == "queued"
        yield made
    services.close()


# --- what beta may ask ----------------------------------------------------------------------------

IDS: dict[str, Callable[[Known], list[str]]] = {
    "image_id": lambda known: list(known.images.values()),
    "task_id": lambda known: known.tasks,
    "job_id": lambda known: [*known.jobs, f"{known.images['original']}.1"],
}
"""By the parameter of a path."""
GIVEN: dict[str, Callable[[Known], list[str]]] = {
    "cursor": lambda known: known.cursors,
    "owner_id": lambda _: [f"{WORD}-owner"],
    "external_id": lambda _: [f"{WORD}-1"],
    "category": lambda _: [WORD],
    "tags": lambda _: [WORD],
    "original_id": lambda known: list(known.images.values()),
    "sha256": lambda known: [_record(known, "held")["sha256"]],
    "If-Match": lambda known: [*known.etags, '"99"', "*"],
    "If-None-Match": lambda known: [*known.etags, "*"],
    "Idempotency-Key": lambda _: [f"{WORD}-original"],
}
"""By the parameter of a query or header: what beta knows of alpha to put there."""
SIGNED = {"tenant", "expires", "signature"}
HARMLESS = {
    "accepted_after",
    "accepted_before",
    "decision",
    "forget",
    "kind",
    "Last-Event-ID",
    "limit",
    "min_similarity",
    "size",
    "space",
    "status",
    "verdict",
    "wait",
    "X-Request-ID",
}
"""Parameters that refer to no picture."""
BODIES: dict[str, list[dict[str, Any]]] = {
    "PATCH /v1/images/{image_id}": [{"title": "mine"}, {"hold_until": HELD}, {}],
    "PUT /v1/images/{image_id}/decision": [{"value": "allow"}],
    "POST /v1/images": [],
    "POST /v1/check": [],
    "POST /v1/admin/tasks": [],
    "POST /v1/search": [
        {"text": f"a {WORD} on a beach"},
        {"text": WORD, "mode": "keyword"},
        {"text": WORD, "filters": {"owner_id": f"{WORD}-owner"}},
        {"text": "beach", "group_by": "owner_id"},
    ],
    "POST /v1/rag/context": [{"query": f"a {WORD} on a beach"}, {"query": WORD, "deliver": "url"}],
}
"""Bodies of the operations that take one. Files are covered below."""
NAMING: dict[str, Callable[[str], dict[str, Any]]] = {
    "POST /v1/search": lambda one: {"image_id": one},
    "POST /v1/rag/context": lambda one: {"query": "beach", "images": [one]},
}
"""Bodies that name a picture."""


def _record(known: Known, name: str) -> dict[str, Any]:
    record: dict[str, Any] = known.alpha.call("GET", f"/v1/images/{known.images[name]}").json()
    return record


def operations(known: Known) -> dict[str, dict[str, Any]]:
    """Return every operation of the reference, `METHOD path` and its description."""
    paths = known.beta.call("GET", "/schema/openapi.json").json()["paths"]
    return {
        f"{method.upper()} {path}": operation
        for path, described in paths.items()
        for method, operation in described.items()
    }


def parameters(operation: dict[str, Any], where: str) -> list[str]:
    """Names of those in path, query or header."""
    return [one["name"] for one in operation.get("parameters", []) if one["in"] == where]


def blind(known: Known, answer: httpx.Response, *sent: object) -> str:
    """Check that the answer names nothing of alpha's but what was sent; return the rest of it."""
    text = answer.text + json.dumps(dict(answer.headers))
    for one in sorted(map(str, sent), key=len, reverse=True):
        text = text.replace(one, "")
    named = {name for name in known.names() if name in text}
    assert not named, (answer.request.method, answer.url)
    return text


def shape(answer: httpx.Response, one: str) -> tuple[object, ...]:
    """Return an answer without its varying parts, and without the id it is about."""
    headers = {
        name: value
        for name, value in answer.headers.items()
        if name not in ("x-request-id", "content-length", "date")
    }
    text = re.sub(r'"request_id":"[^"]*"|"took_ms":[0-9.]+', "", answer.text)
    return answer.status_code, headers, text.replace(one, "ID")


@pytest.fixture(scope="module", autouse=True)
def _nothing_changes(known: Known) -> Iterator[None]:
    """Check that alpha's objects and records are the same after the block."""

    def present() -> tuple[object, ...]:
        blobs = known.services.blobs
        objects = {
            key: blobs.get(key)
            for part in blobs.folders("")
            for key in blobs.keys(f"{part}/alpha/")
        }
        told = [
            known.alpha.call("GET", url).json()
            for url in ("/v1/images?limit=200", "/v1/jobs?limit=200", "/v1/stats")
        ]
        return objects, told

    before = present()
    assert len(before[0]) > 40  # type: ignore[arg-type]
    yield
    assert present() == before


# --- the walls ------------------------------------------------------------------------------------


def test_every_operation_and_parameter_is_tried(known: Known) -> None:
    """A new one must be put into one of the tables above."""
    told = operations(known)
    named = {
        name
        for operation in told.values()
        for where in ("path", "query", "header")
        for name in parameters(operation, where)
    }
    assert named == IDS.keys() | GIVEN.keys() | SIGNED | HARMLESS
    assert {name for name, one in told.items() if "requestBody" in one} == BODIES.keys()


def test_anothers_id_is_as_unknown_as_one_that_never_was(known: Known) -> None:
    """The same status, headers and words, whatever became of it and whatever ETag is sent."""
    tried = 0
    for name, operation in operations(known).items():
        method, path = name.split(" ")
        for parameter in set(parameters(operation, "path")) & IDS.keys():
            headers = [
                {header: value}
                for header in set(parameters(operation, "header")) & GIVEN.keys()
                for value in GIVEN[header](known)
            ]
            bodies = [{"json": body} for body in BODIES.get(name, [])]
            ways = [
                {"headers": header, **body} for header in [{}, *headers] for body in bodies or [{}]
            ]
            for way in ways:
                answers = []
                for one in (str(uuid7()), *IDS[parameter](known)):
                    url = path.replace(f"{{{parameter}}}", one)
                    answers.append((known.beta.call(method, url, **way), one))
                assert answers[0][0].status_code == 404
                for answer, one in answers[1:]:
                    blind(known, answer, one)
                    assert shape(answer, one) == shape(*answers[0]), (name, way)
                tried += len(answers)
    assert tried > 200


def test_lists_and_deletes_by_anothers_words_find_nothing(known: Known) -> None:
    """Filters, cursors and keys of alpha's: none of beta's answers knows them."""
    own = {known.told[name]["image_id"] for name in ("seen", "edited")}
    tried = set()
    for name, operation in operations(known).items():
        method, path = name.split(" ")
        if "{" in path or "requestBody" in operation:
            continue
        for parameter in set(parameters(operation, "query")) & GIVEN.keys():
            for value in GIVEN[parameter](known):
                answer = known.beta.call(method, path, params={parameter: value})
                assert answer.status_code == 200
                blind(known, answer, value)
                told = answer.json()
                if parameter == "cursor":
                    assert {one["image_id"] for one in told["items"]} <= own
                else:
                    assert told.get("items", []) == []
                    assert told.get("matched", 0) == 0
                tried.add((name, parameter))
    assert len(tried) >= 8


def test_whatever_takes_no_id_tells_beta_of_beta_alone(known: Known) -> None:
    """Counts, lists, probes, figures."""
    for name, operation in operations(known).items():
        method, path = name.split(" ")
        needed = [one for one in operation.get("parameters", []) if one.get("required")]
        if method == "GET" and "{" not in path and not needed:
            blind(known, known.beta.call(method, path))
    stats = known.beta.call("GET", "/v1/stats").json()
    waiting = [job for job in jobs_of(known.beta) if job["status"] == "queued"]
    assert (stats["total"]["images"], stats["log"]["head"]) == (2, 2)
    assert stats["queue_depth"] == len(waiting)
    assert 'tenant="' not in known.beta.call("GET", "/metrics").text


def test_questions_find_nothing_of_another(known: Known) -> None:
    """Queries by words, by filters and by pictures that are named."""
    for name, bodies in BODIES.items():
        method, path = name.split(" ")
        if "{" in path or not bodies:
            continue
        for body in bodies:
            answer = known.beta.call(method, path, json=body)
            assert answer.status_code == 200
            blind(known, answer, *re.findall(r"[^\"{}:,]+", json.dumps(body)), WORD)
        for one in known.images.values():
            naming = NAMING[name]
            unknown = str(uuid7())
            answer = known.beta.call(method, path, json=naming(one))
            blind(known, answer, one)
            strange = known.beta.call(method, path, json=naming(unknown))
            assert strange.status_code == 404
            assert shape(answer, one) == shape(strange, unknown)


@pytest.mark.parametrize("file", ["file", "seen"])
def test_a_picture_finds_nothing_of_another(known: Known, file: str) -> None:
    """Neither by a question with a file nor for a prompt; beta's own alone."""
    data = UNSEEN[1] if file == "file" else SEEN
    own = {known.told[name]["image_id"] for name in ("seen", "edited")}
    answer = known.beta.call("POST", "/v1/search", files={"file": ("a.jpg", data)})
    assert answer.status_code == 200
    blind(known, answer)
    assert {hit["image"]["image_id"] for hit in answer.json()["hits"]} <= own
    prompt = known.beta.call("POST", "/v1/rag/context", files={"file": ("a.jpg", data)})
    assert prompt.status_code == 200
    blind(known, prompt)


def test_a_signature_opens_what_it_was_made_for_alone(known: Known) -> None:
    """Not under another tenant, and not another picture; refused as for one that never was."""
    others = [*(set(known.images.values()) - {known.signed_id}), str(uuid7())]
    changed = ({"tenant": "beta"}, {"size": "original"}, {"expires": "9999999999"})
    for change, one in product(({}, *changed), others):
        answer = known.beta.client.get(
            f"/v1/images/{one}/content", params={**known.signed, **change}
        )
        assert (answer.status_code, answer.json()["field"]) == (403, "signature")
        blind(known, answer, one)
    for change in changed:
        address = f"/v1/images/{known.signed_id}/content"
        answer = known.beta.client.get(address, params={**known.signed, **change})
        assert (answer.status_code, answer.json()["field"]) == (403, "signature")


def test_the_same_bytes_are_new_to_another(known: Known) -> None:
    """Checked or uploaded: no verdict, match or decision comes through the wall."""
    for name in ("check seen", "check edited", "check unseen", "seen", "edited"):
        told = known.told[name]
        assert (name, told["verdict"]["kind"], told["decision"]["value"]) == (name, "new", "allow")
        assert (told["verdict"]["original"], told["verdict"]["matches"]) == (None, [])


def test_the_same_work_is_done_for_bytes_that_another_has(known: Known) -> None:
    """The same calls in the same number, none naming alpha, so that times reveal nothing."""
    for name, calls in known.calls.items():
        assert any("beta" in given for _, given in calls), name
        for called, given in calls:
            assert "alpha" not in given, (name, called, given)

    def counted(name: str) -> Counter[str]:
        return Counter(called for called, given in known.calls[name] if "beta" in given)

    assert counted("check seen") == counted("check edited") == counted("check unseen")


def test_a_question_is_worked_out_for_each_tenant(
    known: Known, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A query that alpha has just sent is answered to beta no quicker."""
    embedded: list[str] = []
    real = known.services.caption.embed_texts

    def watched(texts: Sequence[str], *, urgent: bool = False) -> Any:  # noqa: ANN401  # a matrix
        embedded.extend(texts)
        return real(texts, urgent=urgent)

    monkeypatch.setattr(known.services.caption, "embed_texts", watched)
    question = {"text": "three boats at night", "mode": "caption"}
    for door in (known.alpha, known.alpha, known.beta):
        assert door.call("POST", "/v1/search", json=question).status_code == 200
    assert embedded == [question["text"]] * 2


def test_an_idempotency_key_is_a_tenants_own(known: Known) -> None:
    """The same key and bytes have other ids; other bytes are no contradiction."""
    assert known.told["seen"]["image_id"] not in known.images.values()
    for name in ("copy", "blocked"):
        more = {
            "files": {"file": ("b.jpg", UNSEEN[1])},
            "headers": {"Idempotency-Key": f"{WORD}-{name}"},
        }
        first, again = (known.beta.call("POST", "/v1/images", **more) for _ in range(2))
        assert (first.status_code, again.status_code) == (202, 202)
        assert "idempotent-replay" not in first.headers
        assert again.headers["idempotent-replay"] == "true"
        assert first.json() == again.json()
        blind(known, first)
