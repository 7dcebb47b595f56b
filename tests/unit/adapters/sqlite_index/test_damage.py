"""Damage of the index file: noticed at the first touch, and ended by a file in its place."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from adapters.sqlite_index import SQLiteIndex
from core.errors import IndexDamagedError, IndexUnavailableError
from core.index_port import Filters
from core.matching.policy import POLICY
from tests.doubles import damages
from tests.doubles.records import image_id, outcome, record

DAMAGES: dict[str, damages.Damage] = {
    "header": damages.header,
    "cut": damages.cut,
    "page": damages.page,
    "other file": lambda path: path.write_bytes(b"garbage" * 4000),
    "table gone": damages.ran("DROP TABLE tags"),
    "column gone": damages.ran("ALTER TABLE features RENAME COLUMN data TO date"),
    "words gone": damages.ran("DROP TABLE words_1"),
    "contents": damages.ran("UPDATE records SET state = x'00'"),
}


def filled(path: Path, *, entries: int = 3) -> None:
    """Write an index of some records and close it."""
    with closing(SQLiteIndex(path, POLICY, durable=False)) as index:
        for n in range(1, entries + 1):
            index.project_entry("default", n, [record(n, n)], [], [outcome(n, n)])


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_file_is_named_and_another_takes_its_place(tmp_path: Path, name: str) -> None:
    """It opens, raises for every call, and both processes that have it open go on with the new."""
    path, new = tmp_path / "index.db", tmp_path / "index.db.new"
    filled(path)
    DAMAGES[name](path)
    with (
        closing(SQLiteIndex(path, POLICY, durable=False)) as index,
        closing(SQLiteIndex(path, POLICY, durable=False)) as other,
    ):
        for one in (index, other):
            with pytest.raises(IndexDamagedError, match=r"index.db is damaged"):
                one.list_records("default", Filters(), 5)
            with pytest.raises(IndexDamagedError):
                one.watermark("default")
            with pytest.raises(IndexDamagedError):
                one.check_sound()
        filled(new, entries=5)
        index.take(new)
        assert not new.exists()
        assert path.with_name("index.db.damaged").exists()
        for one in (other, index):
            one.check_sound()
            assert one.watermark("default") == 5
            page = one.list_records("default", Filters(), 9)
            assert {kept.state.image_id for kept in page.records} == {
                image_id(n) for n in range(1, 6)
            }
        index.project_entry("default", 6, [record(6, 6)], [], [])
        assert other.watermark("default") == 6


def test_a_log_of_pages_of_the_damaged_file_is_not_applied_to_the_new(tmp_path: Path) -> None:
    """SQLite would apply a `-wal` beside the new file, whichever file it was written for."""
    path, new = tmp_path / "index.db", tmp_path / "index.db.new"
    wal = path.with_name("index.db-wal")
    with closing(SQLiteIndex(path, POLICY, durable=False)) as index:
        for n in range(1, 4):
            index.project_entry("default", n, [record(n, n)], [], [])
        pages = wal.read_bytes()
    damages.header(path)
    filled(new, entries=5)
    with closing(SQLiteIndex(path, POLICY, durable=False)) as index:
        wal.write_bytes(pages)
        index.take(new)
        assert index.watermark("default") == 5


def test_what_is_no_damage_is_only_an_index_that_does_not_answer(tmp_path: Path) -> None:
    """A call of the caller's own fault, or of a busy disk, replays no log."""
    path = tmp_path / "index.db"
    filled(path)
    with closing(SQLiteIndex(path, POLICY, durable=False)) as index:
        index.search_keywords("default", 'no:such OR "column', limit=3)
        path.chmod(0)
        index.check_sound()
        with pytest.raises(IndexUnavailableError, match="no index file"):
            index.take(tmp_path / "none")
        index.check_sound()
        path.unlink()  # while it is open: it goes on until the next start
        assert index.watermark("default") == 3
