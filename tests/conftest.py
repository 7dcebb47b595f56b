"""Fixtures of the whole suite: real photos, shared servers, and a report of what did not run."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

import hypothesis
import psutil
import pytest
from xdist.workermanage import WorkerController

from tests.backends import server_process, servers
from tests.backends.requirements import absent
from tests.distribution import FolderScheduling, process_count

S = TypeVar("S")
TARGETS = {"hard": "slow attacks", "doors": "third parties' clients"}
"""Markers of the tests that a target of make other than `test` runs."""
LEFT: Counter[str] = Counter()
"""Number of tests of each marker that this run leaves to another target."""
STOP_SECONDS = 60.0
"""Time for a process of the run to stop its servers."""

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


def pytest_configure(config: pytest.Config) -> None:
    """SIGTERM ends a run as Ctrl-C does: what tests started is stopped."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        del number, frame
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
    if hasattr(config, "workerinput"):
        # Ctrl-C reaches every process: one of several waits for the SIGTERM of the first
        signal.signal(signal.SIGINT, lambda *_: None)


def pytest_deselected(items: Sequence[pytest.Item]) -> None:
    """Count the tests that another target of make runs."""
    for item in items:
        LEFT.update(marker for marker in TARGETS if item.get_closest_marker(marker))


# --- a run of several processes -------------------------------------------------------------------


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Return the number of processes of `pytest -n auto`."""
    return process_count()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> FolderScheduling:  # noqa: ANN401
    """Distribute in the order of the folders: what starts services comes before unit tests."""
    config.option.loadscopereorder = False
    return FolderScheduling(config, log)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Send what this process alone knows to the first, and let an interrupted one stop servers."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["used"], output["left"] = server_process.USED, dict(LEFT)
    elif exitstatus == pytest.ExitCode.INTERRUPTED and session.config.getoption("numprocesses"):
        others = psutil.Process().children()
        started = [one for other in others for one in other.children(recursive=True)]
        for other in others:
            other.terminate()
        psutil.wait_procs(started, STOP_SECONDS)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: WorkerController) -> None:
    """Take over what it knows; all have left out the same tests."""
    output = getattr(node, "workeroutput", {})
    for name, versions in output.get("used", {}).items():
        for version in versions:
            server_process.used(name, version)
    LEFT.update(Counter(output.get("left", {})) - LEFT)


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
    for marker, count in LEFT.items():
        reasons[f"{marker}: {TARGETS[marker]}, run by make test-{marker}"] += count
    if not reasons:
        return
    terminalreporter.section("not run, and why", sep="-")
    for reason, count in reasons.most_common():
        terminalreporter.write_line(f"{count:5d}  {reason}")
