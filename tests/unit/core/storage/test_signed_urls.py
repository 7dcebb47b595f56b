"""Addresses that open one picture, and the secret they are signed with."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.url_secret import url_secret
from core.errors import ForbiddenError, MalformedError, SettingsError
from core.storage.signed_urls import URLSigner

SECRET = b"s" * 32


def parts(path: str) -> dict[str, str]:
    """Return the query of an address."""
    return {name: values[0] for name, values in parse_qs(urlsplit(path).query).items()}


def opens(signer: URLSigner, image_id: str, told: dict[str, str]) -> None:
    """Check the parts of an address."""
    signer.check(
        told["tenant"],
        image_id,
        told["size"],
        expires=told["expires"],
        signature=told["signature"],
    )


def test_an_address_opens_what_it_was_made_for_until_it_ends() -> None:
    """It expires to the second."""
    now = [1000.0]
    signer = URLSigner(SECRET, lambda: now[0])
    path = signer.path("t", "id", "preview", 60)
    assert path.startswith("/v1/images/id/content?size=preview&tenant=t&expires=1060&signature=")
    for now[0] in (1000.0, 1059.9):
        opens(signer, "id", parts(path))
    now[0] = 1060.0
    with pytest.raises(ForbiddenError, match="expired"):
        opens(signer, "id", parts(path))


@pytest.mark.parametrize(
    "changed",
    [
        {"tenant": "u"},
        {"size": "original"},
        {"size": "thumb"},
        {"expires": "9999999999"},
        {"expires": "01060"},
        {"expires": "1060 "},
        {"expires": "x"},
        {"signature": ""},
        {"signature": "0" * 64},
        {"signature": "é" * 64},
    ],
)
def test_nothing_of_it_can_be_changed(changed: dict[str, str]) -> None:
    """Neither tenant, size, end nor signature."""
    signer = URLSigner(SECRET, lambda: 1000.0)
    told = parts(signer.path("t", "id", "preview", 60))
    with pytest.raises(ForbiddenError, match="does not open"):
        opens(signer, "id", told | changed)
    with pytest.raises(ForbiddenError, match="does not open"):
        opens(signer, "other", told)
    with pytest.raises(ForbiddenError, match="does not open"):
        opens(URLSigner(b"o" * 32, lambda: 1000.0), "id", told)


@given(st.text(), st.text(), st.text(), st.text())
def test_parts_cannot_be_moved_into_each_other(a: str, b: str, c: str, d: str) -> None:
    """Any such address is refused, and never crashes."""
    signer = URLSigner(SECRET, lambda: 1000.0)
    with pytest.raises((ForbiddenError, MalformedError)):
        signer.check(a, b, c, expires="2000", signature=d)


def test_a_secret_is_made_once(tmp_path: Path) -> None:
    """Concurrent callers get the same; only its owner may read it."""
    folder = tmp_path / "new"
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda _: url_secret(folder), range(32)))
    assert len(found) == 1
    assert len(found.pop()) == 64
    (kept,) = folder.iterdir()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert url_secret(folder) == url_secret(folder)
    assert url_secret(folder, "given" * 8) == b"given" * 8


def test_a_secret_that_is_none_stops_the_service(tmp_path: Path) -> None:
    """An empty file would sign with nothing."""
    (tmp_path / "url.secret").write_text("")
    with pytest.raises(SettingsError, match="holds no secret"):
        url_secret(tmp_path)
    with pytest.raises(SettingsError, match="SEENIT_URL_SECRET"):
        url_secret(tmp_path / "url.secret")
