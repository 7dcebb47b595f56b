"""Lists: one index walk, newest first, whatever the filters."""

from __future__ import annotations

from adapters.sqlite_index import mapping
from core.ports import Filters

_EQUAL = (
    "sha256",
    "external_id",
    "original_id",
    "owner_id",
    "tag",
    "category",
    "verdict",
    "decision",
)
"""Rarest first: the first one given is walked by its index, the others are looked at on the way."""


def query(
    number: int, filters: Filters, limit: int, before: tuple[str, str] | None
) -> tuple[str, list[object]]:
    """Statement and values for `limit` + 1 records of a tenant, newest first.

    Rows are those of `mapping.read_record`. `accepted_after` and `accepted_before` exclude the
    moment itself. The index is named, not guessed: where it could not be used, SQLite refuses.
    """
    given = [
        (name, value) for name in _EQUAL for value in _values(filters, name) if value is not None
    ]
    first = given[0][0] if given else None
    if first == "tag":
        source = "FROM tags w CROSS JOIN records r ON r.row = w.row"
    else:
        source = f"FROM records r INDEXED BY record_by_{first or 'age'}"
    walked = "w" if first == "tag" else "r"
    conditions: list[str] = [f"{walked}.tenant = ?"]
    values: list[object] = [number]
    for n, (name, value) in enumerate(given):
        if name == "tag" and n > 0:
            conditions.append(
                "EXISTS (SELECT 1 FROM tags t WHERE t.tenant = r.tenant AND "
                "t.tag = ? AND t.accepted_at = r.accepted_at AND t.image_id = r.image_id)"
            )
        else:
            conditions.append(f"{walked if name == first else 'r'}.{name} = ?")
        values.append(value)
    for sign, moment in ((">", filters.accepted_after), ("<", filters.accepted_before)):
        if moment is not None:
            conditions.append(f"{walked}.accepted_at {sign} ?")
            values.append(moment)
    if len(filters.decision) > 1:
        conditions.append(f"r.decision IN ({', '.join('?' * len(filters.decision))})")
        values.extend(filters.decision)
    if before is not None:
        conditions.append(f"({walked}.accepted_at, {walked}.image_id) < (?, ?)")
        values.extend(before)
    values.append(limit + 1)
    return (
        f"SELECT {mapping.JOINED} {source} JOIN features f ON f.row = r.row "
        f"WHERE {' AND '.join(conditions)} "
        f"ORDER BY {walked}.accepted_at DESC, {walked}.image_id DESC LIMIT ?"
    ), values


def _values(filters: Filters, name: str) -> tuple[str | None, ...]:
    """What a record must have in a column, all of them."""
    if name == "tag":
        return filters.tags
    if name == "decision":  # one of several is looked at on the way
        return filters.decision if len(filters.decision) == 1 else ()
    return (getattr(filters, name),)


def values(column: str) -> str:
    """Statement for the first `limit` different values of a column for a tenant, sorted.

    Each is the least above the last: SQLite's DISTINCT would walk the whole index instead.
    """
    source = "tags" if column == "tag" else f"records INDEXED BY record_by_{column}"
    least = f"SELECT min({column}) FROM {source} WHERE tenant = :tenant AND {column}"  # noqa: S608  # constants
    return (
        f"WITH RECURSIVE found (value) AS ({least} >= '' UNION ALL "  # noqa: S608  # constants
        f"SELECT ({least} > value) FROM found WHERE value IS NOT NULL LIMIT :limit) "
        "SELECT value FROM found WHERE value IS NOT NULL"
    )


def outcomes(
    number: int, status: str | None, limit: int, before: tuple[str, str] | None
) -> tuple[str, list[object]]:
    """Statement and values for `limit` + 1 outcomes of a tenant, newest first."""
    conditions = ["tenant = ?"]
    values: list[object] = [number]
    if status is not None:
        conditions.append("status = ?")
        values.append(status)
    if before is not None:
        conditions.append("(accepted_at, job_id) < (?, ?)")
        values.extend(before)
    values.append(limit + 1)
    return (
        f"SELECT data FROM outcomes INDEXED BY outcome_by_{'status' if status else 'age'} "  # noqa: S608  # constants
        f"WHERE {' AND '.join(conditions)} ORDER BY accepted_at DESC, job_id DESC LIMIT ?"
    ), values
