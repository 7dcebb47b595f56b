"""Deletes of blocked pictures by callers of each role, through the whole embedded service."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import httpx
import pytest
from litestar import Litestar
from litestar.testing import TestClient

from adapters import wiring
from adapters.reindex import rebuild
from adapters.settings import Settings
from api.app import create_app
from core.filters import SHOWN
from core.index_port import Filters
from core.ingest.retention import Retention
from core.queries.export import Exporter
from core.queries.joined_views import BANKED
from tests.samples.pictures import jpeg, photo
from worker.embedded import EmbeddedEngine

ROLES = ("read", "write", "moderate", "admin")


def shot(seed: int, quality: int = 90) -> bytes:
    """Make a photo as JPEG; another quality makes a copy of it."""
    return jpeg(photo(seed, 240, 180), quality)


class Door(NamedTuple):
    """A service and its client, with a key of each role."""

    services: wiring.Services
    client: TestClient[Litestar]

    def call(self, role: str, method: str, url: str, **more: Any) -> httpx.Response:  # noqa: ANN401  # any option
        """Send one request below /v1/images."""
        headers = {"Authorization": f"Bearer the-key-of-role-{role}"}
        return self.client.request(method, f"/v1/{url}", headers=headers, **more)

    def one(self, data: bytes, **fields: Any) -> dict[str, Any]:  # noqa: ANN401  # any field
        """Upload a picture, wait, and return its job."""
        answer = self.call(
            "write", "POST", "images?wait=60", files={"file": ("a.jpg", data)}, data=fields
        )
        item: dict[str, Any] = answer.json()["items"][0]
        return item

    def blocked(self, seed: int, **fields: Any) -> str:  # noqa: ANN401  # any field
        """Upload a photo that a moderator then blocks; return its id."""
        image_id = str(self.one(shot(seed), **fields)["image_id"])
        body = {"value": "block", "reason": "as Jane of Springfield said"}
        self.call("moderate", "PUT", f"images/{image_id}/decision", json=body).raise_for_status()
        return image_id

    def objects(self, image_id: str) -> set[str]:
        """Return the first parts of the keys that name a picture."""
        store = self.services.blobs
        parts = ("blobs", "derived", "vectors", "fields", "kept", "tombstones", "hidden", "purged")
        return {part for part in parts if any(image_id in key for key in store.keys(f"{part}/t/"))}

    def settled(self) -> None:
        """Wait until nothing is pending."""
        deadline = time.monotonic() + 60
        while list(self.services.blobs.keys("pending/t/")):
            assert time.monotonic() < deadline
            time.sleep(0.02)


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """Yield the service while an engine runs."""
    services = wiring.build(
        Settings(
            data=tmp_path_factory.mktemp("blocked"),
            model="none",
            caption_model="none",
            durable=False,
            api_keys=",".join(
                [
                    *(f"the-key-of-role-{one}:t:{one}" for one in ROLES),
                    "the-key-of-role-other:u:admin",
                ]
            ),
            decoders=1,
        )
    )
    engine = EmbeddedEngine(services)
    engine.start()
    assert engine.wait(60)
    with TestClient(create_app(services)) as client:
        yield Door(services, client)
    engine.close()
    services.close()


def test_a_writer_s_delete_leaves_the_block_and_no_trace(door: Door) -> None:
    """Every answer is that of a delete, and copies, known and new, are blocked without its id."""
    before = door.call("write", "GET", "stats").json()["total"]
    image_id = door.blocked(1, owner_id="jane", title="Jane's boots", tags="boots")
    known = door.one(shot(1, 60))
    assert known["decision"]["value"] == "block"
    url = f"images/{image_id}"
    assert door.call("read", "GET", url).status_code == 404
    assert door.call("write", "DELETE", url).status_code == 204
    erased = str(door.one(shot(10))["image_id"])
    door.call("admin", "DELETE", f"images/{erased}").raise_for_status()
    jobs = door.call("write", "GET", "jobs?limit=20").json()["items"]
    deletes = [job for job in jobs if job["kind"] == "delete"]
    assert {one["image_id"] for one in deletes} == {image_id, erased}
    assert [(one["decision"], one["status"]) for one in deletes] == [(None, "done")] * 2
    for role in ROLES:
        for method, path, more in (
            ("DELETE", "images/{}", {}),
            ("GET", "images/{}", {}),
            ("GET", "images/{}/content", {}),
            ("GET", "images/{}/duplicates", {}),
            ("GET", "images/{}/variants", {}),
            ("GET", "images/{}/similar", {}),
            ("PATCH", "images/{}", {"json": {"title": "B"}}),
            ("PUT", "images/{}/decision", {"json": {"value": "allow"}}),
            ("POST", "images/{}/purge", {}),
            ("POST", "jobs/{}/retry", {}),
            ("POST", "search", {"json": {"image_id": "{}"}}),
        ):
            answers = []
            for one in (image_id, erased):
                text = json.dumps(more).replace("{}", one) if "json" in more else "{}"
                answer = door.call(role, method, path.format(one), **json.loads(text))
                detail = answer.json()["detail"].replace(one, "")
                answers.append((answer.status_code, answer.json()["type"], detail))
            assert answers[0] == answers[1], (role, method, path)
            assert answers[0][0] >= 400
    exact, check = door.one(shot(1)), door.one(shot(1, 40))
    looked = door.call("write", "POST", "check", files={"file": ("a.jpg", shot(1))}).json()
    for told in (exact, looked, door.call("write", "GET", f"images/{known['image_id']}").json()):
        assert told["decision"]["value"] == "block", told
        assert told["verdict"]["original"] is None
        (match,) = told["verdict"]["matches"]
        assert (match["image_id"], match["confirmed"]) == (None, True)
        assert match["evidence"]["words"].startswith(BANKED)
    assert (exact["verdict"]["kind"], check["decision"]["value"]) == ("exact", "block")
    told = [
        door.call("moderate", "GET", path).text
        for path in (
            "images",
            "images?owner_id=jane",
            f"images/{known['image_id']}/duplicates",
            f"jobs/{known['image_id']}",
            "stats",
        )
    ]
    exporter = Exporter(door.services.snapshots.take("t"), Filters())
    told += [repr([one.seen.original for one in exporter.records(vectors=False)])]
    assert not [one for one in told if image_id in one or "jane" in one.lower()]
    copies = door.call("moderate", "GET", f"images?original_id={image_id}").json()
    assert copies == {"items": [], "next_cursor": None}
    star = door.call("write", "GET", f"images/{known['image_id']}/duplicates").json()
    assert star["original"] is None
    assert {one["image_id"] for one in star["items"]} == {
        known["image_id"],
        exact["image_id"],
    }
    after = door.call("write", "GET", "stats").json()["total"]
    assert after["images"] - before["images"] == 3
    assert door.objects(image_id) == {"kept", "hidden", "purged"}
    log = json.dumps([str(door.services.log.read("t", n)) for n in range(1, 20)])
    assert "jane" not in log.lower()


def test_an_admin_forgets_what_a_writer_hid(door: Door) -> None:
    """Only with `forget`, and only an admin; then its copies are evaluated again."""
    image_id = door.blocked(2)
    copy = door.one(shot(2, 60))["image_id"]
    url = f"images/{image_id}"
    assert door.call("moderate", "DELETE", url).status_code == 204
    rebuild(door.services, lambda *_: None)
    assert door.one(shot(2))["decision"]["value"] == "block"
    assert door.call("admin", "DELETE", url).status_code == 410
    assert door.call("other", "DELETE", f"{url}?forget=true").status_code == 404
    files = {"file": ("a.jpg", shot(2))}
    looked = door.call("other", "POST", "check", files=files).json()
    assert (looked["verdict"]["kind"], looked["decision"]["value"]) == ("new", "allow")
    refused = door.call("moderate", "DELETE", f"{url}?forget=true")
    assert (refused.status_code, refused.json()["field"]) == (403, "forget")
    assert door.call("admin", "DELETE", f"{url}?forget=true").status_code == 204
    assert door.call("admin", "DELETE", f"{url}?forget=true").status_code == 410
    assert door.objects(image_id) <= {"tombstones", "hidden", "purged"}
    seen = door.call("write", "GET", f"images/{copy}").json()
    assert (seen["verdict"]["kind"], seen["verdict"]["matches"]) == ("new", [])
    assert seen["decision"]["value"] == "block", "a copy keeps the stricter decision"
    rebuild(door.services, lambda *_: None)
    assert door.call("write", "GET", url).status_code == 410


def test_an_admin_s_delete_erases_a_block(door: Door) -> None:
    """As without keys: nothing is kept, and the picture is new when it comes again."""
    image_id = door.blocked(3)
    assert door.call("admin", "DELETE", f"images/{image_id}").status_code == 204
    assert door.objects(image_id) == {"tombstones"}
    again = door.one(shot(3))
    assert (again["verdict"]["kind"], again["decision"]["value"]) == ("new", "allow")


def test_only_what_a_person_blocked_is_hidden(door: Door) -> None:
    """The copy of a blocked picture has its block from there, and a review is no block."""
    image_id = door.blocked(4)
    copy = door.one(shot(4, 60))["image_id"]
    reviewed = door.one(shot(5))["image_id"]
    door.call("moderate", "PUT", f"images/{reviewed}/decision", json={"value": "review"})
    for one in (copy, reviewed):
        assert door.call("write", "DELETE", f"images/{one}").status_code == 204
        assert door.objects(one) == {"tombstones"}
    assert door.call("write", "GET", f"images/{image_id}").status_code == 200


def test_an_owner_s_delete_and_retention_hide_as_well(door: Door) -> None:
    """The owner's block and the old one stay; the answer counts them as deleted."""
    theirs, old = door.blocked(6, owner_id="joe"), door.blocked(7)
    plain = door.one(shot(8), owner_id="joe")["image_id"]
    erased = door.call("write", "DELETE", "images?owner_id=joe").json()
    assert (erased["matched"], erased["deleted"]) == (2, 2)
    assert door.call("write", "DELETE", "images?owner_id=joe").json()["matched"] == 0
    moment = time.time() + 10 * 86_400.0
    Retention(
        door.services.snapshots,
        door.services.jobs,
        door.services.acceptor,
        door.services.blobs,
        bytes_days=None,
        records_days=9.0,
        now=lambda: moment,
    ).sweep()
    door.settled()
    assert door.objects(plain) == {"tombstones"}
    for one, seed in ((theirs, 6), (old, 7)):
        assert door.objects(one) == {"kept", "hidden", "purged"}
        assert door.call("admin", "GET", f"images/{one}").status_code == 410
        assert door.one(shot(seed, 70))["decision"]["value"] not in SHOWN
        assert door.one(shot(seed))["decision"]["value"] == "block"


def test_a_late_worker_leaves_nothing_of_a_hidden_picture(door: Door) -> None:
    """Fields and vectors written after the delete are removed at once, and the block stays."""
    image_id = door.blocked(9, title="secret")
    fields = door.services.shelf.fields("t", image_id, image_id)
    door.call("write", "DELETE", f"images/{image_id}")
    door.services.shelf.write_fields("t", [(image_id, image_id, fields)])
    assert door.objects(image_id) == {"kept", "hidden", "purged"}
    assert door.one(shot(9))["decision"]["value"] == "block"
