"""SQL statements of lists: one index scan, newest first, for any filters."""

from __future__ import annotations

from adapters.sqlite_index import mapping
from core.index_port import Filters

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
"""Columns, rarest first: the index of the first given one is scanned, the others are compared."""


def query(
    number: int, filters: Filters, limit: int, before: tuple[str, str] | None
) -> tuple[str, list[object]]:
    """Return statement and values for `limit` + 1 records of a tenant, newest first.

    Rows are those of `mapping.read_record`. `accepted_after` and `accepted_before` exclude the
    time itself. The index is named: SQLite refuses a statement that cannot use it.
    """
    given = _given(filters)
    first = given[0][0] if given else None
    walked, source = _walked(first)
    conditions: list[tuple[str, tuple[object, ...]]] = [(f"{walked}.tenant = ?", (number,))]
    conditions += [
        (_equal(name, walked if name == first else "r", again=n > 0), (value,))
        for n, (name, value) in enumerate(given)
    ]
    moments = ((">", filters.accepted_after), ("<", filters.accepted_before))
    conditions += [
        (f"{walked}.accepted_at {sign} ?", (moment,))
        for sign, moment in moments
        if moment is not None
    ]
    if len(filters.decision) > 1:
        places = ", ".join("?" * len(filters.decision))
        conditions.append((f"r.decision IN ({places})", filters.decision))
    if before is not None:
        conditions.append((f"({walked}.accepted_at, {walked}.image_id) < (?, ?)", before))
    return (
        f"SELECT {mapping.JOINED} {source} JOIN features f ON f.row = r.row "
        f"WHERE {' AND '.join(condition for condition, _ in conditions)} "
        f"ORDER BY {walked}.accepted_at DESC, {walked}.image_id DESC LIMIT ?"
    ), [*(value for _, values in conditions for value in values), limit + 1]


def _walked(first: str | None) -> tuple[str, str]:
    """Return the alias whose index is walked for the first filter, and the FROM clause."""
    if first == "tag":
        return "w", "FROM tags w CROSS JOIN records r ON r.row = w.row"
    return "r", f"FROM records r INDEXED BY record_by_{first or 'age'}"


def _equal(name: str, alias: str, *, again: bool) -> str:
    """Return the condition that a column has a value; a further tag is looked up by itself."""
    if name == "tag" and again:
        return (
            "EXISTS (SELECT 1 FROM tags t WHERE t.tenant = r.tenant AND "
            "t.tag = ? AND t.accepted_at = r.accepted_at AND t.image_id = r.image_id)"
        )
    return f"{alias}.{name} = ?"


def _given(filters: Filters) -> list[tuple[str, str]]:
    """Return (column, value) of all that a record must have, the rarest first."""
    # one of several decisions is compared during the scan
    several = {"tag": filters.tags, "decision": filters.decision * (len(filters.decision) == 1)}
    return [
        (name, value)
        for name in _EQUAL
        for value in (several[name] if name in several else (getattr(filters, name),))
        if value is not None
    ]


def values(column: str) -> str:
    """Return the statement for the first `limit` distinct values of a column, sorted.

    Each is the least above the last: SQLite's DISTINCT would walk the whole index instead.
    """
    source = "tags" if column == "tag" else f"records INDEXED BY record_by_{column}"
    least = f"SELECT min({column}) FROM {source} WHERE tenant = :tenant AND {column}"  # noqa: S608  # constants
    return (
        f"WITH RECURSIVE found (value) AS ({least} >= '' UNION ALL "  # noqa: S608  # constants
        f"SELECT ({least} > value) FROM found WHERE value IS NOT NULL LIMIT :limit) "
        "SELECT value FROM found WHERE value IS NOT NULL"
    )


def variants(
    number: int, variant: str, limit: int, before: tuple[str, str] | None
) -> tuple[str, list[object]]:
    """Return statement and values for `limit` states that name a variant, newest first."""
    older = "" if before is None else "AND (v.accepted_at, v.image_id) < (?, ?) "
    return (
        "SELECT r.state FROM variants v CROSS JOIN records r ON r.row = v.row "  # noqa: S608  # constants
        f"WHERE v.tenant = ? AND v.variant = ? {older}"
        "ORDER BY v.accepted_at DESC, v.image_id DESC LIMIT ?"
    ), [number, variant, *(before or ()), limit]


def outcomes(
    number: int, status: str | None, limit: int, before: tuple[str, str] | None
) -> tuple[str, list[object]]:
    """Return statement and values for `limit` + 1 outcomes of a tenant, newest first."""
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
