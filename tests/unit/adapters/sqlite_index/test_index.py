"""The file under the embedded index: plans, words, swapping, other processes."""

from __future__ import annotations

import itertools
import random
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from adapters.sqlite_index import (
    SQLiteIndex,
    keyword_search,
    lists,
)
from core.errors import IndexUnavailableError
from core.fingerprint.visual_words import extract
from core.index_port import Filters
from core.matching.policy import POLICY
from core.records import Fields
from evaluation.synthetic_photos import photo
from tests.doubles import records as made
from tests.doubles.records import SPACE, image_id, record, tombstone
from tests.unit.adapters.sqlite_index.file_reading import ask

NAMED = {
    "category": "c",
    "tags": ("t", "u"),
    "verdict": "new",
    "decision": "allow",
    "owner_id": "o",
    "external_id": "e",
    "sha256": "s",
    "original_id": "i",
    "accepted_after": made.moment(1),
    "accepted_before": made.moment(9),
}


@pytest.mark.parametrize("before", [None, (made.moment(5), image_id(5))])
def test_every_pair_of_filters_walks_an_index_in_order(
    path: Path, index: SQLiteIndex, before: tuple[str, str] | None
) -> None:
    """No list sorts what it found, reads a whole table, or walks more than its own tenant."""
    index.project_entry("default", 1, [record(1, 1)], [], [])
    for names in itertools.chain(
        [()], itertools.combinations(NAMED, 1), itertools.combinations(NAMED, 2)
    ):
        filters = Filters(**{name: NAMED[name] for name in names})
        statement, values = lists.query(1, filters, 50, before)
        plan = [str(row[3]) for row in ask(path, f"EXPLAIN QUERY PLAN {statement}", *values)]
        assert [line for line in plan if "B-TREE" in line or line.startswith("SCAN")] == [], names
        assert "(tenant=?" in plan[0], names


def test_a_list_starts_where_the_last_page_ended(path: Path, index: SQLiteIndex) -> None:
    """The cursor bounds the walk, so a late page costs what the first one costs."""
    index.project_entry("default", 1, [record(1, 1)], [], [])
    before = (made.moment(5), image_id(5))
    for filters in (Filters(), Filters(tags=("t",)), Filters(category="c"), Filters(verdict="new")):
        statement, values = lists.query(1, filters, 50, before)
        plan = [str(row[3]) for row in ask(path, f"EXPLAIN QUERY PLAN {statement}", *values)]
        assert "(accepted_at,image_id)<(?,?)" in plan[0].replace(" ", ""), filters


def test_words_follow_the_fields(path: Path, index: SQLiteIndex) -> None:
    """Title, description, tags and category are found: after an edit the new, deleted none."""

    def found(term: str) -> list[object]:
        joined = (
            "SELECT r.image_id FROM words_1 JOIN records r ON r.row = words_1.rowid "
            "WHERE words_1 MATCH ?"
        )
        return [row[0] for row in ask(path, joined, term)]

    fields = Fields(title="Straße im Café", description="rain", tags=("wet dog",), category="pets")
    index.project_entry("default", 1, [record(1, 1, fields=fields), record(2, 1)], [], [])
    assert [found(term) for term in ("cafe", "rain", "dog", "pets", "tags:dog")] == [
        [image_id(1)]
    ] * 5
    index.project_entry("default", 2, [record(1, 2, fields=Fields(title="sun"))], [], [])
    assert [found(term) for term in ("cafe", "rain", "sun")] == [[], [], [image_id(1)]]
    index.project_entry("default", 3, [], [tombstone(1, 3)], [])
    assert found("sun") == []


def test_a_delete_leaves_only_the_tombstone(path: Path, index: SQLiteIndex) -> None:
    """No table holds anything else of the record."""
    fields = Fields(title="sun", tags=("red",), category="c")
    vectors = {SPACE: made.random_vector(1)}
    whole = record(1, 1, fields=fields, vectors=vectors, variants=(2,))
    index.project_entry("default", 1, [whole], [], [])

    def rows() -> dict[str, object]:
        tables = ["records", "features", "tags", "vectors", "words_1", "variants", "tombstones"]
        return {name: ask(path, f"SELECT count(*) FROM {name}")[0][0] for name in tables}

    assert rows() == dict.fromkeys(rows(), 1) | {"tombstones": 0}
    index.project_entry("default", 2, [], [tombstone(1, 2)], [])
    assert rows() == dict.fromkeys(rows(), 0) | {"tombstones": 1}


