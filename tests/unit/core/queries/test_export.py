"""Every record out of the index and the tail, and back out of what it was written as."""

from __future__ import annotations

import io
import json
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.export_writers import Format, column, writer
from api.schemas import render
from core import clock, keys
from core.errors import MalformedError, SettingsError
from core.evidence import Evidence
from core.index_port import Filters
from core.queries.export import PAGE, Exported, Exporter, document, numbers, row
from core.records import Fields, Record, Tombstone
from core.types import Decision, Match, Vector
from tests.doubles.records import OTHER, SPACE, image_id, moment, random_vector, record, tombstone
from tests.doubles.small_service import Service, tail_of

TENANT = "default"
HOSTILE = (
    "'); DROP TABLE images; --",
    "\\'); DROP TABLE images; --",
    "\\",
    "''",
    "'\n.quit\n\\q\n/* ' */ -- ' $$ `x` \"y\"",
    "snow ☃ \U0001f4a5 \u202e desrever \x85\u2028",
    "NULL",
)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """Store and index, empty."""
    made = Service(tmp_path)
    yield made
    made.close()


def project(service: Service, *records: Record) -> None:
    """Project records as the next entry."""
    service.index.project_entry(TENANT, service.index.watermark(TENANT) + 1, records, [], [])


def log(service: Service, *records: Record, removed: tuple[Tombstone, ...] = ()) -> None:
    """Into the tail; what else belongs to the records goes where a worker puts it."""
    for one in records:
        at = one.state.image_id
        place = keys.derived(TENANT, at, "fingerprint")
        service.blobs.put([(place, msgspec.msgpack.encode(one.fingerprint))])
        if one.state.fields is not None:
            service.shelf.write_fields(TENANT, [(at, one.state.fields, one.fields)])
        for space, vector in one.vectors.items():
            key = keys.vector(TENANT, at, space, one.state.fields)
            service.blobs.put([(key, vector.tobytes())])
    service.follower.tails[TENANT] = tail_of(
        states={one.state.image_id: one.state for one in records},
        removed={stone.image_id: stone for stone in removed},
        head=service.index.watermark(TENANT) + 3,
    )


def exporter(service: Service, **filters: Any) -> Exporter:  # noqa: ANN401  # any filter
    """Return an exporter of the present state."""
    asked = Filters(**filters)
    return Exporter(service.snapshots.take(TENANT), asked)


def exported(service: Service, **filters: Any) -> list[Exported]:  # noqa: ANN401  # any filter
    """Return all that is exported."""
    return list(exporter(service, **filters).records(vectors=True))


def ids(found: list[Exported]) -> list[str]:
    """Return the ids in order."""
    return [one.seen.record.state.image_id for one in found]


def written(service: Service, kind: Format, *, vectors: bool = True) -> bytes:
    """Return a whole export in one format."""
    held = io.BytesIO()
    source = exporter(service)
    into = writer(kind, held, source.spaces, vectors=vectors, table="images")
    for one in source.records(vectors=vectors):
        into.write(one)
    into.close()
    return held.getvalue()


def _varied(service: Service) -> dict[str, dict[str, Vector]]:
    """Project records with all that a record can have; return their vectors by id."""
    odd = np.array([1e-45, -0.0, 3.4028235e38, 1 / 3, -1e-20, 0.1, 16777217, 5e-39], np.float32)
    told = [
        Fields(
            title=text,
            description=text * 3,
            category=text,
            tags=(text, "b"),
            owner_id=text,
            external_id=text,
            source_url="https://example.org/a?b='c'",
            metadata={"a": {text: [1, 2.5, None, True]}, "nul": "\0"},
            filename=text,
        )
        for text in HOSTILE
    ]
    vectors = {n: {SPACE: random_vector(n), OTHER: random_vector(n + 50)} for n in range(1, 7)}
    vectors[1][SPACE] = odd
    records = [
        record(n, 1, fields=fields, vectors=vectors.get(n, {}), spaces=(SPACE, OTHER))
        for n, fields in enumerate(told, 1)
    ]
    found = Match(
        image_id=image_id(1),
        kind="near_duplicate",
        confirmed=True,
        evidence=Evidence(signals=("phash", "alignment"), hamming=4, overlap=0.97, words="turned"),
    )
    copy = record(
        9,
        1,
        original=1,
        vectors={OTHER: random_vector(9)},
        fields=Fields(title="copy"),
        hold_until=moment(99),
    )
    verdict = msgspec.structs.replace(copy.state.verdict, matches=(found,))
    by = Decision(value="block", by="person", at=moment(7), reason="said")
    service.shelf.write_fields(TENANT, [(image_id(9), "said", Fields(reason="it's \\ bad"))])
    state = msgspec.structs.replace(copy.state, verdict=verdict, decision=by)
    project(service, *records, msgspec.structs.replace(copy, state=state))
    return {
        **{image_id(n): held for n, held in vectors.items()},
        image_id(9): copy.vectors,
    }


