"""A new index out of the log, in the place of the old one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from adapters.local_index import LocalIndex
from adapters.opening import index_path
from adapters.settings import Settings
from core.ledger import Ledger
from core.policy import POLICY
from core.ports import Index, Log
from core.replay import replay
from core.shelf import Shelf


class Parts(Protocol):
    """A service, as far as it is needed here."""

    @property
    def settings(self) -> Settings:
        """All of them."""

    @property
    def log(self) -> Log:
        """What an index is made of."""

    @property
    def index(self) -> Index:
        """The old one."""

    @property
    def shelf(self) -> Shelf:
        """What lies beside each picture."""

    @property
    def ledger(self) -> Ledger:
        """Who projects here."""


def rebuild(services: Parts, told: Callable[[int, int, int], None]) -> tuple[int, int, int]:
    """Fill a new index from the log and swap it in: entries applied, entries in all, records.

    Nothing is decoded or embedded. `told` hears the same three figures on the way. Entries that
    come meanwhile are applied last, while nobody here projects; whoever settles next projects what
    no index held yet. Raise CorruptError, StoreUnavailableError, IndexUnavailableError; then the
    old index stays.
    """
    path = index_path(services.settings)
    fresh_path = path.with_name(f"{path.name}.new")
    for suffix in ("", "-wal", "-shm"):
        fresh_path.with_name(fresh_path.name + suffix).unlink(missing_ok=True)
    fresh = LocalIndex(fresh_path, POLICY, durable=False)
    total = sum(services.log.head(tenant) for tenant in services.log.tenants())
    done = records = 0

    def catch_up() -> None:
        nonlocal done, records, total
        for tenant in services.log.tenants():
            until = services.ledger.marked(tenant)
            for applied in replay(services.log, services.shelf, fresh, tenant, until):
                done, records = done + 1, records + applied
                total = max(total, done)
                told(done, total, records)

    try:
        catch_up()
        with services.ledger.still():
            catch_up()  # what came meanwhile: the watermark must never go back
            fresh.close()
            if isinstance(services.index, LocalIndex):
                services.index.take(fresh_path)
    finally:
        fresh.close()
    return done, total, records
