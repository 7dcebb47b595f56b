"""Asking whoever settles for something: workers, or the holder of a data folder, or oneself."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import nullcontext, suppress
from typing import Any

import click

from adapters.broker import open_broker
from adapters.broker.admin_tasks import AdminTask, AdminTaskReport, AdminTasks
from adapters.settings import Settings
from cli.rendering import verdicts
from core.errors import QueueUnavailableError, UnavailableError

_LOOK_SECONDS = 0.1
_PATIENCE_SECONDS = 10.0
"""After so long a person may want to know that nobody has begun."""


def carried_out(
    read: Settings,
    kind: str,
    arguments: Mapping[str, str] | None = None,
    *,
    unit: str,
    show_bar: bool,
) -> dict[str, Any]:
    """What came of it. In one process this one stands by as an engine, in case nobody else is one.

    `unit` is what the bar counts. Raise UnavailableError with the reason where it was not done.
    """
    from cli.commands import up  # noqa: PLC0415  it loads API and worker: not to say --help
    from cli.server import logs  # noqa: PLC0415  likewise

    logs.log_to(read)
    broker = open_broker(read)
    try:
        errand = broker.errands.ask(kind, arguments)
        standing_by = nullcontext() if broker.shared else up.holding(read, ahead=False)
        try:
            with standing_by:
                report = _watch(broker.errands, errand, unit, show_bar=show_bar)
        finally:
            with suppress(QueueUnavailableError):  # it is forgotten in time
                broker.errands.forget(errand)
    finally:
        broker.close()
    if report.error is not None:
        raise UnavailableError(report.error)
    return report.told


def _watch(errands: AdminTasks, errand: AdminTask, unit: str, *, show_bar: bool) -> AdminTaskReport:
    patient_until: float | None = time.monotonic() + _PATIENCE_SECONDS
    with verdicts.progress(wanted=show_bar) as bar:
        task = bar.add_task(unit, total=None)
        while True:
            try:
                report = errands.look(errand)
            except QueueUnavailableError:  # whoever is at it goes on
                report = None
            if report is not None:
                patient_until = None
                bar.update(task, completed=report.done, total=report.total or None)
                if report.ended:
                    return report
            elif patient_until is not None and time.monotonic() > patient_until:
                patient_until = None
                click.echo("nobody has begun yet: is a `seenit worker` running?", err=True)
            time.sleep(_LOOK_SECONDS)
