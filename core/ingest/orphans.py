"""What killed or refused callers left behind: pictures asked about, and uploads never promised."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from itertools import islice, takewhile

from core import keys
from core.ingest.retention import bound
from core.ports import Blobs

OLD_SECONDS = 600.0
"""A hundred times longer than anybody waits for an answer, and more than clocks are apart."""
KEPT_SECONDS = 48 * 3600.0
"""Twice as long as a repeat under the same Idempotency-Key may still finish an upload."""
BACK_SECONDS = 48 * 3600.0
"""How much further back the first look of a process goes."""
PART = 1_000
"""Uploads looked at in one go, and the most of one call: other chores wait for it."""
EVERY_SECONDS = 3600.0
SOON_SECONDS = 5.0
"""Between two looks, the second where the last one has left something."""

logger = logging.getLogger(__name__)


def clear(blobs: Blobs, *, now: float | None = None) -> int:
    """Remove pictures that were asked about long ago; how many. Raise StoreUnavailableError.

    Their API and their worker were killed. `now` is in seconds since the epoch.
    """
    until = (time.time() if now is None else now) - OLD_SECONDS
    old = [key for key, written in blobs.modified(keys.ASKED) if written < until]
    blobs.delete(old)
    return len(old)


class Orphans:
    """Uploads that broke off between their bytes and their promise: nobody has an id of theirs.

    Whatever was promised is pending or has a done mark, which stays for good; so the index has no
    say in this. In a restored back-up a mark may be missing, but not what a worker wrote down of
    the picture. Each upload is looked at once, some days after it came.
    """

    def __init__(
        self,
        blobs: Blobs,
        remove: Callable[[str, Sequence[str]], None],
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        """`remove` takes away all objects of some pictures of a tenant. `now` in seconds."""
        self._blobs = blobs
        self._remove = remove
        self._now = now
        self._seen: dict[str, str] = {}
        self._due = float("-inf")

    def sweep(self) -> int:
        """Remove some of them when it is time for a look; how many. Raise StoreUnavailableError."""
        if self._now() < self._due:
            return 0
        removed = looked = 0
        for tenant in self._blobs.folders("blobs/"):
            part = self._old(tenant, PART - looked)
            left = self._without_promise(tenant, part)
            if left:
                self._remove(tenant, left)
                about = {"tenant": tenant, "uploads": len(left)}
                logger.info("uploads that broke off are removed", extra=about)
            removed += len(left)
            looked += len(part)
            if part:
                self._seen[tenant] = part[-1]
            if looked == PART:
                break
        self._due = self._now() + (SOON_SECONDS if looked == PART else EVERY_SECONDS)
        return removed

    def _old(self, tenant: str, most: int) -> list[str]:
        """The next ones that are old enough and were not looked at."""
        prefix = f"blobs/{tenant}/"
        until = bound(self._now() - KEPT_SECONDS)
        since = bound(self._now() - KEPT_SECONDS - BACK_SECONDS)
        after = prefix + max(since, self._seen.get(tenant, ""))
        names = (key[len(prefix) :] for key in self._blobs.keys(prefix, after=after))
        return list(islice(takewhile(lambda image_id: image_id < until, names), most))

    def _without_promise(self, tenant: str, ids: Sequence[str]) -> list[str]:
        """Marks are asked for again at the end: a pending job goes once it has one."""
        left = list(ids)
        for key in (keys.done, keys.pending, _written, keys.done):
            there = self._blobs.exists([key(tenant, image_id) for image_id in left])
            left = [image_id for image_id, found in zip(left, there, strict=True) if not found]
        return left


def _written(tenant: str, image_id: str) -> str:
    return keys.derived(tenant, image_id, "fingerprint")
