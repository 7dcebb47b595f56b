"""Connections to one SQLite file: a locked writer, pooled readers, translated errors."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec

from adapters.sqlite_index import schema
from core.errors import IndexDamagedError, IndexUnavailableError

PATIENCE = 30.0
"""Seconds to wait for a write of another process: a batch takes milliseconds, a swap seconds."""
FILES = ("-wal", "-shm", "")
"""Suffixes of the files of one database, the main one last."""
DAMAGED = ".damaged"
"""Suffix of the last damaged file, kept as it may be a file of another kind."""


class Database:
    """Thread-safe connections to one file, which several processes may share.

    A damaged file is neither read nor written: each call raises IndexDamagedError until a new file
    is in its place, put there by `take` or by another process.
    """

    def __init__(self, path: Path, *, durable: bool) -> None:
        self.path = path
        self._durable = durable
        self._writing = threading.Lock()
        self._pool_lock = threading.Lock()
        self._pool: list[sqlite3.Connection] = []
        self._writer: sqlite3.Connection | None = None
        self._file = 0
        """Inode of the file that the connections belong to."""
        self._damage: str | None = None
        self._closed = False
        try:
            with self._answering():
                self._writer = self._prepared()
        except IndexUnavailableError as error:
            if not (isinstance(error, IndexDamagedError) or _may_pass(error.__cause__)):
                raise

    @property
    def damage(self) -> str | None:
        """Return the fault for which the file has to be made again, None if none was met."""
        self._follow_file()
        return self._damage

    def check_sound(self) -> None:
        """Raise IndexDamagedError once damage was met."""
        if (why := self.damage) is not None:
            raise self._damaged(why)

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Yield a connection inside a read transaction, which sees one consistent state."""
        with self._answering():
            with self._pool_lock:
                file = self._file
                db = self._pool.pop() if self._pool else None
            if db is None:
                self._open_writer()
                db = self._connect()
                db.execute("PRAGMA query_only = ON")
            try:
                db.execute("BEGIN")
                yield db
            finally:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                with self._pool_lock:
                    if self._closed or file != self._file:
                        db.close()
                    else:
                        self._pool.append(db)

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Yield the writer inside a transaction: committed at the end, rolled back on an error."""
        with self._answering(), self._writing:
            db = self._writer = self._writer or self._prepared()
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
                db.execute("COMMIT")
            finally:
                if db.in_transaction:
                    db.execute("ROLLBACK")

    def take(self, path: Path) -> None:
        """Replace all contents by those of another index file, which is removed.

        The pages are copied into this file in one transaction (SQLite's online backup), so that
        readers, in other processes too, see the old contents until they begin their next one. A
        damaged file cannot be copied into: the other takes its place, and it is kept aside.
        """
        self._check_source(path)
        if self.damage is not None:
            with self._translated():
                for suffix in FILES[:-1]:  # SQLite would apply a `-wal` to the other file
                    self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
                aside = self.path.with_name(self.path.name + DAMAGED)
                aside.unlink(missing_ok=True)
                aside.hardlink_to(self.path)  # a moment without any file, and a reader makes one
                path.replace(self.path)
            self._follow_file()
            return
        with self._answering(), self._writing:
            with closing(self._connect(path)) as source, closing(self._connect()) as target:
                source.backup(target)
                self._truncate(target)
            # full-text tables cache state per connection, which the copied pages outdate
            self._leave_writer()
            self._writer = self._prepared()
            for suffix in FILES:
                path.with_name(path.name + suffix).unlink(missing_ok=True)

    def _check_source(self, path: Path) -> None:
        """Raise IndexUnavailableError for a file that is no index."""
        if not path.is_file():
            raise IndexUnavailableError(f"there is no index file {path.name}")
        try:
            with closing(self._connect(path)) as source:
                schema.migrate(source)
                schema.check(source)
        except sqlite3.Error as error:
            raise IndexUnavailableError(f"{path.name} is no index: {error}") from error

    def close(self) -> None:
        """Close every connection; one in use is closed when it is returned."""
        if self._closed:
            return
        with self._translated(), self._writing, self._pool_lock:
            self._closed = True
            self._leave_writer()
            for db in self._pool:
                db.close()
            self._pool.clear()

    def _follow_file(self) -> None:
        """Leave the connections of a file in whose place another was put."""
        try:
            file = self.path.stat().st_ino
        except OSError:  # taken away: its connections still read and write it
            return
        if file == self._file:
            return
        with self._writing, self._pool_lock:
            if self._file:
                self._leave_writer()
                for db in self._pool:
                    db.close()
                self._pool.clear()
            self._file, self._damage = file, None

    def _open_writer(self) -> None:
        """Prepare the file for readers, if that failed before."""
        if self._writer is None:
            with self._writing:
                self._writer = self._writer or self._prepared()

    def _leave_writer(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    @contextmanager
    def _answering(self) -> Iterator[None]:
        """Raise IndexUnavailableError if closed or damaged, and for errors as `_translated`."""
        if self._closed:
            raise IndexUnavailableError(f"the index {self.path.name} is closed")
        self._follow_file()
        if self._damage is not None:
            raise self._damaged(self._damage)
        with self._translated():
            yield

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Raise IndexUnavailableError for errors of SQLite, the file system and decoding."""
        file = self._file
        try:
            yield
        except (sqlite3.Error, msgspec.MsgspecError, OSError) as error:
            if _is_damage(error):
                if file == self._file:  # else another was put in its place meanwhile
                    self._damage = str(error)
                raise self._damaged(str(error)) from error
            raise IndexUnavailableError(
                f"the index {self.path.name} does not answer: {error}"
            ) from error

    def _damaged(self, why: str) -> IndexDamagedError:
        return IndexDamagedError(
            f"the index {self.path.name} is damaged ({why}): `seenit up` makes it again from the "
            "log by itself, workers on a Redis by `seenit reindex`"
        )

    def _connect(self, path: Path | None = None) -> sqlite3.Connection:
        db = sqlite3.connect(
            path or self.path,
            timeout=PATIENCE,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=256,
        )
        try:
            db.execute("PRAGMA temp_store = MEMORY")
            db.execute("PRAGMA cache_size = -16384")  # KiB
        except BaseException:
            db.close()
            raise
        return db

    def _prepared(self) -> sqlite3.Connection:
        """Return a connection that may write, after creating or migrating the tables.

        Raise sqlite3.Error: WrongSchemaError for tables that are not an index's.
        """
        deadline = time.monotonic() + PATIENCE
        while True:
            db = self._connect()
            try:
                db.execute(f"PRAGMA page_size = {schema.PAGE:d}")
                db.execute("PRAGMA journal_mode = WAL")
                db.execute(f"PRAGMA synchronous = {'FULL' if self._durable else 'NORMAL'}")
                schema.migrate(db)
                schema.check(db)
            except sqlite3.OperationalError as error:
                db.close()
                # changing to WAL answers "locked" at once while another process does the same
                if "locked" not in str(error) or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
            except BaseException:
                db.close()
                raise
            else:
                self._file = self.path.stat().st_ino
                return db

    @staticmethod
    def _truncate(db: sqlite3.Connection) -> None:
        db.execute("PRAGMA busy_timeout = 0")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def _may_pass(error: BaseException | None) -> bool:
    """Return whether an error is of a disk that is full or fails, which may end by itself."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)


def _is_damage(error: Exception) -> bool:
    """Return whether an error means that the file is no index, or that its contents are wrong."""
    if isinstance(error, sqlite3.Error):
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        return isinstance(error, schema.WrongSchemaError) or code in (
            sqlite3.SQLITE_CORRUPT,
            sqlite3.SQLITE_NOTADB,
        )
    return isinstance(error, msgspec.MsgspecError)
