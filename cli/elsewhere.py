"""What `seenit doctor` finds of a service whose parts are elsewhere: who answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from adapters.settings import Settings
from adapters.wiring import Services, build
from cli.finding import Finding
from core.errors import SeenitError


def look(read: Settings) -> Iterator[Finding]:
    """Who answers of those that the work is shared with."""
    remedy = "SEENIT_BROKER_URL, SEENIT_INDEX_URL: docs/operations.md says how they are run"
    try:
        services = build(read, role="api")
    except SeenitError as error:
        yield Finding(name="store", state="missing", says=error.detail, remedy="SEENIT_BLOBS_URL")
        return
    try:
        asked: dict[str, Callable[[], object]] = {
            "queue": services.queue.depth,
            "index": services.index.tenants,
        }
        for name, ask in asked.items():
            try:
                ask()
            except SeenitError as error:
                yield Finding(name=name, state="missing", says=error.detail, remedy=remedy)
            else:
                yield Finding(name=name, state="ok", says="it answers")
        yield _workers(services)
    finally:
        services.close()


def _workers(services: Services) -> Finding:
    remote = services.remote
    try:
        told = {} if remote is None else remote.parts()
    except SeenitError as error:
        remedy = "seenit worker, on this machine or another"
        return Finding(name="workers", state="absent", says=error.detail, remedy=remedy)
    says = ", ".join(
        f"{kind}: {one.space.model if one.space else one.absent}" for kind, one in told.items()
    )
    return Finding(name="workers", state="ok", says=f"one answers; {says}")
