"""Collections of other versions: newer ones are refused, older ones are migrated."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from adapters.weaviate_index import (
    WeaviateIndex,
    mapping,
    projection,
    schema,
)
from core.errors import IndexUnavailableError
from core.matching.policy import Policy
from core.records import Fields
from tests.doubles.records import image_id, put, record, tombstone
from tests.integration.adapters.weaviate_index.entries import entry

POLICY = Policy(visual_floor=0.25, visual_top=5)

Opens = Callable[..., WeaviateIndex]


def test_a_schema_of_a_newer_version_is_refused(
    opens: Opens, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is named; two that migrate at once do it once."""
    with monkeypatch.context() as newer:
        newer.setattr(schema, "STEPS", (*schema.STEPS, lambda *_: None))
        both = opens(), opens()
        with ThreadPoolExecutor(2) as pool:
            assert list(pool.map(lambda index: index.tenants(), both)) == [[], []]
        entry(both[0], 1)
    with pytest.raises(IndexUnavailableError, match=f"of version {len(schema.STEPS) + 1}"):
        opens().watermark("default")


def test_confirmed_matches_of_an_older_schema_are_filled_in(
    opens: Opens, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A collage that was stored without them is found by each picture in it, once they are."""
    collage = record(4, 1, original=1, contains=(2, 3))
    stored = [record(n, 1) for n in range(1, 4)] + [collage, record(5, 1, original=1)]
    written = mapping.record
    with monkeypatch.context() as older:
        older.setattr(schema, "STEPS", schema.STEPS[:2])
        older.setattr(
            mapping,
            "record",
            lambda *given: {k: v for k, v in written(*given).items() if k != "confirmed"},
        )
        put(opens(), 1, *stored)
    index = opens()
    for n in (2, 3):
        assert index.find_states("default", confirmed=[image_id(n)]) == [collage.state]
    put(index, 2, record(4, 2, original=1, contains=(3,)))
    assert index.find_states("default", confirmed=[image_id(2)]) == []


def test_words_of_an_older_schema_are_folded_and_parted(
    opens: Opens, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two processes at once do it, and a record that was deleted or changed stays so."""
    titles = ("Straße im Café", "公园里的红色自行车", "一只黑猫", "dogs", "ΟΔΟΣ")
    stored = [record(n, 1, fields=Fields(title=one)) for n, one in enumerate(titles)]
    with monkeypatch.context() as older:
        older.setattr(schema, "STEPS", schema.STEPS[:3])
        older.setattr(projection, "indexed_texts", lambda fields: (fields.title, "", "", ""))
        index = opens()
        put(index, 1, *stored)
        index.project_entry("default", 2, [record(4, 2)], [tombstone(2, 2)], [])
        assert index.search_keywords("default", "自行车", limit=9) == []
    both = opens(), opens()
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(lambda index: index.watermark("default"), both)) == [2, 2]
    for index in both:
        for text, n in (("strasse", 0), ("cafe", 0), ("自行车", 1), ("dog", 3)):
            found = index.search_keywords("default", text, limit=9)
            assert [one.image_id for one in found] == [image_id(n)], text
        assert index.search_keywords("default", "黑猫 οδός", limit=9) == []
        assert index.read_states("default", [image_id(0)]) == [stored[0].state]


def test_a_schema_of_an_older_version_is_completed(
    opens: Opens, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two processes at once add what it lacks, and its records stay."""
    with monkeypatch.context() as older:
        older.setattr(schema, "STEPS", schema.STEPS[:1])
        opens().project_entry("default", 1, [record(1, 1)], [], [])
    both = opens(), opens()
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(lambda index: index.watermark("default"), both)) == [1, 1]
    variant = record(2, 2, variants=(1,))
    both[0].project_entry("default", 2, [variant], [], [])
    assert both[1].read_states("default", [image_id(1)]) == [record(1, 1).state]
    assert both[1].list_variants("default", image_id(1), 9) == [variant.state]
