"""The HTTP app as a function of its services: importing this module reads and opens nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

from litestar import Litestar, Request
from litestar.datastructures import State
from litestar.di import Provide
from litestar.exceptions import HTTPException
from litestar.types import ControllerRouterHandler

from adapters import api_keys
from adapters.service_address import LocalKey
from adapters.wiring import Services, budget
from api.auth import Guard, caller_of
from api.check_gate import CheckGate
from api.forwarding import TrustedProxies
from api.middleware import EdgeMiddleware
from api.openapi import reference
from api.operations import RecordChanges
from api.problems import crashed, get_problem_type, refused, told
from api.request_bodies import BODY
from api.routes.admin import AdminRoutes
from api.routes.changes import ChangeRoutes
from api.routes.check import CheckRoutes
from api.routes.content import ContentRoutes
from api.routes.health import HealthChecks, HealthRoutes, get_doctor, get_stats
from api.routes.images import ImageRoutes
from api.routes.jobs import JobRoutes
from api.routes.local import local_proof
from api.routes.metrics import MetricsRoutes, get_metrics
from api.routes.rag import RagRoutes
from api.routes.reference import get_root, schema_router
from api.routes.search import SearchRoutes
from api.routes.uploads import UploadRoutes, Uploads
from api.upload_spool import UploadSpool
from core.errors import SeenitError
from rag import factory

SERVICES = (
    "acceptor",
    "admin_tasks",
    "checker",
    "jobs",
    "models",
    "searcher",
    "settings",
    "shelf",
    "waiter",
)
"""Parts that handlers name to have them injected, beside those made here."""
THREADS = 32
"""Threads for calls that block on the index; waiting for a job holds none of them."""


class ImagesController(UploadRoutes, ImageRoutes, ChangeRoutes):
    """All routes of /v1/images: Litestar takes one controller for each path."""


ROUTES: list[ControllerRouterHandler] = [
    ImagesController,
    ContentRoutes,
    JobRoutes,
    CheckRoutes,
    SearchRoutes,
    RagRoutes,
    AdminRoutes,
    HealthRoutes,
    get_doctor,
    get_stats,
    get_metrics,
    get_problem_type,
    get_root,
]


def create_app(services: Services, local: LocalKey | None = None) -> Litestar:
    """Return the HTTP app of a service; its lifespan starts and ends the threads and the spool.

    `local` opens any tenant to commands on this machine (adapters/service_address.py). The
    services belong to the caller, who closes them.
    """
    figures = MetricsRoutes(services.queue, services.meter.registry)
    checks = CheckGate(services.settings.checks_at_once)
    spool = UploadSpool(services.settings.data / "spool")
    proxies = TrustedProxies(services.settings.proxies)

    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncIterator[None]:
        pool = ThreadPoolExecutor(THREADS, thread_name_prefix="api")
        asyncio.get_running_loop().set_default_executor(pool)
        await spool.tidy()
        yield
        checks.close()
        spool.close()

    shared = {name: getattr(services, name) for name in SERVICES} | {
        "changes": RecordChanges(services),
        "checks": checks,
        "contexts": factory.context(services),
        "figures": figures,
        "health": HealthChecks(services, spool),
        "proxies": proxies,
        "records": services.reader,
        "spool": spool,
        "uploads": Uploads(services, spool, figures),
    }
    handlers = list(ROUTES)
    if local is not None:
        handlers.append(local_proof(local, lambda: services.engine.status.state == "starting"))
    app = Litestar(
        handlers,
        dependencies={"caller": Provide(caller_of)} | {k: _one(v) for k, v in shared.items()},
        guards=[_guard(services, proxies, local)],
        exception_handlers={SeenitError: told, HTTPException: refused, Exception: crashed},
        lifespan=[lifespan],
        before_request=None if services.remote is None else _allowance,
        logging_config=None,
        openapi_config=reference(schema_router()),
        request_max_body_size=BODY,
        debug=False,
    )
    app.asgi_handler = EdgeMiddleware(app.asgi_handler, figures)
    return app


def _one(value: object) -> Provide:
    """Provide the same object to every request."""
    return Provide(lambda: value, sync_to_thread=False)


def _guard(services: Services, proxies: TrustedProxies, local: LocalKey | None) -> Guard:
    settings = services.settings
    return Guard(
        settings.key_ring(),
        services.signer,
        open_to_all=settings.allow_unauthenticated,
        proxies=proxies,
        public_url=settings.public_url,
        local=local,
        limit=api_keys.rate_limit(settings.rate_limit),
    )


async def _allowance(_: Request[Any, Any, State]) -> None:
    """Start the time that all queries of one request to workers share: SEENIT_QUERY_SECONDS."""
    budget()
