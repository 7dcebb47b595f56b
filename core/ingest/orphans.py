"""Removal of objects left by killed processes: of queries, broken uploads, deleted pictures."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from itertools import islice, takewhile

import msgspec
from msgspec.structs import replace

from core import keys
from core.errors import SeenitError
from core.ingest.retention import bound
from core.ports import Blobs, Log

OLD_SECONDS = 600.0
"""Age of a query's picture: a hundred times a caller's wait, and more than clocks differ."""
KEPT_SECONDS = 48 * 3600.0
"""Age of an upload: twice the time in which a repeat under its Idempotency-Key finishes it."""
BACK_SECONDS = 48 * 3600.0
"""Seconds before KEPT_SECONDS that the first pass of a process goes back."""
PART = 1_000
"""Maximum uploads examined by one call: other periodic tasks wait for it."""
WAIT_SECONDS = 3600.0
"""Seconds after a delete or purge at which a worker that missed it has looked for it, or died."""
LOG_PART = 500
"""Maximum entries and pictures examined by one call: a picture costs some six requests."""
EVERY_SECONDS = 3600.0
SOON_SECONDS = 5.0
"""Seconds between two passes; SOON_SECONDS if the last one left anything unexamined."""

logger = logging.getLogger(__name__)


def clear(blobs: Blobs, *, now: float | None = None) -> int:
    """Delete the pictures of old queries; return how many. Raise StoreUnavailableError.

    Their API and their worker were killed. `now` is in epoch seconds.
    """
    until = (time.time() if now is None else now) - OLD_SECONDS
    old = [key for key, written in blobs.modified(keys.ASKED) if written < until]
    blobs.delete(old)
    return len(old)


class Orphans:
    """Uploads that broke off between their bytes and their pending job: no caller has their ids.

    An acknowledged upload is pending or has a permanent done mark, so the index is not consulted.
    A restored back-up may lack a mark, but not the fingerprint that a worker stored. Each upload is
    examined once, some days after it came.
    """

    def __init__(
        self,
        blobs: Blobs,
        remove: Callable[[str, Sequence[str]], None],
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        """Create a task: `remove` deletes all objects of a tenant's pictures; `now` in seconds."""
        self._blobs = blobs
        self._remove = remove
        self._now = now
        self._seen: dict[str, str] = {}
        self._due = float("-inf")

    def sweep(self) -> int:
        """Remove orphans if a pass is due; return how many. Raise StoreUnavailableError."""
        if self._now() < self._due:
            return 0
        removed = looked = 0
        for tenant in self._blobs.folders("blobs/"):
            part = self._old(tenant, PART - looked)
            left = self._without_promise(tenant, part)
            if left:
                self._remove(tenant, left)
                about = {"tenant": tenant, "uploads": len(left)}
                logger.info("orphans_removed", extra=about)
            removed += len(left)
            looked += len(part)
            if part:
                self._seen[tenant] = part[-1]
            if looked == PART:
                break
        self._due = self._now() + (SOON_SECONDS if looked == PART else EVERY_SECONDS)
        return removed

    def _old(self, tenant: str, most: int) -> list[str]:
        """Return the next image_ids that are old enough and not examined yet."""
        prefix = f"blobs/{tenant}/"
        until = bound(self._now() - KEPT_SECONDS)
        since = bound(self._now() - KEPT_SECONDS - BACK_SECONDS)
        after = prefix + max(since, self._seen.get(tenant, ""))
        names = (key[len(prefix) :] for key in self._blobs.keys(prefix, after=after))
        return list(islice(takewhile(lambda image_id: image_id < until, names), most))

    def _without_promise(self, tenant: str, ids: Sequence[str]) -> list[str]:
        """Return ids without a job; look for done marks last again, as jobs end meanwhile."""
        left = list(ids)
        for key in (keys.done, keys.pending, _written, keys.done):
            there = self._blobs.exists([key(tenant, image_id) for image_id in left])
            left = [image_id for image_id, found in zip(left, there, strict=True) if not found]
        return left


def _written(tenant: str, image_id: str) -> str:
    return keys.derived(tenant, image_id, "fingerprint")


class _ExaminedLog(msgspec.Struct, frozen=True, kw_only=True):
    """The examined part of a tenant's log, and the part that is examined next."""

    examined: int = 0
    """Last entry whose deletes and purges were examined."""
    until: int = 0
    """Last entry of the next part; all of its jobs had their marks `at` this time."""
    at: float = 0.0


class Leftovers:
    """Objects of deleted and purged pictures, from workers that died before they removed them.

    A worker that writes such an object then looks for a tombstone or purge mark. Each delete and
    purge in the log is examined once, WAIT_SECONDS after its marks were written: an entry is read
    once, a deleted picture costs as much as its delete, and stored pictures cost nothing.
    """

    def __init__(
        self,
        blobs: Blobs,
        log: Log,
        marked: Callable[[str], int],
        revisit: Callable[[str, Sequence[str]], None],
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        """Create a task: `marked` is the projector's, `revisit` the picture store's."""
        self._blobs = blobs
        self._log = log
        self._marked = marked
        self._revisit = revisit
        self._now = now
        self._due = float("-inf")

    def sweep(self) -> int:
        """Examine every tenant's log if a pass is due; return the entries and pictures examined.

        A tenant that cannot be read is left for the next pass. Raise StoreUnavailableError.
        """
        if self._now() < self._due:
            return 0
        looked = 0
        for tenant in self._blobs.folders("log/"):
            try:
                looked += self.sweep_log(tenant, LOG_PART - looked)
            except SeenitError as error:
                logger.warning("leftovers_put_off", extra={"tenant": tenant, "reason": str(error)})
            if looked >= LOG_PART:
                break
        self._due = self._now() + (SOON_SECONDS if looked >= LOG_PART else EVERY_SECONDS)
        return looked

    def sweep_log(self, tenant: str, most: int) -> int:
        """Examine the next part of a log, or choose it; return the entries and pictures examined.

        Raise SeenitError if the log cannot be read.
        """
        key = keys.examined(tenant)
        (data,) = self._blobs.get_many([key])
        held = _ExaminedLog() if data is None else msgspec.json.decode(data, type=_ExaminedLog)
        looked = 0
        if held.examined == held.until:
            if self._log.read(tenant, held.until + 1) is None:
                return 0
            place = replace(held, until=max(held.until, self._marked(tenant)), at=self._now())
        elif self._now() < held.at + WAIT_SECONDS:
            return 0
        else:
            examined, gone = self._gone(tenant, held, most)
            if gone:
                self._revisit(tenant, gone)
            looked = examined - held.examined + len(gone)
            place = replace(held, examined=examined)
        self._blobs.put([(key, msgspec.json.encode(place))])
        return looked

    def _gone(self, tenant: str, held: _ExaminedLog, most: int) -> tuple[int, list[str]]:
        """Read entries, up to `most` of them and their pictures; return the last, and pictures."""
        seq = held.examined
        gone: dict[str, None] = {}
        while seq < held.until and seq - held.examined + len(gone) < most:
            entry = self._log.read(tenant, seq + 1)
            if entry is None:
                break
            seq += 1
            for operation in entry.operations:
                gone |= dict.fromkeys(operation.removed)
                if operation.kind in ("purged", "hidden"):
                    gone[operation.image_id] = None
        return seq, list(gone)
