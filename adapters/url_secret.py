"""Secret for signed URLs, made once and kept in the data folder."""

from __future__ import annotations

import os
import secrets
import tempfile
from contextlib import suppress
from pathlib import Path

from core.errors import SettingsError

_NAME = "url.secret"
_BYTES = 32


def url_secret(folder: Path, given: str = "") -> bytes:
    """Return the secret: the given one, else the stored one, made if there is none.

    Several processes may call at once and get the same. Raise SettingsError if it can be neither
    read nor written.
    """
    if given:
        return given.encode()
    place = folder / _NAME
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not place.exists():
            _make(place)
        kept = place.read_bytes().strip()
    except OSError as error:
        raise SettingsError(f"{place}: {error.strerror}; or set SEENIT_URL_SECRET") from None
    if len(kept) < _BYTES:
        raise SettingsError(f"{place} holds no secret: remove it, and a new one is made")
    return kept


def _make(place: Path) -> None:
    """Write it whole under another name, then link it, so that no process reads half of it."""
    handle, name = tempfile.mkstemp(dir=place.parent, prefix=_NAME)  # for its owner alone (0600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(secrets.token_hex(_BYTES).encode())
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(name, place)
    finally:
        Path(name).unlink(missing_ok=True)
