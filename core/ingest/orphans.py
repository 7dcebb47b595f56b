"""Removal of objects left by killed processes: pictures of queries, and broken-off uploads."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from itertools import islice, takewhile

from core import keys
from core.ingest.retention import bound
from core.ports import Blobs

OLD_SECONDS = 600.0
"""Age of a query's picture: a hundred times a caller's wait, and more than clocks differ."""
KEPT_SECONDS = 48 * 3600.0
"""Age of an upload: twice the time in which a repeat under its Idempotency-Key finishes it."""
BACK_SECONDS = 48 * 3600.0
"""Seconds before KEPT_SECONDS that the first pass of a process goes back."""
PART = 1_000
"""Maximum uploads examined by one call: other periodic tasks wait for it."""
EVERY_SECONDS = 3600.0
SOON_SECONDS = 5.0
"""Seconds between two passes; SOON_SECONDS if the last one left uploads unexamined."""

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
