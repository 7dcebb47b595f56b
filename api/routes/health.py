"""Routes of liveness, readiness (whether uploads can be accepted) and counts."""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Literal

from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.params import SkipValidation

from adapters.wiring import ModelReport, Services
from api.auth import KEYED, OPEN
from api.dependencies import Records, Who
from api.problems import DetailedError, documented, errors
from api.schemas import render
from api.schemas import stats as standing
from api.upload_spool import UploadSpool
from core.embedding.registry import ModelRegistry
from core.errors import (
    EngineUnavailableError,
    SeenitError,
    StoreUnavailableError,
    UnavailableError,
)
from core.ingest.accept import FREE_BYTES
from core.types import MODEL_OFF, SpaceKind

PATIENCE = 2.0
"""Seconds after which a part without an answer counts as down."""
FRESH = 5.0
"""Seconds for which a successful put is not repeated: probes are frequent, and puts may cost."""
PROBE = "probe/ready"

_PATH = re.compile(r"(?:\bfile://|(?<![\w:/.]))/(?:[^\s/:;,'\"`()]+/)*([^\s/:;,'\"`()]+)")

Part = Literal["ok", "down", "absent", "off"]


class HealthChecks:
    """Concurrent checks of every part, each with a time limit."""

    def __init__(self, services: Services, spool: UploadSpool) -> None:
        self._services = services
        self._spool = spool
        self._wrote = float("-inf")
        self._data = f"{services.settings.data}/"

    async def parts(self) -> dict[str, tuple[Part, str]]:
        """Return state and reason of each part; a silent one does not delay the others' checks."""
        services, aside = self._services, self._spool.run
        checks = {
            "blobs": _ask(self._write, aside),
            "index": _ask(self._index),
            "queue": _ask(services.queue.check_writable, aside),
        }
        checks["log"] = self._logs()
        if services.settings.index_replication > 1:
            checks["replicas"] = _ask(services.index.check_replicas)
        models = asyncio.create_task(self._models())
        if services.remote is None:
            checks["engine"] = self._engine()
        answers = await asyncio.gather(*checks.values())
        return {**dict(zip(checks, answers, strict=True)), **await models}

    async def public_parts(self) -> dict[str, tuple[Part, str]]:
        """Return `parts` for callers without a key: of a path in a reason its last part alone."""
        found = await self.parts()
        return {name: (state, self._public(why)) for name, (state, why) in found.items()}

    async def tenants(self) -> tuple[dict[str, standing.TenantState], str]:
        """Return each tenant with waiting jobs or a fault of its log, and why some may lack."""
        names: list[str] = []
        blobs = self._services.blobs
        _, why = await _ask(lambda: names.extend(blobs.keys("pending/")), self._spool.run)
        waiting = Counter(name.split("/")[1] for name in tuple(names))
        faults = dict(self._services.follower.faults)
        found = {
            tenant: standing.TenantState(waiting[tenant], faults.get(tenant))
            for tenant in sorted(waiting.keys() | faults.keys())
        }
        return found, why

    @property
    def stuck(self) -> str | None:
        """Return why uploads accepted here would never be settled, None if they will be.

        Only possible if engine and API are one process: its engine cannot run, and no other process
        holds the data folder, or it would be on standby. A part that is down recovers by itself.
        """
        status = self._services.engine.status
        return self._public(status.reason) if status.state == "failed" else None

    def _public(self, reason: str) -> str:
        """Leave of each path its last part; `_PATH` does not know one with blanks, `data` is."""
        return _PATH.sub(r"\1", reason.replace(self._data, ""))

    def _index(self) -> None:
        self._services.index.watermark("default")
        self._services.index.check_sound()

    async def _logs(self) -> tuple[Part, str]:
        """Return whether every log can be followed, as far as this process has met faults."""
        count = len(self._services.follower.faults)
        if not count:
            return "ok", ""
        logs = "the log of 1 tenant" if count == 1 else f"the logs of {count} tenants"
        return "down", f"{logs} cannot be followed: `seenit doctor` tells which, and why"

    async def _engine(self) -> tuple[Part, str]:
        """Return the engine's state, of this process or of the one that holds the data folder."""
        state, reason = self._services.engine.status
        match state:
            case "running" | "standby":
                return "ok", ""
            case "starting":
                return "absent", reason
            case "waiting" | "failed":
                return "down", reason
        return await self._elsewhere()

    async def _elsewhere(self) -> tuple[Part, str]:
        """Return whether another process holds the data folder, if this one has no engine."""
        held: list[bool] = []
        taken = await _ask(lambda: held.append(self._services.lock.taken()), self._spool.run)
        if taken[0] == "ok" and not held[0]:
            return "absent", "no process holds the data folder: run `seenit up` to settle uploads"
        return taken

    async def _models(self) -> dict[str, tuple[Part, str]]:
        """Return the models' states, of this process or of the workers, and the workers' own."""
        remote = self._services.remote
        if remote is None:
            own = {"visual": self._services.visual, "caption": self._services.caption}
            return {name: _model(embedder.absent) for name, embedder in own.items()}
        reports: dict[SpaceKind, ModelReport] = {}
        worker = await _ask(lambda: reports.update(remote.parts()), self._spool.run)
        if worker[0] == "down":
            return dict.fromkeys(("worker", "visual", "caption"), worker)
        return {"worker": worker, **{kind: _model(one.absent) for kind, one in reports.items()}}

    def _write(self) -> None:
        """Put a blob, as accepting does. Raise StoreUnavailableError."""
        free = self._services.blobs.free()
        if free is not None and free < FREE_BYTES:
            raise StoreUnavailableError(
                f"the disk is full: {free} bytes are free (least {FREE_BYTES})"
            )
        if time.monotonic() - self._wrote > FRESH:
            self._services.blobs.put([(PROBE, b"")])
            self._wrote = time.monotonic()


