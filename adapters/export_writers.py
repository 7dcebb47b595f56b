"""Writers of exports: JSON lines, SQL inserts, or Parquet."""

from __future__ import annotations

import importlib
import re
from collections.abc import Sequence
from typing import Any, BinaryIO, Literal, Protocol

import msgspec

from core import clock
from core.errors import MalformedError, SettingsError
from core.queries.export import COLUMNS, Exported, Holds, document, numbers, row

Format = Literal["jsonl", "parquet", "sql"]

ROWS = 1_000
"""Rows of a Parquet row group: some 5 MB with two vectors a record."""
TABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")
"""A name that SQL takes without quotes; PostgreSQL cuts at 63."""
KINDS: dict[Holds, str] = {
    "text": "TEXT",
    "integer": "BIGINT",
    "boolean": "SMALLINT",
    "time": "VARCHAR(24)",
    "json": "TEXT",
    "texts": "TEXT",
}
HEAD = (
    "/*!40101 SET NAMES utf8mb4 */;\n"
    "/*!40101 SET SESSION sql_mode = CONCAT(@@SESSION.sql_mode, ',NO_BACKSLASH_ESCAPES') */;\n"
)
"""MySQL alone reads these comments: there a backslash would begin an escape, and `\\'` end none."""


class ExportWriter(Protocol):
    """Writer that takes records one by one; the file is complete after `close`."""

    def write(self, exported: Exported) -> None:
        """Write the next record."""

    def close(self) -> None:
        """Write the end of the format. The file itself stays open."""


def column(space_id: str) -> str:
    """Name the column for the vectors of a space."""
    return f"vector_{space_id.replace('-', '_')}"


def writer(
    name: Format, file: BinaryIO, spaces: Sequence[str], *, vectors: bool, table: str
) -> ExportWriter:
    """Begin a file. Raise SettingsError for a missing package, MalformedError for a table name."""
    if name == "jsonl":
        return JSONLinesWriter(file, vectors=vectors)
    columns = tuple(spaces) if vectors else ()
    return ParquetWriter(file, columns) if name == "parquet" else SQLWriter(file, columns, table)


class JSONLinesWriter:
    """Writer of a JSON object per line, with `vectors` as lists of numbers by space."""

    def __init__(self, file: BinaryIO, *, vectors: bool) -> None:
        self._file = file
        self._vectors = vectors

    def write(self, exported: Exported) -> None:
        """Write one line of JSON."""
        self._file.write(document(exported, vectors=self._vectors) + b"\n")

    def close(self) -> None:
        """Do nothing: no text follows the last line."""


class SQLWriter:
    """Writer of one table and an INSERT per record, for SQLite, PostgreSQL and MySQL.

    All in one transaction. Tags, metadata, the whole verdict and vectors are JSON as text; times
    are text too, and true is 1.
    """

    def __init__(self, file: BinaryIO, spaces: Sequence[str], table: str) -> None:
        if not TABLE.fullmatch(table):
            raise MalformedError(f"{table!r:.80} is no name of a table", field="table")
        self._file = file
        self._spaces = spaces
        self._table = table
        named = {**COLUMNS, **{column(space): "json" for space in spaces}}
        lines = [
            f"  {name} {'VARCHAR(36) PRIMARY KEY' if name == 'image_id' else KINDS[holds]}"  # type: ignore[index]  # of COLUMNS, or json
            for name, holds in named.items()
        ]
        self._into = f"INSERT INTO {table} ({', '.join(named)}) VALUES "  # noqa: S608  # checked names
        opening = f"CREATE TABLE IF NOT EXISTS {table} (\n" + ",\n".join(lines) + "\n);\nBEGIN;\n"
        file.write((HEAD + opening).encode())

    def write(self, exported: Exported) -> None:
        """Write one INSERT statement."""
        values = [_value(value) for value in row(exported).values()]
        for space in self._spaces:
            vector = exported.vectors.get(space)
            values.append("NULL" if vector is None else _value(numbers(vector).decode()))
        self._file.write(f"{self._into}({', '.join(values)});\n".encode())

    def close(self) -> None:
        """Write the end of the transaction."""
        self._file.write(b"COMMIT;\n")


class ParquetWriter:
    """Writer of one row per record, Zstandard, a column of float32 lists per space.

    Times are timestamps.
    """

    def __init__(self, file: BinaryIO, spaces: Sequence[str]) -> None:
        try:
            pa: Any = importlib.import_module("pyarrow")  # not everybody has it, and it is large
            parquet: Any = importlib.import_module("pyarrow.parquet")
        except ImportError:
            raise SettingsError(
                'Parquet needs pyarrow, which is not installed: pip install "pyarrow"'
            ) from None
        types = {
            "text": pa.string(),
            "integer": pa.int64(),
            "boolean": pa.bool_(),
            "time": pa.timestamp("ms", tz="UTC"),
            "json": pa.string(),
            "texts": pa.list_(pa.string()),
        }
        self._spaces = spaces
        self._times = [name for name, holds in COLUMNS.items() if holds == "time"]
        vectors = [pa.field(column(space), pa.list_(pa.float32())) for space in spaces]
        self._schema = pa.schema(
            [pa.field(name, types[holds]) for name, holds in COLUMNS.items()] + vectors
        )
        self._batch = pa.RecordBatch
        self._rows: list[dict[str, Any]] = []
        self._writer = parquet.ParquetWriter(file, self._schema, compression="zstd")

    def write(self, exported: Exported) -> None:
        """Keep the record until a row group is full."""
        told = row(exported)
        times = {name: told[name] for name in self._times}
        told |= {name: at and clock.parse(at) for name, at in times.items()}
        told |= {column(space): exported.vectors.get(space) for space in self._spaces}
        self._rows.append(told)
        if len(self._rows) >= ROWS:
            self._flush()

    def close(self) -> None:
        """Write the last row group, and the footer."""
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        if self._rows:
            self._writer.write_batch(self._batch.from_pylist(self._rows, schema=self._schema))
        self._rows = []


def _value(value: object) -> str:
    """Format a literal of SQL: in quotes, with inner ones doubled, so that it ends once."""
    if value is None:
        return "NULL"
    if isinstance(value, bool | int):
        return str(int(value))
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return "'" + text.replace("\0", "\ufffd").replace("'", "''") + "'"
