"""Translation of filters into conditions of Weaviate."""

from __future__ import annotations

from typing import Any

from weaviate.classes.query import Filter

from adapters.weaviate_index.mapping import milliseconds
from core.index_port import Filters

_EQUAL = (
    "category",
    "verdict",
    "owner_id",
    "external_id",
    "sha256",
    "original_id",
)


def condition(filters: Filters | None) -> Any | None:  # noqa: ANN401  # private type
    """Return the condition on a record or its vector, None without filters.

    Weaviate ignores blanks around a text, so callers compare the results once more.
    """
    if filters is None:
        return None
    asked: list[Any] = [
        Filter.by_property(name).equal(value)
        for name in _EQUAL
        if (value := getattr(filters, name)) is not None
    ]
    if filters.decision:
        asked.append(Filter.by_property("decision").contains_any(list(filters.decision)))
    if filters.tags:
        asked.append(Filter.by_property("tags").contains_all(list(filters.tags)))
    accepted = Filter.by_property("accepted")
    if filters.accepted_after is not None:
        asked.append(accepted.greater_than(milliseconds(filters.accepted_after)))
    if filters.accepted_before is not None:
        asked.append(accepted.less_than(milliseconds(filters.accepted_before)))
    return both(*asked)


def both(*conditions: Any | None) -> Any | None:  # noqa: ANN401  # private type
    """Return the conjunction of the conditions that are not None."""
    given = [one for one in conditions if one is not None]
    return Filter.all_of(given) if given else None
