"""What all tests share: the folder of real photos, and a plain word on what did not run."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import hypothesis
import pytest

from tests.absent import absent

# A busy machine is no fault of an example: the time a test may take is pytest's business.
hypothesis.settings.register_profile("seenit", deadline=None)
hypothesis.settings.load_profile("seenit")


@pytest.fixture(autouse=True)
def _no_caption_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loading a sentence encoder takes seconds: a test that wants one names it."""
    monkeypatch.setenv("SEENIT_CAPTION_MODEL", "none")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with real photos and small models that SEENIT_TEST_SHARED names, else a skip."""
    named = os.environ.get("SEENIT_TEST_SHARED")
    if not named:
        absent("shared", "SEENIT_TEST_SHARED names no folder with photos/ and models/")
    folder = Path(named)
    if not folder.is_dir():
        absent("shared", "the folder that SEENIT_TEST_SHARED names is not there")
    return folder


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say in one block what was not run, and why."""
    reasons: Counter[str] = Counter()
    for report in terminalreporter.stats.get("skipped", []):
        told = report.longrepr
        reason = told[2] if isinstance(told, tuple) else str(told)
        reasons[reason.removeprefix("Skipped: ")] += 1
    left = terminalreporter.stats.get("deselected", [])
    hard = sum(1 for item in left if item.get_closest_marker("hard"))
    if hard:
        reasons["hard: slow attacks, run by make test-hard"] += hard
    if not reasons:
        return
    terminalreporter.section("not run, and why", sep="-")
    for reason, count in reasons.most_common():
        terminalreporter.write_line(f"{count:5d}  {reason}")
