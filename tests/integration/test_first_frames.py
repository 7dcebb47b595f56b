"""Pictures of which the canonical pixels show only a part: animations, scans, white on clear."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from litestar.testing import TestClient
from PIL import Image, ImageDraw

from adapters import wiring
from adapters.settings import Settings
from api.app import create_app
from tests.pictures import flat, photo, png
from worker.engine import Engine

ANIMATED = ("GIF", "PNG", "TIFF", "WEBP")
FIRST = {"blank": flat("white", 320, 240), "black": flat("black", 320, 240)}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient[Any]]:
    """The embedded default without a model, settling."""
    folder = tmp_path_factory.mktemp("frames")
    services = wiring.build(
        Settings(
            data=folder,
            model="none",
            caption_model="none",
            durable=False,
            allow_unauthenticated=True,
        )
    )
    engine = Engine(services)
    engine.start()
    assert engine.wait(60)
    with TestClient(create_app(services)) as made:
        yield made
    engine.close()
    services.close()


def several(name: str, frames: Sequence[Image.Image]) -> bytes:
    """An animation, or a scan of several pages."""
    held = io.BytesIO()
    first, *rest = [frame.resize((320, 240)) for frame in frames]
    first.save(held, name, save_all=True, append_images=rest)
    return held.getvalue()


def drawing(seed: int, name: str) -> bytes:
    """White strokes on a transparent ground."""
    image = Image.new("RGBA", (320, 240), (255, 255, 255, 0))
    pen = ImageDraw.Draw(image)
    for n in range(5):
        x = 20 + (seed * 37 + n * 53) % 250
        pen.line((x, 20, (x * 7 + seed) % 300, 220), fill=(255, 255, 255, 255), width=7)
    held = io.BytesIO()
    image.save(held, name, lossless=True)
    return held.getvalue()


def send(client: TestClient[Any], data: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    """Upload with discard_bytes and wait: what the job and the record say."""
    answer = client.post(
        "/v1/images?wait=60", files={"file": data}, data={"on_duplicate": "discard_bytes"}
    )
    (item,) = answer.json()["items"]
    return item, client.get(f"/v1/images/{item['image_id']}").json()


def block(client: TestClient[Any], item: dict[str, Any]) -> None:
    """A moderator's word on a picture."""
    url = f"/v1/images/{item['image_id']}/decision"
    assert client.put(url, json={"value": "block"}).status_code == 200


def scenes(seed: int) -> list[Image.Image]:
    """Photos that no other seed has."""
    return [photo(seed * 10 + n, 320, 240) for n in range(3)]


@pytest.mark.parametrize("name", ANIMATED)
@pytest.mark.parametrize("first", FIRST)
def test_documents_that_begin_blank_are_strangers(
    client: TestClient[Any], name: str, first: str
) -> None:
    """Of two with the same blank first frame, neither loses its bytes nor blocks the other."""
    ground = FIRST[first]
    if name in ("PNG", "WEBP") and first == "blank":
        ground = Image.new("RGBA", (320, 240), (0, 0, 0, 0))
    one, _ = send(client, several(name, [ground, *scenes(900)]))
    block(client, one)
    data = several(name, [ground, *scenes(901)])
    other, record = send(client, data)
    assert (other["verdict"]["kind"], other["decision"]["value"]) == ("new", "allow")
    assert record["content"] == "stored"
    assert client.get(f"/v1/images/{other['image_id']}/content?size=original").content == data


@pytest.mark.parametrize("name", ANIMATED)
def test_documents_that_share_a_title_page_are_looked_at(
    client: TestClient[Any], name: str
) -> None:
    """The title page is found again and said to be all that was compared; nothing is lost."""
    seed = 910 + ANIMATED.index(name)
    title = photo(seed, 320, 240)
    one, _ = send(client, several(name, [title, *scenes(920)]))
    block(client, one)
    other, record = send(client, several(name, [title, *scenes(921)]))
    assert (other["verdict"]["kind"], other["decision"]["value"]) == ("near_duplicate", "review")
    evidence = other["verdict"]["matches"][0]["evidence"]
    assert ("pixels" in evidence["signals"], evidence["first_frame_only"]) == (False, True)
    assert "only the first frame" in evidence["words"]
    assert record["content"] == "stored"


@pytest.mark.parametrize("name", ["PNG", "WEBP"])
def test_white_drawings_on_clear_ground_are_strangers(client: TestClient[Any], name: str) -> None:
    """Over white both are the same blank sheet."""
    one, _ = send(client, drawing(1, name))
    block(client, one)
    other, record = send(client, drawing(2, name))
    assert (other["verdict"]["kind"], other["decision"]["value"]) == ("new", "allow")
    assert (other["verdict"]["comparable"], record["content"]) == (False, "stored")


def test_a_still_in_another_file_keeps_its_bytes(client: TestClient[Any]) -> None:
    """Equal pixels of one frame are a near duplicate as before, but never thrown away."""
    image = photo(930, 320, 240)
    one, _ = send(client, png(image))
    held = io.BytesIO()
    image.save(held, "TIFF")
    other, record = send(client, held.getvalue())
    assert other["verdict"]["kind"] == "near_duplicate"
    assert other["verdict"]["matches"][0]["evidence"]["signals"] == ["pixels"]
    assert other["verdict"]["original"]["image_id"] == one["image_id"]
    assert record["content"] == "stored"
    again, gone = send(client, png(image))
    assert (again["verdict"]["kind"], gone["content"]) == ("exact", "discarded")
