"""The API keys in force: those of the settings, and those of a file that may change."""

from __future__ import annotations

import logging
import os
import stat
import time
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from adapters.api_keys import EVERY_TENANT, Grant, grants
from core.errors import SettingsError

CHECK_SECONDS = 1.0
"""Seconds between two looks at the file, each of which is one stat(2)."""
SETTLED_NS = 2_000_000_000
"""Age at which a time of change is trusted: a second write within the clock's step would leave the
same time, and perhaps the same size."""
MOST_BYTES = 8 * 1024**2
"""Largest file that is read: about 80,000 keys."""

logger = logging.getLogger(__name__)

_Version = tuple[int, int, int, int]


class KeyRing:
    """Grants by the digest of each key. For one thread: the event loop of an API."""

    def __init__(self, own: Mapping[str, Grant], file: Path | None = None) -> None:
        """Read the file, if there is one, in addition to the keys of the settings.

        Raise SettingsError if it cannot be used.
        """
        self._own = dict(own)
        self._file = file
        self._version: _Version | None = None
        self._read = b"", ""
        """Digest of the content that was read last, and the reason if it could not be."""
        self._due = time.monotonic() + CHECK_SECONDS
        self._use(self._own)
        if file is not None:
            try:
                self._version, content = _content(file)
                self._use(self._parsed(content))
            except (OSError, ValueError) as error:
                raise SettingsError(f"SEENIT_API_KEYS_FILE={file}: {_reason(error)}") from None
            self._read = sha256(content).digest(), ""

    @property
    def required(self) -> bool:
        """Whether a request needs a key at all."""
        return bool(self._own) or self._file is not None

    @property
    def one_tenant(self) -> bool:
        """Whether all keys open one tenant."""
        self.current()
        return self._one_tenant

    def current(self) -> Mapping[str, Grant]:
        """Return the grants, of the file as it was at most a second ago.

        A file that cannot be used changes nothing, and is logged once.
        """
        now = time.monotonic()
        if self._file is not None and now >= self._due:
            self._due = now + CHECK_SECONDS
            self._look(self._file)
        return self._grants

    def _look(self, file: Path) -> None:
        """Read the file again if it may have changed."""
        content, fault = b"", ""
        try:
            if self._version == _version(file.stat()):
                return
            self._version, content = _content(file)
        except (OSError, ValueError) as error:
            self._version, fault = None, _reason(error)
        read = sha256(content).digest(), fault
        if read == self._read:
            return
        self._read = read
        if not fault:
            try:
                self._use(self._parsed(content))
            except ValueError as error:
                fault = str(error)
        if fault:
            logger.warning("api_keys_file_refused", extra={"reason": f"{file}: {fault}"})
        else:
            logger.info("api_keys_file_read", extra={"reason": f"{len(self._grants)} keys"})

    def _use(self, found: Mapping[str, Grant]) -> None:
        self._grants = found
        self._one_tenant = len({one.tenant for one in found.values()} - {EVERY_TENANT}) == 1

    def _parsed(self, content: bytes) -> dict[str, Grant]:
        """Return the grants of the settings and of the file. Raise ValueError."""
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError:  # its text holds a byte
            raise ValueError("it is not UTF-8") from None
        found = grants(text)
        if not found:
            raise ValueError("it names no key: write KEY:tenant:role on a line")
        if found.keys() & self._own.keys():
            raise ValueError("a key of it is also in SEENIT_API_KEYS")
        return self._own | found


def _content(file: Path) -> tuple[_Version | None, bytes]:
    """Return the content of the file, and its version unless it changed a moment ago."""
    number = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a pipe would block
    with os.fdopen(number, "rb") as opened:
        status = os.fstat(opened.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("it is not a file")
        content = opened.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise ValueError(f"it has more than {MOST_BYTES} bytes")
    settled = time.time_ns() - status.st_mtime_ns > SETTLED_NS
    return _version(status) if settled else None, content


def _version(status: os.stat_result) -> _Version:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _reason(error: OSError | ValueError) -> str:
    return error.strerror or "it cannot be read" if isinstance(error, OSError) else str(error)
