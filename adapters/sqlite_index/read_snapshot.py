"""Reads of one tenant within one read transaction."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import Any, NamedTuple

from adapters.sqlite_index import mapping
from core.types import Vector


class ReadSnapshot(NamedTuple):
    """State of a read transaction: connection, tenant, W, and generation of the file."""

    db: sqlite3.Connection
    number: int
    """Number of the tenant, 0 for an unknown one, which owns no row."""
    watermark: int
    generation: str
    """Random id of the file; a swapped-in file has another."""

    def by_id(
        self, image_ids: Sequence[str], columns: str, *, banks: bool = False
    ) -> list[tuple[Any, ...] | None]:
        """Return columns of records r, and of entries of `banks`, and their features f, in order.

        The order is that of the ids.
        """
        joined = " JOIN features f ON f.row = r.row" if "f." in columns else ""
        found = self.db.execute(
            f"SELECT r.image_id, {columns} FROM json_each(?) j CROSS JOIN records r "  # noqa: S608  # constants
            f"INDEXED BY record_by_id ON r.tenant IN (?, ?) AND r.image_id = j.value{joined}",
            (json.dumps(list(image_ids)), self.number, -self.number if banks else self.number),
        )
        by_id = {row[0]: row[1:] for row in found}
        return [by_id.get(image_id) for image_id in image_ids]

    def slots(self, image_ids: Sequence[str]) -> dict[str, int]:
        """Return the slots of live records and of the entries of banks by id."""
        found = self.db.execute(
            "SELECT r.image_id, r.slot FROM json_each(?) j CROSS JOIN records r "
            "INDEXED BY record_by_id ON r.tenant IN (?, ?) AND r.image_id = j.value",
            (json.dumps(list(image_ids)), self.number, -self.number),
        )
        return dict(found.fetchall())

    def vectors_in(self, space_id: str, image_ids: Sequence[str]) -> list[Vector | None]:
        """Return the (d,) vectors of one space in order of the ids, None if missing."""
        found = self.db.execute(
            "SELECT r.image_id, v.data FROM json_each(?) j CROSS JOIN records r "
            "INDEXED BY record_by_id ON r.tenant = ? AND r.image_id = j.value "
            "CROSS JOIN vectors v ON v.tenant = r.tenant AND v.space_id = ? AND v.slot = r.slot",
            (json.dumps(list(image_ids)), self.number, space_id),
        )
        by_id = {image_id: mapping.read_vector(data) for image_id, data in found}
        return [by_id.get(image_id) for image_id in image_ids]

    def vectors_of(self, image_id: str) -> dict[str, Vector]:
        """Return a record's vectors by space, none for an unknown record."""
        found = self.db.execute(
            "SELECT slot, spaces FROM records WHERE tenant = ? AND image_id = ?",
            (self.number, image_id),
        ).fetchone()
        slot, spaces = found or (None, "")
        stored = self.db.execute(
            "SELECT space_id, data FROM vectors WHERE tenant = ? AND slot = ? "
            "AND space_id IN (SELECT value FROM json_each(?))",
            (self.number, slot, json.dumps(spaces.split())),
        )
        return {space_id: mapping.read_vector(data) for space_id, data in stored}
