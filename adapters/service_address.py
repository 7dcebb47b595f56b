"""The address and key that `seenit up` leaves in its data folder for commands on its machine.

The file lies beside `blobs/`, so no back-up takes it. Its key is made at each start, opens any
tenant, and never leaves the machine: a command sends it only to a service that has proved that it
knows it, because another program may listen at the address of one that was killed.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import secrets
import stat
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import msgspec

from core.errors import SettingsError

PATH = "/health/local"
"""Where a service proves that it knows the key: `?nonce=` gets `{"proof", "starting"}`."""
PREFIX = "seenit-local:"
"""Marks the bearer token of a local key, which is refused rather than ignored where it is wrong."""
_NAME = "service.json"
_MOST_BYTES = 64 * 1024
"""Most bytes of the file that are read: root reads those of other users."""
_TENANT = re.compile(r"[a-z0-9-]{1,64}")


@dataclass(frozen=True)
class LocalKey:
    """A secret that opens every tenant of one running service."""

    secret: str

    @classmethod
    def new(cls) -> LocalKey:
        """Make a random one of 256 bits."""
        return cls(secrets.token_hex(32))

    def token(self, tenant: str) -> str:
        """Return the bearer token for a tenant. Raise SettingsError for an impossible name."""
        if not _TENANT.fullmatch(tenant):
            raise SettingsError(f"--tenant {tenant!r}: a tenant is 1 to 64 of a-z, 0-9 and -")
        return f"{PREFIX}{self.secret}:{tenant}"

    def tenant(self, token: str) -> str | None:
        """Return the tenant that a token opens; None for a token of another key."""
        secret, _, tenant = token.removeprefix(PREFIX).partition(":")
        same = hmac.compare_digest(secret.encode(), self.secret.encode())
        return tenant if same and _TENANT.fullmatch(tenant) else None

    def proof(self, nonce: str) -> str:
        """Return what only a holder of the key can answer to a nonce: HMAC-SHA256 in hex."""
        return hmac.new(self.secret.encode(), nonce.encode(), hashlib.sha256).hexdigest()


@dataclass(frozen=True)
class ServiceAddress:
    """Contents of the file: the URL of a service, and what distinguishes it from others."""

    url: str
    host: str
    """Name of its machine: another one that shares the folder may run a program at the address."""
    secret: str
    pid: int
    version: str
    model: str
    """Its SEENIT_MODEL."""
    blobs_url: str

    @property
    def key(self) -> LocalKey:
        """The key of this start of the service."""
        return LocalKey(self.secret)


def write_address(folder: Path, address: ServiceAddress) -> None:
    """Put the file in place, whole, with mode 0600. Raise OSError.

    Where the file system keeps no modes there is no file: others could read the key.
    """
    folder.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=folder, prefix=_NAME)  # for its owner alone (0600)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            if os.fstat(file.fileno()).st_mode & 0o077:
                raise PermissionError(f"{folder} keeps no file from being read by others")
            json.dump(asdict(address), file)
        Path(name).replace(folder / _NAME)
    finally:
        Path(name).unlink(missing_ok=True)


def read_address(folder: Path) -> ServiceAddress | None:
    """Return the contents of the file; None without a file that its owner alone can read and write.

    Its owner has to be the caller or, for root, the owner of the folder: a command would send
    its pictures to the author of a forged one.
    """
    path = folder / _NAME
    try:
        number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(number, "rb") as file:
            status = os.fstat(number)
            private = stat.S_ISREG(status.st_mode) and not status.st_mode & 0o077
            if not private or status.st_uid not in (os.geteuid(), folder.stat().st_uid):
                return None
            return msgspec.json.decode(file.read(_MOST_BYTES), type=ServiceAddress)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def remove_address(folder: Path, address: ServiceAddress) -> None:
    """Remove the file, unless another service has written it meanwhile. Raise OSError."""
    if read_address(folder) == address:
        (folder / _NAME).unlink(missing_ok=True)
