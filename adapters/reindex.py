"""Rebuild of the index from the log, swapped in for the old one."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from adapters.wiring import Services
from core.errors import IndexDamagedError, IndexUnavailableError, LogCorruptError, SeenitError
from core.event_log.replay import replay
from core.index_port import ServiceIndex

TRIES = 10
"""Attempts to swap: other processes may append while the new index catches up."""

logger = logging.getLogger(__name__)


def repair(services: Services, stop: threading.Event) -> None:
    """Make a damaged index again from the log; leave a sound one alone.

    A tenant whose log cannot be followed stays at the last entry that can be, and does not keep
    the others waiting. Raise StoreUnavailableError, IndexUnavailableError, also once `stop` is set.
    """
    damage = _damage(services.index)
    if damage is None:
        return
    logger.error("index_damaged", extra={"reason": damage})

    def progress(done: int, total: int, _: int) -> None:
        if stop.is_set():
            raise IndexUnavailableError(f"a stop came at entry {done} of {total}")

    entries, _, records = rebuild(services, progress)
    logger.warning("index_made_again", extra={"entries": entries, "records": records})


def rebuild(services: Services, progress: Callable[[int, int, int], None]) -> tuple[int, int, int]:
    """Fill a new index from the log, swap it in, and return entries applied, entries, records.

    Nothing is decoded or embedded. `progress` is called with the same three figures after each
    entry. Entries appended meanwhile are applied last, while this process projects nothing else.
    Raise StoreUnavailableError, IndexUnavailableError, and LogCorruptError if the log of a tenant
    cannot be followed; then the old index stays. In place of a damaged one, which has nothing left
    to lose, the new index then ends before the fault of that tenant.
    """
    damaged = _damage(services.index) is not None
    fresh = services.index.fresh()
    total = sum(services.log.head(tenant) for tenant in services.log.tenants())
    done = records = 0

    def catch_up() -> None:
        nonlocal done, records, total
        for tenant in services.log.tenants():
            try:
                until = services.projector.marked(tenant)
                for applied in replay(services.log, services.shelf, fresh, tenant, until):
                    done, records = done + 1, records + applied
                    total = max(total, done)
                    progress(done, total, records)
            except LogCorruptError as error:
                if not damaged:
                    raise
                logger.error("log_not_followed", extra={"tenant": tenant, "reason": str(error)})  # noqa: TRY400  no traceback needed

    try:
        catch_up()
        with services.projector.still():
            for _ in range(TRIES):
                catch_up()  # with entries appended meanwhile: the watermark must never go back
                if services.index.swap(fresh):
                    break
            else:
                raise IndexUnavailableError(
                    f"other processes projected during {TRIES} attempts to swap in the new index; "
                    "retry when fewer uploads come"
                )
    finally:
        fresh.close()
    for tenant in services.log.tenants():
        try:
            services.projector.advance(tenant)
        except SeenitError as error:  # the swap is done: the next batch of the tenant catches up
            logger.warning("reindex_behind_log", extra={"tenant": tenant, "reason": str(error)})
    return done, total, records


def _damage(index: ServiceIndex) -> str | None:
    try:
        index.check_sound()
    except IndexDamagedError as error:
        return error.detail
    return None
