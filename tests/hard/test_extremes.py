"""Extreme headers against a real service, whose decoders open what the headers let through."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings

from core.image_formats import FORMATS
from tests.e2e.service import Service, serving
from tests.samples.extreme_headers import headers
from tests.samples.pictures import photo, png

pytestmark = [pytest.mark.hard, pytest.mark.timeout(900)]
GOOD = png(photo(1, 96, 64))


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Yield a service with every format on."""
    folder = tmp_path_factory.mktemp("extremes") / "data"
    with serving(folder, SEENIT_FORMATS=",".join(FORMATS)) as running:
        yield running


@settings(max_examples=600, suppress_health_check=list(HealthCheck))
@given(headers())
def test_a_header_costs_its_own_file_at_most(service: Service, data: bytes) -> None:
    """Upload beside a good picture, waited for to its end, and a check: never 500, none stalls."""
    answer = service.upload([("good.png", GOOD), ("odd", data)], wait=60)
    assert answer.status_code == 200, answer.text
    good, odd = answer.json()["items"]
    assert good["status"] == "done"
    problem = odd.get("error")
    assert problem is None or 400 <= problem["status"] < 500, problem
    checked = service.check(data)
    assert checked.status_code < 500, checked.text
