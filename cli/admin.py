"""Runs an administrative task on a worker, in the holder of the data folder, or in this process."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import click

from adapters.settings import Settings
from cli.rendering import verdicts
from core.admin_tasks import AdminTaskReport, AdminTasks
from core.errors import SettingsError, StoreUnavailableError, UnavailableError

_LOOK_SECONDS = 0.2
_PATIENCE_SECONDS = 10.0
"""Time after which a person is told that no process has started the task."""


def run_task(
    read: Settings,
    kind: str,
    arguments: Mapping[str, str] | None = None,
    *,
    unit: str,
    show_bar: bool,
) -> dict[str, Any]:
    """Request a task, wait for it and return its result.

    Without a shared broker this process stands by as an engine, in case no other process is one.
    `unit` is what the bar counts. Raise UnavailableError with the reason if the task failed.
    """
    from cli.commands import up  # noqa: PLC0415  it loads API and worker: not to say --help
    from cli.server import logs  # noqa: PLC0415  likewise

    if urlsplit(read.blobs_url).scheme == "memory":
        raise SettingsError(
            "SEENIT_BLOBS_URL=memory:// is seen by one process alone, so no command can reach it"
        )
    logs.log_to(read)
    with up.holding(read, ahead=False) as services:
        task = services.admin_tasks.request(kind, arguments)
        try:
            report = _watch(services.admin_tasks, task.task_id, unit, show_bar=show_bar)
        finally:
            with suppress(StoreUnavailableError):  # it expires
                services.admin_tasks.discard(task.task_id)
    if report.error is not None:
        raise UnavailableError(report.error)
    return report.result


def _watch(tasks: AdminTasks, task_id: str, unit: str, *, show_bar: bool) -> AdminTaskReport:
    patient_until: float | None = time.monotonic() + _PATIENCE_SECONDS
    with verdicts.progress(wanted=show_bar) as bar:
        shown = bar.add_task(unit, total=None)
        while True:
            report = AdminTaskReport()
            with suppress(StoreUnavailableError):  # the task goes on
                report = tasks.read_report(task_id)
            if report.status != "queued":
                patient_until = None
                bar.update(shown, completed=report.done, total=report.total or None)
                if report.ended:
                    return report
            elif patient_until is not None and time.monotonic() > patient_until:
                patient_until = None
                click.echo("No process has started it yet: is `seenit worker` running?", err=True)
            time.sleep(_LOOK_SECONDS)
