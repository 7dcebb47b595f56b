"""`seenit reindex`: the index made again from the log, by whichever process holds the folder."""

from __future__ import annotations

import time

import click
from msgspec import to_builtins

from adapters import settings
from adapters.errands import Errand, Errands, Report
from adapters.settings import Settings
from cli import show
from core.errors import IndexUnavailableError

_LOOK_SECONDS = 0.1


@click.command()
@click.option("--data", type=click.Path(file_okay=False), help="Data folder (SEENIT_DATA).")
@click.option("--model", help="Visual model (SEENIT_MODEL), for uploads that wait meanwhile.")
@click.option("--json", "as_json", is_flag=True, help="Answer with one JSON document.")
def command(data: str | None, model: str | None, *, as_json: bool) -> None:
    """Make the index again from the log, decoding and embedding nothing.

    A running `seenit up` does it and goes on serving; without one, this command does it itself.
    The new index is filled beside the old one and takes its place when it is whole.
    """
    read = settings.load(data=data, model=model, log_level="warning")
    started = time.monotonic()
    report = _carried_out(read, show_bar=not as_json)
    seconds = time.monotonic() - started
    if report.error is not None:
        raise IndexUnavailableError(f"the index was not made again: {report.error}")
    if as_json:
        show.as_json({**to_builtins(report), "seconds": round(seconds, 3)})
    else:
        click.echo(
            f"{report.records} records out of {report.done} entries of the log, {seconds:.1f} s"
        )


def _carried_out(read: Settings, *, show_bar: bool) -> Report:
    """Ask for it, and stand by as an engine in case nobody else is one."""
    from cli import up  # noqa: PLC0415  it loads API and worker: not to say --help

    up.log_to(read)
    errands = Errands(read.data / "errands")
    errand = errands.ask("reindex")
    try:
        with up.holding(read):
            return _watch(errands, errand, show_bar=show_bar)
    finally:
        errands.forget(errand)


def _watch(errands: Errands, errand: Errand, *, show_bar: bool) -> Report:
    with show.progress(wanted=show_bar) as bar:
        task = bar.add_task("log entries", total=None)
        while True:
            report = errands.look(errand)
            if report is not None:
                bar.update(task, completed=report.done, total=report.total)
                if report.ended:
                    return report
            time.sleep(_LOOK_SECONDS)
