"""One engine a data directory: other processes accept and read, and take over when it dies."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.service import Service, serving
from tests.e2e.talking import until
from tests.samples.pictures import jpeg, photo


def kind(service: Service, data: bytes) -> str:
    """Upload through this process, and return the kind of the verdict."""
    answer = service.upload([("a.jpg", data)], wait=60)
    assert answer.status_code == 200, answer.text
    told: str = answer.json()["items"][0]["verdict"]["kind"]
    return told


def test_a_second_process_accepts_and_the_holder_settles(tmp_path: Path) -> None:
    """Uploads through either see those through the other; a delete through one is seen by both."""
    data = tmp_path / "data"
    picture = photo(1, 320, 240)
    with serving(data) as holder, serving(data) as other:
        assert kind(holder, jpeg(picture, 90)) == "new"
        assert kind(other, jpeg(picture, 90)) == "exact"
        assert kind(other, jpeg(picture, 60)) == "near_duplicate"
        until(lambda: len(holder.images()) == len(other.images()) == 3)
        assert other.check(jpeg(picture, 50)).json()["verdict"]["kind"] == "near_duplicate"
        for record in holder.images():
            assert other.client.delete(f"/v1/images/{record['image_id']}").status_code == 204
        until(lambda: holder.images() == other.images() == [])
        assert holder.check(jpeg(picture, 50)).json()["verdict"]["kind"] == "new"


def test_another_takes_over_when_the_holder_is_killed(tmp_path: Path) -> None:
    """The next holder settles the uploads that the dead one accepted, and later ones."""
    data = tmp_path / "data"
    files = [jpeg(photo(seed, 320, 240), 90) for seed in range(8)]
    with serving(data) as holder, serving(data) as other:
        assert kind(holder, files[0]) == "new"
        left = [holder.upload([("a.jpg", file)]).status_code for file in files[1:]]
        assert left == [202] * 7
        holder.kill()
        assert kind(other, files[0]) == "exact"
        other.settled()
        assert [record["verdict"]["kind"] for record in other.images()].count("new") == 8
