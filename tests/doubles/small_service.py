"""Minimal service for tests of the HTTP API.

Store, index, acceptor, reader and waiter are the real ones. A queue that settles each job when it
is enqueued replaces worker and log: equal bytes are exact copies, all else is new.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from uuid_utils import uuid7

from adapters.blobs.opening import open_blobs
from adapters.broker.memory_progress import MemoryProgress
from adapters.process_lock import EngineLock
from adapters.prometheus import PrometheusMeter
from adapters.settings import Settings
from adapters.sqlite_index import SQLiteIndex
from adapters.url_secret import url_secret
from core import clock, keys
from core.admin_tasks import AdminTasks
from core.calibration.store import CalibrationStore
from core.embedding.pipeline import FingerprintPipeline
from core.engine_status import EngineStatus
from core.errors import (
    BrokenError,
    ConflictError,
    GoneError,
    PreconditionError,
    QueueUnavailableError,
)
from core.event_log.overlay_state import OverlayLayer
from core.event_log.tail import LogTail
from core.imaging.decoding import inspect
from core.imaging.previews import Previews
from core.ingest.accept import Acceptor
from core.ingest.backpressure import BacklogLimit
from core.matching.policy import POLICY
from core.queries.jobs import JobReader
from core.queries.records import RecordReader
from core.queries.snapshot import Snapshots
from core.queries.wait import JobWaiter
from core.records import Job, LogPlace, Outcome, Problem, Record, State, Tombstone
from core.search.searcher import Searcher
from core.storage.picture_store import PictureStore
from core.storage.signed_urls import URLSigner
from core.types import Decision, Space, Verdict
from tests.doubles.records import fingerprint
from tests.doubles.toy_embedder import ToyEmbedder
from tests.doubles.toys import Decoder, ToyCaptions

SPACE = Space(space_id="visual-0a0a0a0a", kind="visual", model="toy", dimensions=8, similar_at=0.9)
KEYS = tuple(f"key-of-tenant-t{n}:t{n}:admin" for n in range(400))
"""Keys, one for each test's own tenant."""
MAX_BYTES = 100_000
BROKEN = b"broken inside"
"""End of a file that fails when it is settled."""


def tail_of(
    *,
    states: Mapping[str, State] = {},
    removed: Mapping[str, Tombstone] = {},
    outcomes: Mapping[str, Outcome] = {},
    head: int = 0,
) -> LogTail:
    """Return a tail of a log, with these effects of its entries."""
    layer = OverlayLayer()
    layer.states, layer.removed = dict(states), dict(removed)
    layer.outcomes = dict(outcomes)
    return LogTail("", head, "", (), layer)


@dataclass
class Follower:
    """Log follower with the tails that a test sets; none by default."""

    index: SQLiteIndex
    tails: dict[str, LogTail] = field(default_factory=dict)
    fails: Exception | None = None
    faults: dict[str, str] = field(default_factory=dict)

    def tail(self, tenant: str) -> LogTail:
        if self.fails is not None:
            raise self.fails
        return self.tails.get(tenant, tail_of(head=self.index.watermark(tenant)))


class Queue:
    """Queue that settles at once, holds jobs until `run`, or is down."""

    def __init__(self, settle: Callable[[str, str], None]) -> None:
        self._settle = settle
        self.paused = False
        self.down = False
        self.held: list[tuple[str, str]] = []

    def enqueue(self, jobs: Sequence[tuple[str, str]]) -> None:
        """Settle the jobs, or hold them."""
        if self.down:
            raise QueueUnavailableError("the broker does not answer")
        self.held += jobs
        if not self.paused:
            self.run()

    def run(self) -> None:
        """Settle the jobs that are held."""
        held, self.held = self.held, []
        for tenant, job_id in held:
            self._settle(tenant, job_id)

    def depth(self, tenant: str | None = None) -> int:  # noqa: ARG002 - the port's
        if self.down:
            raise QueueUnavailableError("the broker does not answer")
        return len(self.held)

    def check_writable(self) -> None:
        """Raise if the queue is down, like `depth`."""
        self.depth()


