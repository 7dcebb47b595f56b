"""Two tenants of one service: alpha with pictures in every state, and beta, which knows its ids."""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
from litestar import Litestar
from litestar.testing import TestClient

from adapters import wiring
from tests.e2e.talking import until
from tests.samples.pictures import jpeg, photo

WORD = "quokka"
"""In every text that alpha has given."""


SEEN = jpeg(photo(1, 320, 240), 90)


EDITED = jpeg(photo(1, 320, 240), 40)


OTHER = jpeg(photo(2, 320, 240), 90)


UNSEEN = tuple(jpeg(photo(seed, 320, 240), 90) for seed in (21, 22, 23))


HELD = "2999-01-01T00:00:00.000Z"


RECORDED = {
    "blobs": "get get_many stream exists put create create_many delete keys modified",
    "index": "project_entry read_states read_records read_cards read_tombstones read_vectors"
    " read_outcomes find_states find_candidates find_neighbours search_keywords list_records"
    " list_variants list_outcomes list_unembedded list_values count_records watermark"
    " active_spaces",
    "log": "read append head",
}


Call = tuple[str, str]
"""Which method of which part, and what it was given."""


class Door(NamedTuple):
    """The HTTP client of one tenant."""

    client: TestClient[Litestar]
    name: str

    def call(self, method: str, url: str, **more: Any) -> httpx.Response:  # noqa: ANN401  # any option
        """Send one request of its admin."""
        headers = {"Authorization": f"Bearer key-of-tenant-{self.name}", **more.pop("headers", {})}
        return self.client.request(method, url, headers=headers, **more)

    def send(self, picture: bytes, **more: Any) -> dict[str, Any]:  # noqa: ANN401  # any option
        """Upload one file and wait; its item."""
        files = {"file": (f"{WORD if self.name == 'alpha' else 'b'}.jpg", picture)}
        answer = self.call("POST", "/v1/images?wait=60", files=files, **more)
        assert answer.status_code == 200
        item: dict[str, Any] = answer.json()["items"][0]
        return item


@dataclass
class Known:
    """The data of alpha, all of which beta knows, and the answers to beta while a worker ran."""

    alpha: Door
    beta: Door
    services: wiring.Services
    images: dict[str, str] = field(default_factory=dict)
    jobs: list[str] = field(default_factory=list)
    tasks: list[str] = field(default_factory=list)
    cursors: list[str] = field(default_factory=list)
    etags: list[str] = field(default_factory=list)
    signed: dict[str, str] = field(default_factory=dict)
    """Query of a signed address."""
    signed_id: str = ""
    """The picture that it opens."""
    told: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Beta's uploads, by what they were of."""
    calls: dict[str, list[Call]] = field(default_factory=dict)
    """Calls made inside for each request of beta."""

    def names(self) -> set[str]:
        """Return the names that must not appear in an answer to beta."""
        return {*self.images.values(), *self.jobs, *self.tasks, "alpha", WORD}


