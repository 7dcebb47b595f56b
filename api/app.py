"""The app is a function of its services: nothing is read, opened or started before it is called."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from litestar import Litestar, Request
from litestar.datastructures import State
from litestar.di import Provide
from litestar.exceptions import HTTPException
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin, YamlRenderPlugin
from litestar.openapi.spec import SecurityScheme, Tag

from adapters.wiring import Services, budget
from api.auth import Guard, caller_of
from api.forwarding import TrustedProxies
from api.middleware import EdgeMiddleware
from api.operations import RecordLocks
from api.problems import crashed, problem_type, refused, told
from api.routes.admin import AdminRoutes
from api.routes.changes import ChangeRoutes
from api.routes.check import CheckGate, CheckRoutes
from api.routes.content import ContentRoutes
from api.routes.health import HealthChecks, HealthRoutes, stats
from api.routes.images import ImageRoutes
from api.routes.jobs import JobRoutes
from api.routes.metrics import MetricsRoutes, metrics
from api.routes.rag import RagRoutes
from api.routes.search import SearchRoutes
from api.routes.uploads import UploadRoutes
from api.schemas.operation_bodies import RequestComponents
from api.upload_spool import UploadSpool
from core.errors import SeenitError
from rag import factory

BODY = 1024 * 1024
"""Bytes of a body that is not a form: sixty times the largest that makes sense."""
THREADS = 32
"""For calls that block on the index; waiting for a job holds none of them."""


class ImagesController(UploadRoutes, ImageRoutes, ChangeRoutes):
    """All of /v1/images in one controller: Litestar takes one a path."""


def create_app(services: Services) -> Litestar:
    """The HTTP door of a service. Its lifespan makes threads and the spool, and ends the threads.

    The services are the caller's: whoever built them closes them.
    """
    figures = MetricsRoutes(services.queue, services.meter.registry)
    checks = CheckGate(services.settings.checks_at_once)
    spool = UploadSpool(services.settings.data / "spool")
    health = HealthChecks(services, spool)
    turns = RecordLocks()
    contexts = factory.context(services)
    proxies = TrustedProxies(services.settings.proxies)

    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncIterator[None]:
        pool = ThreadPoolExecutor(THREADS, thread_name_prefix="api")
        asyncio.get_running_loop().set_default_executor(pool)
        await spool.tidy()
        yield
        checks.close()
        spool.close()

    app = Litestar(
        [
            ImagesController,
            ContentRoutes,
            JobRoutes,
            CheckRoutes,
            SearchRoutes,
            RagRoutes,
            AdminRoutes,
            HealthRoutes,
            stats,
            metrics,
            problem_type,
        ],
        dependencies={
            "services": Provide(lambda: services, sync_to_thread=False),
            "caller": Provide(caller_of),
            "checks": Provide(lambda: checks, sync_to_thread=False),
            "contexts": Provide(lambda: contexts, sync_to_thread=False),
            "figures": Provide(lambda: figures, sync_to_thread=False),
            "spool": Provide(lambda: spool, sync_to_thread=False),
            "turns": Provide(lambda: turns, sync_to_thread=False),
            "health": Provide(lambda: health, sync_to_thread=False),
            "proxies": Provide(lambda: proxies, sync_to_thread=False),
        },
        guards=[
            Guard(
                services.settings.keys,
                services.signer,
                open_to_all=services.settings.allow_unauthenticated,
                proxies=proxies,
                public_url=services.settings.public_url,
            )
        ],
        exception_handlers={SeenitError: told, HTTPException: refused, Exception: crashed},
        lifespan=[lifespan],
        before_request=None if services.remote is None else _allowance,
        logging_config=None,
        openapi_config=reference(),
        request_max_body_size=BODY,
        debug=False,
    )
    app.asgi_handler = EdgeMiddleware(app.asgi_handler, figures)
    return app


def reference() -> OpenAPIConfig:
    """The document at /schema, as JSON and YAML."""
    return OpenAPIConfig(
        title="Seenit",
        version=_version(),
        description=(
            "Have we seen this picture before, and which of our pictures matter to this prompt?\n\n"
            "Errors are RFC 9457 `application/problem+json`. Lists are newest first and answer "
            "`next_cursor`. Where API keys are set, `Authorization: Bearer KEY` opens one tenant "
            "to one role: `write` uploads, reads, checks, changes and deletes; `moderate` also "
            "decides and purges; `admin` also reads the metrics and starts tasks. Every answer "
            "carries an `X-Request-ID`, the caller's own if it sent one."
        ),
        path="/schema",
        render_plugins=[
            JsonRenderPlugin(path=["/", "/openapi.json"]),
            YamlRenderPlugin(path=["/openapi.yaml"]),
        ],
        components=RequestComponents(
            security_schemes={"key": SecurityScheme(type="http", scheme="bearer")}
        ),
        tags=[
            Tag(name="images", description="Pictures, their verdicts and their bytes."),
            Tag(name="search", description="Finding pictures by words, meaning or example."),
            Tag(name="rag", description="Pictures for the prompts of models."),
            Tag(name="jobs", description="How far uploads and operations have come."),
            Tag(name="stats", description="Counts."),
            Tag(name="admin", description="Long tasks: reindex, backfill, calibrate."),
            Tag(name="health", description="For those who run the service."),
        ],
        use_handler_docstrings=True,
        operation_id_creator=lambda handler, _, __: handler.handler_name,
    )


async def _allowance(_: Request[Any, Any, State]) -> None:
    """All that one request asks of workers shares SEENIT_QUERY_SECONDS."""
    budget()


def _version() -> str:
    try:
        return version("seenit")
    except PackageNotFoundError:
        return "0"
