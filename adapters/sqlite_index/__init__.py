"""The embedded index: SQLite and numpy, exact, one file."""

from adapters.sqlite_index.index import LocalIndex

__all__ = ["LocalIndex"]
