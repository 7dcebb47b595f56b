"""Deletes: nothing points at what is gone, nothing deleted comes back."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.service import Service, serving
from tests.e2e.test_serial import at_once, one_new_and_all_point_at_it, variants

COPIES = 10
"""Files of a star that is deleted whole: each delete compares those that are left."""
PARTS = ("blobs", "derived", "vectors", "fields", "pending", "kept")


def delete(service: Service, image_id: str) -> None:
    """Delete a picture; repeat it after a 503, while it is still being settled."""
    while True:
        answer = service.client.delete(f"/v1/images/{image_id}")
        if answer.status_code != 503:
            assert answer.status_code in (204, 410), answer.text
            return


def sound(service: Service, deleted: Iterable[str]) -> list[dict[str, Any]]:
    """Return the records left: none deleted, originals among them, one group or several."""
    gone = set(deleted)
    records = service.images()
    live = {record["image_id"] for record in records}
    assert not live & gone
    for record in records:
        original = record["verdict"]["original"]
        if original is not None:
            assert original["image_id"] in live - {record["image_id"]}
            assert service.client.get(f"/v1/images/{original['image_id']}").json()["anchor"]
        else:
            assert record["anchor"]
        for match in record["verdict"]["matches"]:
            assert match["image_id"] in live
    for image_id in gone:
        assert service.client.get(f"/v1/images/{image_id}").status_code == 410
        assert service.client.get(f"/v1/images/{image_id}/content").status_code == 410
        left = [
            path
            for part in PARTS
            for path in (service.data / "blobs" / part / "default").glob(f"{image_id}*")
        ]
        assert left == []
    return records


def test_the_original_goes_and_the_next_in_order_takes_its_place(tmp_path: Path) -> None:
    """Its 19 copies point at one new original, with evidence about that one."""
    with serving(tmp_path / "data") as service:
        told = at_once(service, variants(1))
        (first,) = [item["image_id"] for item in told if item["verdict"]["kind"] == "new"]
        delete(service, first)
        left = sound(service, [first])
        originals = [record for record in left if record["verdict"]["original"] is None]
        assert len(left) == 19
        assert len(originals) == 1
        assert originals[0] == min(left, key=lambda r: (r["accepted_at"], r["image_id"]))
        for record in left:
            assert record["verdict"]["revision"] == 2
            if record not in originals:
                matches = record["verdict"]["matches"]
                assert originals[0]["image_id"] in [m["image_id"] for m in matches]


@pytest.mark.hard
@pytest.mark.timeout(400)
def test_the_original_goes_while_twenty_copies_settle(tmp_path: Path) -> None:
    """Whatever the moment, the copies end as one star without it."""
    dice = random.Random(7)
    with serving(tmp_path / "data") as service:
        for seed in range(5):
            files = variants(seed)
            first = at_once(service, files[:1])[0]["image_id"]
            with ThreadPoolExecutor(20) as pool:
                sent = [pool.submit(service.upload, [("p.jpg", data)]) for data in files]
                pause = threading.Event()
                pause.wait(dice.uniform(0, 0.6))
                delete(service, first)
                ids = {one.result().json()["items"][0]["image_id"] for one in sent}
            service.settled()
            left = [r for r in sound(service, [first]) if r["image_id"] in ids]
            assert len(left) == 20
            assert sum(r["verdict"]["original"] is None for r in left) == 1


def test_a_copy_is_deleted_at_any_step_of_its_settling(tmp_path: Path) -> None:
    """Deleted at once, a little later, or when settled: it never comes back."""
    with serving(tmp_path / "data") as service:
        files = variants(3)
        first = at_once(service, files[:1])[0]["image_id"]
        gone = []
        for n, data in enumerate(files):
            image_id = service.upload([("p.jpg", data)]).json()["items"][0]["image_id"]
            threading.Event().wait(0.01 * n)
            delete(service, image_id)
            gone.append(image_id)
        service.settled()
        assert [record["image_id"] for record in sound(service, gone)] == [first]


@pytest.mark.hard
@pytest.mark.timeout(400)
def test_a_star_too_large_for_one_entry_goes_in_steps(tmp_path: Path) -> None:
    """150 copies of one photo survive their original as one star."""
    with serving(tmp_path / "data") as service:
        picture = variants(4)[0]
        first = at_once(service, [picture])[0]["image_id"]
        for _ in range(3):
            answer = service.upload([(f"{n}.jpg", picture) for n in range(50)], wait=60)
            assert answer.status_code == 200, answer.text
        delete(service, first)
        left = sound(service, [first])
        assert len(left) == 150
        assert sum(record["verdict"]["original"] is None for record in left) == 1


@pytest.mark.hard
@pytest.mark.timeout(600)
def test_deletes_and_uploads_at_random_leave_sound_stars(tmp_path: Path) -> None:
    """16 clients upload variants of five photos and delete any of them for a while."""
    dice = random.Random(8)
    with serving(tmp_path / "data") as service:
        files = [data for seed in range(5) for data in variants(seed)]
        live: list[str] = []
        gone: list[str] = []
        lock = threading.Lock()

        def act(n: int) -> None:
            victim = None
            with lock:
                if live and dice.random() < 0.4:
                    victim = live.pop(dice.randrange(len(live)))
            if victim is not None:
                delete(service, victim)
                gone.append(victim)
                return
            answer = service.upload([("p.jpg", files[n % len(files)])])
            with lock:
                live.append(answer.json()["items"][0]["image_id"])

        with ThreadPoolExecutor(16) as pool:
            list(pool.map(act, range(600)))
        service.settled()
        assert {r["image_id"] for r in sound(service, gone)} == set(live)


def test_after_deleting_all_the_next_one_is_new(tmp_path: Path) -> None:
    """A deleted star catches nothing any more."""
    with serving(tmp_path / "data") as service:
        told = at_once(service, variants(5)[:COPIES])
        one_new_and_all_point_at_it(told, "near_duplicate")
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda item: delete(service, item["image_id"]), told))
        assert sound(service, [item["image_id"] for item in told]) == []
        again = at_once(service, variants(5)[:COPIES])
        one_new_and_all_point_at_it(again, "near_duplicate")
