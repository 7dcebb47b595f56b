"""Fixtures of the whole suite: real photos, shared servers, and a report of what did not run."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from types import FrameType
from typing import TypeVar

import hypothesis
import pytest

from tests.backends import server_process, servers
from tests.backends.requirements import absent

S = TypeVar("S")

# A busy machine is no fault of an example: the time a test may take is pytest's business.
hypothesis.settings.register_profile("seenit", deadline=None)
hypothesis.settings.load_profile("seenit")


@pytest.fixture(autouse=True)
def _no_caption_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Disable the caption model, which takes seconds to load; a test that needs one names it."""
    monkeypatch.setenv("SEENIT_CAPTION_MODEL", "none")


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder of real photos and small models, SEENIT_TEST_SHARED; skip without it."""
    named = os.environ.get("SEENIT_TEST_SHARED")
    if not named:
        absent("shared", "SEENIT_TEST_SHARED names no folder with photos/ and models/")
    folder = Path(named)
    if not folder.is_dir():
        absent("shared", "the folder that SEENIT_TEST_SHARED names is not there")
    return folder


def _shared(
    part: str,
    own: Callable[[Path], AbstractContextManager[S]],
    folders: pytest.TempPathFactory,
) -> Iterator[S | servers.Given]:
    """Yield the server that the environment names, else one started for the run."""
    named = servers.given(part)
    if named is not None:
        yield named
        return
    with own(folders.mktemp(part)) as server:
        yield server


@pytest.fixture(scope="session")
def redis_server(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[servers.Redis | servers.Given]:
    """Yield the Redis that all tests share; a test that kills it starts its own."""
    yield from _shared("redis", servers.redis, tmp_path_factory)


@pytest.fixture(scope="session")
def weaviate_server(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[servers.Weaviate | servers.Given]:
    """Yield the Weaviate that all tests share, each with a tenant or a prefix of its own."""
    yield from _shared("weaviate", servers.weaviate, tmp_path_factory)


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.S3 | servers.Given]:
    """Yield the bucket that all tests share, each with a prefix of its own below `url`."""
    yield from _shared("s3", servers.s3, tmp_path_factory)


def pytest_configure() -> None:
    """SIGTERM ends a run as Ctrl-C does: what tests started is stopped."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        del number, frame
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say in one block which servers the tests ran against, and what was not run, and why."""
    if server_process.USED:
        terminalreporter.section("servers", sep="-")
        for name, versions in sorted(server_process.USED.items()):
            terminalreporter.write_line(f"{name:>10}  {', '.join(versions)}")
    reasons: Counter[str] = Counter()
    for report in terminalreporter.stats.get("skipped", []):
        told = report.longrepr
        reason = told[2] if isinstance(told, tuple) else str(told)
        reasons[reason.removeprefix("Skipped: ")] += 1
    left = terminalreporter.stats.get("deselected", [])
    for marker, why in (("hard", "slow attacks"), ("doors", "third parties' clients")):
        if count := sum(1 for item in left if item.get_closest_marker(marker)):
            reasons[f"{marker}: {why}, run by make test-{marker}"] += count
    if not reasons:
        return
    terminalreporter.section("not run, and why", sep="-")
    for reason, count in reasons.most_common():
        terminalreporter.write_line(f"{count:5d}  {reason}")
