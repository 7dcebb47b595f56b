"""Verdicts are serial: however many send at once, the outcome is that of one after the other."""

from __future__ import annotations

import io
import random
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageEnhance

from tests.e2e.service import Service, serving
from tests.e2e.talking import Talking
from tests.hard.serial_run import Told, serial
from tests.samples.pictures import jpeg, photo

THREADS = 20


def variants(seed: int) -> list[bytes]:
    """Return 20 files of one photo that confirm each other: sizes, qualities, brightness."""
    picture = photo(seed, 480, 360)
    made = []
    for n in range(THREADS):
        side = 1.0 - 0.02 * n
        smaller = picture.resize((int(480 * side), int(360 * side)), Image.Resampling.LANCZOS)
        lit = ImageEnhance.Brightness(smaller).enhance(0.9 + 0.01 * n)
        made.append(jpeg(lit, 95 - 2 * n))
    return made


def at_once(service: Service, files: Sequence[bytes]) -> list[dict[str, Any]]:
    """Upload each file by its own thread, all released together; return their items."""

    def send(data: bytes) -> dict[str, Any]:
        answer = service.upload([("p.jpg", data)], wait=60)
        assert answer.status_code == 200, answer.text
        item: dict[str, Any] = answer.json()["items"][0]
        return item

    with ThreadPoolExecutor(len(files)) as pool:
        return list(pool.map(send, files))


def one_new_and_all_point_at_it(told: Sequence[dict[str, Any]], copies: str) -> None:
    """Exactly one `new`; it is everyone else's original."""
    kinds = Counter(item["verdict"]["kind"] for item in told)
    assert kinds == {"new": 1, copies: len(told) - 1}
    (first,) = [item["image_id"] for item in told if item["verdict"]["kind"] == "new"]
    originals = {
        item["verdict"]["original"]["image_id"] for item in told if item["verdict"]["kind"] != "new"
    }
    assert originals == {first}


def rounds(service: Service, count: int, files: Callable[[int], list[bytes]], copies: str) -> None:
    """So many rounds, each with a photo of its own."""
    for seed in range(count):
        one_new_and_all_point_at_it(at_once(service, files(seed)), copies)


def test_of_twenty_edits_at_once_one_is_new(tmp_path: Path) -> None:
    """Two rounds of 20 threads with 20 edits of one photo."""
    with serving(tmp_path / "data") as service:
        rounds(service, 2, variants, "near_duplicate")


def test_of_twenty_identical_files_at_once_one_is_new(tmp_path: Path) -> None:
    """Two rounds of 20 threads with one file."""
    with serving(tmp_path / "data") as service:
        rounds(service, 2, lambda seed: [jpeg(photo(seed, 480, 360), 90)] * THREADS, "exact")


@pytest.mark.hard
@pytest.mark.timeout(600)
def test_twenty_rounds_of_twenty_edits(tmp_path: Path) -> None:
    """Never two `new`, never none."""
    with serving(tmp_path / "data") as service:
        rounds(service, 20, variants, "near_duplicate")


@pytest.mark.hard
@pytest.mark.timeout(600)
def test_fifty_rounds_of_twenty_identical_files(tmp_path: Path) -> None:
    """Never two `new`, never none."""
    with serving(tmp_path / "data") as service:
        rounds(service, 50, lambda seed: [jpeg(photo(seed, 480, 360), 90)] * THREADS, "exact")


def mixture(count: int, seed: int) -> list[bytes]:
    """Photos, crops, re-encodings, repeats and flat ones, shuffled."""
    dice = random.Random(seed)
    files: list[bytes] = []
    while len(files) < count:
        picture = photo(dice.randrange(10_000), 400, 300)
        files.append(jpeg(picture, 92))
        for _ in range(dice.randrange(5)):
            width, height = picture.size
            match dice.randrange(5):
                case 0:
                    files.append(files[-1])
                case 1:
                    files.append(jpeg(picture, dice.randrange(30, 90)))
                case 2:
                    x, y = dice.randrange(width // 5), dice.randrange(height // 5)
                    box = (x, y, x + width * 4 // 5, y + height * 4 // 5)
                    files.append(jpeg(picture.crop(box), 88))
                case 3:
                    files.append(jpeg(picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT), 90))
                case _:
                    colour = tuple(dice.randrange(0, 256, 64) for _ in range(3))
                    files.append(jpeg(Image.new("RGB", (64, 48), colour), 90))
    dice.shuffle(files)
    return files[:count]


def equals_serial(tmp_path: Path, files: Sequence[bytes], clients: int) -> None:
    """Send by so many clients, then one by one in the log's order to an empty instance."""
    with serving(tmp_path / "many") as service:

        def send(n: int) -> tuple[str, int]:
            answer = service.upload([(f"{n}.jpg", files[n])])
            assert answer.status_code == 202, answer.text
            return answer.json()["items"][0]["image_id"], n

        with ThreadPoolExecutor(clients) as pool:
            place = dict(pool.map(send, range(len(files))))
        service.settled()
        order = service.order()
        parallel = verdicts(service, place)
    assert sorted(place) == sorted(order)
    alone = tmp_path / "one"
    alone.mkdir()
    assert parallel == serial(alone, files, [place[image_id] for image_id in order])


def verdicts(service: Talking, place: dict[str, int]) -> dict[int, Told]:
    """Return each file's kind, original and confirmed others; pictures are numbered."""
    return {
        place[record["image_id"]]: (
            record["verdict"]["kind"],
            place[record["verdict"]["original"]["image_id"]]
            if record["verdict"]["original"]
            else None,
            sorted(place[m["image_id"]] for m in record["verdict"]["matches"] if m["confirmed"]),
        )
        for record in service.images()
    }


def test_a_mix_by_many_clients_equals_the_serial_run(tmp_path: Path) -> None:
    """60 uploads by 16 clients."""
    equals_serial(tmp_path, mixture(60, 1), 16)


@pytest.mark.hard
@pytest.mark.timeout(900)
def test_many_uploads_by_sixteen_clients_equal_the_serial_run(tmp_path: Path) -> None:
    """250 uploads by 16 clients."""
    equals_serial(tmp_path, mixture(250, 2), 16)


def test_mixtures_hold_every_kind() -> None:
    """A mixture has both: repeats, and photos that differ."""
    files = mixture(60, 1)
    assert len(set(files)) < len(files)
    with Image.open(io.BytesIO(files[0])) as first:
        assert first.size[0] > 0
