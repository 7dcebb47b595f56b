"""Whether the process lives, and whether it can take uploads: two different questions."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Literal

from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.params import SkipValidation

from adapters.wiring import ModelReport, Services
from api.auth import KEYED
from api.dependencies import Who, Wired
from api.problems import DetailedError, documented, errors
from api.schemas import render
from api.schemas import stats as standing
from api.upload_spool import UploadSpool
from core.errors import (
    EngineUnavailableError,
    SeenitError,
    StoreUnavailableError,
    UnavailableError,
)
from core.ingest.accept import FREE_BYTES
from core.types import MODEL_OFF, SpaceKind

PATIENCE = 2.0
"""Seconds after which a part that does not answer is down."""
FRESH = 5.0
"""Seconds that an answer of the blob store stands for: probes come often, and a put may cost."""
PROBE = "probe/ready"

Part = Literal["ok", "down", "absent", "off"]


class HealthChecks:
    """Asks every part, side by side, each with a limit on its time."""

    def __init__(self, services: Services, spool: UploadSpool) -> None:
        self._services = services
        self._spool = spool
        self._wrote = float("-inf")

    async def parts(self) -> dict[str, tuple[Part, str]]:
        """State and reason of each; what says nothing keeps none of the others from being asked."""
        services, aside = self._services, self._spool.run
        asked = {
            "blobs": _ask(self._write, aside),
            "index": _ask(lambda: services.index.watermark("default")),
            "queue": _ask(services.queue.check_writable, aside),
        }
        if services.settings.index_replication > 1:
            asked["replicas"] = _ask(services.index.check_replicas)
        models = asyncio.create_task(self._models())
        if services.remote is None:
            asked["engine"] = self._engine()
        answers = await asyncio.gather(*asked.values())
        return {**dict(zip(asked, answers, strict=True)), **await models}

    @property
    def stuck(self) -> str | None:
        """Why what this process takes in would be settled by nobody; None where somebody will.

        Only where engine and API are one process: its own engine cannot run, and no other process
        holds the data folder, or it would stand by. Parts that are away come back by themselves.
        """
        status = self._services.engine.status
        return status.reason if status.state == "failed" else None

    async def _engine(self) -> tuple[Part, str]:
        """That of this process, or of whichever holds the data folder."""
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
        """Whether another process holds the data folder, asked where this one has no engine."""
        held: list[bool] = []
        asked = await _ask(lambda: held.append(self._services.lock.taken()), self._spool.run)
        if asked[0] == "ok" and not held[0]:
            return "absent", "no process holds the data folder: `seenit up` settles what waits"
        return asked

    async def _models(self) -> dict[str, tuple[Part, str]]:
        """Those of this process, or of the workers, who may all be away."""
        remote = self._services.remote
        if remote is None:
            own = {"visual": self._services.visual, "caption": self._services.caption}
            return {name: _model(embedder.absent) for name, embedder in own.items()}
        told: dict[SpaceKind, ModelReport] = {}
        worker = await _ask(lambda: told.update(remote.parts()), self._spool.run)
        if worker[0] == "down":
            return dict.fromkeys(("worker", "visual", "caption"), worker)
        return {"worker": worker, **{kind: _model(one.absent) for kind, one in told.items()}}

    def _write(self) -> None:
        """Accepting takes a put, so a put it is that is tried."""
        free = self._services.blobs.free()
        if free is not None and free < FREE_BYTES:
            raise StoreUnavailableError("the disk is full")
        if time.monotonic() - self._wrote > FRESH:
            self._services.blobs.put([(PROBE, b"")])
            self._wrote = time.monotonic()


class HealthRoutes(Controller):
    """/health, open to everyone."""

    path = "/health"
    tags = ("health",)

    @get("/live", summary="Whether the process answers")
    async def get_liveness(self) -> standing.Live:
        """Touches nothing."""
        return standing.Live()

    @get("/ready", summary="Whether uploads can be accepted", responses=errors(UnavailableError))
    async def get_readiness(
        self,
        health: NamedDependency[SkipValidation[HealthChecks]],
    ) -> standing.Ready:
        """503 only when uploads cannot be accepted, or nobody can ever settle them here.

        The latter is of one process that is all there is, whose engine cannot run: uploads are
        still answered 202 and settled once it can. `degraded` when another part is down or absent;
        a model that a setting turns off is `off`, and neither.
        """
        parts = await health.parts()
        states = {name: state for name, (state, _) in parts.items()}
        reasons = {name: why for name, (_, why) in parts.items() if why}
        if states["blobs"] == "down":
            refused = StoreUnavailableError(f"uploads cannot be accepted: {reasons['blobs']}")
            raise DetailedError(refused, parts=states, reasons=reasons)
        if (why := health.stuck) is not None:
            stuck = EngineUnavailableError(f"nothing is settled: {why}")
            raise DetailedError(stuck, parts=states, reasons=reasons)
        whole = all(state in ("ok", "off") for state in states.values())
        return standing.Ready("ready" if whole else "degraded", states, reasons)


@get(
    "/v1/stats",
    opt={"role": "write"},
    summary="Counts",
    responses=documented(),
    tags=["stats"],
    security=KEYED,
    sync_to_thread=True,
)
def get_stats(services: Wired, caller: Who) -> standing.Statistics:
    """Counts of this tenant, in all and by category, as of the index's watermark.

    `lag` says how many entries of the log the index does not hold yet.
    """
    named = services.models.spaces(caller.tenant)
    return render.statistics(services.reader.counts(caller.tenant, named))


def _model(absent: str | None) -> tuple[Part, str]:
    if absent in MODEL_OFF.values():
        return "off", ""
    return ("absent", absent) if absent else ("ok", "")


async def _ask(
    call: Callable[[], object], run: Callable[..., Awaitable[object]] = asyncio.to_thread
) -> tuple[Part, str]:
    """`run` calls it in a thread."""
    try:
        async with asyncio.timeout(PATIENCE):
            await run(call)
    except SeenitError as error:
        return "down", error.detail
    except TimeoutError:
        return "down", f"no answer within {PATIENCE:g} s"
    return "ok", ""