def test_another_tenants_words_weigh_on_nothing(path: Path, index: SQLiteIndex) -> None:
    """Each tenant has a full-text table of its own, and so frequencies of its own."""
    index.project_entry("a", 1, [record(1, 1, tenant="a", fields=Fields(title="sun"))], [], [])
    index.project_entry("b", 1, [record(1, 1, tenant="b", fields=Fields(title="sun rain"))], [], [])
    ranked = "SELECT rowid, bm25(words_1) FROM words_1 WHERE words_1 MATCH 'sun'"
    before = ask(path, ranked)
    more = [record(n, 2, tenant="b", fields=Fields(title="sun")) for n in range(2, 30)]
    index.project_entry("b", 2, more, [], [])
    assert ask(path, ranked) == before


def test_what_is_no_index_is_refused(tmp_path: Path) -> None:
    """A folder, and one that is not there, in our own words."""
    with pytest.raises(IndexUnavailableError, match="unable to open database file"):
        SQLiteIndex(tmp_path, POLICY)
    with pytest.raises(IndexUnavailableError):
        SQLiteIndex(tmp_path / "none" / "index.db", POLICY)


def test_durable_flushes_every_entry(path: Path) -> None:
    """Synchronous is FULL (2) by default, NORMAL (1) where that was turned off."""
    for durable, expected in ((True, 2), (False, 1)):
        index = SQLiteIndex(path, POLICY, durable=durable)
        with index._database.writing() as db:
            actual = db.execute("PRAGMA synchronous").fetchone()[0]
        index.close()
        assert actual == expected


def test_an_error_in_an_entry_leaves_nothing_of_it(index: SQLiteIndex) -> None:
    """An entry is one transaction: a failure in the middle undoes all of it."""
    broken = record(2, 1, vectors={SPACE: "no vector"})  # type: ignore[dict-item]
    with pytest.raises(ValueError, match="could not convert"):
        index.project_entry("default", 1, [record(1, 1), broken], [], [])
    assert (index.watermark("default"), index.read_states("default", [image_id(1)])) == (0, [None])
    index.project_entry("default", 1, [record(1, 1)], [], [])
    assert index.watermark("default") == 1


def filled(path: Path, pictures: range) -> None:
    """Fill an index with some made pictures, one an entry, and close it."""
    index = SQLiteIndex(path, POLICY, durable=False)
    for seq, n in enumerate(pictures, 1):
        vectors = {SPACE: made.random_vector(n)}
        fields = Fields(title=f"title{n}")
        index.project_entry(
            "default", seq, [record(n, seq, vectors=vectors, fields=fields)], [], []
        )
    index.close()


def answers(index: SQLiteIndex, pictures: range) -> list[object]:
    """From the tables and from memory: which of these pictures are there."""
    asked = [
        made.query(
            99, fingerprint=made.fingerprint(n), vector=made.random_vector(n), space_id=SPACE
        )
        for n in pictures
    ]
    return [
        index.watermark("default"),
        index.read_states("default", [image_id(n) for n in pictures]),
        index.find_candidates("default", asked),
        index.find_neighbours("default", SPACE, made.random_vector(1), limit=50),
        index.count_records("default"),
    ]


def test_swapping_changes_every_answer_at_once(path: Path, tmp_path: Path) -> None:
    """After it, the swapper and another instance answer as the new file did; writing goes on."""
    filled(path, range(1, 10))
    new = tmp_path / "new.db"
    filled(new, range(5, 30))
    source = SQLiteIndex(new, POLICY)
    expected = answers(source, range(40))
    source.close()
    writer, reader = SQLiteIndex(path, POLICY), SQLiteIndex(path, POLICY)
    assert answers(writer, range(40)) == answers(reader, range(40)) != expected
    writer.take(new)
    assert answers(writer, range(40)) == expected
    assert answers(reader, range(40)) == expected
    assert sorted(file.name for file in tmp_path.iterdir() if "new" in file.name) == []
    writer.project_entry("default", 26, [record(31, 26, fields=Fields(title="last"))], [], [])
    assert answers(reader, range(40)) == answers(writer, range(40)) != expected
    assert ask(path, "SELECT count(*) FROM words_1 WHERE words_1 MATCH 'title7 OR last'") == [(2,)]
    assert ask(path, "PRAGMA integrity_check") == [("ok",)]
    reader.close()
    writer.close()