class HealthRoutes(Controller):
    """The routes below /health, which take no key."""

    path = "/health"
    tags = ("health",)
    opt = OPEN

    @get("/live", summary="Whether the process answers")
    async def get_liveness(self) -> standing.Live:
        """Answer without using any other part."""
        return standing.Live()

    @get("/ready", summary="Whether uploads can be accepted", responses=errors(UnavailableError))
    async def get_readiness(
        self,
        health: NamedDependency[SkipValidation[HealthChecks]],
    ) -> standing.Ready:
        """Return the state of each part; 503 if uploads cannot be accepted, or never settled.

        The latter is the case if this process is the only one and its engine cannot run: uploads
        are still answered 202, and settled once it can. `degraded` if another part is down or
        absent; a model that a setting turns off is `off`, which does not count.
        """
        parts = await health.public_parts()
        states = {name: state for name, (state, _) in parts.items()}
        reasons = {name: why for name, (_, why) in parts.items() if why}
        if states["blobs"] == "down":
            refused = StoreUnavailableError(f"uploads cannot be accepted: {reasons['blobs']}")
            raise DetailedError(refused, parts=states, reasons=reasons)
        if (why := health.stuck) is not None:
            stuck = EngineUnavailableError(f"accepted uploads are not settled: {why}")
            raise DetailedError(stuck, parts=states, reasons=reasons)
        whole = all(state in ("ok", "off") for state in states.values())
        return standing.Ready("ready" if whole else "degraded", states, reasons)


@get(
    "/v1/admin/doctor",
    opt={"role": "operator", "operator": True},
    summary="State of the whole service",
    responses=documented(),
    tags=["admin"],
    security=KEYED,
)
async def get_doctor(health: NamedDependency[SkipValidation[HealthChecks]]) -> standing.Diagnosis:
    """Return the state of each part, with its whole reason, and the tenants with work or faults.

    This takes a key of role operator or, where all keys open one tenant, its admin's.
    """
    parts, (tenants, lacking) = await asyncio.gather(health.parts(), health.tenants())
    return standing.Diagnosis(
        parts={name: state for name, (state, _) in parts.items()},
        reasons={name: why for name, (_, why) in parts.items() if why}
        | ({"tenants": f"waiting jobs: {lacking}"} if lacking else {}),
        tenants=tenants,
    )


@get(
    "/v1/stats",
    opt={"role": "write"},
    summary="Counts",
    responses=documented(),
    tags=["stats"],
    security=KEYED,
    sync_to_thread=True,
)
def get_stats(
    records: Records, models: NamedDependency[SkipValidation[ModelRegistry]], caller: Who
) -> standing.Statistics:
    """Return the tenant's counts, in total and by category, as of the index's watermark.

    `lag` is the number of log entries that the index does not hold yet.
    """
    named = models.spaces(caller.tenant)
    return render.statistics(records.counts(caller.tenant, named))


def _model(absent: str | None) -> tuple[Part, str]:
    if absent in MODEL_OFF.values():
        return "off", ""
    return ("absent", absent) if absent else ("ok", "")


async def _ask(
    call: Callable[[], object], run: Callable[..., Awaitable[object]] = asyncio.to_thread
) -> tuple[Part, str]:
    """Return "ok", or "down" and the reason; `run` makes the call in a thread."""
    try:
        async with asyncio.timeout(PATIENCE):
            await run(call)
    except SeenitError as error:
        return "down", error.detail
    except TimeoutError:
        return "down", f"no answer within {PATIENCE:g} s"
    return "ok", ""
