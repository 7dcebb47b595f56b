"""Check of `seenit doctor` on the logs: whether each can be followed from end to beginning."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from adapters.blobs.opening import open_blobs
from adapters.event_log import BlobLog
from adapters.factories import index_path, open_index
from adapters.settings import Settings
from cli.doctor_finding import DoctorFinding
from core.errors import IndexUnavailableError, LogCorruptError
from core.event_log.log_watch import walk_down
from core.ports import Blobs

_REMEDY = (
    "stop the service and restore log/TENANT/ from the back-up; if there is none, `seenit reindex` "
    "gives up what the index has beyond the end of a log"
)
SECONDS = 10.0
"""Time to read entries; then the oldest ones of the longest logs are left out."""


def look(read: Settings) -> Iterator[DoctorFinding]:
    """Yield each log that cannot be followed, and what was read of the others."""
    where = urlsplit(read.blobs_url)
    if where.scheme == "file" and not Path(unquote(where.path)).exists():
        return
    blobs, marks = open_blobs(read.blobs_url, durable=False), _watermarks(read)
    log = BlobLog(blobs)
    until = time.monotonic() + SECONDS
    entries = read_entries = faults = 0
    tenants = sorted({*log.tenants(), *marks})
    for tenant in tenants:
        try:
            head = max(marks.get(tenant, 0), _last(blobs, tenant))
            entries += head
            for _ in walk_down(log, tenant, head):
                read_entries += 1
                if time.monotonic() > until:
                    break
        except LogCorruptError as error:
            faults += 1
            says = f"{error.detail}; tenant {tenant} stands still, its uploads wait"
            yield DoctorFinding(name="log", state="missing", says=says, remedy=_REMEDY)
    if not faults:
        part = "" if read_entries == entries else f", {read_entries} of them were read"
        says = f"{entries} entries of {len(tenants)} tenants follow each other{part}"
        yield DoctorFinding(name="log", state="ok", says=says)


def _last(blobs: Blobs, tenant: str) -> int:
    """Return the highest number taken in a log, also of one with a gap; 0 for none."""
    folders = [int(name) for name in blobs.folders(f"log/{tenant}/")]
    found = list(blobs.keys(f"log/{tenant}/{max(folders)}/")) if folders else []
    return int(found[-1].rpartition("/")[2]) if found else 0


def _watermarks(read: Settings) -> dict[str, int]:
    """Return the last entry that the index has seen by tenant, none if it cannot be read."""
    if urlsplit(read.index_url).scheme == "sqlite":
        path = index_path(read)
        try:
            with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)) as db:
                return dict(db.execute("SELECT tenant, watermark FROM tenants"))
        except sqlite3.Error:
            return {}
    try:
        with closing(open_index(read)) as index:
            return {tenant: index.watermark(tenant) for tenant in index.tenants()}
    except IndexUnavailableError:
        return {}
