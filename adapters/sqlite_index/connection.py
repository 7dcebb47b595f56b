"""Connections to one SQLite file: a locked writer, pooled readers, translated errors."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from adapters.sqlite_index import schema
from core.errors import IndexUnavailableError

PATIENCE = 30.0
"""Seconds to wait for a write of another process: a batch takes milliseconds, a swap seconds."""


class Database:
    """Thread-safe connections to one file, which several processes may share."""

    def __init__(self, path: Path, *, durable: bool) -> None:
        self.path = path
        self._durable = durable
        self._writing = threading.Lock()
        self._pool_lock = threading.Lock()
        self._pool: list[sqlite3.Connection] = []
        self._closed = False
        with self._answering():
            self._writer = self._prepared()

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Yield a connection inside a read transaction, which sees one consistent state."""
        with self._answering():
            with self._pool_lock:
                db = self._pool.pop() if self._pool else None
            if db is None:
                db = self._connect()
                db.execute("PRAGMA query_only = ON")
            try:
                db.execute("BEGIN")
                yield db
            finally:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                with self._pool_lock:
                    if self._closed:
                        db.close()
                    else:
                        self._pool.append(db)

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Yield the writer inside a transaction: committed at the end, rolled back on an error."""
        with self._answering(), self._writing:
            db = self._writer
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
                db.execute("COMMIT")
            finally:
                if db.in_transaction:
                    db.execute("ROLLBACK")

    def take(self, path: Path) -> None:
        """Replace all contents by those of another index file, in one transaction.

        The pages are copied into this file (SQLite's online backup), so that readers, in other
        processes too, see the old contents until they begin their next transaction.
        """
        with self._answering(), self._writing:
            if not path.is_file():
                raise IndexUnavailableError(f"there is no index file {path.name}")
            with closing(self._connect(path)) as source, closing(self._connect()) as target:
                schema.migrate(source)
                source.backup(target)
                self._truncate(target)
            # full-text tables cache state per connection, which the copied pages outdate
            self._writer.close()
            self._writer = self._prepared()

    def close(self) -> None:
        """Close every connection; one in use is closed when it is returned."""
        if self._closed:
            return
        with self._answering(), self._writing, self._pool_lock:
            self._closed = True
            for db in [*self._pool, self._writer]:
                db.close()
            self._pool.clear()

    @contextmanager
    def _answering(self) -> Iterator[None]:
        """Raise IndexUnavailableError if closed, and for errors of SQLite and the file system."""
        name = self.path.name
        if self._closed:
            raise IndexUnavailableError(f"the index {name} is closed")
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise IndexUnavailableError(f"the index {name} does not answer: {error}") from error

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
        """Return a connection that may write, after creating or migrating the tables."""
        deadline = time.monotonic() + PATIENCE
        while True:
            db = self._connect()
            try:
                db.execute(f"PRAGMA page_size = {schema.PAGE:d}")
                db.execute("PRAGMA journal_mode = WAL")
                db.execute(f"PRAGMA synchronous = {'FULL' if self._durable else 'NORMAL'}")
                schema.migrate(db)
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
                return db

    @staticmethod
    def _truncate(db: sqlite3.Connection) -> None:
        db.execute("PRAGMA busy_timeout = 0")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
