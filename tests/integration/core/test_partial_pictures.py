"""Pictures of which the canonical pixels show only a part: animations, scans, white on clear."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from litestar.testing import TestClient
from PIL import Image, ImageDraw

from adapters import wiring
from adapters.settings import Settings
from api.app import create_app
from tests.samples.pictures import flat, photo, png
from worker.embedded import EmbeddedEngine

ANIMATED = ("GIF", "PNG", "TIFF", "WEBP")
FIRST = {"blank": flat("white", 320, 240), "black": flat("black", 320, 240)}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient[Any]]:
    """Yield the embedded default without a model, with its engine."""
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
    engine = EmbeddedEngine(services)
    engine.start()
    assert engine.wait(60)
    with TestClient(create_app(services)) as made:
        yield made
    engine.close()
    services.close()


def several(name: str, frames: Sequence[Image.Image], **how: object) -> bytes:
    """Return an animation, or a scan of several pages."""
    held = io.BytesIO()
    first, *rest = [frame.resize((320, 240)) for frame in frames]
    first.save(held, name, save_all=True, append_images=rest, **how)
    return held.getvalue()


def drawing(seed: int, name: str) -> bytes:
    """White strokes on a transparent ground."""
    image = Image.new("RGBA", (320, 240), (255, 255, 255, 0))
    pen = ImageDraw.Draw(image)
    for n in range(5):
        x = 20 + (seed * 37 + n * 53) % 250
        pen.line((x, 20, (x * 7 + seed * 11) % 300, 220), fill=(255, 255, 255, 255), width=7)
    held = io.BytesIO()
    image.save(held, name, lossless=True)
    return held.getvalue()


def hidden_default(frames: Sequence[Image.Image], *, said: int) -> bytes:
    """Return an animated PNG that declares `said` frames; its default image is none of them."""
    default, *shown = [png(frame.resize((320, 240))) for frame in frames]
    chunks = [*_chunks(default)]
    control = struct.pack(">II", said, 0)
    head = struct.pack(">IIIIIHHBB", 0, 320, 240, 0, 0, 1, 5, 0, 0)
    animated = [chunks[0], (b"acTL", control), *chunks[1:-1]]
    number = 0
    for frame in shown:
        animated.append((b"fcTL", struct.pack(">I", number) + head[4:]))
        number += 1
        for kind, data in _chunks(frame):
            if kind == b"IDAT":
                animated.append((b"fdAT", struct.pack(">I", number) + data))
                number += 1
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in (*animated, chunks[-1])
    )


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 8
    while at < len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        yield data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        at += 12 + length


def sticker(seed: int, name: str) -> bytes:
    """Draw a white stroke on a clear ground, in a frame and beside a photo that others share."""
    image = Image.new("RGBA", (320, 240), (255, 255, 255, 0))
    image.paste(photo(940, 160, 240), (160, 0))
    pen = ImageDraw.Draw(image)
    pen.rectangle((2, 2, 317, 237), outline="black", width=3)
    x = 20 + seed * 37 % 100
    pen.line((x, 60, x + 30, 90 + seed % 60), fill=(255, 255, 255, 255), width=7)
    held = io.BytesIO()
    image.save(held, name, lossless=True)
    return held.getvalue()


def send(client: TestClient[Any], data: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    """Upload with discard_bytes and wait; return the job's item and the record."""
    answer = client.post(
        "/v1/images?wait=60", files={"file": data}, data={"on_duplicate": "discard_bytes"}
    )
    (item,) = answer.json()["items"]
    return item, client.get(f"/v1/images/{item['image_id']}").json()


def block(client: TestClient[Any], item: dict[str, Any]) -> None:
    """Block a picture as a moderator."""
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
    """If both begin with the same blank frame, neither loses its bytes nor blocks the other."""
    ground = FIRST[first]
    if name in ("PNG", "WEBP") and first == "blank":
        ground = Image.new("RGBA", (320, 240), (0, 0, 0, 0))
    seed = 1000 + 2 * ANIMATED.index(name) + 100 * [*FIRST].index(first)
    one, _ = send(client, several(name, [ground, *scenes(seed)]))
    block(client, one)
    data = several(name, [ground, *scenes(seed + 1)])
    other, record = send(client, data)
    assert (other["verdict"]["kind"], other["decision"]["value"]) == ("new", "allow")
    assert record["content"] == "stored"
    assert client.get(f"/v1/images/{other['image_id']}/content?size=original").content == data


