"""Checks of `seenit doctor` on the parts that settings name by URL: store, index, queue."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from adapters.blobs.opening import open_blobs, probe
from adapters.broker import open_broker
from adapters.factories import index_path, open_index
from adapters.settings import Settings
from adapters.sqlite_index import schema
from adapters.wiring import Services, build
from cli.doctor_finding import DoctorFinding, checked, unwritable
from core.errors import UnavailableError

_SERVERS = "SEENIT_BROKER_URL, SEENIT_INDEX_URL: see docs/deploying.md"


def look(read: Settings, *, shared: bool) -> Iterator[DoctorFinding]:
    """Yield blob store and index, and where the work is `shared` the queue and the workers."""
    yield from checked("store", partial(_store, read), "SEENIT_BLOBS_URL")
    yield from checked("index", partial(_index, read), "SEENIT_INDEX_URL")
    if shared:
        yield from checked("queue", partial(_queue, read), _SERVERS)
        yield from checked("workers", partial(_workers, read), _SERVERS)


def _store(read: Settings) -> DoctorFinding:
    where = urlsplit(read.blobs_url)
    if where.scheme == "file":
        path = Path(unquote(where.path))
        if fault := unwritable(path):
            return DoctorFinding(
                name="store", state="missing", says=fault, remedy="SEENIT_BLOBS_URL"
            )
        if not path.exists():
            return DoctorFinding(
                name="store", state="ok", says="none yet: it is made at the first start"
            )
    probe(open_blobs(read.blobs_url, durable=False))
    return DoctorFinding(name="store", state="ok", says="it takes writes, each key once")


def _index(read: Settings) -> DoctorFinding:
    if urlsplit(read.index_url).scheme == "sqlite":
        return _file(index_path(read))
    with closing(open_index(read)) as index:
        index.check_sound()
        tenants = len(index.tenants())
    return DoctorFinding(name="index", state="ok", says=f"it answers, and holds {tenants} tenants")


def _file(path: Path) -> DoctorFinding:
    if fault := unwritable(path.parent):
        return DoctorFinding(name="index", state="missing", says=fault, remedy="SEENIT_INDEX_URL")
    if not path.exists():
        return DoctorFinding(name="index", state="ok", says="none yet: it is made from the log")
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=rw", uri=True)) as database:
            version = schema.version(database)
            if version == len(schema.STEPS):
                schema.check(database)
            ((fault,),) = database.execute("PRAGMA quick_check(1)").fetchall()
    except sqlite3.Error as error:
        version, fault = 0, str(error)
    if version > len(schema.STEPS):
        says, remedy = f"{path} is of a newer Seenit", "that version; or delete it, and reindex"
        return DoctorFinding(name="index", state="missing", says=says, remedy=remedy)
    if fault != "ok":
        remedy = "`seenit up` makes it again from the log by itself, `seenit reindex` at once"
        says = f"{path} is damaged: {fault}"
        return DoctorFinding(name="index", state="missing", says=says, remedy=remedy)
    return DoctorFinding(name="index", state="ok", says=f"{path.name} is whole")


def _queue(read: Settings) -> DoctorFinding:
    with closing(open_broker(read)) as broker:
        broker.queue.check_writable()
        waiting = broker.queue.depth()
    return DoctorFinding(name="queue", state="ok", says=f"it takes writes; {waiting} jobs wait")


def _workers(read: Settings) -> Iterator[DoctorFinding]:
    with closing(build(read, role="api")) as services:
        yield from checked("workers", partial(_told, services))


def _told(services: Services) -> DoctorFinding:
    remote = services.remote
    try:
        told = {} if remote is None else remote.parts()
    except UnavailableError as error:
        remedy = "seenit worker, on this machine or another"
        return DoctorFinding(name="workers", state="absent", says=error.detail, remedy=remedy)
    says = ", ".join(
        f"{kind}: {one.space.model if one.space else one.absent}" for kind, one in told.items()
    )
    return DoctorFinding(name="workers", state="ok", says=f"one answers; {says}")
