"""Files of other versions: newer ones are refused, older ones are migrated once."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from adapters.sqlite_index import (
    SQLiteIndex,
    mapping,
    projection,
    schema,
)
from core.errors import IndexUnavailableError
from core.matching.policy import POLICY
from core.records import Fields
from tests.doubles.records import image_id, record, tombstone
from tests.unit.adapters.sqlite_index.file_reading import ask


def test_a_file_of_a_newer_version_is_refused(path: Path) -> None:
    """The error names what to do; the file is left as it is."""
    SQLiteIndex(path, POLICY).close()
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA user_version = {len(schema.STEPS) + 1}")
    with pytest.raises(IndexUnavailableError, match="use the newer Seenit"):
        SQLiteIndex(path, POLICY)
    assert ask(path, "PRAGMA user_version") == [(len(schema.STEPS) + 1,)]


def test_a_migration_that_was_cut_off_left_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step is taken whole or not at all, and the next start takes it."""
    whole = schema.STEPS
    monkeypatch.setattr(schema, "STEPS", (whole[0] + "CREATE TABLE records (a);", *whole[1:]))
    with pytest.raises(IndexUnavailableError, match="already exists"):
        SQLiteIndex(path, POLICY)
    assert ask(path, "SELECT name FROM sqlite_master") == []
    monkeypatch.setattr(schema, "STEPS", whole)
    opened = SQLiteIndex(path, POLICY)
    assert opened.tenants() == []
    opened.close()


def test_confirmed_matches_of_an_older_file_are_filled_in(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A collage that was stored without them is found by each picture in it, once they are."""
    collage = record(4, 1, original=1, contains=(2, 3))
    stored = [*(record(n, 1) for n in range(1, 4)), collage, record(5, 1, original=1)]
    with monkeypatch.context() as older:
        fake = "CREATE TABLE confirmed (a, b, row);"
        older.setattr(schema, "STEPS", (*schema.STEPS[:3], fake))
        index = SQLiteIndex(path, POLICY)
        index.project_entry("default", 1, stored, [], [])
        index.close()
    with closing(sqlite3.connect(path)) as db:
        db.executescript("DROP TABLE confirmed; PRAGMA user_version = 3")
    index = SQLiteIndex(path, POLICY)
    for n in (1, 2, 3):
        found = index.find_states("default", confirmed=[image_id(n)])
        assert [state.image_id for state in found] == [image_id(4)] + [image_id(5)] * (n == 1)
    assert len(ask(path, "SELECT * FROM confirmed")) == 2
    index.close()


def test_words_of_an_older_file_are_folded_and_parted(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file of version 4 finds its records as a new one does, a deleted one excepted."""
    titles = ("Straße im Café", "ΟΔΟΣ", "公园里的红色自行车", "一只黑猫", "dogs")
    with monkeypatch.context() as older:
        older.setattr(schema, "STEPS", schema.STEPS[:4])
        older.setattr(schema, "TOKENIZE", "tokenize = 'porter unicode61 remove_diacritics 2'")
        for module in (projection, mapping):
            older.setattr(module, "indexed_texts", lambda fields: (fields.title, "", "", ""))
        index = SQLiteIndex(path, POLICY)
        stored = [record(n, 1, fields=Fields(title=one)) for n, one in enumerate(titles)]
        index.project_entry("default", 1, stored, [], [])
        index.project_entry("default", 2, [], [tombstone(3, 2)], [])
        assert index.search_keywords("default", "strasse", limit=9) == []
        index.close()
    index = SQLiteIndex(path, POLICY)
    for text, n in (("strasse", 0), ("cafe", 0), ("οδός", 1), ("自行车", 2), ("dog", 4)):
        assert [one.image_id for one in index.search_keywords("default", text, limit=9)] == [
            image_id(n)
        ]
    assert index.search_keywords("default", "黑猫", limit=9) == []
    index.close()


def test_a_step_is_taken_once_however_many_start(path: Path) -> None:
    """Ten threads open a file that is not there yet: one makes the tables, all go on."""
    opened: list[SQLiteIndex] = []
    errors: list[Exception] = []
    gate = threading.Barrier(10)

    def start() -> None:
        gate.wait()
        try:
            opened.append(SQLiteIndex(path, POLICY))
        except IndexUnavailableError as error:
            errors.append(error)

    threads = [threading.Thread(target=start) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert [index.tenants() for index in opened] == [[]] * 10
    assert ask(path, "SELECT count(*) FROM about") == [(1,)]
    for index in opened:
        index.close()
