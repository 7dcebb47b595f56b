"""Composition root: connects every part according to the settings, and starts none."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial
from typing import Literal

from uuid_utils import uuid7

from adapters.blobs.opening import open_blobs, probe
from adapters.broker import Broker, open_broker
from adapters.decoding.none import AbsentDecoder
from adapters.decoding.pool import DecoderPool
from adapters.event_log import BlobLog
from adapters.factories import EmbedderFactory, open_index, shared
from adapters.process_lock import EngineLock
from adapters.prometheus import PrometheusMeter
from adapters.rules import measured, rules
from adapters.settings import Settings
from adapters.url_secret import url_secret
from adapters.worker_rpc.remote_models import (
    OWN,
    CheckReply,
    ModelReport,
    RemoteEmbedderFactory,
    RemoteModels,
    RemotePictureLoader,
    VectorsReply,
)
from adapters.worker_rpc.rpc import RPCClient, RPCServer, budget
from core.admin_tasks import AdminTasks
from core.calibration.calibrate import Calibrator
from core.calibration.store import CalibrationStore
from core.embedding.backfill import Backfill
from core.embedding.fingerprint_backfill import FingerprintBackfill
from core.embedding.pipeline import FingerprintPipeline
from core.embedding.registry import ModelRegistry
from core.embedding.registry import OpensEmbedder as OpensModels
from core.engine_status import EngineStatus
from core.errors import DiskFullError, SettingsError
from core.event_log.batch_candidates import BatchCandidates
from core.event_log.ledger import Ledger
from core.event_log.projector import Projector
from core.event_log.tail import LogFollower
from core.imaging.previews import Previews
from core.index_port import ServiceIndex
from core.ingest.accept import Acceptor
from core.ingest.backpressure import BacklogLimit, lying
from core.ingest.check import Checker, Checks
from core.ingest.process import IngestProcess
from core.ingest.retention import Retention
from core.ingest.sweeper import Sweeper
from core.matching.candidates import fuse
from core.matching.policy import POLICY
from core.ports import Blobs, Embedder, Log, Progress, Queue, TextEmbedder
from core.queries.jobs import JobReader
from core.queries.records import RecordReader
from core.queries.snapshot import Snapshots
from core.queries.wait import JobWaiter
from core.search.searcher import LoadsQueryPicture, Searcher
from core.storage.picture_loader import PictureLoader
from core.storage.picture_store import PictureStore
from core.storage.signed_urls import URLSigner
from core.types import SpaceKind

__all__ = [
    "OWN",
    "CheckReply",
    "ModelReport",
    "RPCServer",
    "Role",
    "Services",
    "VectorsReply",
    "budget",
    "build",
    "door",
    "shared",
]

logger = logging.getLogger(__name__)

Role = Literal["whole", "api", "worker", "beat"]
"""Role of a process: the whole service, or one of the processes that share a broker."""


@dataclass(frozen=True, kw_only=True)
class _Stores:
    """Settings of a process, and the stores and queues it reads and writes."""

    settings: Settings
    meter: PrometheusMeter
    blobs: Blobs
    log: Log
    index: ServiceIndex
    shelf: PictureStore
    follower: LogFollower
    snapshots: Snapshots
    broker: Broker
    queue: Queue
    progress: Progress
    admin_tasks: AdminTasks


@dataclass(frozen=True, kw_only=True)
class _Models:
    """Decoders and models: in this process, or reached through workers."""

    decoder: DecoderPool | None
    """None where no picture is decoded in this process."""
    visual: Embedder
    """Model of the settings; `models` has the one of each tenant."""
    caption: TextEmbedder
    models: ModelRegistry
    perceiver: FingerprintPipeline
    remote: RemoteModels | None
    """Models of the workers, in a process without its own."""
    replies: RPCServer | None
    """Server of calls from the API, in a worker."""


@dataclass(frozen=True, kw_only=True)
class _Ingest:
    """Path of a picture, from its upload or check to the index."""

    acceptor: Acceptor
    ingest: IngestProcess
    ledger: Ledger
    projector: Projector
    checker: Checks
    sight: LoadsQueryPicture
    sweeper: Sweeper
    backfill: Backfill
    fingerprints: FingerprintBackfill


@dataclass(frozen=True, kw_only=True)
class _Queries:
    """Reads of records, jobs and previews, searches, and calibration."""

    reader: RecordReader
    jobs: JobReader
    previews: Previews
    signer: URLSigner
    searcher: Searcher
    calibrations: CalibrationStore
    tuner: Calibrator
    waiter: JobWaiter


@dataclass(frozen=True, kw_only=True)
class Services(_Stores, _Models, _Ingest, _Queries):
    """All connected parts of a process; `close` releases them."""

    retention: Retention
    lock: EngineLock
    engine: EngineStatus
    """State of this process's engine, which writes it, if it has one."""

    def close(self) -> None:
        """Stop the decoding processes, and close files and connections."""
        if self.decoder is not None:
            self.decoder.close()
        if self.remote is not None:
            self.remote.calls.close()
        if self.replies is not None:
            self.replies.close()
        self.index.close()
        self.broker.close()


