"""Runs an admin task: at a URL, on a worker, in the holder of the data folder, or right here."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

import click
import msgspec

from adapters.settings import Settings
from cli.client import HTTPClient
from cli.connection import together
from cli.rendering import verdicts
from core.admin_tasks import AdminTaskReport
from core.errors import SettingsError, StoreUnavailableError, UnavailableError

ReadReport = Callable[[], AdminTaskReport]

_LOOK_SECONDS = 0.2
_PATIENCE_SECONDS = 10.0
"""Seconds until the command prints that no process has started the task."""


url_options = together(
    click.option("--url", help="A running service, in place of the data folder or the broker."),
    click.option("--key", help="With --url: an API key of role admin or operator (SEENIT_KEY)."),
)
"""Decorator that adds `--url` and `--key`, for a service elsewhere."""


def run_task(
    read: Settings,
    kind: str,
    arguments: Mapping[str, object] | None = None,
    *,
    unit: str,
    show_bar: bool,
    url: str | None = None,
    key: str | None = None,
) -> dict[str, Any]:
    """Request a task, wait for it and return its result.

    It is requested of the service at `url`, else where the settings say. `unit` is what the bar
    counts. Raise UnavailableError with the reason if the task failed.
    """
    given = dict(arguments or {})
    if url is None:
        requested = _request(read, kind, {name: str(value) for name, value in given.items()})
    else:
        requested = _post(url, key or read.key.get_secret_value(), kind, given)
    with requested as read_report:
        report = _watch(read_report, unit, show_bar=show_bar)
    if report.error is not None:
        raise UnavailableError(report.error)
    return report.result


@contextmanager
def _request(read: Settings, kind: str, arguments: Mapping[str, str]) -> Iterator[ReadReport]:
    """Store a request; without a shared broker stand by, in case no process holds the folder."""
    from cli.commands import up  # noqa: PLC0415  it loads API and worker: not to say --help
    from cli.server import logs  # noqa: PLC0415  likewise

    if urlsplit(read.blobs_url).scheme == "memory":
        raise SettingsError(
            "SEENIT_BLOBS_URL=memory:// is seen by one process alone: use --url to reach it"
        )
    logs.log_to(read)
    with up.holding(read, ahead=False) as services:
        tasks = services.admin_tasks
        task_id = tasks.request(kind, arguments).task_id
        try:
            yield lambda: tasks.read_report(task_id)
        finally:
            with suppress(StoreUnavailableError):  # it expires
                tasks.discard(task_id)


@contextmanager
def _post(url: str, key: str, kind: str, arguments: Mapping[str, object]) -> Iterator[ReadReport]:
    """Start a task of a service elsewhere; it goes on if this process ends."""
    if "tenant" in arguments:
        raise click.UsageError("--tenant does not go with --url: the key names the tenant")
    with HTTPClient(url, key or None) as client:
        task = client.ask("POST", "/v1/admin/tasks", json={"kind": kind, **arguments})
        path = f"/v1/admin/tasks/{task['task_id']}"
        yield lambda: msgspec.convert(client.ask("GET", path), AdminTaskReport)


def _watch(read_report: ReadReport, unit: str, *, show_bar: bool) -> AdminTaskReport:
    patient_until: float | None = time.monotonic() + _PATIENCE_SECONDS
    with verdicts.progress(wanted=show_bar) as bar:
        shown = bar.add_task(unit, total=None)
        while True:
            report = AdminTaskReport()
            with suppress(StoreUnavailableError):  # the task goes on
                report = read_report()
            if report.status != "queued":
                patient_until = None
                bar.update(shown, completed=report.done, total=report.total or None)
                if report.ended:
                    return report
            elif patient_until is not None and time.monotonic() > patient_until:
                patient_until = None
                click.echo("No process has started it yet: is `seenit worker` running?", err=True)
            time.sleep(_LOOK_SECONDS)
