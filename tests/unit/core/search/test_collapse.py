"""Copies and groups in results: originals in their place, and the best of each group."""

from __future__ import annotations

from typing import Any

import pytest

from core.errors import (
    ConflictError,
)
from core.index_port import Filters
from core.search import execution
from tests.doubles.records import image_id
from tests.doubles.small_service import Service
from tests.unit.core.search.stored_pictures import (
    found,
    hits,
    picture,
    project,
    stars,
    zoo,
)

EVERY = Filters(decision=("allow", "review", "block"))


def test_hits_of_copies_fall_onto_their_original(service: Service) -> None:
    """Once, at the place of the best; the copy that matched is named."""
    stars(service)
    car = hits(service, text="motorcycle", mode="caption", limit=1)[0]
    assert (car.seen.record.state.image_id, car.matched_copy_id) == (image_id(1), image_id(2))
    dog = hits(service, text="dog", mode="caption", limit=1)[0]
    assert (dog.seen.record.state.image_id, dog.matched_copy_id) == (image_id(1), None)
    assert found(service, text="car", mode="keyword") == [1]
    assert sorted(found(service, text="red car")) == [1, 4]
    hybrid = hits(service, text="car motorcycle", limit=1)[0]
    assert hybrid.matched_copy_id == image_id(2)
    assert hybrid.similarities["caption"] == pytest.approx(car.similarities["caption"], abs=0.2)


def test_copies_appear_by_themselves_where_asked(service: Service) -> None:
    """The original's vector stands for the pixels of a copy."""
    stars(service)
    assert found(service, text="motorcycle", mode="caption", collapse=False)[0] == 2
    shown = hits(service, text="green", mode="visual", collapse=False)
    assert [hit.seen.record.state.image_id for hit in shown[:3]] == [image_id(n) for n in (1, 2, 3)]
    assert len({hit.similarities["visual"] for hit in shown[:3]}) == 1
    assert all(hit.matched_copy_id is None for hit in shown)


def test_a_filter_that_only_a_copy_passes_finds_its_original(service: Service) -> None:
    """By every mode, naming the copy; not collapsed, the copy itself."""
    stars(service)
    for owner, copy in (("b", 2), ("c", 3)):
        for mode in ("visual", "hybrid"):
            (hit,) = hits(service, text="green", mode=mode, filters=Filters(owner_id=owner))
            assert hit.seen.record.state.image_id == image_id(1)
            assert hit.matched_copy_id == image_id(copy)
            (alone,) = hits(
                service, text="green", mode=mode, filters=Filters(owner_id=owner), collapse=False
            )
            assert alone.seen.record.state.image_id == image_id(copy)
    assert found(service, text="green", mode="visual", filters=Filters(tags=("x",))) == [1]
    assert found(service, text="dog", mode="keyword", filters=Filters(owner_id="b")) == []
    assert found(service, text="car", mode="keyword", filters=Filters(owner_id="b")) == [1]


def test_a_copy_asks_by_its_originals_vector(service: Service) -> None:
    """Neither of the two is an answer, nor what falls onto them; its caption is its own."""
    stars(service)
    assert found(service, image_id=image_id(2), mode="visual") == [4]
    assert found(service, image_id=image_id(3), mode="visual") == [4]
    assert found(service, image_id=image_id(1)) == [4]
    assert found(service, image_id=image_id(2), mode="caption") == [4]
    with pytest.raises(ConflictError):
        hits(service, image_id=image_id(3), mode="caption")


def test_groups_show_the_best_of_each(service: Service) -> None:
    """Groups are in order of rank; without a value there is no group; each tag counts."""
    zoo(service)
    best = hits(service, text="dog", mode="caption", group_by="category")
    assert [hit.group for hit in best][:1] == ["pets"]
    assert sorted(str(hit.group) for hit in best) == ["nature", "pets", "vehicles"]
    assert best[0].seen.record.state.image_id == image_id(1)
    tags = hits(service, text="dog", mode="caption", group_by="tag")
    assert {hit.group: hit.seen.record.state.image_id for hit in tags} == {
        "park": image_id(1),
        "old": image_id(1),
        "home": image_id(2),
    }
    assert [hit.rank for hit in tags] == [1, 2, 3]
    decided = hits(service, text="dog", group_by="decision")
    assert [hit.group for hit in decided] == ["allow"]
    decided = hits(service, text="dog", group_by="decision", filters=EVERY)
    assert [hit.group for hit in decided] == ["allow", "review"]


def test_groups_that_are_not_there_are_not_looked_for_to_the_end(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Too many to search each, and fewer than wanted: no search reads a whole tenant."""
    monkeypatch.setattr(execution, "MANY", 2)
    monkeypatch.setattr(execution, "DEEPEST", 400)
    pets = (picture(service, n, "dog", None, category=f"c{n % 9}") for n in range(1000))
    project(service, *pets)
    asked: list[int] = []
    neighbours = service.index.find_neighbours

    def counted(*args: Any, limit: int, **more: Any) -> Any:  # noqa: ANN401  # as the index
        asked.append(limit)
        return neighbours(*args, limit=limit, **more)

    monkeypatch.setattr(service.index, "find_neighbours", counted)
    best = hits(service, text="dog", mode="caption", group_by="category", limit=50)
    assert len(best) == 9
    assert max(asked) <= 4 * 400


def test_groups_are_looked_for_until_the_index_ends(service: Service) -> None:
    """If hundreds of one group come first, the others are found behind them."""
    project(
        service,
        *(picture(service, n, "dog", None, category="pets") for n in range(500)),
        picture(service, 600, "mountain", None, category="nature"),
        picture(service, 601, "city", None, owner_id="o"),
    )
    best = hits(service, text="dog", mode="caption", group_by="category", limit=2)
    assert [hit.group for hit in best] == ["pets", "nature"]
    assert [hit.group for hit in hits(service, text="dog", group_by="owner_id")] == ["o"]
