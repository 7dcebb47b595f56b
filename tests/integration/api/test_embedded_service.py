"""The whole embedded service through its HTTP door, on made pictures."""

from __future__ import annotations

import io
import struct
import threading
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import msgspec
import pytest
from litestar import Litestar
from litestar.testing import TestClient
from PIL import Image, ImageOps

from adapters import wiring
from adapters.settings import Settings
from api.app import create_app
from core import keys
from tests.doubles.toy_embedder import ToyEmbedder
from tests.doubles.toys import ToyCaptions
from tests.e2e.talking import until
from tests.samples.pictures import flat, jpeg, photo, png, tiny
from worker.embedded import EmbeddedEngine

MAX_BYTES = 2_000_000
WAIT = "/v1/images?wait=60"


class Door:
    """A tenant's client, with what tests do again and again."""

    def __init__(self, client: TestClient[Litestar], services: wiring.Services, name: str) -> None:
        self.client = client
        self.services = services
        self.name = name
        self.headers = {"Authorization": f"Bearer key-of-tenant-{name}"}

    def call(self, method: str, url: str, **more: Any) -> httpx.Response:  # noqa: ANN401  # any option
        """Send one request under the tenant's key."""
        headers = {**self.headers, **more.pop("headers", {})}
        return self.client.request(method, url, headers=headers, **more)

    def get(self, url: str) -> Any:  # noqa: ANN401  # JSON
        """Return the JSON body of a 200."""
        response = self.call("GET", url)
        assert (url, response.status_code) == (url, 200)
        return response.json()

    def send(self, *files: bytes, **more: Any) -> list[dict[str, Any]]:  # noqa: ANN401  # any option
        """Upload and wait; the items."""
        parts = [("file", (f"{n}.jpg", data)) for n, data in enumerate(files)]
        response = self.call("POST", more.pop("url", WAIT), files=parts, **more)
        assert response.status_code == 200
        return list(response.json()["items"])

    def one(self, data: bytes, **fields: Any) -> str:  # noqa: ANN401  # any field
        """Upload one picture; its id."""
        (item,) = self.send(data, data=fields)
        assert (item["status"], item["error"]) == ("done", None)
        return str(item["image_id"])


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[wiring.Services]:
    """Yield the embedded default with predictable models."""
    tenants = ",".join(f"key-of-tenant-k{n}:k{n}:admin" for n in range(60))
    made = wiring.build(
        Settings(
            data=tmp_path_factory.mktemp("service"),
            model="none",
            durable=False,
            api_keys=tenants,
            max_bytes=MAX_BYTES,
        ),
        visual=ToyEmbedder(),
        caption=ToyCaptions(),
    )
    yield made
    made.close()


@pytest.fixture(scope="module")
def app(services: wiring.Services) -> Iterator[TestClient[Litestar]]:
    """Yield the app of the service, while an engine runs."""
    engine = EmbeddedEngine(services)
    engine.start()
    assert engine.wait(60)
    with TestClient(create_app(services)) as client:
        yield client
    engine.close()


@pytest.fixture
def doors(app: TestClient[Litestar], services: wiring.Services) -> Iterator[Door]:
    """Doors of tenants that no other test has seen."""
    return (Door(app, services, f"k{next(_used)}") for _ in range(9))


@pytest.fixture
def door(doors: Iterator[Door]) -> Door:
    """Return the client of a fresh tenant."""
    return next(doors)


_used = iter(range(60))


def huge() -> bytes:
    """Return a PNG that declares 10 gigapixels in a few bytes."""
    head = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + head
    return (
        b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I", len(head))
        + chunk
        + struct.pack(">I", zlib.crc32(chunk))
        + b"\0" * 40
    )