def test_a_swap_that_cannot_be_changes_nothing(path: Path, tmp_path: Path) -> None:
    """No such file, or one that is no index: refused, and the old answers stay."""
    filled(path, range(3))
    index = SQLiteIndex(path, POLICY)
    before = answers(index, range(5))
    wrong = tmp_path / "wrong.db"
    wrong.write_bytes(b"wrong" * 5000)
    for bad in (tmp_path / "none.db", wrong):
        with pytest.raises(IndexUnavailableError):
            index.take(bad)
    assert answers(index, range(5)) == before
    index.close()


READER = """
import sys
from pathlib import Path
from adapters.sqlite_index import SQLiteIndex
from core.matching.policy import POLICY
from tests.doubles import records as made
from tests.unit.adapters.sqlite_index.file_reading import ask
index = SQLiteIndex(Path(sys.argv[1]), POLICY)
for line in sys.stdin:
    n = int(line)
    asked = made.query(9999, fingerprint=made.fingerprint(n))
    found = [hit.image_id for hit in index.find_candidates("default", [asked])[0]]
    print(index.watermark("default"), *found, flush=True)
"""


def test_another_process_follows_entries_and_swaps(path: Path, tmp_path: Path) -> None:
    """A reader in a process of its own sees each entry once it is projected, and a new file."""
    index = SQLiteIndex(path, POLICY, durable=False)
    with subprocess.Popen(
        [sys.executable, "-c", READER, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[4],
    ) as reader:
        assert reader.stdin is not None
        assert reader.stdout is not None

        def told(n: int) -> list[str]:
            print(n, file=reader.stdin, flush=True)
            return reader.stdout.readline().split()  # type: ignore[union-attr]  # asserted above

        for seq in range(1, 6):
            assert told(seq) == [str(seq - 1)]
            index.project_entry("default", seq, [record(seq, seq)], [], [])
            assert told(seq) == [str(seq), image_id(seq)]
        index.project_entry("default", 6, [], [tombstone(2, 6)], [])
        assert told(2) == ["6"]
        new = tmp_path / "new.db"
        filled(new, range(2, 5))
        index.take(new)
        assert told(2) == ["3", image_id(2)]
        assert told(1) == ["3"]
        reader.stdin.close()
        assert reader.wait(20) == 0
    index.close()


def test_weighing_fewer_records_gives_the_same_relevances(
    index: SQLiteIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the weighed records differ: every hit has all its words counted, filters or not."""
    drawn = random.Random(1)
    # the n-th word is in every n-th record, so that there are common and rare ones
    titles = [" ".join(f"w{k}" for k in range(1, 30) if drawn.random() < 1 / k) for _ in range(400)]
    stored = [
        record(n, 1, fields=Fields(title=title, category="c" if n % 2 else None))
        for n, title in enumerate(titles)
    ]
    index.project_entry("default", 1, stored, [], [])
    for question in ("w1 w2 w25", "w3 w29 w28", "w1 w2", "w27", "w1 unheard w20", "unheard"):
        for filters in (None, Filters(category="c")):
            monkeypatch.setattr(keyword_search, "ENOUGH", 10**9)
            every = index.search_keywords("default", question, limit=400, filters=filters)
            relevance = {one.image_id: one.similarity for one in every}
            for enough in (1, 10, 100):
                monkeypatch.setattr(keyword_search, "ENOUGH", enough)
                for limit in (1, 5, 400):
                    found = index.search_keywords("default", question, limit=limit, filters=filters)
                    assert len(found) == min(limit, len(every))
                    for one in found:
                        assert one.similarity == pytest.approx(relevance[one.image_id])
                    assert found == sorted(found, key=lambda one: (-one.similarity, one.image_id))
            assert {one.image_id for one in found} == relevance.keys()


def test_local_features_may_be_turned_off(path: Path) -> None:
    """A crop that nothing else finds is found with them, and not without."""
    whole = photo(3, 320, 240)
    crop = whole.crop((60, 40, 280, 210))
    seen = [extract(np.asarray(one)) for one in (whole, crop)]
    stored = record(1, 1, print_=made.fingerprint(1, features=seen[0]))
    asked = made.query(2, fingerprint=made.fingerprint(2, features=seen[1]))
    with closing(SQLiteIndex(path, POLICY, durable=False)) as index:
        index.project_entry("default", 1, [stored], [], [])
        assert [hit.image_id for hit in index.find_candidates("default", [asked])[0]] == [
            image_id(1)
        ]
    with closing(SQLiteIndex(path, POLICY, durable=False, features=False)) as without:
        assert without.find_candidates("default", [asked]) == [[]]
