"""Metrics of the API: labels from the routes alone, and problems by type."""

from __future__ import annotations

import re
from pathlib import Path

from litestar import Litestar
from litestar.testing import TestClient
from prometheus_client.parser import text_string_to_metric_families

from api.app import create_app
from core.errors import (
    IndexUnavailableError,
)
from tests.doubles.small_service import Service
from tests.samples.pictures import photo, png

PICTURE = png(photo(9, 64, 48))


def test_a_made_up_method_is_no_figure(client: TestClient[Litestar]) -> None:
    """A client may send any word, and a label is kept for good."""
    for n in range(20):
        assert client.request(f"BREW{n}", "/v1/images").status_code in (404, 405)
    figures = client.get("/metrics").text
    assert "BREW" not in figures
    assert 'method="other"' in figures


def test_figures_are_prometheus(client: TestClient[Litestar], service: Service) -> None:
    """Labels have the route, never the path; queue depth is absent while the broker is down."""
    service.queue.paused = True
    client.post("/v1/images", files={"file": ("a", PICTURE)})
    client.get("/v1/images/abc")
    client.get("/nowhere/abc")

    def figures() -> dict[str, list[tuple[dict[str, str], float]]]:
        response = client.get("/metrics")
        assert response.headers["content-type"].startswith("text/plain; version=")
        return {
            family.name: [(sample.labels, sample.value) for sample in family.samples]
            for family in text_string_to_metric_families(response.text)
        }

    client.post("/v1/images", files=[("file", ("a", PICTURE)), ("file", ("b", b"x"))])
    client.post("/v1/images", files={"file": ("a", b"")})
    told = figures()
    assert told["seenit_queue_depth"] == [({}, 2.0)]
    uploads = {labels["outcome"] for labels, _ in told["seenit_uploads"]}
    assert uploads == {"accepted", "unsupported", "broken"}
    requests = [labels for labels, _ in told["seenit_http_requests"]]
    assert {"method": "GET", "route": "/v1/images/{image_id}", "status": "404"} in requests
    assert {"method": "GET", "route": "unmatched", "status": "404"} in requests
    assert not any("abc" in labels["route"] for labels in requests)
    service.queue.down = True
    assert "seenit_queue_depth" not in figures()


def test_two_apps_do_not_share_their_figures(tmp_path: Path) -> None:
    """Each has a registry of its own."""
    services = [Service(tmp_path / name) for name in "ab"]
    with TestClient(create_app(services[0])) as a, TestClient(create_app(services[1])) as b:
        a.get("/nowhere")
        assert 'route="unmatched"' in a.get("/metrics").text
        assert 'route="unmatched"' not in b.get("/metrics").text
    for service in services:
        service.close()


def test_problems_are_counted_by_their_type(client: TestClient[Litestar], service: Service) -> None:
    """The type distinguishes a part that is away from a caller's mistake."""
    client.get("/v1/images/nothing-of-that-kind")
    service.follower.fails = IndexUnavailableError("away")
    client.get("/v1/images")
    client.get("/v1/images")
    told = client.get("/metrics").text
    assert 'seenit_http_problems_total{type="not-found"}' in told
    assert re.search(r'seenit_http_problems_total\{type="index-unavailable"\} [2-9]', told)