PHOTO = photo(40, 800, 600)
BYTES = jpeg(PHOTO)
CUT = BYTES[: len(BYTES) // 2]


def test_verdicts_of_one_request_are_serial(door: Door) -> None:
    """An original, its mirror image, its own bytes and another photo, in the order of parts."""
    files = (BYTES, jpeg(ImageOps.mirror(PHOTO)), BYTES, jpeg(photo(41, 800, 600)))
    items = door.send(*files, data={"owner_id": "o"})
    kinds = [item["verdict"]["kind"] for item in items]
    first = items[0]["image_id"]
    originals = [(item["verdict"]["original"] or {}).get("image_id") for item in items[:3]]
    assert kinds[:3] == ["new", "near_duplicate", "exact"]
    assert kinds[3] in ("new", "similar")
    assert originals == [None, first, first]
    evidence = items[1]["verdict"]["matches"][0]["evidence"]
    assert (evidence["turn"], evidence["transform"]["mirrored"]) == ("mirrored", True)
    assert "mirrored" in evidence["words"]
    star = door.get(f"/v1/images/{first}/duplicates")
    assert {item["image_id"] for item in star["items"]} == {i["image_id"] for i in items[1:3]}
    assert door.get("/v1/jobs?limit=1")["items"][0]["job_id"] == items[3]["job_id"]


def test_a_check_tells_what_an_upload_is_told_then(door: Door) -> None:
    """The check leaves nothing behind."""
    original = door.one(BYTES, owner_id="o", external_id="e")
    crop = jpeg(PHOTO.crop((60, 40, 700, 540)))
    response = door.call("POST", "/v1/check", files={"file": ("x", crop)})
    checked = response.json()
    assert (response.status_code, checked["verdict"]["kind"]) == (200, "near_duplicate")
    assert checked["verdict"]["original"]["image_id"] == original
    assert checked["verdict"]["original"]["external_id"] == "e"
    assert len(door.get("/v1/jobs")["items"]) == 1
    (item,) = door.send(crop)
    told, found = item["verdict"]["matches"][0], checked["verdict"]["matches"][0]
    assert told["evidence"]["overlap"] == pytest.approx(found["evidence"]["overlap"])
    assert item["verdict"]["original"] == checked["verdict"]["original"]
    assert item["decision"]["value"] == checked["decision"]["value"]


def test_the_bytes_come_back(door: Door) -> None:
    """They come as uploaded, and as JPEGs of at most 512 and 160 pixels."""
    image_id = door.one(BYTES)
    url = f"/v1/images/{image_id}/content"
    assert door.call("GET", url).content == BYTES
    for size, side in (("preview", 512), ("thumb", 160)):
        response = door.call("GET", f"{url}?size={size}")
        with Image.open(io.BytesIO(response.content)) as image:
            assert (image.format, max(image.size)) == ("JPEG", side)
    record = door.get(f"/v1/images/{image_id}")
    assert (record["width"], record["height"], record["format"]) == (800, 600, "JPEG")
    assert record["spaces"]["visual"] == ToyEmbedder().space.space_id


def test_similar_finds_neighbours(door: Door) -> None:
    """By the toy's colours red is nearer to a darker red than to blue; a copy finds the same."""
    red, dark, blue = (
        door.one(png(flat(colour, 300, 200))) for colour in ("red", "#d00000", "blue")
    )
    told = door.get(f"/v1/images/{red}/similar?limit=2")
    assert told["space"] == ToyEmbedder().space.space_id
    assert [item["image"]["image_id"] for item in told["items"]] == [dark, blue]
    assert told["items"][0]["similarity"] > told["items"][1]["similarity"]
    least = told["items"][0]["similarity"] - 1e-6
    near = door.get(f"/v1/images/{red}/similar?min_similarity={least}")
    assert [item["image"]["image_id"] for item in near["items"]] == [dark]
    copy = door.one(png(flat("red", 300, 200)))
    again = door.get(f"/v1/images/{copy}/similar?limit=2")
    assert [item["image"]["image_id"] for item in again["items"]] == [dark, blue]


def test_flat_and_tiny_pictures_are_not_comparable(door: Door) -> None:
    """They are matched by exact bytes and pixels only."""
    items = door.send(png(flat("white")), png(flat("grey")), png(tiny()))
    assert [item["verdict"]["comparable"] for item in items] == [False] * 3


def test_changes_are_settled_in_the_log(door: Door) -> None:
    """Edit, decide, purge and delete, each seen at once by every read."""
    original = door.one(BYTES, title="A")
    copy = door.one(jpeg(PHOTO, 40))
    url = f"/v1/images/{original}"
    edited = door.call("PATCH", url, json={"title": "B", "metadata": {"a": 1}})
    assert (edited.status_code, edited.json()["title"]) == (200, "B")
    assert edited.headers["etag"] == f'"{edited.json()["revision"]}"'
    assert door.call("PATCH", url, json={}, headers={"If-Match": '"1"'}).status_code == 412
    blocked = door.call("PUT", f"{url}/decision", json={"value": "block", "reason": "r"}).json()
    assert {**blocked["decision"], "at": ""} == {
        "value": "block",
        "reason": "r",
        "by": "person",
        "at": "",
    }
    copied = door.get(f"/v1/images/{copy}")
    assert copied["decision"]["value"] == "block"
    assert copied["verdict"]["original"]["decision"] == blocked["decision"]
    assert [i["image_id"] for i in door.get("/v1/images?decision=block")["items"]] == [
        copy,
        original,
    ]
    purged = door.call("POST", f"{url}/purge").json()
    assert (purged["content"], purged["anchor"]) == ("purged", True)
    assert door.call("GET", f"{url}/content").status_code == 410
    assert door.call("DELETE", url).status_code == 204
    for method, path in (("GET", url), ("DELETE", url), ("GET", f"{url}/content")):
        assert door.call(method, path).status_code == 410
    left = door.get(f"/v1/images/{copy}")
    assert (left["verdict"]["kind"], left["verdict"]["original"]) == ("new", None)
    assert left["verdict"]["revision"] > 1
    assert left["decision"]["value"] == "block"
    assert [job["kind"] for job in door.get("/v1/jobs?status=done")["items"]] == [
        "delete",
        "purge",
        "decide",
        "edit",
        "ingest",
        "ingest",
    ]


def test_a_copy_may_be_kept_without_its_bytes(door: Door) -> None:
    """on_duplicate=discard_bytes: of a copy only what was made of it stays."""
    door.one(BYTES)
    copy = door.one(BYTES, on_duplicate="discard_bytes")
    assert door.get(f"/v1/images/{copy}")["content"] == "discarded"
    assert door.call("GET", f"/v1/images/{copy}/content").status_code == 404
    fresh = door.one(jpeg(photo(43, 500, 400)), on_duplicate="discard_bytes")
    assert door.get(f"/v1/images/{fresh}")["content"] == "stored"


@pytest.mark.parametrize(
    ("data", "at_once", "later"),
    [
        (b"", 422, None),
        (b"GIF", 415, None),
        (b"<html></html>", 415, None),
        (BYTES[:30], 422, None),
        (huge(), 413, None),
        (b"\xff" * (MAX_BYTES + 1), 413, None),
        (CUT, None, 422),
        (png(PHOTO)[:20_000], None, 422),
    ],
)
def test_bad_files_get_a_reason(
    door: Door, data: bytes, at_once: int | None, later: int | None
) -> None:
    """An upload reports faults of the header at once, of the pixels in the job; a check at once."""
    checked = door.call("POST", "/v1/check", files={"file": ("x", data)})
    assert checked.status_code == (at_once or later)
    assert checked.headers["content-type"] == "application/problem+json"
    assert len(checked.json()["detail"]) > 10
    sent = door.call("POST", WAIT, files={"file": ("x", data)})
    if at_once is not None:
        assert (sent.status_code, sent.json()["type"]) == (at_once, checked.json()["type"])
        assert door.get("/v1/jobs")["items"] == []
        return
    (item,) = sent.json()["items"]
    assert (item["status"], item["error"]["status"]) == ("failed", later)
    assert item["error"]["detail"] == checked.json()["detail"]
    missing = door.call("GET", f"/v1/images/{item['image_id']}")
    assert (missing.status_code, missing.json()["job"]["status"]) == (404, "failed")
    again = door.call("POST", f"/v1/jobs/{item['job_id']}/retry")
    assert (again.status_code, again.json()["attempts"]) == (202, 2)
    assert door.call("DELETE", f"/v1/images/{item['image_id']}").status_code == 204
    assert door.call("GET", f"/v1/images/{item['image_id']}").status_code == 410


def test_bad_files_fail_no_neighbour(door: Door) -> None:
    """Each part on its own, in the request and in the batch."""
    items = door.send(BYTES, b"text", CUT, huge(), jpeg(photo(44, 400, 300)))
    told = [item.get("status") or item["error"]["status"] for item in items]
    assert told == ["done", 415, "failed", 413, "done"]


def test_one_key_at_the_same_moment_makes_one_record(door: Door) -> None:
    """Eight callers with the same key and content; one with other content."""
    headers = {"Idempotency-Key": "the same"}
    barrier = threading.Barrier(8)

    def ask(_: int) -> tuple[int, str]:
        barrier.wait(20)
        response = door.call("POST", WAIT, files={"file": ("x", BYTES)}, headers=headers)
        return response.status_code, response.json()["items"][0]["image_id"]

    with ThreadPoolExecutor(8) as pool:
        told = set(pool.map(ask, range(8)))
    assert len(told) == 1
    assert len(door.get("/v1/images")["items"]) == 1
    other = door.call("POST", "/v1/images", files={"file": ("x", png(tiny()))}, headers=headers)
    assert other.status_code == 422


def test_events_follow_an_upload(door: Door) -> None:
    """Steps in their order, the last with the verdict; once it has ended, one event."""
    response = door.call("POST", "/v1/images", files={"file": ("x", BYTES)})
    job_id = response.json()["items"][0]["job_id"]
    text = door.call("GET", f"/v1/jobs/{job_id}/events").text
    numbers = [int(line[4:]) for line in text.splitlines() if line.startswith("id: ")]
    assert numbers == sorted(set(numbers))
    assert numbers[-1] == 4
    last = msgspec.json.decode(
        [line for line in text.splitlines() if line.startswith("data: ")][-1][6:]
    )
    assert last == door.get(f"/v1/jobs/{job_id}")
    assert last["verdict"]["kind"] == "new"


def test_an_owner_leaves_nothing(door: Door, services: wiring.Services) -> None:
    """Settled, failed and just accepted ones: no record, no byte, no field is left."""
    mine = {"owner_id": "o"}
    items = door.send(BYTES, CUT, data=mine)
    theirs = door.one(jpeg(PHOTO, 50), owner_id="p")
    waiting = door.call("POST", "/v1/images", files={"file": ("x", BYTES)}, data=mine)
    ids = [item["image_id"] for item in (*items, *waiting.json()["items"])]
    response = door.call("DELETE", "/v1/images?owner_id=o")
    assert response.status_code in (200, 202)
    assert response.json()["matched"] == 3
    until(lambda: [door.call("GET", f"/v1/images/{i}").status_code for i in ids] == [410] * 3)
    tenant = door.name
    for image_id in ids:
        left = [keys.blob(tenant, image_id), keys.kept(tenant, image_id)]
        assert services.blobs.exists(left) == [False, False]
        assert [k for p in keys.of_picture(tenant, image_id) for k in services.blobs.keys(p)] == []
    assert door.get(f"/v1/images/{theirs}")["verdict"]["kind"] == "new"
    assert door.call("DELETE", "/v1/images?owner_id=o").json()["matched"] == 0


def test_tenants_are_walls(doors: Iterator[Door]) -> None:
    """The same bytes are new to each, and no id, list, count or check reveals the other."""
    mine, theirs = next(doors), next(doors)
    image_id = mine.one(BYTES, owner_id="o")
    assert theirs.call("POST", "/v1/check", files={"file": ("x", BYTES)}).json()["verdict"][
        "kind"
    ] == ("new")
    for method, path, more in (
        ("GET", "", {}),
        ("PATCH", "", {"json": {"title": "x"}}),
        ("DELETE", "", {}),
        ("GET", "/content", {}),
        ("GET", "/similar", {}),
        ("GET", "/duplicates", {}),
        ("GET", "/variants", {}),
        ("POST", "/purge", {}),
        ("PUT", "/decision", {"json": {"value": "block"}}),
    ):
        response = theirs.call(method, f"/v1/images/{image_id}{path}", **more)
        assert (method, path, response.status_code) == (method, path, 404)
    for path in ("", "/events"):
        assert theirs.call("GET", f"/v1/jobs/{image_id}{path}").status_code == 404
    assert theirs.call("POST", f"/v1/jobs/{image_id}/retry").status_code == 404
    assert theirs.get("/v1/stats")["total"]["images"] == 0
    assert theirs.call("DELETE", "/v1/images?owner_id=o").json()["matched"] == 0
    assert theirs.send(BYTES)[0]["verdict"]["kind"] == "new"
    assert mine.get(f"/v1/images/{image_id}")["revision"] == 1


def test_counts_and_health(door: Door) -> None:
    """They show the stored pictures, an empty queue, and that all parts answer."""
    door.one(BYTES, category="c")
    door.one(BYTES, category="d")
    told = door.get("/v1/stats")
    space, said = ToyEmbedder().space.space_id, ToyCaptions().space.space_id
    assert told["total"] == {
        "images": 2,
        "verdicts": {"new": 1, "exact": 1},
        "decisions": {"allow": 2},
        "spaces": {
            space: {"with": 1, "missing": 0, "represented_by_original": 1},
            said: {"with": 0, "missing": 0, "represented_by_original": 0},
        },
    }
    assert sorted(told["categories"]) == ["c", "d"]
    assert told["queue_depth"] == 0
    assert told["log"] == {"head": 2, "watermark": 2, "lag": 0}
    ready = door.get("/health/ready")
    assert ready["status"] == "ready"
    assert set(ready["parts"].values()) == {"ok"}