class Checker:
    """Checker that compares bytes alone."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self.gate = threading.Event()
        self.gate.set()

    def check(self, tenant: str, data: bytes) -> tuple[Verdict, Decision]:
        """Wait for the gate, then check."""
        self.gate.wait(10)
        inspect(data, self._service.settings.limits)
        if data.endswith(BROKEN):
            raise BrokenError("the data ends too early")
        found = self._service.judge(tenant, hashlib.sha256(data).hexdigest())
        return found, decision("allow")


class Colours(ToyEmbedder):
    """Embedder of pictures by their colours, absent until a test enables it."""

    absent: str | None = "no visual model is wanted"


class Models:
    """Registry with one embedder of each kind for every tenant."""

    def __init__(self, visual: Colours, caption: ToyCaptions) -> None:
        self._visual = visual
        self._caption = caption

    def visual(self, _: str) -> Colours:
        return self._visual

    def caption(self, _: str) -> ToyCaptions:
        return self._caption

    def spaces(self, _: str) -> list[str]:
        """Return no spaces, so that statistics count none."""
        return []

    def space_id(self, _: str, kind: str) -> str | None:
        embedder = self._visual if kind == "visual" else self._caption
        return None if embedder.absent else embedder.space.space_id


class Service:
    """Services that `create_app` receives."""

    def __init__(self, folder: Path, **settings: Any) -> None:  # noqa: ANN401  # any setting
        self.settings = Settings(
            data=folder, model="none", durable=False, operation_seconds=0.3, **settings
        )
        self.meter = PrometheusMeter()
        self.blobs = open_blobs(self.settings.blobs_url, durable=False)
        self.index = SQLiteIndex(folder / "index.sqlite", POLICY, durable=False)
        self.shelf = PictureStore(self.blobs)
        self.follower = Follower(self.index)
        self.progress = MemoryProgress()
        self.queue = Queue(self._settle)
        self.moment = 0.0
        """Time at which the queue's depth is read again."""
        self.acceptor = Acceptor(
            self.blobs,
            self.shelf,
            self.queue,
            self.settings.limits,
            lambda: str(uuid7()),
            backlog=BacklogLimit(
                self.queue.depth, self.settings.backlog, clock=lambda: self.moment
            ),
        )
        self.snapshots = Snapshots(self.index, self.follower, self.shelf)
        self.jobs = JobReader(self.snapshots, self.blobs, self.progress)
        self.reader = RecordReader(self.snapshots, self.jobs)
        self.waiter = JobWaiter(self.progress, self.jobs.ended)
        self.checker = Checker(self)
        self.visual = Colours()
        self.caption = ToyCaptions()
        self.caption.absent = "no caption model is wanted"
        self.models = Models(self.visual, self.caption)
        self.searcher = Searcher(
            self.snapshots,
            self.models,
            FingerprintPipeline(Decoder(), self.models),
        )
        self.signer = URLSigner(url_secret(folder))
        self.previews = Previews(self.shelf.preview)
        self.calibrations = CalibrationStore(self.blobs)
        self.admin_tasks = AdminTasks(self.blobs)
        self.remote = None
        self.engine = EngineStatus()
        self.lock = EngineLock(folder)
        self.tenant = "default"
        self._lock = threading.Lock()
        self.mend()  # so that a test finds the same state wherever it runs in its module

    def mend(self) -> None:
        """Undo the changes of a test."""
        self.engine.running(lambda: None)
        self.queue.paused = self.queue.down = False
        self.queue.held.clear()
        self.follower.tails.clear()
        self.follower.fails = None
        self.visual.absent = "no visual model is wanted"
        self.caption.absent = "no caption model is wanted"
        self.checker.gate.set()

    def close(self) -> None:
        self.index.close()

    def judge(self, tenant: str, sha256: str) -> Verdict:
        """Return `exact` if the bytes are known, else `new`."""
        same = self.index.find_states(tenant, sha256=[sha256])
        return verdict("exact", same[0].original) if same else verdict("new", None)

    # --- the settling of one job ----------------------------------------------------------------

    def _settle(self, tenant: str, job_id: str) -> None:
        with self._lock:
            key = keys.pending(tenant, job_id)
            job = msgspec.json.decode(self.blobs.get(key), type=Job)
            try:
                records, removed = getattr(self, f"_{job.kind}")(tenant, job)
                self._project(tenant, job, records, removed, None)
            except (BrokenError, ConflictError, GoneError, PreconditionError) as error:
                problem = Problem(
                    type=error.type, title=error.title, status=error.status, detail=error.detail
                )
                self._project(tenant, job, [], [], problem)
            self.blobs.create_many([(keys.done(tenant, job_id), b"1")])
            self.blobs.delete([key])

    def _ingest(self, tenant: str, job: Job) -> tuple[list[Record], list[str]]:
        data = self.blobs.get(keys.blob(tenant, job.image_id))
        if data.endswith(BROKEN):
            raise BrokenError("the data ends too early")
        found = self.judge(tenant, job.sha256)
        print_ = fingerprint(
            int(job.sha256[:6], 16),
            sha256=job.sha256,
            md5=job.md5,
            bytes=job.bytes,
            format=job.format,
            pixels_sha256=job.sha256,
        )
        self.blobs.put(
            [
                (
                    keys.derived(tenant, job.image_id, "fingerprint"),
                    msgspec.msgpack.encode(print_),
                ),
                (keys.derived(tenant, job.image_id, "preview"), data),
            ]
        )
        keep = job.keep_bytes or found.kind == "new"
        if not keep:
            self.shelf.discard(tenant, [job.image_id])
        state = State(
            image_id=job.image_id,
            sha256=job.sha256,
            pixels=job.sha256,
            accepted_at=job.accepted_at,
            updated_at=clock.now(),
            verdict=found,
            decision=decision("allow"),
            anchor=LogPlace(self.index.watermark(tenant) + 1, 0) if found.kind == "new" else None,
            content="stored" if keep else "discarded",
            fields=job.fields,
        )
        return self.shelf.join(tenant, 1, [state]), []

    def _delete(self, tenant: str, job: Job) -> tuple[list[Record], list[str]]:
        if self.index.read_tombstones(tenant, [job.image_id])[0] is not None:
            raise GoneError("it was deleted")
        if job.if_match is not None:
            self._present(tenant, job)
        self._check_hold(tenant, job)
        self.blobs.create_many([(keys.tombstone(tenant, job.image_id), b"")])
        self.shelf.remove(tenant, [job.image_id])
        return [], [job.image_id]

    def _edit(self, tenant: str, job: Job) -> tuple[list[Record], list[str]]:
        changes: dict[str, Any] = {} if job.fields is None else {"fields": job.fields}
        if job.hold_until is not msgspec.UNSET:
            changes["hold_until"] = job.hold_until
        return self._changed(tenant, job, **changes)

    def _decide(self, tenant: str, job: Job) -> tuple[list[Record], list[str]]:
        made = decision(job.value or "review", by="person", reason=job.fields)
        return self._changed(tenant, job, decision=made)

    def _purge(self, tenant: str, job: Job) -> tuple[list[Record], list[str]]:
        self._check_hold(tenant, job)
        self.shelf.purge(tenant, job.image_id)
        return self._changed(tenant, job, content="purged")

    def _changed(
        self,
        tenant: str,
        job: Job,
        **changes: Any,  # noqa: ANN401  # any part of a state
    ) -> tuple[list[Record], list[str]]:
        state = self._present(tenant, job)
        changed = msgspec.structs.replace(
            state, revision=state.revision + 1, updated_at=clock.now(), **changes
        )
        return self.shelf.join(tenant, 1, [changed]), []

    def _check_hold(self, tenant: str, job: Job) -> None:
        state = self.index.read_states(tenant, [job.image_id])[0]
        if state is not None and state.held(clock.now()):
            raise ConflictError(f"held until {state.hold_until}")

    def _present(self, tenant: str, job: Job) -> State:
        state = self.index.read_states(tenant, [job.image_id])[0]
        if state is None:
            raise GoneError("it was deleted")
        if job.if_match not in (None, state.revision):
            raise PreconditionError("another revision")
        return state

    def _project(
        self,
        tenant: str,
        job: Job,
        records: Iterable[Record],
        removed: Iterable[str],
        problem: Problem | None,
    ) -> None:
        seq = self.index.watermark(tenant) + 1
        at = clock.now()
        kept = [msgspec.structs.replace(record, seq=seq) for record in records]
        told = kept[0].state if kept else None
        ended = Outcome(
            job_id=job.job_id,
            image_id=job.image_id,
            kind=job.kind,
            seq=seq,
            accepted_at=job.accepted_at,
            finished_at=at,
            verdict=told.verdict if told is not None else None,
            decision=told.decision if told is not None else None,
            problem=problem,
        )
        stones = [Tombstone(image_id, seq, at) for image_id in removed]
        self.index.project_entry(tenant, seq, kept, stones, [ended])
        self.progress.publish(tenant, [job.job_id], "failed" if problem else "done")


def verdict(kind: Any, original: str | None) -> Verdict:  # noqa: ANN401  # a literal
    """Make a verdict without matches."""
    return Verdict(
        kind=kind,
        original=original,
        policy_version="1",
        pipeline_version="1",
        decided_at=clock.now(),
    )


def decision(value: Any, *, by: Any = "policy", reason: str | None = None) -> Decision:  # noqa: ANN401  # literals
    """Make a decision with the present time."""
    return Decision(value=value, by=by, at=clock.now(), reason=reason)
