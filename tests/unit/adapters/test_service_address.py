"""The file that `seenit up` leaves in its data folder: who may read it, and what its key proves."""

from __future__ import annotations

import dataclasses
import os
import stat
from pathlib import Path

import pytest

from adapters.service_address import (
    LocalKey,
    ServiceAddress,
    read_address,
    remove_address,
    write_address,
)
from core.errors import SettingsError

ADDRESS = ServiceAddress(
    url="http://127.0.0.1:1",
    host="here",
    secret=LocalKey.new().secret,
    pid=7,
    version="1",
    model="none",
    blobs_url="file:///x",
)


def test_write_address_leaves_one_file_for_its_owner(tmp_path: Path) -> None:
    """Mode 0600, whatever the umask, and nothing beside it."""
    before = os.umask(0)
    try:
        write_address(tmp_path / "data", ADDRESS)
    finally:
        os.umask(before)
    (file,) = (tmp_path / "data").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert read_address(tmp_path / "data") == ADDRESS


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_read_address_refuses_a_file_of_others(tmp_path: Path, mode: int) -> None:
    """Otherwise another user could receive a caller's pictures."""
    write_address(tmp_path, ADDRESS)
    (tmp_path / "service.json").chmod(mode)
    assert read_address(tmp_path) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"url": "http://127.0.0.1:1"}',
        '{"more": 1}',
        "[" * 200_000,
        '{"url": 1, "host": 1, "secret": 1, "pid": 1, "version": 1, "model": 1, "blobs_url": 1}',
    ],
)
def test_read_address_takes_no_spoilt_file(tmp_path: Path, text: str) -> None:
    """A file of another version is refused as well."""
    write_address(tmp_path, ADDRESS)
    (tmp_path / "service.json").write_text(text)
    assert read_address(tmp_path) is None


def test_read_address_follows_no_link(tmp_path: Path) -> None:
    """A link may lead to a file of another service's owner."""
    write_address(tmp_path / "a", ADDRESS)
    (tmp_path / "service.json").symlink_to(tmp_path / "a" / "service.json")
    assert read_address(tmp_path) is None
    assert read_address(tmp_path / "nowhere") is None


def test_remove_address_leaves_that_of_another_service(tmp_path: Path) -> None:
    """One that took over has written its own."""
    write_address(tmp_path, dataclasses.replace(ADDRESS, pid=8))
    remove_address(tmp_path, ADDRESS)
    assert read_address(tmp_path) is not None
    write_address(tmp_path, ADDRESS)
    remove_address(tmp_path, ADDRESS)
    assert list(tmp_path.iterdir()) == []


def test_local_key_names_the_tenant() -> None:
    """Only its own tokens open anything."""
    key = LocalKey.new()
    assert key.tenant(key.token("shop-7")) == "shop-7"
    for token in (LocalKey.new().token("shop"), "", f"{key.token('shop')}:x", key.token("a") + "Ä"):
        assert key.tenant(token) is None
    assert key.proof("n") != LocalKey.new().proof("n")
    with pytest.raises(SettingsError, match="--tenant 'A Shop'"):
        key.token("A Shop")