def test_each_record_is_told_as_the_service_tells_it(service: Service) -> None:
    """The fields are equal, with vectors beside them; vectors can be left out."""
    vectors = _varied(service)
    lines = [json.loads(line) for line in written(service, "jsonl").splitlines()]
    assert len(lines) == len(HOSTILE) + 1
    for line in lines:
        held = line.pop("vectors")
        seen = service.reader.record(TENANT, line["image_id"])
        assert line == json.loads(msgspec.json.encode(render.image(seen)))
        expected = vectors.get(line["image_id"], {})
        assert held.keys() == expected.keys()
        for space, vector in expected.items():
            assert np.array(held[space], np.float32).tobytes() == vector.tobytes()
    assert lines[0]["decision"]["reason"] == "it's \\ bad"
    assert lines[0]["verdict"]["original"]["image_id"] == image_id(1)
    bare = [json.loads(line) for line in written(service, "jsonl", vectors=False).splitlines()]
    assert bare == lines


def test_sql_gives_the_same_records_and_nothing_breaks_out(service: Service) -> None:
    """Run by SQLite: one table, every value as it was, vectors bit for bit."""
    vectors = _varied(service)
    with sqlite3.connect(":memory:") as db:
        db.executescript(written(service, "sql").decode())
        db.row_factory = sqlite3.Row
        rows = [dict(one) for one in db.execute("SELECT * FROM images")]
        tables = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE sql > ''")]
    db.close()
    assert tables == ["images"]
    for got, one in zip(rows, exported(service), strict=True):
        for space in (SPACE, OTHER):
            _same(got.pop(column(space)), vectors.get(got["image_id"], {}).get(space))
        expected = row(one)
        expected |= {"tags": json.dumps(expected["tags"]), "anchor": int(expected["anchor"])}
        got["tags"] = json.dumps(json.loads(got["tags"]))
        assert got == expected


def test_sql_without_vectors_has_no_column_of_theirs(service: Service) -> None:
    """For an empty tenant it has nothing but the table."""
    assert b"INSERT" not in written(service, "sql")
    _varied(service)
    assert b"vector_" not in written(service, "sql", vectors=False)


def test_parquet_gives_the_same_records(service: Service) -> None:
    """Read by pyarrow: times as times, tags as lists, float32 bit for bit."""
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    vectors = _varied(service)
    table = parquet.read_table(io.BytesIO(written(service, "parquet")))
    assert str(table.schema.field(column(SPACE)).type) == "list<element: float>"
    assert str(table.schema.field("accepted_at").type) == "timestamp[ms, tz=UTC]"
    for got, one in zip(table.to_pylist(), exported(service), strict=True):
        for space in (SPACE, OTHER):
            _same(got.pop(column(space)), vectors.get(got["image_id"], {}).get(space))
        for name in ("accepted_at", "updated_at", "decision_at", "hold_until"):
            got[name] = got[name] and clock.stamp(got[name])
        assert got == row(one)
    empty = parquet.read_table(io.BytesIO(written(service, "parquet", vectors=False)))
    assert not [name for name in empty.column_names if name.startswith("vector_")]


def _same(got: list[float] | str | None, expected: Vector | None) -> None:
    if expected is None:
        assert got is None
        return
    values = json.loads(got) if isinstance(got, str) else got
    assert np.array(values, np.float32).tobytes() == expected.tobytes()


