"""The embedded index: SQLite and numpy, exact, one file."""

from adapters.sqlite_index.index import SQLiteIndex

__all__ = ["SQLiteIndex"]
