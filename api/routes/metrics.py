"""Metrics for Prometheus, in a registry of the app's own; none of them names a tenant."""

from __future__ import annotations

from collections.abc import Sequence

from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import SkipValidation
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from adapters.prometheus import PolledGauge
from api.auth import KEYED
from api.problems import documented
from core.errors import SeenitError
from core.ports import Queue
from core.records import Job

MEDIA_TYPE = CONTENT_TYPE_LATEST.partition("; charset")[0]
"""The framework adds the charset."""
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)
"""Upper bounds of the histogram in seconds; 60 is the longest that a call waits."""


class MetricsRoutes:
    """Metrics of the HTTP API, exported together with those of the process's stages."""

    def __init__(self, queue: Queue, stages: CollectorRegistry) -> None:
        self._stages = stages
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "seenit_http_requests",
            "Requests answered.",
            ("method", "route", "status"),
            registry=self.registry,
        )
        self._seconds = Histogram(
            "seenit_http_request_seconds",
            "Time to the end of an answer.",
            ("method", "route"),
            buckets=SECONDS,
            registry=self.registry,
        )
        self._problems = Counter(
            "seenit_http_problems",
            "Requests answered with a problem.",
            ("type",),
            registry=self.registry,
        )
        self._uploads = Counter(
            "seenit_uploads",
            "Files accepted, or refused by their header.",
            ("outcome",),
            registry=self.registry,
        )
        self.registry.register(
            PolledGauge("seenit_queue_depth", "Jobs waiting for a worker.", queue.depth)
        )

    def text(self) -> bytes:
        """Return all metrics in the text format of Prometheus."""
        return generate_latest(self.registry) + generate_latest(self._stages)

    def accepted(self, items: Sequence[Job | SeenitError]) -> None:
        """Count the files of one upload, by `accepted` or the type of their problem."""
        for item in items:
            self._uploads.labels(item.type if isinstance(item, SeenitError) else "accepted").inc()

    def answered(
        self, method: str, route: str, status: int, seconds: float, problem: str | None
    ) -> None:
        """Count one request and its seconds, and the type of its problem if it has one."""
        if problem is not None:
            self._problems.labels(problem).inc()
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(method, route).observe(seconds)


@get(
    "/metrics",
    opt={"role": "admin", "operator": True},
    media_type=MEDIA_TYPE,
    summary="Metrics for Prometheus",
    responses=documented(),
    tags=["health"],
    security=KEYED,
    sync_to_thread=True,
)
def get_metrics(figures: NamedDependency[SkipValidation[MetricsRoutes]]) -> Response[bytes]:
    """Return requests by route and status, queue depth, stages, and process metrics.

    If keys are set, this takes one of role admin or operator: the metrics cover all tenants
    together and name none.
    """
    return Response(figures.text(), media_type=MEDIA_TYPE)
