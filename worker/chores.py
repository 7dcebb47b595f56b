"""What the holder of a data directory does when a command asks: each errand's kind and its work."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from adapters.wiring import Services, rebuild
from core.errors import MalformedError
from worker import filling, measuring

Told = Callable[[int, int], None]
"""Hears how far it has come: done, and in all."""
Chore = Callable[[Services, Mapping[str, str], Told], dict[str, Any]]
"""Takes the errand's arguments and gives what came of it, ready for JSON."""


def carry_out(
    services: Services, kind: str, arguments: Mapping[str, str], told: Told
) -> dict[str, Any]:
    """Do it. Raise MalformedError for a kind that nobody knows, and whatever the work raises."""
    chore = CHORES.get(kind)
    if chore is None:
        raise MalformedError(f"nobody here carries out {kind!r}: is the holder an older Seenit?")
    return chore(services, arguments, told)


def _reindex(services: Services, _: Mapping[str, str], told: Told) -> dict[str, Any]:
    """Fill a new index from the log and swap it in; what came meanwhile, `advance` adds."""
    entries, _total, records = rebuild(services, lambda done, total, _: told(done, total))
    return {"entries": entries, "records": records}


CHORES: dict[str, Chore] = {
    "reindex": _reindex,
    "backfill": filling.backfill,
    "calibrate": measuring.calibrate,
    "model-add": filling.add,
    "model-activate": filling.activate,
    "model-list": filling.spaces,
}
