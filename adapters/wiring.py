"""The composition root: settings in, every part connected, nothing started."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from celery import Celery
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
from core.embedding.pipeline import FingerprintPipeline
from core.embedding.registry import ModelRegistry
from core.embedding.registry import OpensEmbedder as OpensModels
from core.engine_status import EngineStatus
from core.errors import SettingsError
from core.event_log.batch_candidates import BatchCandidates
from core.event_log.ledger import Ledger
from core.event_log.tail import LogFollower
from core.imaging.previews import Previews
from core.ingest.accept import Acceptor
from core.ingest.backpressure import BacklogLimit, lying
from core.ingest.check import Checker, Checks
from core.ingest.process import IngestProcess
from core.ingest.retention import Retention
from core.ingest.sweeper import Sweeper
from core.matching.candidates import fuse
from core.matching.policy import POLICY
from core.ports import Blobs, Embedder, Log, Progress, Queue, ServiceIndex, TextEmbedder
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

Role = Literal["whole", "api", "worker", "beat"]
"""What a process is: all there is, or one of those that share a broker."""


@dataclass(frozen=True, kw_only=True)
class Services:
    """Everything a door may ask, connected; `close` lets go of it all."""

    settings: Settings
    meter: PrometheusMeter
    blobs: Blobs
    log: Log
    index: ServiceIndex
    shelf: PictureStore
    visual: Embedder
    """Of the settings; `models` says which one is a tenant's."""
    caption: TextEmbedder
    models: ModelRegistry
    backfill: Backfill
    queue: Queue
    progress: Progress
    acceptor: Acceptor
    retention: Retention
    checker: Checks
    sight: LoadsQueryPicture
    perceiver: FingerprintPipeline
    snapshots: Snapshots
    reader: RecordReader
    jobs: JobReader
    previews: Previews
    signer: URLSigner
    searcher: Searcher
    calibrations: CalibrationStore
    tuner: Calibrator
    waiter: JobWaiter
    follower: LogFollower
    ledger: Ledger
    ingest: IngestProcess
    sweeper: Sweeper
    broker: Broker
    celery: Celery
    decoder: DecoderPool | None
    """None where no picture is decoded in this process."""
    lock: EngineLock
    engine: EngineStatus
    """Of this process; written by its engine, if it has one."""
    admin_tasks: AdminTasks
    remote: RemoteModels | None
    """What workers say of their models, where this process asks them."""
    replies: RPCServer | None
    """How a worker answers questions."""

    def close(self) -> None:
        """Stop the children, close files and connections."""
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
    """Connect everything that a role needs; start nothing.

    `whole` and `worker` have decoders and models, or `visual` and `caption` in place of those that
    the settings name; `api` and `beat` have neither and ask workers. Raises SettingsError for a URL
    that no adapter takes and for a role that cannot work with it, StoreUnavailableError for a store
    that cannot be opened or does not honour create-only puts.
    """
    _check(settings, role)
    blobs = open_blobs(settings.blobs_url, durable=settings.durable)
    probe(blobs)
    meter = PrometheusMeter()
    log = BlobLog(blobs)
    shelf = PictureStore(blobs)
    index = open_index(settings)
    broker = open_broker(settings, meter)
    progress, celery, queue = broker.progress, broker.celery, broker.queue
    follower = LogFollower(log, index)
    snapshots = Snapshots(index, follower, shelf)
    remote = replies = decoder = None
    opens: OpensModels
    sources: dict[SpaceKind, str]
    if role in ("api", "beat"):
        remote = RemoteModels(RPCClient(celery, settings.broker_url, settings.query_seconds))
        opens, sources = RemoteEmbedderFactory(remote), {"visual": OWN, "caption": OWN}
    else:
        decoder = DecoderPool(settings.limits, settings.decoders, meter=meter)
        opens = EmbedderFactory(settings)
        sources = {"visual": settings.model, "caption": settings.caption_model}
    if role == "worker":
        replies = RPCServer(settings.broker_url, meter)
    seeing = visual if visual is not None else opens.visual(sources["visual"])
    reading = caption if caption is not None else opens.caption(sources["caption"])
    models = ModelRegistry(
        visual=seeing,
        caption=reading,
        sources=sources,
        standings=lambda tenant: snapshots.take(tenant).active_spaces(),
        opens=opens,
    )
    gallery = PictureLoader(shelf, POLICY, lambda tenant: models.space_id(tenant, "visual"))
    perceiver = FingerprintPipeline(decoder or AbsentDecoder(), models)
    ledger = Ledger(
        log=log,
        blobs=blobs,
        index=index,
        sight=gallery,
        shelf=shelf,
        rules=rules(settings, models),
        pool=lambda: BatchCandidates(measured, POLICY),
        fuse=lambda hits: fuse(hits, POLICY),
        follower=follower,
        meter=meter,
    )
    meter.watch("log_lag_entries", "Entries that could not be projected yet.", ledger.behind)
    asking = None
    if remote is not None:  # what is gone after the answer need not outlive a power cut
        passing = open_blobs(settings.blobs_url, durable=False)
        asking = RemotePictureLoader(remote, passing, settings.limits, _new_id)
    checker = Checker(perceiver, gallery, ledger, _new_id, settings.limits.bytes, meter=meter)
    jobs = JobReader(snapshots, blobs, progress)
    calibrations = CalibrationStore(blobs)
    acceptor = Acceptor(
        blobs,
        shelf,
        queue,
        settings.limits,
        _new_id,
        meter=meter,
        backlog=BacklogLimit(
            queue.depth if broker.shared else lambda: lying(blobs, settings.backlog),
            settings.backlog,
        ),
    )
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
        acceptor=acceptor,
        retention=Retention(
            snapshots,
            jobs,
            acceptor,
            blobs,
            bytes_days=settings.retain_bytes_days,
            records_days=settings.retain_records_days,
        ),
        checker=asking or checker,
        sight=asking or perceiver,
        perceiver=perceiver,
        snapshots=snapshots,
        reader=RecordReader(snapshots, jobs),
        jobs=jobs,
        previews=Previews(shelf.preview),
        signer=URLSigner(url_secret(settings.data, settings.url_secret.get_secret_value())),
        searcher=Searcher(
            snapshots,
            models,
            asking or perceiver,
            hubs=calibrations.bank,
            scale=calibrations.bands,
        ),
        calibrations=calibrations,
        tuner=Calibrator(index, models, calibrations),
        waiter=JobWaiter(progress, jobs.ended),
        follower=follower,
        ledger=ledger,
        ingest=IngestProcess(
            blobs=blobs,
            shelf=shelf,
            gallery=gallery,
            perceiver=perceiver,
            ledger=ledger,
            progress=progress,
            meter=meter,
        ),
        sweeper=Sweeper(
            blobs,
            queue,
            broker.sweep_seconds,
            held=broker.held,
            backlog=settings.backlog,
            meter=meter,
        ),
        broker=broker,
        celery=celery,
        decoder=decoder,
        lock=EngineLock(settings.data),
        engine=EngineStatus(),
        admin_tasks=AdminTasks(blobs, broker.queue.send_admin_task),
        remote=remote,
        replies=replies,
    )


def door(settings: Settings) -> Services:
    """Build for a door: the role `api` where workers share the broker, else `whole`."""
    return build(settings, role="api" if shared(settings) else "whole")


def _check(settings: Settings, role: Role) -> None:
    """Whether a role can do its work with these settings. Raise SettingsError."""
    if role == "whole":
        return
    if not shared(settings):
        raise SettingsError(
            "SEENIT_BROKER_URL=memory:// stays inside one process, and this is one of several: "
            "name a Redis (redis://HOST:6379/0), or use `seenit up`, which is all in one"
        )
    if settings.blobs_url.startswith("memory:"):
        raise SettingsError(
            "SEENIT_BLOBS_URL=memory:// is seen by one process alone: name a folder that all "
            "processes share (file:///…) or a bucket"
        )


def _new_id() -> str:
    return str(uuid7())
