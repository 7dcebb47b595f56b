"""Asking the holder of a data folder for something, or becoming the holder that does it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from adapters.errands import Errand, Errands, Report
from adapters.settings import Settings
from cli import show
from core.errors import UnavailableError

_LOOK_SECONDS = 0.1


def carried_out(
    read: Settings,
    kind: str,
    arguments: Mapping[str, str] | None = None,
    *,
    unit: str,
    show_bar: bool,
) -> dict[str, Any]:
    """What came of it. Stands by as an engine meanwhile, in case nobody else is one.

    `unit` is what the bar counts. Raise UnavailableError with the reason where it was not done.
    """
    from cli import logs, up  # noqa: PLC0415  it loads API and worker: not to say --help

    logs.log_to(read)
    errands = Errands(read.data / "errands")
    errand = errands.ask(kind, arguments)
    try:
        with up.holding(read, ahead=False):
            report = _watch(errands, errand, unit, show_bar=show_bar)
    finally:
        errands.forget(errand)
    if report.error is not None:
        raise UnavailableError(report.error)
    return report.told


def _watch(errands: Errands, errand: Errand, unit: str, *, show_bar: bool) -> Report:
    with show.progress(wanted=show_bar) as bar:
        task = bar.add_task(unit, total=None)
        while True:
            report = errands.look(errand)
            if report is not None:
                bar.update(task, completed=report.done, total=report.total or None)
                if report.ended:
                    return report
            time.sleep(_LOOK_SECONDS)
