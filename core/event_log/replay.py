"""Replay of the log into an index: operations are applied, nothing is decided again."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from core.errors import LogCorruptError
from core.event_log.decide import laid
from core.event_log.projector import Objects
from core.event_log.tail import check, seen
from core.index_port import Index
from core.ports import Log

logger = logging.getLogger(__name__)


def replay(log: Log, shelf: Objects, index: Index, tenant: str, until: int) -> Iterator[int]:
    """Project the entries after the index's watermark; yield each one's number of records.

    It stops at `until`, from `Projector.marked`: a watermark beyond would hide jobs that have no
    done mark yet, and they would be settled again.

    A picture that a later entry deletes has no objects left, so it is left out from the start.
    Raise LogCorruptError, StoreUnavailableError, IndexUnavailableError.
    """
    seq = index.watermark(tenant)
    nonce, _ = seen(log, tenant, seq)
    lost: set[str] = set()
    while seq < until:
        seq += 1
        entry = log.read(tenant, seq)
        if entry is None:
            raise LogCorruptError(f"the log of {tenant} has a gap at entry {seq}")
        check(tenant, entry, seq, nonce)
        nonce = entry.nonce
        layer = laid(entry)
        records = shelf.join(tenant, seq, list(layer.states.values()))
        lost |= layer.states.keys() - {record.state.image_id for record in records}
        lost -= layer.removed.keys()
        index.project_entry(
            tenant,
            seq,
            records,
            list(layer.removed.values()),
            list(layer.outcomes.values()),
            standings=list(layer.standings.values()),
        )
        yield len(records)
    while lost and (entry := log.read(tenant, seq + 1)) is not None:
        seq += 1  # pictures deleted by a later entry may be gone already
        lost -= laid(entry).removed.keys()
    if lost:
        logger.error("fingerprints_lost", extra={"tenant": tenant, "image_ids": sorted(lost)})
