"""A new index out of the log, in the place of the old one."""

from __future__ import annotations

import logging
from collections.abc import Callable

from adapters.wiring import Services
from core.errors import IndexUnavailableError, SeenitError
from core.event_log.replay import replay

TRIES = 10
"""To bring the new index up to one that others write meanwhile; after the first they hold still."""

logger = logging.getLogger(__name__)


def rebuild(services: Services, told: Callable[[int, int, int], None]) -> tuple[int, int, int]:
    """Fill a new index from the log and swap it in: entries applied, entries in all, records.

    Nothing is decoded or embedded. `told` hears the same three figures on the way. Entries that
    come meanwhile are applied last, while nobody projects. Raise CorruptError,
    StoreUnavailableError, IndexUnavailableError; then the old index stays.
    """
    fresh = services.index.fresh()
    total = sum(services.log.head(tenant) for tenant in services.log.tenants())
    done = records = 0

    def catch_up() -> None:
        nonlocal done, records, total
        for tenant in services.log.tenants():
            until = services.projector.marked(tenant)
            for applied in replay(services.log, services.shelf, fresh, tenant, until):
                done, records = done + 1, records + applied
                total = max(total, done)
                told(done, total, records)

    try:
        catch_up()
        with services.projector.still():
            for _ in range(TRIES):
                catch_up()  # what came meanwhile: the watermark must never go back
                if services.index.swap(fresh):
                    break
            else:
                raise IndexUnavailableError("others projected faster than a new index was filled")
    finally:
        fresh.close()
    for tenant in services.log.tenants():
        try:
            services.projector.advance(tenant)
        except SeenitError as error:  # it is swapped: whoever settles next brings it up
            logger.warning("the new index is behind the log of %s: %s", tenant, error)
    return done, total, records