def build(
    settings: Settings,
    *,
    role: Role = "whole",
    visual: Embedder | None = None,
    caption: TextEmbedder | None = None,
) -> Services:
    """Connect every part that a role needs and return them; start none.

    `whole` and `worker` have decoders and models: `visual` and `caption` if given, else the models
    that the settings name. `api` and `beat` have neither and call workers. Raise SettingsError for
    a URL that no adapter supports or that the role cannot work with, StoreUnavailableError for a
    store that cannot be opened or does not honour create-only puts.
    """
    _check(settings, role)
    stores = _open_stores(settings)
    models = _open_models(stores, role, visual, caption)
    ingest = _connect_ingest(stores, models)
    queries = _connect_queries(stores, models, ingest.sight)
    retention = Retention(
        stores.snapshots,
        queries.jobs,
        ingest.acceptor,
        stores.blobs,
        bytes_days=settings.retain_bytes_days,
        records_days=settings.retain_records_days,
    )
    return Services(
        **vars(stores),
        **vars(models),
        **vars(ingest),
        **vars(queries),
        retention=retention,
        lock=EngineLock(settings.data),
        engine=EngineStatus(),
    )


def _open_stores(settings: Settings) -> _Stores:
    blobs = open_blobs(settings.blobs_url, durable=settings.durable)
    try:
        probe(blobs)
    except DiskFullError as error:  # of a directory, which honours creates: it can be read
        logger.error("store_not_probed", extra={"reason": error.detail})  # noqa: TRY400  no defect
    meter = PrometheusMeter()
    log, index, broker = BlobLog(blobs), open_index(settings), open_broker(settings, meter)
    shelf, follower = PictureStore(blobs), LogFollower(log, index)
    return _Stores(
        settings=settings,
        meter=meter,
        blobs=blobs,
        log=log,
        index=index,
        shelf=shelf,
        follower=follower,
        snapshots=Snapshots(index, follower, shelf),
        broker=broker,
        queue=broker.queue,
        progress=broker.progress,
        admin_tasks=AdminTasks(blobs, broker.queue.send_admin_task),
    )


def _open_models(
    stores: _Stores, role: Role, visual: Embedder | None, caption: TextEmbedder | None
) -> _Models:
    settings = stores.settings
    remote = replies = decoder = None
    opens: OpensModels
    sources: dict[SpaceKind, str]
    if role in ("api", "beat"):
        calls = RPCClient(settings.broker_url, settings.query_seconds)
        remote = RemoteModels(calls)
        opens, sources = RemoteEmbedderFactory(remote), {"visual": OWN, "caption": OWN}
    else:
        decoder = DecoderPool(settings.limits, settings.decoders, meter=stores.meter)
        opens = EmbedderFactory(settings)
        sources = {"visual": settings.model, "caption": settings.caption_model}
    if role == "worker":
        replies = RPCServer(settings.broker_url, stores.meter)
    visual = opens.visual(sources["visual"]) if visual is None else visual
    caption = opens.caption(sources["caption"]) if caption is None else caption
    models = ModelRegistry(
        visual=visual,
        caption=caption,
        sources=sources,
        standings=lambda tenant: stores.snapshots.take(tenant).active_spaces(),
        opens=opens,
    )
    return _Models(
        decoder=decoder,
        visual=visual,
        caption=caption,
        models=models,
        perceiver=FingerprintPipeline(decoder or AbsentDecoder(), models),
        remote=remote,
        replies=replies,
    )


