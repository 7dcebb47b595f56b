"""Checking: the verdict a picture would get now, leaving nothing behind."""

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
    """Says what a picture would be told."""

    def check(self, tenant: str, data: bytes | Path) -> tuple[Verdict, Decision]:
        """Verdict and the decision it would get. Raise an InputError for a bad file."""


class Checker:
    """The same road as an upload's, up to the log."""

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
        """Verdict and the decision it would get. Raise an InputError for a bad file."""
        if isinstance(data, Path):
            data = data.read_bytes()
        if len(data) > self._max_bytes:
            raise TooLargeError(f"the file is over {self._max_bytes} bytes")
        with timed(self._meter, "check"):
            verdict, decision = self._check(tenant, data)
        logger.debug("checked", extra={"tenant": tenant, "verdict": verdict.kind})
        return verdict, decision

    def _check(self, tenant: str, data: bytes) -> tuple[Verdict, Decision]:
        (decoded,) = self._perceiver.decode([data], [digests(data)], urgent=True)
        if isinstance(decoded, SeenitError):
            raise decoded
        (perceived,) = self._perceiver.embed(tenant, [decoded], urgent=True)
        image_id = self._new_id()
        query = perceived.query(image_id)
        with self._gallery.holding(tenant, [(query, perceived.preview)], stored=False):
            return self._ledger.check(tenant, query, perceived.missing)
