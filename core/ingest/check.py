"""Check of a picture: the verdict it would get now, without storing anything."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from core.embedding.pipeline import FingerprintPipeline, digests
from core.errors import SeenitError, TooLargeError
from core.event_log.ledger import Ledger
from core.metrics import UNMETERED, Meter, timed
from core.storage.picture_loader import PictureLoader
from core.types import Decision, Verdict

logger = logging.getLogger(__name__)


class Checks(Protocol):
    """A service that returns the verdict a picture would get, here or on a worker."""

    def check(self, tenant: str, data: bytes | Path) -> tuple[Verdict, Decision]:
        """Return the verdict and decision it would get. Raise InputError for a bad file."""


class Checker:
    """A check that runs the steps of an upload up to, but without, the log."""

    def __init__(
        self,
        perceiver: FingerprintPipeline,
        gallery: PictureLoader,
        ledger: Ledger,
        new_id: Callable[[], str],
        max_bytes: int,
        *,
        meter: Meter = UNMETERED,
    ) -> None:
        self._perceiver = perceiver
        self._gallery = gallery
        self._ledger = ledger
        self._new_id = new_id
        self._max_bytes = max_bytes
        self._meter = meter

    def check(self, tenant: str, data: bytes | Path) -> tuple[Verdict, Decision]:
        """Return the verdict and the decision that an upload of these bytes would get now.

        Decode and embed like an upload, find candidates in the index and the tail of the log, and
        compare the picture with them; nothing is written. Raise TooLargeError over the limit,
        another InputError for a bad file, UnavailableError if a part is down.
        """
        if isinstance(data, Path):
            data = data.read_bytes()
        if len(data) > self._max_bytes:
            raise TooLargeError(
                f"the file has {len(data)} bytes; the limit is {self._max_bytes} bytes"
            )
        with timed(self._meter, "check"):
            (decoded,) = self._perceiver.decode([data], [digests(data)], urgent=True)
            if isinstance(decoded, SeenitError):
                raise decoded
            (picture,) = self._perceiver.embed(tenant, [decoded], urgent=True)
            query = picture.query(self._new_id())
            large = {query.image_id: picture.large}
            held = [(query, picture.preview)]
            with self._gallery.holding(tenant, held, stored=False, large=large):
                verdict, decision = self._ledger.check(tenant, query, picture.missing)
        logger.debug("checked", extra={"tenant": tenant, "verdict": verdict.kind})
        return verdict, decision
