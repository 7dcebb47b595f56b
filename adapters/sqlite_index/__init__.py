"""Embedded index on SQLite and numpy: exact search, one file."""

from adapters.sqlite_index.index import SQLiteIndex

__all__ = ["SQLiteIndex"]
