"""What a command asks of whichever process holds the data directory, and how far it has come.

A request is a file `<id>.json`, the answer `<id>.progress` beside it; both are written whole, by
renaming. A holder that dies leaves the request to the next one.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

import msgspec

from adapters.blobs.errors import filesystem

logger = logging.getLogger(__name__)


class AdminTask(msgspec.Struct, frozen=True, kw_only=True):
    """Something asked for."""

    errand_id: str
    kind: str
    """One of those that `worker/admin_tasks.py` carries out."""
    arguments: dict[str, str] = {}


class AdminTaskReport(msgspec.Struct, frozen=True, kw_only=True):
    """How far an errand has come, in entries of the log or in pictures."""

    done: int
    total: int
    told: dict[str, Any] = {}
    """What came of it, ready for JSON."""
    ended: bool = False
    error: str | None = None


class AdminTasks(Protocol):
    """Where errands are left and reports are read, whoever carries them out."""

    def ask(self, kind: str, arguments: Mapping[str, str] | None = None) -> AdminTask:
        """Leave a request."""

    def waiting(self) -> list[AdminTask]:
        """Requests that nobody has carried out yet."""

    def report(self, errand: AdminTask, report: AdminTaskReport) -> None:
        """Say how far it has come; once it has ended the request goes."""

    def look(self, errand: AdminTask) -> AdminTaskReport | None:
        """The newest report, None before the first."""

    def forget(self, errand: AdminTask) -> None:
        """Take the request and its report away."""


class FolderAdminTasks:
    """The folder through which processes of one data directory ask each other."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def ask(self, kind: str, arguments: Mapping[str, str] | None = None) -> AdminTask:
        """Leave a request for the holder."""
        self._folder.mkdir(parents=True, exist_ok=True)
        errand = AdminTask(errand_id=uuid4().hex, kind=kind, arguments=dict(arguments or {}))
        self._write(f"{errand.errand_id}.json", msgspec.json.encode(errand))
        return errand

    def waiting(self) -> list[AdminTask]:
        """Requests that nobody has carried out yet, oldest first."""
        left: list[tuple[float, AdminTask]] = []
        for path in self._folder.glob("*.json"):
            try:
                written = path.stat().st_mtime
                left.append((written, msgspec.json.decode(path.read_bytes(), type=AdminTask)))
            except (FileNotFoundError, msgspec.ValidationError):
                continue  # taken back this very moment, or for a newer Seenit
            except msgspec.DecodeError:  # cut off when the power failed: nobody waits for it
                logger.warning("a request that cannot be read is taken away: %s", path.name)
                path.unlink(missing_ok=True)
        return [errand for _, errand in sorted(left, key=lambda one: one[0])]

    def report(self, errand: AdminTask, report: AdminTaskReport) -> None:
        """Say how far it has come; once it has ended the request goes.

        Raise StoreUnavailableError, as where the disk is full.
        """
        self._write(f"{errand.errand_id}.progress", msgspec.json.encode(report))
        if report.ended:
            (self._folder / f"{errand.errand_id}.json").unlink(missing_ok=True)

    def look(self, errand: AdminTask) -> AdminTaskReport | None:
        """The newest report, None before the first."""
        try:
            data = (self._folder / f"{errand.errand_id}.progress").read_bytes()
        except FileNotFoundError:
            return None
        return msgspec.json.decode(data, type=AdminTaskReport)

    def forget(self, errand: AdminTask) -> None:
        """Take the request and its report away."""
        for end in ("json", "progress"):
            (self._folder / f"{errand.errand_id}.{end}").unlink(missing_ok=True)

    def _write(self, name: str, data: bytes) -> None:
        draft = self._folder / f".{name}.{uuid4().hex}"
        with filesystem(name):
            try:
                draft.write_bytes(data)
                os.replace(draft, self._folder / name)  # noqa: PTH105  atomic by contract
            finally:
                draft.unlink(missing_ok=True)
