"""The dashboard, the alerts and the table of figures speak of what there is, and of all of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, get_args

import pytest
import yaml
from prometheus_client import CollectorRegistry

from adapters import wiring
from adapters.settings import Settings
from api.routes.metrics import MetricsRoutes
from core.metrics import Span, Stage
from tests.backends.server_process import ROOT

SUFFIXES = {
    "counter": ("_total",),
    "gauge": ("",),
    "histogram": ("_bucket", "_count", "_sum"),
}
OF_PROMETHEUS = {"up"}
NAME = re.compile(r"\b(up|(?:seenit|process|python)_[a-z0-9_]+)\b")
SELECTOR = re.compile(r"(\w+)\{([^}]*)\}")
MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"')
GROUPED = re.compile(r"\bby \(([^)]*)\)")
TARGET_LABELS = {"job", "instance", "le"}
VALUES = {"stage": set(get_args(Stage)), "span": set(get_args(Span))}


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """Return every sample that an engine exposes, with the labels it may have."""
    folder = tmp_path_factory.mktemp("figures")
    services = wiring.build(Settings(data=folder, model="none", caption_model="none"))
    try:
        registries = (
            services.meter.registry,
            MetricsRoutes(services.queue, CollectorRegistry()).registry,
        )
        labels: dict[str, set[str]] = {}
        for registry in registries:
            for collector, names in registry._collector_to_names.items():
                for name in names:
                    labels[name] = set(getattr(collector, "_labelnames", ()))
        return {
            f"{family.name}{suffix}": labels.get(f"{family.name}{suffix}", set())
            for registry in registries
            for family in registry.collect()
            for suffix in SUFFIXES[family.type]
        }
    finally:
        services.close()


def dashboard() -> list[dict[str, Any]]:
    """Return the panels of the dashboard."""
    found: list[dict[str, Any]] = json.loads((ROOT / "deploy/grafana/seenit.json").read_text())[
        "panels"
    ]
    return found


def alerts() -> list[dict[str, Any]]:
    """Return the rules of the alerts."""
    (group,) = yaml.safe_load((ROOT / "deploy/alerts.yml").read_text())["groups"]
    found: list[dict[str, Any]] = group["rules"]
    return found


def expressions() -> Iterator[tuple[str, str]]:
    """Yield each expression of Prometheus, with the name of its place."""
    for panel in dashboard():
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]
    for rule in alerts():
        yield rule["alert"], rule["expr"]


def test_every_expression_asks_for_what_is_exposed(figures: dict[str, set[str]]) -> None:
    """Metrics, labels, and the values of those labels that the code fixes."""
    for where, asked in expressions():
        names = set(NAME.findall(asked))
        assert names, where
        assert names - OF_PROMETHEUS <= figures.keys(), where
        known = set().union(*(figures.get(name, set()) for name in names)) | TARGET_LABELS
        for group in GROUPED.findall(asked):
            assert {label.strip() for label in group.split(",")} <= known, where
        for name, matchers in SELECTOR.findall(asked):
            for label, _, value in MATCHER.findall(matchers):
                assert label in figures.get(name, set()) | TARGET_LABELS, where
                assert value in VALUES.get(label, {value}), where
        assert asked.count("(") == asked.count(")"), where


def test_every_figure_is_on_the_dashboard(figures: dict[str, set[str]]) -> None:
    """A new figure is drawn somewhere, or it is not worth its cost."""
    asked = " ".join(expr for panel in dashboard() for expr in _exprs(panel))
    ours = {re.sub("_(total|bucket|count|sum)$", "", name) for name in figures}
    drawn = {re.sub("_(total|bucket|count|sum)$", "", name) for name in NAME.findall(asked)}
    assert {name for name in ours if name.startswith("seenit_")} <= drawn


def test_the_dashboard_can_be_laid_out() -> None:
    """Panels have ids of their own, do not overlap, and take the chosen source."""
    panels = dashboard()
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert max(x for x, _ in cells) < 24
        assert not cells & taken, panel["title"]
        taken |= cells
        assert panel.get("datasource", {}).get("uid", "${datasource}") == "${datasource}"
        legends = [target["legendFormat"] for target in panel.get("targets", ())]
        assert len(set(legends)) == len(legends)


def test_alerts_say_what_is_wrong() -> None:
    """Each is there once, with a severity and a sentence; Prometheus loads them."""
    rules = alerts()
    assert len({rule["alert"] for rule in rules}) == len(rules)
    for rule in rules:
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert rule["annotations"]["summary"].endswith(".")
    scraped = yaml.safe_load((ROOT / "deploy/prometheus.yml").read_text())
    assert scraped["rule_files"] == ["alerts.yml"]
    jobs = {job["job_name"] for job in scraped["scrape_configs"]}
    asked = " ".join(expr for _, expr in expressions())
    assert set(re.findall(r'job="([^"]+)"', asked)) <= jobs
    assert all(job.startswith("seenit") for job in jobs)  # as the panels of processes select


def test_prometheus_asks_the_services_of_compose() -> None:
    """It uses the names and ports that they have there, for each process with metrics."""
    scraped = yaml.safe_load((ROOT / "deploy/prometheus.yml").read_text())["scrape_configs"]
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    asked = {
        name: found["port"]
        for job in scraped
        for found in job["dns_sd_configs"]
        for name in found["names"]
    }
    ports = {
        name: int(service["environment"]["SEENIT_METRICS_PORT"])
        for name, service in services.items()
        if "SEENIT_METRICS_PORT" in service.get("environment", ())
    }
    command = services["api"]["command"]
    assert asked == {**ports, "api": int(command[command.index("--port") + 1])}


def test_the_table_of_figures_is_whole(figures: dict[str, set[str]]) -> None:
    """List in docs/troubleshooting.md exactly the metrics and alerts that exist."""
    text = (ROOT / "docs/troubleshooting.md").read_text()
    section = text.partition("\n## Metrics\n")[2].partition("\n## ")[0]
    told = set(re.findall(r"^\| `(seenit_[a-z_]+)", section, re.MULTILINE))
    plain = {re.sub("_(bucket|count|sum)$", "", name) for name in figures}
    assert told == {name for name in plain if name.startswith("seenit_")}
    assert set(re.findall(r"\bSeenit[A-Z]\w+", text)) == {rule["alert"] for rule in alerts()}


def _exprs(panel: dict[str, Any]) -> list[str]:
    return [target["expr"] for target in panel.get("targets", ())]
