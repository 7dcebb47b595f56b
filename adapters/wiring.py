"""The composition root: settings in, every part connected, nothing started."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from celery import Celery
from uuid_utils import uuid7

from adapters.absent_embedder import AbsentEmbedder
from adapters.blobs import open_blobs, probe
from adapters.caption_embedder import CaptionEmbedder
from adapters.celery_queue import CeleryQueue, create_celery
from adapters.decoder import Decoders
from adapters.errands import Errands
from adapters.local_index import LocalIndex
from adapters.lock import EngineLock
from adapters.log import BlobLog
from adapters.meter import PrometheusMeter
from adapters.progress import MemoryProgress
from adapters.secret import url_secret
from adapters.settings import Settings
from adapters.visual_embedder import VisualEmbedder
from core.accept import Acceptor
from core.backfill import Backfill
from core.calibrations import Calibrations
from core.candidates import agrees, fuse, measure, worth
from core.check import Checker
from core.crowd import Crowd
from core.errors import SettingsError
from core.follow import Follower
from core.gallery import Gallery
from core.ingest import Ingest
from core.ledger import Ledger
from core.models import Models
from core.perceive import PIPELINE_VERSION, Perceiver
from core.policy import POLICY
from core.ports import Blobs, Embedder, Log, Progress, Queue, TextEmbedder
from core.previews import Previews
from core.reading import Reader
from core.replay import replay
from core.search import Searcher
from core.shelf import Shelf
from core.signing import Signer
from core.sweep import Hand, Sweeper
from core.tuning import Tuner
from core.types import Hit, Query
from core.verdict import Decisions, Rules
from core.waiting import Waiter


@dataclass(frozen=True, kw_only=True)
class Services:
    """Everything a door may ask, connected; `close` lets go of it all."""

    settings: Settings
    meter: PrometheusMeter
    blobs: Blobs
    log: Log
    index: LocalIndex
    shelf: Shelf
    visual: Embedder
    """Of the settings; `models` says which one is a tenant's."""
    caption: TextEmbedder
    models: Models
    backfill: Backfill
    queue: Queue
    progress: Progress
    acceptor: Acceptor
    checker: Checker
    reader: Reader
    previews: Previews
    signer: Signer
    searcher: Searcher
    calibrations: Calibrations
    tuner: Tuner
    waiter: Waiter
    follower: Follower
    ledger: Ledger
    ingest: Ingest
    sweeper: Sweeper
    hand: Hand
    celery: Celery
    decoder: Decoders
    lock: EngineLock
    errands: Errands

    def close(self) -> None:
        """Stop the children, close the files."""
        self.decoder.close()
        self.index.close()
        self.celery.close()