def test_a_parquet_file_of_many_row_groups_is_whole(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None lost between two of them."""
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    monkeypatch.setattr("adapters.export_writers.ROWS", 3)
    project(service, *(record(n, 1) for n in range(10)))
    file = parquet.ParquetFile(io.BytesIO(written(service, "parquet")))
    assert file.num_row_groups == 4
    read = file.read().column("image_id").to_pylist()
    assert read == [image_id(n) for n in reversed(range(10))]


def test_without_pyarrow_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other formats need nothing."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(SettingsError, match='pip install "pyarrow"'):
        writer("parquet", io.BytesIO(), [], vectors=True, table="images")


@pytest.mark.parametrize("table", ["", "a b", "a;b", "1a", "ä", "a" * 64, 'a"', "a\n"])
def test_a_table_has_a_plain_name(table: str) -> None:
    """Other names cannot get into a statement."""
    with pytest.raises(MalformedError):
        writer("sql", io.BytesIO(), [], vectors=True, table=table)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0")), max_size=6))
def test_any_text_survives_sql(texts: list[str]) -> None:
    """SQLite reads any title back, and nothing but the title."""
    held = io.BytesIO()
    into = writer("sql", held, [], vectors=False, table="t")
    for n, text in enumerate(texts):
        made = record(n, 1, fields=Fields(title=text, tags=(text,)))
        into.write(Exported(_seen(made), {}))
    into.close()
    db = sqlite3.connect(":memory:")
    db.executescript(held.getvalue().decode())
    assert db.execute("SELECT title, tags FROM t ORDER BY image_id").fetchall() == [
        (text, msgspec.json.encode([text]).decode()) for text in texts
    ]
    db.close()


def _seen(made: Record) -> Any:  # noqa: ANN401  # a Seen
    from core.queries.joined_views import RecordView  # noqa: PLC0415 - used here alone

    return RecordView(record=made, original=None, reason=None)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1))
def test_any_vector_is_the_same_again(values: list[float]) -> None:
    """Bit for bit, the sign of a zero too."""
    vector = np.array(values, np.float32)
    assert np.array(json.loads(numbers(vector)), np.float32).tobytes() == vector.tobytes()


# --- the moment -----------------------------------------------------------------------------------


def test_what_the_tail_changed_is_told_as_it_is_now(service: Service) -> None:
    """New, changed and deleted ones, in their places, with the vectors they have now."""
    old, new = random_vector(1), random_vector(2)
    project(service, *(record(n, 1, vectors={SPACE: old}, spaces=(SPACE,)) for n in range(1, 6)))
    log(
        service,
        record(2, 5, revision=2, vectors={SPACE: new}, spaces=(SPACE,), decision="block"),
        record(7, 5, vectors={OTHER: new}, spaces=(OTHER,)),
        record(3, 5, original=1, revision=2),
        removed=(tombstone(4, 5),),
    )
    found = exported(service)
    assert ids(found) == [image_id(n) for n in (7, 5, 3, 2, 1)]
    held = {at: {space: v.tolist() for space, v in one.vectors.items()} for at, one in _by(found)}
    assert held == {
        image_id(1): {SPACE: old.tolist()},
        image_id(2): {SPACE: new.tolist()},
        image_id(3): {},
        image_id(5): {SPACE: old.tolist()},
        image_id(7): {OTHER: new.tolist()},
    }
    assert ids(exported(service, decision=("block",))) == [image_id(2)]
    assert ids(exported(service, decision=("allow",))) == [image_id(n) for n in (7, 5, 3, 1)]


def _by(found: list[Exported]) -> Iterator[tuple[str, Exported]]:
    return zip(ids(found), found, strict=True)


def test_many_pages_are_one_list(service: Service) -> None:
    """No record twice, none left out, in order, whatever the tail touched."""
    many = 2 * PAGE + 37
    project(service, *(record(n, 1) for n in range(0, many, 2)))
    log(service, *(record(n, 5, revision=2) for n in range(0, many, 3)))
    expected = sorted({*range(0, many, 2), *range(0, many, 3)}, reverse=True)
    assert ids(exported(service)) == [image_id(n) for n in expected]


def test_what_is_projected_or_deleted_meanwhile_does_no_harm(service: Service) -> None:
    """Nothing comes twice, and what went in between is just not there."""
    project(service, *(record(n, 1) for n in range(2 * PAGE)))
    fresh = [record(n, 2, revision=2) for n in range(0, 2 * PAGE, 2)]
    log(service, *fresh)
    source = exporter(service).records(vectors=True)
    first = [next(source) for _ in range(10)]
    service.index.project_entry(TENANT, 2, fresh, [], [])
    service.index.project_entry(TENANT, 3, [], [tombstone(1, 3)], [])
    found = ids([*first, *source])
    assert found == [image_id(n) for n in reversed(range(2 * PAGE)) if n != 1]


def test_no_more_is_read_than_is_wanted(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Page by page: the first record takes one page, not the whole index."""
    project(service, *(record(n, 1) for n in range(3 * PAGE)))
    asked = 0
    page = service.index.list_records

    def counted(*given: Any, **named: Any) -> Any:  # noqa: ANN401  # whatever `page` takes
        nonlocal asked
        asked += 1
        return page(*given, **named)

    monkeypatch.setattr(service.index, "list_records", counted)
    source = exporter(service).records(vectors=True)
    assert next(source).seen.record.state.image_id == image_id(3 * PAGE - 1)
    assert asked == 1
    assert len(list(source)) == 3 * PAGE - 1
    assert asked == 3


def test_another_tenant_has_nothing_of_this_one(service: Service) -> None:
    """Not even the names of its spaces."""
    _varied(service)
    other = Exporter(service.snapshots.take("other"), Filters())
    assert (list(other.records(vectors=True)), other.spaces, other.total) == ([], (), 0)


def test_filters_narrow_it_down(service: Service) -> None:
    """They work as in a list."""
    told = {1: ("a", ("x", "y")), 2: ("a", ("x",)), 3: ("b", ("x", "y"))}
    project(
        service,
        *(record(n, 1, fields=Fields(category=c, tags=t)) for n, (c, t) in told.items()),
    )
    assert ids(exported(service, category="a", tags=("x", "y"))) == [image_id(1)]
    assert ids(exported(service, accepted_after=moment(1))) == [image_id(3), image_id(2)]
    assert exporter(service, category="a").total is None
    assert exporter(service).total == 3


def test_a_document_is_one_line(service: Service) -> None:
    """No content breaks it."""
    _varied(service)
    for one in exported(service):
        assert b"\n" not in document(one, vectors=True)