def settle(made: Known) -> None:
    """Pictures in every state that alpha can bring about."""
    alpha = made.alpha
    said = {
        "title": f"a {WORD} on a beach",
        "tags": [WORD],
        "category": WORD,
        "owner_id": f"{WORD}-owner",
        "external_id": f"{WORD}-1",
    }
    for name, data in {
        "original": SEEN,
        "copy": EDITED,
        "blocked": OTHER,
        "deleted": jpeg(photo(3, 320, 240)),
        "purged": jpeg(photo(4, 320, 240)),
        "held": jpeg(photo(5, 320, 240)),
        "failed": OTHER[: len(OTHER) // 2],
    }.items():
        key = {"Idempotency-Key": f"{WORD}-{name}"}
        made.images[name] = alpha.send(data, data=said, headers=key)["image_id"]
    ids = made.images
    for method, url, body in (
        ("PUT", f"{ids['blocked']}/decision", {"value": "block", "reason": WORD}),
        ("DELETE", ids["deleted"], None),
        ("POST", f"{ids['purged']}/purge", None),
        ("PATCH", ids["held"], {"hold_until": HELD, "title": f"held {WORD}"}),
    ):
        answer = alpha.call(method, f"/v1/images/{url}", json=body)
        assert answer.is_success, answer.text
    assert alpha.call("POST", f"/v1/jobs/{ids['failed']}/retry").status_code == 202
    until(lambda: not list(made.services.blobs.keys("pending/alpha/")))  # it is not waited for
    kinds = {name: alpha.call("GET", f"/v1/images/{one}").status_code for name, one in ids.items()}
    assert Counter(kinds.values()) == {200: 5, 410: 1, 404: 1}
    made.jobs = [job["job_id"] for job in jobs_of(alpha)]
    assert len(made.jobs) == len(ids) + 5
    for url in ("images?limit=1", "jobs?limit=1"):
        made.cursors.append(alpha.call("GET", f"/v1/{url}").json()["next_cursor"])
    for url in ("", "/content"):
        answer = alpha.call("GET", f"/v1/images/{ids['original']}{url}")
        made.etags.append(answer.headers["etag"])
    asked = {"query": WORD, "deliver": "url", "images": [ids["original"]]}
    (url, *_) = re.findall(
        r"http[^\"]+/content\?[^\"]+", alpha.call("POST", "/v1/rag/context", json=asked).text
    )
    made.signed = dict(parse_qsl(urlsplit(url).query))
    made.signed_id = urlsplit(url).path.split("/")[3]
    assert alpha.client.get(url).status_code == 200


def ask_while_a_worker_runs(made: Known) -> None:
    """Check and upload as beta: pictures that alpha has, and new ones."""
    check = {"method": "POST", "url": "/v1/check"}
    made.beta.call(**check, files={"file": UNSEEN[2]})  # what is read once is read now
    for name, data in (("seen", SEEN), ("edited", EDITED), ("unseen", UNSEEN[1])):
        with recorded(made.services) as calls:
            answer = made.beta.call(**check, files={"file": data})
        made.told[f"check {name}"] = answer.json()
        made.calls[f"check {name}"] = calls
    for name, data in (("seen", SEEN), ("edited", OTHER)):
        key = {"Idempotency-Key": f"{WORD}-original"} if name == "seen" else {}
        with recorded(made.services) as calls:
            made.told[name] = made.beta.send(data, headers=key)
        made.calls[name] = calls


@contextmanager
def recorded(services: wiring.Services) -> Iterator[list[Call]]:
    """Record the calls to store, index and log meanwhile, by any thread."""
    calls: list[Call] = []
    lock = threading.Lock()

    def watched(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def method(self: object, *given: Any, **more: Any) -> Any:  # noqa: ANN401  # as the real one
            if isinstance(given[0] if given else None, Iterator):
                given = (list(given[0]), *given[1:])
            with lock:
                calls.append((name, words_of((given, more))))
            return real(self, *given, **more)

        return method

    with pytest.MonkeyPatch.context() as patch:
        for part, methods in RECORDED.items():
            kind = type(getattr(services, part))
            for name in methods.split():
                patch.setattr(kind, name, watched(f"{part}.{name}", getattr(kind, name)))
        yield calls


def words_of(given: object) -> str:
    """Return every text in some arguments, joined."""
    if isinstance(given, str):
        return given
    if isinstance(given, dict):
        return words_of([*given, *given.values()])
    if isinstance(given, Sequence | set | frozenset) and not isinstance(given, bytes | bytearray):
        return " ".join(filter(None, map(words_of, given)))
    return "" if given is None or isinstance(given, bytes | bytearray) else repr(given)


def jobs_of(door: Door) -> list[dict[str, Any]]:
    """Return a tenant's jobs, newest first."""
    jobs: list[dict[str, Any]] = door.call("GET", "/v1/jobs?limit=200").json()["items"]
    return jobs
