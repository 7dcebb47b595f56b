"""The row of `seenit doctor` about API keys."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest

from adapters import settings
from cli.commands import doctor

KEYS = "the-first-of-keys:shop:read,the-second-of-keys:*:operator"


@pytest.mark.parametrize(
    ("mode", "hashed", "state"),
    [(0o600, False, "ok"), (0o644, False, "absent"), (0o644, True, "ok")],
)
def test_doctor_counts_the_keys_and_sees_who_can_read_them(
    tmp_path: Path, mode: int, hashed: bool, state: str
) -> None:
    """Hashes of keys may be seen by everybody."""
    file = tmp_path / "keys"
    key = f"sha256:{sha256(b'k').hexdigest()}" if hashed else "the-third-of-keys"
    file.write_text(f"{key}:shop:read")
    file.chmod(mode)
    found = doctor._keys(settings.load(data=tmp_path, api_keys=KEYS, api_keys_file=file))
    assert (found.name, found.state) == ("keys", state)
    assert found.says.startswith(f"3 keys: 2 read, 1 operator; {file} is read again")
    assert ("chmod" in found.remedy) is (state == "absent")


def test_doctor_says_what_no_key_means(tmp_path: Path) -> None:
    """The machine's own callers, or any."""
    assert doctor._keys(settings.load(data=tmp_path)).says == "none: loopback only"
    everybody = settings.load(data=tmp_path, allow_unauthenticated=True)
    assert doctor._keys(everybody).says == "none: every address is answered"
