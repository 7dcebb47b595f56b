"""Backfill of fingerprints: what an older version computed, computed again from stored bytes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Literal

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from core import clock, keys
from core.embedding.pipeline import Digests, FingerprintPipeline
from core.errors import SeenitError, UnsupportedError
from core.event_log.decide import Claim
from core.event_log.ledger import Ledger
from core.event_log.projector import Projector
from core.fingerprint.visual_words import FEATURES_VERSION
from core.image_formats import setting
from core.imaging.decoding import NEWEST_PIXELS_VERSION
from core.index_port import Filters, Index
from core.ports import Blobs
from core.records import Job, Record, Refingerprinted, State
from core.storage.picture_store import PictureStore, StoredFingerprint
from core.types import Canonical, Fingerprint, ReportProgress

BATCH = 16
"""Pictures decoded at a time and logged by one entry: at most 512 MB of bytes in memory."""
RETRIED = 1_000
"""Maximum undecoded pictures that a remembered run names: 39 KB, written with each batch."""
FingerprintPart = Literal["pixels", "features"]
DecodedRecord = tuple[Record, tuple[Canonical, Fingerprint]]
"""A record with its pixels and fingerprint as they are computed now."""
NEWEST: dict[FingerprintPart, int] = {
    "pixels": NEWEST_PIXELS_VERSION,
    "features": FEATURES_VERSION,
}
"""Newest version of each part."""

logger = logging.getLogger(__name__)


class FingerprintCounts(Struct, frozen=True, kw_only=True):
    """Pictures that a backfill has passed, by what became of the old ones."""

    pictures: int = 0
    """All that it has passed, also those of the newest version."""
    made: int = 0
    unchanged: int = 0
    """Decoded, now or by a run that ended, to the fingerprint that is stored."""
    no_bytes: int = 0
    left_out: int = 0
    """Files of formats that are not read: left out by SEENIT_FORMATS, or camera raw."""
    failed: int = 0
    """Files that cannot be decoded any more."""

    def plus(self, more: FingerprintCounts) -> FingerprintCounts:
        """Add the counts of further pictures."""
        fields = self.__struct_fields__
        return FingerprintCounts(**{n: getattr(self, n) + getattr(more, n) for n in fields})


class _BackfillPlace(Struct, frozen=True, kw_only=True):
    """A position in the list of records, newest first, and the counts up to it.

    Another version or other formats make it void, as they change what decoding gives.
    """

    version: int
    formats: tuple[str, ...]
    began: str
    before: tuple[str, str] | None = None
    """None before the first batch, and once the run has ended."""
    counts: FingerprintCounts = FingerprintCounts()
    undecoded: tuple[str, ...] = ()
    """Pictures that this run could not decode, at most RETRIED + 1."""
    passed: str = ""
    """Beginning of the last run that ended: it passed all pictures with an earlier verdict."""
    retried: tuple[str, ...] = ()
    """Pictures that the last run could not decode, which settings or memory may have caused."""

    def has_passed(self, state: State) -> bool:
        """Return whether a run that ended has decoded this picture."""
        return state.verdict.decided_at < self.passed and state.image_id not in self.retried


class FingerprintBackfill:
    """A backfill of fingerprints that logs each batch; it resumes at the last batch logged.

    New objects are written under the job's id, then an entry lets the records name them, so every
    index and reader follows the log. Verdicts and decisions stay.
    """

    def __init__(
        self,
        *,
        blobs: Blobs,
        index: Index,
        shelf: PictureStore,
        perceiver: FingerprintPipeline,
        ledger: Ledger,
        projector: Projector,
        formats: Sequence[str],
        new_id: Callable[[], str],
    ) -> None:
        """Create a backfill; `formats` are those of SEENIT_FORMATS."""
        self._blobs = blobs
        self._index = index
        self._shelf = shelf
        self._perceiver = perceiver
        self._ledger = ledger
        self._projector = projector
        self._formats = tuple(sorted(formats))
        self._new_id = new_id

    def run(
        self, tenant: str, part: FingerprintPart, progress: ReportProgress
    ) -> FingerprintCounts:
        """Fingerprint again the pictures whose `part` is of an older version; count all of them.

        A picture is decoded once for both parts: a fingerprint that differs is replaced as a whole.
        A run that ended is remembered: the next one to the same version, with the same formats,
        decodes only old pictures that came or were judged again since, or could not be decoded.
        Raise StoreUnavailableError, IndexUnavailableError and other retryable errors; batches
        logged by then stay, and the next run resumes after them.
        """
        self._projector.advance(tenant)
        total = self._index.count_records(tenant).total.images
        place = self._resume(tenant, part)
        while True:
            progress(place.counts.pictures, max(total, place.counts.pictures))
            page = self._index.list_records(tenant, Filters(), BATCH, place.before)
            if page.records:
                place = self._remake(tenant, part, page.records, place)
                self._remember(tenant, part, place)
            if not page.more or not page.records:
                break
        if len(place.undecoded) <= RETRIED:
            ended = self._start(part, passed=place.began, retried=place.undecoded)
            self._remember(tenant, part, ended)
        else:
            self._blobs.delete([keys.backfill(tenant, part)])
        progress(place.counts.pictures, place.counts.pictures)
        return place.counts

    def _start(
        self, part: FingerprintPart, *, passed: str = "", retried: tuple[str, ...] = ()
    ) -> _BackfillPlace:
        """Return the start of a run after one that ended."""
        return _BackfillPlace(
            version=NEWEST[part],
            formats=self._formats,
            began=clock.now(),
            passed=passed,
            retried=retried,
        )

    def _resume(self, tenant: str, part: FingerprintPart) -> _BackfillPlace:
        """Return the place that an interrupted run reached, else the start of another."""
        start = self._start(part)
        (data,) = self._blobs.get_many([keys.backfill(tenant, part)])
        held = None if data is None else msgspec.json.decode(data, type=_BackfillPlace)
        if held is None or (held.version, held.formats) != (start.version, start.formats):
            return start
        return replace(held, began=start.began) if held.before is None else held

    def _remember(self, tenant: str, part: FingerprintPart, place: _BackfillPlace) -> None:
        self._blobs.put([(keys.backfill(tenant, part), msgspec.json.encode(place))])

    def _remake(
        self, tenant: str, part: FingerprintPart, records: Sequence[Record], place: _BackfillPlace
    ) -> _BackfillPlace:
        """Fingerprint the old ones of some records again, log changes; return the place after."""
        old = [one for one in records if _version(one.fingerprint, part) < NEWEST[part]]
        stored = [one for one in old if one.state.content == "stored"]
        allowed = [one for one in stored if setting(one.fingerprint.format) in self._formats]
        wanted = [one for one in allowed if not place.has_passed(one.state)]
        here = self._with_bytes(tenant, wanted)
        decoded, undecoded = self._decode(tenant, here)
        changed = [(record, pair) for record, pair in decoded if pair[1] != record.fingerprint]
        unsupported = sum(isinstance(error, UnsupportedError) for error in undecoded.values())
        counts = FingerprintCounts(
            pictures=len(records),
            made=self._log(tenant, changed),
            unchanged=len(allowed) - len(wanted) + len(decoded) - len(changed),
            no_bytes=len(old) - len(stored) + len(wanted) - len(here),
            left_out=len(stored) - len(allowed) + unsupported,
            failed=len(undecoded) - unsupported,
        )
        last = records[-1].state
        return replace(
            place,
            before=(last.accepted_at, last.image_id),
            counts=place.counts.plus(counts),
            undecoded=(*place.undecoded, *undecoded)[: RETRIED + 1],
        )

    def _with_bytes(self, tenant: str, records: Sequence[Record]) -> list[tuple[Record, bytes]]:
        """Return records with their stored bytes, without those deleted meanwhile."""
        data = self._blobs.get_many([keys.blob(tenant, one.state.image_id) for one in records])
        return [(one, held) for one, held in zip(records, data, strict=True) if held is not None]

    def _decode(
        self, tenant: str, pictures: Sequence[tuple[Record, bytes]]
    ) -> tuple[list[DecodedRecord], dict[str, SeenitError]]:
        """Decode and fingerprint; return the good ones, and the errors of others by image_id."""
        results = self._perceiver.decode(
            [data for _, data in pictures],
            [Digests(one.fingerprint.sha256, one.fingerprint.md5) for one, _ in pictures],
        )
        decoded: list[DecodedRecord] = []
        undecoded: dict[str, SeenitError] = {}
        for (record, _), result in zip(pictures, results, strict=True):
            if not isinstance(result, SeenitError):
                decoded.append((record, result))
                continue
            if result.retryable:
                raise result
            undecoded[record.state.image_id] = result
            about = {"tenant": tenant, "image_id": record.state.image_id, "reason": result.detail}
            logger.warning("fingerprint_kept", extra=about)
        return decoded, undecoded

    def _log(self, tenant: str, decoded: Sequence[DecodedRecord]) -> int:
        """Write new objects, let one entry name them, and remove those that no record needs."""
        if not decoded:
            return 0
        job = Job(
            job_id=self._new_id(),
            tenant=tenant,
            image_id="",
            kind="refingerprint",
            accepted_at=clock.now(),
        )
        items = self._objects(tenant, job.job_id, decoded)
        self._shelf.write(tenant, items)
        made = tuple(
            Refingerprinted(
                image_id=item.image_id,
                before=record.state.remade,
                pixels=item.fingerprint.pixels_sha256,
                spaces=tuple(item.vectors) if item.preview else None,
            )
            for item, (record, _) in zip(items, decoded, strict=True)
        )
        (operation,) = self._ledger.settle(tenant, [Claim(job=job, refingerprinted=made)])
        states = operation.states if operation is not None else ()
        named = {state.image_id for state in states}
        for item, (record, _) in zip(items, decoded, strict=True):
            if item.image_id not in named:
                self._shelf.drop_remade(tenant, item.image_id, job.job_id)
                continue
            self._shelf.drop_large(tenant, record.state)
            if item.preview:
                self._shelf.drop_pixels(tenant, record.state)
        return len(named)

    def _objects(
        self,
        tenant: str,
        op_id: str,
        decoded: Sequence[DecodedRecord],
    ) -> list[StoredFingerprint]:
        """Return new fingerprints, with preview and vectors where the pixels differ."""
        moved = {
            record.state.image_id: pair
            for record, pair in decoded
            if pair[1].pixels_sha256 != record.fingerprint.pixels_sha256
        }
        embedded = dict(zip(moved, self._perceiver.embed(tenant, moved.values()), strict=True))
        items = []
        for record, (canonical, fingerprint) in decoded:
            image_id = record.state.image_id
            new = embedded.get(image_id)
            items.append(
                StoredFingerprint(
                    image_id=image_id,
                    fingerprint=fingerprint,
                    preview=new.preview if new is not None else b"",
                    large=canonical.large,
                    vectors=new.vectors if new is not None else {},
                    op_id=op_id,
                )
            )
        return items


def _version(fingerprint: Fingerprint, part: FingerprintPart) -> int:
    """Return the version of a part of a fingerprint."""
    return fingerprint.pixels_version if part == "pixels" else fingerprint.features_version
