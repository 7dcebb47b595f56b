"""What whoever settles does when a command asks: each errand's kind and its work."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any

from adapters.broker.admin_tasks import AdminTask, AdminTaskReport
from adapters.wiring import Services, rebuild
from core.errors import MalformedError, SeenitError
from worker import calibrate_task, space_tasks

Told = Callable[[int, int], None]
"""Hears how far it has come: done, and in all."""
Chore = Callable[[Services, Mapping[str, str], Told], dict[str, Any]]
"""Takes the errand's arguments and gives what came of it, ready for JSON."""

logger = logging.getLogger(__name__)


class _StoppingError(Exception):
    """The process is to end: what was done stays, the rest is for another one."""


def attempt(
    services: Services,
    errand: AdminTask,
    say: Callable[[AdminTaskReport], object],
    stop: threading.Event,
) -> AdminTaskReport | None:
    """What came of an errand, well or not; None where a stop broke it off.

    `say` hears how far it has come; what it raises is what came of it.
    """
    done = total = 0

    def told(now: int, of: int) -> None:
        nonlocal done, total
        if stop.is_set():
            raise _StoppingError
        done, total = now, of
        say(AdminTaskReport(done=done, total=total))

    error = None
    came: dict[str, Any] = {}
    try:
        came = carry_out(services, errand.kind, errand.arguments, told)
    except _StoppingError:
        return None
    except SeenitError as refused:
        error = refused.detail
    except Exception:  # the process's edge: one errand must not end it
        logger.exception("errand %s (%s) failed", errand.errand_id, errand.kind)
        error = "it failed: see the log"
    return AdminTaskReport(done=done, total=total, told=came, ended=True, error=error)


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
    "backfill": space_tasks.backfill,
    "calibrate": calibrate_task.calibrate,
    "model-add": space_tasks.add,
    "model-activate": space_tasks.activate,
    "model-list": space_tasks.spaces,
}
