"""Store of the calibrations in force: written by `seenit calibrate`, read by every search."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from core import keys
from core.calibration.thresholds import Calibration
from core.errors import MissingError, StoreUnavailableError
from core.lru_cache import LRUCache
from core.ports import Blobs
from core.search.bands import Bands
from core.search.fusion import Way
from core.types import Matrix

SECONDS = 5.0
"""Seconds for which a calibration is cached: a newer one takes effect so much later at most."""
HELD = 256
"""Number of cached calibrations: each may hold some thousand texts' vectors."""

_calibration = msgspec.msgpack.Decoder(Calibration)

logger = logging.getLogger(__name__)


class _Held(NamedTuple):
    calibration: Calibration | None
    bank: Matrix | None
    read_at: float


class CalibrationStore:
    """Calibrations by tenant and space, cached for some seconds."""

    def __init__(self, blobs: Blobs, *, seconds: float = SECONDS) -> None:
        self._blobs = blobs
        self._seconds = seconds
        self._held: LRUCache[tuple[str, str], _Held] = LRUCache(HELD)

    def put(self, tenant: str, calibration: Calibration) -> None:
        """Write a calibration in place of the one before. Raise StoreUnavailableError."""
        key = keys.calibration(tenant, calibration.space_id)
        self._blobs.put([(key, msgspec.msgpack.encode(calibration))])
        self._held.remove((tenant, calibration.space_id).__eq__)

    def get(self, tenant: str, space_id: str) -> Calibration | None:
        """Read a calibration or None; while the store is away, return the last known one."""
        return self._look(tenant, space_id).calibration

    def all(self) -> Iterator[tuple[str, Calibration]]:
        """Yield every stored calibration with its tenant. Raise StoreUnavailableError."""
        for tenant in self._blobs.folders("calibration/"):
            prefix = keys.calibration(tenant, "")
            for key in self._blobs.keys(prefix):
                calibration = self.get(tenant, key.removeprefix(prefix))
                if calibration is not None:
                    yield tenant, calibration

    def bank(self, tenant: str, space_id: str) -> Matrix | None:
        """Return (n, d) unit vectors of texts that reveal hubs among the pictures."""
        return self._look(tenant, space_id).bank

    def bands(self, tenant: str, space_id: str, way: Way) -> Bands | None:
        """Return the similarity bands of this tenant; None if they were not measured."""
        calibration = self._look(tenant, space_id).calibration
        cut = calibration.ways.get(way) if calibration is not None else None
        return cut.bands if cut is not None else None

    def _look(self, tenant: str, space_id: str) -> _Held:
        now = time.monotonic()
        held = self._held.get((tenant, space_id))
        if held is not None and now - held.read_at < self._seconds:
            return held
        try:
            calibration = _calibration.decode(self._blobs.get(keys.calibration(tenant, space_id)))
            held = _Held(calibration, calibration.bank if calibration.texts else None, now)
        except MissingError:
            held = _Held(None, None, now)
        except StoreUnavailableError:
            held = held._replace(read_at=now) if held is not None else _Held(None, None, now)
        except msgspec.MsgspecError as error:
            logger.warning("the calibration of %s cannot be read: %s", space_id, error)
            held = _Held(None, None, now)
        return self._held.put((tenant, space_id), held)
