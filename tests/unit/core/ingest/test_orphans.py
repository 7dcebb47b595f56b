"""Uploads that broke off before their 202 go after days; accepted ones stay."""

from __future__ import annotations

import pytest

from adapters.blobs.opening import open_blobs
from core import keys
from core.ingest import orphans
from core.ingest.orphans import BACK_SECONDS, KEPT_SECONDS, Orphans
from core.ingest.retention import bound
from core.storage.picture_store import PictureStore

NOW = 1_800_000_000.0
HOUR = 3600.0


def made(seconds: float) -> str:
    """Return the id of an upload of that time."""
    return f"{bound(seconds)}-7000-8000-000000000000"


def test_what_was_never_promised_goes_after_days() -> None:
    """Its bytes and fields go; not if it waits, has ended, or may still be finished."""
    blobs = open_blobs("memory://")
    old = NOW - KEPT_SECONDS - HOUR
    lost, waiting, ended, seen = (made(old + n) for n in range(4))
    young = made(NOW - HOUR)
    for image_id in (lost, waiting, ended, seen, young):
        blobs.put(
            [
                (keys.blob("t", image_id), b"bytes"),
                (keys.fields("t", image_id, image_id), b"{}"),
            ]
        )
    blobs.put([(keys.blob("u", lost), b"bytes")])
    blobs.create_many([(keys.pending("t", waiting), b"{}"), (keys.done("t", ended), b"1")])
    blobs.put([(keys.derived("t", seen, "fingerprint"), b"of a back-up without its mark")])
    clock = [NOW]
    unpromised = Orphans(blobs, PictureStore(blobs).remove, now=lambda: clock[0])
    assert unpromised.sweep() == 2
    assert list(blobs.keys("blobs/u/")) == []
    for part in ("blobs", "fields"):
        left = [key.split("/")[2] for key in blobs.keys(f"{part}/t/")]
        assert left == [waiting, ended, seen, young]
    assert unpromised.sweep() == 0
    clock[0] += KEPT_SECONDS
    assert unpromised.sweep() == 1
    assert [key.split("/")[2] for key in blobs.keys("blobs/t/")] == [waiting, ended, seen]


def test_each_upload_is_looked_at_once() -> None:
    """A year of uploads is not listed again every hour, nor at the start of a process."""
    blobs = open_blobs("memory://")
    asked: list[int] = []
    exists = blobs.exists
    blobs.exists = lambda wanted: asked.append(len(wanted)) or exists(wanted)  # type: ignore[func-returns-value,method-assign]
    times = [NOW - KEPT_SECONDS - BACK_SECONDS - HOUR, NOW - KEPT_SECONDS - HOUR]
    blobs.put([(keys.blob("t", made(one)), b"bytes") for one in times])
    blobs.create_many([(keys.done("t", made(one)), b"1") for one in times])
    unpromised = Orphans(blobs, PictureStore(blobs).remove, now=lambda: NOW)
    assert [unpromised.sweep(), unpromised.sweep()] == [0, 0]
    assert sum(asked) == 1


def test_a_look_at_very_many_is_taken_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other chores, and a stop, wait for one call: the next one comes soon and goes on."""
    monkeypatch.setattr(orphans, "PART", 4)
    blobs = open_blobs("memory://")
    old = NOW - KEPT_SECONDS - HOUR
    for tenant in ("t", "u"):
        blobs.put([(keys.blob(tenant, made(old + n)), b"bytes") for n in range(5)])
    clock = [NOW]
    unpromised = Orphans(blobs, PictureStore(blobs).remove, now=lambda: clock[0])
    removed = []
    for _ in range(4):
        removed.append(unpromised.sweep())
        assert unpromised.sweep() == 0
        clock[0] += orphans.SOON_SECONDS
    assert removed == [4, 4, 2, 0]
