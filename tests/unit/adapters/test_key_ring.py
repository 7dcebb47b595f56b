"""The keys in force while their file changes."""

from __future__ import annotations

import logging
import os
from hashlib import sha256
from pathlib import Path

import pytest

from adapters import key_ring
from adapters.api_keys import Grant, grants
from adapters.key_ring import KeyRing
from core.errors import SettingsError

KEY, OTHER, THIRD = "the-first-of-keys", "the-second-of-keys", "the-third-of-keys"


@pytest.fixture(autouse=True)
def at_every_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at the file at every call."""
    monkeypatch.setattr(key_ring, "CHECK_SECONDS", 0.0)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return a file with one key."""
    made = tmp_path / "keys"
    made.write_text(f"{KEY}:shop:read:page\n")
    return made


def held(ring: KeyRing) -> set[str]:
    """Return the keys that a ring takes."""
    found = ring.current()
    return {key for key in (KEY, OTHER, THIRD) if sha256(key.encode()).hexdigest() in found}


def age(file: Path, seconds: float) -> None:
    """Make a file look as if it was written some seconds ago."""
    then = file.stat().st_mtime - seconds
    os.utime(file, (then, then))


def test_keys_of_the_settings_and_of_the_file_count(file: Path) -> None:
    """With one it is required, also where the settings name none."""
    ring = KeyRing(grants(f"{OTHER}:shop:admin"), file)
    assert held(ring) == {KEY, OTHER}
    assert ring.current()[sha256(KEY.encode()).hexdigest()] == Grant("shop", "read", "page")
    assert KeyRing({}, file).required
    assert not KeyRing({}).required


def test_a_key_is_added_and_turned_off(file: Path) -> None:
    """Written in place or replaced, however quickly one change follows another."""
    ring = KeyRing({}, file)
    for keys in ([KEY, OTHER], [OTHER], [THIRD], [KEY]):  # the last two have the same size
        file.write_text("".join(f"{key}:shop:write\n" for key in keys))
        assert held(ring) == set(keys)
    for keys in ([OTHER], [KEY, THIRD]):
        new = file.with_suffix(".new")
        new.write_text("".join(f"{key}:shop:write\n" for key in keys))
        new.replace(file)
        assert held(ring) == set(keys)


def test_a_version_in_the_same_moment_is_seen(file: Path) -> None:
    """With the same size and the same time as the one before, as coarse clocks make them."""
    ring = KeyRing({}, file)
    status = file.stat()
    file.write_text(file.read_text().replace(KEY, KEY[::-1]))
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert held(ring) == set()


def test_a_file_that_does_not_change_is_not_read_again(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look at it is a stat; a new time without a new content parses nothing."""
    age(file, 60)
    ring = KeyRing({}, file)
    monkeypatch.setattr(key_ring, "grants", lambda _: pytest.fail("it was parsed"))
    with monkeypatch.context() as patch:
        patch.setattr(key_ring, "_content", lambda _: pytest.fail("it was read"))
        assert held(ring) == {KEY}
    age(file, 1)
    assert held(ring) == {KEY}


def test_between_two_looks_the_file_is_not_touched(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request costs no call to the system."""
    monkeypatch.setattr(key_ring, "CHECK_SECONDS", 3600.0)
    ring = KeyRing({}, file)
    file.unlink()
    monkeypatch.setattr(Path, "stat", lambda *_: pytest.fail("it was looked at"))
    assert held(ring) == {KEY}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it names no key: write KEY:tenant:role on a line"),
        (b"# none\n", "it is set and names no key: write KEY:tenant:role, or leave it unset"),
        (b"hush-hush-hush-hush:shop:king", "the role of key 1 is not"),
        (b"hush-hush-hush-hush\xff:shop:read", "it is not UTF-8"),
        (b"[{", "not a JSON list"),
        (b"the-second-of-keys:shop:read", "a key of it is also in SEENIT_API_KEYS"),
        (b"#" * (key_ring.MOST_BYTES + 1), f"it has more than {key_ring.MOST_BYTES} bytes"),
        (None, "No such file or directory"),
    ],
)
def test_a_broken_version_changes_nothing_and_is_logged_once(
    file: Path, caplog: pytest.LogCaptureFixture, content: bytes | None, reason: str
) -> None:
    """Until it is mended; what it held is in no line of the log. At the start it is an error."""
    own = grants(f"{OTHER}:shop:admin")
    ring = KeyRing(own, file)
    good = file.read_bytes()
    file.unlink() if content is None else file.write_bytes(content)
    with caplog.at_level(logging.INFO):
        for _ in range(3):
            assert held(ring) == {KEY, OTHER}
        (line,) = caplog.records
        assert (line.message, line.levelname) == ("api_keys_file_refused", "WARNING")
        assert f"{file}: {reason}" in line.__dict__["reason"]
        with pytest.raises(SettingsError) as refused:
            KeyRing(own, file)
        assert refused.value.detail.startswith(f"SEENIT_API_KEYS_FILE={file}: {reason}")
        assert "hush" not in caplog.text + refused.value.detail
        file.write_bytes(good)
        assert held(ring) == {KEY, OTHER}
        assert [record.message for record in caplog.records][1:] == ["api_keys_file_read"]
        file.write_text(f"{THIRD}:shop:read")
        assert held(ring) == {OTHER, THIRD}


def test_a_pipe_or_folder_is_no_file(tmp_path: Path) -> None:
    """Neither hangs the start: it could not be read again."""
    os.mkfifo(tmp_path / "pipe")
    for name, reason in (("pipe", "it is not a file"), ("", "Is a directory")):
        with pytest.raises(SettingsError, match=reason):
            KeyRing({}, tmp_path / name)


def test_a_mounted_secret_is_followed_through_its_links(tmp_path: Path) -> None:
    """As Kubernetes swaps the folder that a link names."""
    for name, key in (("one", KEY), ("two", OTHER)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "keys").write_text(f"{key}:shop:read")
        age(tmp_path / name / "keys", 60)
    (tmp_path / "data").symlink_to("one")
    (tmp_path / "keys").symlink_to("data/keys")
    ring = KeyRing({}, tmp_path / "keys")
    assert held(ring) == {KEY}
    (tmp_path / "next").symlink_to("two")
    (tmp_path / "next").replace(tmp_path / "data")
    assert held(ring) == {OTHER}


def test_the_only_tenant_may_change(file: Path) -> None:
    """An operator's key opens none."""
    ring = KeyRing(grants(f"{OTHER}:shop:admin"), file)
    assert ring.one_tenant
    file.write_text(f"{KEY}:*:operator")
    assert ring.one_tenant
    file.write_text(f"{KEY}:other:read")
    assert not ring.one_tenant
