"""Projection of a log entry into the tables, inside the caller's transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from adapters.full_text import indexed_texts
from adapters.sqlite_index import mapping, schema
from core.records import Outcome, Record, Tombstone
from core.types import ActiveSpaces

_COLUMNS = mapping.RECORD.split(", ")
_UPDATE = (
    f"UPDATE records SET tenant = ?, {', '.join(f'{name} = ?' for name in _COLUMNS)} "  # noqa: S608  # constants
    "WHERE row = ?"
)
_INSERT = (
    f"INSERT INTO records (tenant, slot, {mapping.RECORD}) "  # noqa: S608  # constants
    f"VALUES (?, ?, {', '.join('?' for _ in _COLUMNS)})"
)


def project(
    db: sqlite3.Connection,
    tenant: str,
    seq: int,
    *,
    records: Sequence[Record],
    removed: Sequence[Tombstone],
    outcomes: Sequence[Outcome],
    standings: Sequence[ActiveSpaces],
) -> None:
    """Write the changes of entry `seq` if it is the next one, else nothing."""
    db.execute("INSERT OR IGNORE INTO tenants (tenant) VALUES (?)", (tenant,))
    number, watermark, slots = db.execute(
        "SELECT number, watermark, slots FROM tenants WHERE tenant = ?", (tenant,)
    ).fetchone()
    if seq != watermark + 1:
        return
    if watermark == 0:
        schema.create_words(db, number)
    for tombstone in removed:
        _remove(db, number, tombstone)
    for record in records:
        slots += _write(db, number, slots, record)
    db.executemany(
        "INSERT INTO outcomes (job_id, seq, status, accepted_at, data, tenant) "
        "VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET seq = excluded.seq, "
        "status = excluded.status, accepted_at = excluded.accepted_at, data = excluded.data "
        "WHERE excluded.seq >= seq",
        ((*mapping.outcome(outcome), number) for outcome in outcomes),
    )
    db.executemany(
        "INSERT OR REPLACE INTO standings VALUES (?, ?, ?, ?)",
        ((number, standing.kind, seq, mapping.encode(standing)) for standing in standings),
    )
    db.execute("UPDATE tenants SET watermark = ?, slots = ? WHERE number = ?", (seq, slots, number))


def _remove(db: sqlite3.Connection, number: int, tombstone: Tombstone) -> None:
    found = db.execute(
        "SELECT row, slot FROM records WHERE tenant IN (?, ?) AND image_id = ?",
        (number, -number, tombstone.image_id),
    ).fetchone()
    slot = None
    if found is not None:
        row, slot = found
        _clear(db, number, row, slot)
        db.execute("DELETE FROM features WHERE row = ?", (row,))
        db.execute("DELETE FROM records WHERE row = ?", (row,))
    db.execute(
        "INSERT INTO tombstones (tenant, image_id, seq, deleted_at, slot) VALUES (?, ?, ?, ?, ?) "
        "ON CONFLICT DO NOTHING",
        (number, tombstone.image_id, tombstone.seq, tombstone.deleted_at, slot),
    )


def _write(db: sqlite3.Connection, number: int, next_slot: int, record: Record) -> bool:
    """Write a record; return whether it is new, and so took the next slot."""
    image_id = record.state.image_id
    owner = number if record.state.bank is None else -number
    buried = "SELECT 1 FROM tombstones WHERE tenant = ? AND image_id = ?"
    if db.execute(buried, (number, image_id)).fetchone():
        return False
    found = db.execute(
        "SELECT row, slot, seq FROM records WHERE tenant IN (?, ?) AND image_id = ?",
        (number, -number, image_id),
    ).fetchone()
    if found is None:
        slot = next_slot
        row = db.execute(_INSERT, (owner, slot, *mapping.record(record))).lastrowid
    else:
        row, slot, seq = found
        if seq > record.seq:
            return False
        _clear(db, number, row, slot)
        db.execute(_UPDATE, (owner, *mapping.record(record), row))
    features = mapping.encode(record.fingerprint.features)  # apart: much larger than the rest
    db.execute("INSERT OR REPLACE INTO features VALUES (?, ?)", (row, features))
    db.executemany(
        "INSERT OR IGNORE INTO tags VALUES (?, ?, ?, ?, ?)",
        ((number, tag, record.state.accepted_at, image_id, row) for tag in record.fields.tags),
    )
    db.executemany(
        "INSERT INTO confirmed VALUES (?, ?, ?)",
        ((owner, other, row) for other in record.state.contained),
    )
    db.executemany(
        "INSERT OR IGNORE INTO variants VALUES (?, ?, ?, ?, ?)",
        (
            (owner, variant, record.state.accepted_at, image_id, row)
            for variant in record.state.verdict.variants
        ),
    )
    db.executemany(
        "INSERT INTO vectors VALUES (?, ?, ?, ?)",
        (
            (number, space_id, slot, mapping.vector(values))
            for space_id, values in record.vectors.items()
        ),
    )
    texts = indexed_texts(record.fields)
    if texts is not None:
        db.execute(schema.INSERT_WORDS.format(schema.words(number)), (row, *texts))
    return found is None


def _clear(db: sqlite3.Connection, number: int, row: int, slot: int) -> None:
    """Delete the words, tags, matches and vectors of a record, which `_write` inserts again."""
    spaces = db.execute("SELECT spaces FROM records WHERE row = ?", (row,)).fetchone()[0]
    db.execute(f"DELETE FROM {schema.words(number)} WHERE rowid = ?", (row,))  # noqa: S608  # a number
    db.execute("DELETE FROM tags WHERE row = ?", (row,))
    db.execute("DELETE FROM confirmed WHERE row = ?", (row,))
    db.execute("DELETE FROM variants WHERE row = ?", (row,))
    db.executemany(
        "DELETE FROM vectors WHERE tenant = ? AND space_id = ? AND slot = ?",
        ((number, space_id, slot) for space_id in spaces.split()),
    )