def build(
    settings: Settings,
    *,
    visual: Embedder | None = None,
    caption: TextEmbedder | None = None,
) -> Services:
    """Connect everything. `visual` and `caption` stand for the models that the settings name.

    Raises SettingsError for a URL that no adapter takes, StoreUnavailableError for a store that
    cannot be opened or does not honour create-only puts.
    """
    blobs = open_blobs(settings.blobs_url, durable=settings.durable)
    probe(blobs)
    meter = PrometheusMeter()
    log = BlobLog(blobs)
    shelf = Shelf(blobs)
    index = _open_index(settings)
    decoder = Decoders(settings.limits, settings.decoders)
    progress = MemoryProgress()
    celery = create_celery(settings.broker_url, batch=settings.batch)
    hand = Hand()
    queue = CeleryQueue(celery, hand)
    follower = Follower(log, index)
    opens = Opens(settings)
    seeing = visual if visual is not None else opens.visual(settings.model)
    reading = caption if caption is not None else opens.caption(settings.caption_model)
    models = Models(
        visual=seeing,
        caption=reading,
        sources={"visual": settings.model, "caption": settings.caption_model},
        standings=follower.standings,
        opens=opens,
    )
    gallery = Gallery(shelf, POLICY, lambda tenant: models.space_id(tenant, "visual"))
    perceiver = Perceiver(decoder, models)
    ledger = Ledger(
        log=log,
        blobs=blobs,
        index=index,
        sight=gallery,
        shelf=shelf,
        rules=_rules(settings, models),
        pool=lambda: Crowd(_measure, POLICY),
        fuse=lambda hits: fuse(hits, POLICY),
        follower=follower,
        meter=meter,
    )
    meter.watch("log_lag_entries", "Entries that could not be projected yet.", ledger.behind)
    reader = Reader(index, follower, shelf, blobs, progress)
    calibrations = Calibrations(blobs)
    return Services(
        settings=settings,
        meter=meter,
        blobs=blobs,
        log=log,
        index=index,
        shelf=shelf,
        visual=seeing,
        caption=reading,
        models=models,
        backfill=Backfill(index=index, shelf=shelf, ledger=ledger, new_id=_new_id),
        queue=queue,
        progress=progress,
        acceptor=Acceptor(blobs, shelf, queue, settings.limits, _new_id, meter=meter),
        checker=Checker(perceiver, gallery, ledger, _new_id, settings.limits.bytes, meter=meter),
        reader=reader,
        previews=Previews(reader),
        signer=Signer(url_secret(settings.data, settings.url_secret.get_secret_value())),
        searcher=Searcher(
            index,
            follower,
            shelf,
            models,
            perceiver,
            hubs=calibrations.bank,
            scale=calibrations.bands,
        ),
        calibrations=calibrations,
        tuner=Tuner(index, models, calibrations),
        waiter=Waiter(progress, reader.ended),
        follower=follower,
        ledger=ledger,
        ingest=Ingest(
            blobs=blobs,
            shelf=shelf,
            gallery=gallery,
            perceiver=perceiver,
            ledger=ledger,
            progress=progress,
            meter=meter,
        ),
        sweeper=Sweeper(blobs, queue),
        hand=hand,
        celery=celery,
        decoder=decoder,
        lock=EngineLock(settings.data),
        errands=Errands(settings.data / "errands"),
    )


def rebuild(services: Services, told: Callable[[int, int, int], None]) -> tuple[int, int, int]:
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
            services.index.swap(fresh_path)
    finally:
        fresh.close()
    return done, total, records


def index_path(settings: Settings) -> Path:
    """The file of the embedded index."""
    parts = urlsplit(settings.index_url)
    if parts.scheme != "sqlite":
        raise SettingsError(f"SEENIT_INDEX_URL: no index of scheme {parts.scheme!r}; use sqlite:")
    return Path(unquote(parts.path))


def _open_index(settings: Settings) -> LocalIndex:
    path = index_path(settings)
    path.parent.mkdir(parents=True, exist_ok=True)
    return LocalIndex(path, POLICY, durable=settings.durable)


class Opens:
    """Embedders by the names of their models."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def visual(self, source: str) -> Embedder:
        """A hub id, a folder, or none."""
        if source == "none":
            return AbsentEmbedder("SEENIT_MODEL=none: no visual model is wanted")
        return VisualEmbedder(
            source,
            device=self._settings.device,
            dtype=self._settings.dtype,
            similar_at=self._settings.similar_at,
        )

    def caption(self, source: str) -> TextEmbedder:
        """A hub id, a folder, or none."""
        if source == "none":
            return AbsentEmbedder("SEENIT_CAPTION_MODEL=none: no caption model is wanted")
        return CaptionEmbedder(source, device=self._settings.device, dtype=self._settings.dtype)


def _rules(settings: Settings, models: Models) -> Rules:
    return Rules(
        policy_version=POLICY.version,
        pipeline_version=PIPELINE_VERSION,
        worth=lambda hits, space_id: worth(hits, POLICY, _similar_at(models, space_id)),
        agrees=lambda hit: agrees(hit, POLICY),
        similar_at=lambda space_id: _similar_at(models, space_id),
        decisions=Decisions(
            new=settings.decision_new,
            similar=settings.decision_similar,
            changed=settings.decision_changed,
        ),
        matches=POLICY.matches,
    )


def _measure(query: Query, anchor: Query) -> Hit | None:
    vector = anchor.vector if anchor.space_id == query.space_id else None
    return measure(query, anchor.image_id, anchor.fingerprint, vector, POLICY)


def _similar_at(models: Models, space_id: str | None) -> float | None:
    space = models.of(space_id) if space_id is not None else None
    return None if space is None else space.similar_at


def _new_id() -> str:
    return str(uuid7())