def _connect_ingest(stores: _Stores, models: _Models) -> _Ingest:
    settings, blobs, shelf, meter = stores.settings, stores.blobs, stores.shelf, stores.meter
    gallery = _picture_loader(shelf, models)
    projector = Projector(
        log=stores.log,
        blobs=blobs,
        index=stores.index,
        shelf=shelf,
        follower=stores.follower,
        meter=meter,
    )
    faults = stores.follower.faults
    meter.watch("logs_stopped", "Tenants whose log cannot be followed.", lambda: len(faults))
    meter.watch("log_lag_entries", "Entries that could not be projected yet.", projector.behind)
    ledger = _ledger(stores, models.models, gallery, projector)
    remote_pictures = None
    if models.remote is not None:  # deleted after the answer, so it need not survive a power cut
        passing = open_blobs(settings.blobs_url, durable=False)
        remote_pictures = RemotePictureLoader(models.remote, passing, settings.limits, _new_id)
    return _Ingest(
        acceptor=_acceptor(stores),
        ingest=IngestProcess(
            blobs=blobs,
            shelf=shelf,
            gallery=gallery,
            perceiver=models.perceiver,
            ledger=ledger,
            projector=projector,
            progress=stores.progress,
            meter=meter,
        ),
        ledger=ledger,
        projector=projector,
        checker=remote_pictures
        or Checker(models.perceiver, gallery, ledger, _new_id, settings.limits.bytes, meter=meter),
        sight=remote_pictures or models.perceiver,
        sweeper=Sweeper(
            blobs,
            stores.queue,
            stores.broker.sweep_seconds,
            held=stores.broker.held,
            backlog=settings.backlog,
            meter=meter,
        ),
        backfill=Backfill(
            index=stores.index, shelf=shelf, ledger=ledger, projector=projector, new_id=_new_id
        ),
        fingerprints=_fingerprint_backfill(stores, models, ledger, projector),
    )


def _picture_loader(shelf: PictureStore, models: _Models) -> PictureLoader:
    def space(tenant: str) -> str | None:
        return models.models.space_id(tenant, "visual")

    return PictureLoader(shelf, POLICY, space, extractor=models.decoder)


def _fingerprint_backfill(
    stores: _Stores, models: _Models, ledger: Ledger, projector: Projector
) -> FingerprintBackfill:
    return FingerprintBackfill(
        blobs=stores.blobs,
        index=stores.index,
        shelf=stores.shelf,
        perceiver=models.perceiver,
        ledger=ledger,
        projector=projector,
        formats=stores.settings.limits.formats,
        new_id=_new_id,
    )


def _ledger(
    stores: _Stores, models: ModelRegistry, gallery: PictureLoader, projector: Projector
) -> Ledger:
    return Ledger(
        log=stores.log,
        blobs=stores.blobs,
        index=stores.index,
        sight=gallery,
        rules=rules(stores.settings, models),
        pool=lambda: BatchCandidates(measured, POLICY),
        fuse=lambda hits: fuse(hits, POLICY),
        follower=stores.follower,
        projector=projector,
        hint=stores.broker.settle_hint,
        meter=stores.meter,
    )


def _acceptor(stores: _Stores) -> Acceptor:
    settings, blobs, queue = stores.settings, stores.blobs, stores.queue
    most = settings.backlog
    share = max(1, int(most * settings.backlog_share))
    each = share if settings.several_tenants else None
    waiting = queue.depth if stores.broker.shared else partial(lying, blobs, most)
    return Acceptor(
        blobs,
        stores.shelf,
        queue,
        settings.limits,
        _new_id,
        meter=stores.meter,
        backlog=BacklogLimit(waiting, most, each=each),
    )


def _connect_queries(stores: _Stores, models: _Models, sight: LoadsQueryPicture) -> _Queries:
    settings, snapshots = stores.settings, stores.snapshots
    jobs = JobReader(snapshots, stores.blobs, stores.progress)
    calibrations = CalibrationStore(stores.blobs)
    return _Queries(
        reader=RecordReader(snapshots, jobs),
        jobs=jobs,
        previews=Previews(stores.shelf.preview),
        signer=URLSigner(url_secret(settings.data, settings.url_secret.get_secret_value())),
        searcher=Searcher(
            snapshots,
            models.models,
            sight,
            hubs=calibrations.bank,
            scale=calibrations.bands,
        ),
        calibrations=calibrations,
        tuner=Calibrator(stores.index, models.models, calibrations),
        waiter=JobWaiter(stores.progress, jobs.ended),
    )


def door(settings: Settings) -> Services:
    """Build the parts of an entry point: role `api` if workers share the broker, else `whole`."""
    return build(settings, role="api" if shared(settings) else "whole")


def _check(settings: Settings, role: Role) -> None:
    """Raise SettingsError if a role cannot work with the URLs of the settings."""
    if role == "whole":
        return
    if not shared(settings):
        raise SettingsError(
            f"SEENIT_BROKER_URL=memory:// works within one process, and `{role}` is one of "
            "several: name a Redis (redis://HOST:6379/0), or use `seenit up`, the whole service "
            "in one process"
        )
    if settings.blobs_url.startswith("memory:"):
        raise SettingsError(
            f"SEENIT_BLOBS_URL=memory:// works within one process, and `{role}` is one of "
            "several: name a folder that all processes share (file:///…) or a bucket"
        )


def _new_id() -> str:
    return str(uuid7())
