"""`seenit`: one command a module, loaded when it is called, and every error one plain line.

Exit codes: 0 all went well · 1 a picture or a check failed · 2 wrong use, settings or key ·
3 a part or the service does not answer · 130 interrupted.
"""

from __future__ import annotations

import importlib
import io
import os
import sys

import click

from cli.rendering.printable import printable
from core.errors import (
    ForbiddenError,
    SeenitError,
    SettingsError,
    UnauthorizedError,
    UnavailableError,
)

_COMMANDS = {
    "up": "Run the service: API and worker in one process.",
    "api": "Run the API alone, beside workers that share a Redis.",
    "worker": "Run a worker: it settles uploads and answers questions.",
    "beat": "Run the beat: it finds again what a queue lost.",
    "ingest": "Take in files and folders, and tell each one's verdict.",
    "check": "Say whether pictures were seen before, keeping nothing.",
    "search": "Find pictures by words, by meaning, by example.",
    "similar": "Find the pictures nearest to one.",
    "context": "Answer a question with the pictures that help, as a prompt.",
    "stats": "Count what is stored.",
    "export": "Write every record with its vectors to a file.",
    "reindex": "Make the index again from the log.",
    "backfill": "Make vectors that are missing, fingerprints that are old.",
    "model": "Change the model under a filled index.",
    "calibrate": "Measure from which similarity on a picture answers a question.",
    "evaluate": "Measure recall and false verdicts on photos of yours.",
    "doctor": "Say what is installed and what is missing.",
}
"""Help of each command, here so that `seenit --help` imports none of them."""

_OURS = {"adapters", "api", "cli", "core", "demo", "evaluation", "rag", "worker"}

FAILED, WRONG, UNAVAILABLE, INTERRUPTED = 1, 2, 3, 130


class LazyGroup(click.Group):
    """Commands that are imported when called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of the help."""
        del ctx
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import `cli.commands.<name>` and take its `command`; None for an unknown name."""
        del ctx
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"cli.commands.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands with a line each, without importing them."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Settings are SEENIT_* variables: see docs/settings.md, or `seenit doctor`.",
)
@click.version_option(package_name="seenit")
def seenit() -> None:
    """Recognise pictures that were seen before, and find the ones that answer a question."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and leave with its exit code.

    One thread a matrix product, unless the environment says otherwise: several workers that each
    take every core make a look-up ten times slower under load. It counts before numpy is loaded.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # else a name that it cannot carry ends all
            stream.reconfigure(errors="backslashreplace")
    sys.exit(run(arguments))


def run(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    try:
        code = seenit.main(arguments, prog_name="seenit", standalone_mode=False)
    except click.exceptions.Exit as left:
        return left.exit_code
    except click.Abort:
        return INTERRUPTED
    except KeyboardInterrupt:
        click.echo("seenit: interrupted", err=True)
        return INTERRUPTED
    except (click.ClickException, SeenitError, OSError, ModuleNotFoundError) as error:
        return _told(error)
    return code if isinstance(code, int) else 0


def _told(error: click.ClickException | SeenitError | OSError | ModuleNotFoundError) -> int:
    """Print an error in plain words; returns the exit code."""
    if isinstance(error, click.ClickException):
        said = _plain(error.format_message())
        if isinstance(error, click.UsageError):  # which names the command as well
            error = click.UsageError(said, error.ctx)
        else:
            error = click.ClickException(said)
        error.show()
        return WRONG
    if isinstance(error, SeenitError):
        click.echo(f"seenit: {_plain(error.detail)}", err=True)
        if isinstance(error, SettingsError | UnauthorizedError | ForbiddenError):
            return WRONG
        return UNAVAILABLE if isinstance(error, UnavailableError) else FAILED
    if isinstance(error, ModuleNotFoundError):
        if (error.name or "").partition(".")[0] in _OURS:
            raise error
        click.echo(f"seenit: {error}: run make setup; `seenit doctor` names what else", err=True)
        return WRONG
    where = "" if error.filename is None else f"{os.fsdecode(error.filename)}: "
    said = (error.strerror or str(error)).lower()
    click.echo(f"seenit: {_plain(where + said)}", err=True)
    return FAILED


def _plain(text: str) -> str:
    """Return a message without the terminal controls that a file name may contain."""
    return "\n".join(map(printable, text.split("\n")))
