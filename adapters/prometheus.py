"""Metrics of the stages for Prometheus; each process has one registry and none is global."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from core.errors import SeenitError
from core.metrics import Event, Level, Span, Stage

STAGE_SECONDS = (
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    30.0,
    60.0,
)
"""Upper bounds in seconds, from an append on a local disk to a full batch of large pictures on one
core."""
WAIT_SECONDS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3600.0, 14400.0)
"""Upper bounds in seconds: an idle service settles in tens of milliseconds, one that was down in
hours."""
BATCH = (1, 2, 4, 8, 16, 32, 64)
"""Upper bounds in pictures: an entry of the log takes 64."""

_EVENTS: dict[Event, tuple[str, tuple[str, ...]]] = {
    "accepted": ("Uploads and operations made durable, by kind of job.", ("kind",)),
    "entries": ("Entries this process appended to the log.", ()),
    "conflicts": ("Appends that found another's entry at their number and decided again.", ()),
    "verdicts": ("Pictures settled by this process, by verdict.", ("kind",)),
    "failures": ("Jobs that failed or were refused, by type of problem.", ("reason",)),
    "requeued": ("Jobs that a sweep enqueued again.", ()),
    "unavailable": ("Work put off as a part was away, by problem and place.", ("reason", "at")),
    "restarts": ("Threads that failed and were started again, by name.", ("thread",)),
    "queries": ("Questions that the API put to this worker.", ("kind", "outcome")),
}
_LEVELS: dict[Level, str] = {"pending": "Jobs pending that the last sweep saw, over all tenants."}


class PolledGauge(Collector):
    """Gauge that is read at each scrape; absent if the read fails."""

    def __init__(self, name: str, text: str, ask: Callable[[], float]) -> None:
        self._name, self._text, self._ask = name, text, ask

    def describe(self) -> Iterable[GaugeMetricFamily]:
        """Describe the metric without reading it."""
        return [GaugeMetricFamily(self._name, self._text)]

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """Read the present value."""
        try:
            value = self._ask()
        except SeenitError:
            return []
        return [GaugeMetricFamily(self._name, self._text, value)]


class PrometheusMeter:
    """Prometheus implementation of `core.metrics.Meter`; `registry` is exposed."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._seconds = Histogram(
            "seenit_stage_seconds",
            "Time of one run of a stage, over all pictures of a batch.",
            ("stage",),
            buckets=STAGE_SECONDS,
            registry=self.registry,
        )
        self._pictures = Counter(
            "seenit_stage_pictures",
            "Pictures or jobs that went through a stage.",
            ("stage",),
            registry=self.registry,
        )
        self._batch = Histogram(
            "seenit_batch_pictures",
            "Jobs taken up together.",
            buckets=BATCH,
            registry=self.registry,
        )
        self._waits = Histogram(
            "seenit_wait_seconds",
            "Time of a job: accepted to taken up (queue), accepted to settled (verdict).",
            ("span",),
            buckets=WAIT_SECONDS,
            registry=self.registry,
        )
        self._events = {
            event: Counter(f"seenit_{event}", text, labels, registry=self.registry)
            for event, (text, labels) in _EVENTS.items()
        }
        self._levels = {
            level: Gauge(f"seenit_{level}", text, registry=self.registry)
            for level, text in _LEVELS.items()
        }
        ProcessCollector(registry=self.registry)

    def took(self, stage: Stage, seconds: float, pictures: int = 1) -> None:
        """Record that a stage has processed so many pictures."""
        self._seconds.labels(stage).observe(seconds)
        self._pictures.labels(stage).inc(pictures)
        if stage == "batch":
            self._batch.observe(pictures)

    def waited(self, span: Span, seconds: float) -> None:
        """Record the wait of a job; a time below 0, by another machine's clock, counts as 0."""
        self._waits.labels(span).observe(max(0.0, seconds))

    def count(self, event: Event, n: int = 1, **labels: str) -> None:
        """Count an event, n times."""
        counter = self._events[event]
        (counter.labels(**labels) if labels else counter).inc(n)

    def gauge(self, level: Level, value: float) -> None:
        """Set the present level."""
        self._levels[level].set(value)

    def watch(self, name: str, text: str, ask: Callable[[], float]) -> None:
        """Add a gauge that calls `ask` at each scrape."""
        self.registry.register(PolledGauge(f"seenit_{name}", text, ask))