@pytest.mark.parametrize("name", ANIMATED)
def test_documents_that_share_a_title_page_are_looked_at(
    client: TestClient[Any], name: str
) -> None:
    """The title page is found, and reported as all that was compared; no bytes are lost."""
    seed = 910 + ANIMATED.index(name)
    title = photo(seed, 320, 240)
    one, _ = send(client, several(name, [title, *scenes(920)]))
    block(client, one)
    other, record = send(client, several(name, [title, *scenes(921)]))
    assert (other["verdict"]["kind"], other["decision"]["value"]) == ("near_duplicate", "review")
    evidence = other["verdict"]["matches"][0]["evidence"]
    assert ("pixels" in evidence["signals"], evidence["uncompared"]) == (False, ["frames"])
    assert "only one frame" in evidence["words"]
    assert record["content"] == "stored"


@pytest.mark.parametrize("name", ["PNG", "WEBP"])
def test_white_drawings_on_clear_ground_are_strangers(client: TestClient[Any], name: str) -> None:
    """Over white both would be the same blank sheet; over black each is compared."""
    seed = ord(name[0])
    one, _ = send(client, drawing(seed, name))
    block(client, one)
    other, record = send(client, drawing(seed + 1, name))
    assert (other["verdict"]["kind"], other["decision"]["value"]) == ("new", "allow")
    assert (other["verdict"]["comparable"], record["content"]) == (True, "stored")


@pytest.mark.parametrize(("name", "other"), [("PNG", "WEBP"), ("WEBP", "TIFF")])
def test_animations_of_equal_frames_have_equal_pixels(
    client: TestClient[Any], name: str, other: str
) -> None:
    """In another lossless container, with a blank first frame too; not with another last frame."""
    frames = [Image.new("RGB", (320, 240), "white"), *scenes(1300 + ord(name[0]))]
    one, _ = send(client, several(name, frames, lossless=True))
    same, _ = send(client, several(other, frames, lossless=True))
    match = same["verdict"]["matches"][0]
    assert (match["image_id"], match["evidence"]["signals"]) == (one["image_id"], ["pixels"])
    assert match["evidence"]["uncompared"] == []
    changed, _ = send(client, several(other, [*frames[:-1], frames[1]], lossless=True))
    assert changed["verdict"]["matches"][0]["evidence"]["uncompared"] == ["frames"]


@pytest.mark.parametrize("name", ["PNG", "WEBP", "TIFF"])
def test_what_is_white_on_a_clear_ground_was_not_compared(
    client: TestClient[Any], name: str
) -> None:
    """However much else the two have in common, a block leads to a review."""
    one, _ = send(client, sticker(ord(name[0]), name))
    block(client, one)
    other, record = send(client, sticker(ord(name[0]) + 301, name))
    assert (other["verdict"]["kind"], other["decision"]["value"]) == ("near_duplicate", "review")
    evidence = other["verdict"]["matches"][0]["evidence"]
    assert ("pixels" in evidence["signals"], evidence["uncompared"]) == (False, ["transparency"])
    assert "transparent ground" in evidence["words"]
    assert record["content"] == "stored"


@pytest.mark.parametrize("said", [0, 1, 2])
def test_a_default_image_is_no_frame(client: TestClient[Any], said: int) -> None:
    """Two animated PNGs that show other pictures than the one that is decoded."""
    default = photo(950 + said, 320, 240)
    one, _ = send(client, hidden_default([default, *scenes(960)], said=said))
    block(client, one)
    other, record = send(client, hidden_default([default, *scenes(961)], said=said))
    assert (other["verdict"]["kind"], other["decision"]["value"]) == ("near_duplicate", "review")
    assert other["verdict"]["matches"][0]["evidence"]["uncompared"] == ["frames"]
    assert record["content"] == "stored"


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


def test_preview_of_a_strip_is_served_at_512_pixels(client: TestClient[Any]) -> None:
    """The stored one is longer, so that a strip can be compared."""
    item, _ = send(client, png(photo(970, 2000, 200)))
    url = f"/v1/images/{item['image_id']}/content"
    for size, expected in (("preview", (512, 51)), ("thumb", (160, 16))):
        with Image.open(io.BytesIO(client.get(f"{url}?size={size}").content)) as image:
            assert image.size == expected
