"""`seenit export`: every record with its vectors, as JSON lines, Parquet or SQL."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Unpack, cast, get_args

import click

from adapters import settings, wiring
from adapters.export_writers import TABLE, Format, writer
from cli import connection, filter_options
from cli.rendering import verdicts
from core.errors import SeenitError
from core.index_port import Filters
from core.queries.export import Exporter

_SUFFIXES: dict[str, Format] = {".jsonl": "jsonl", ".parquet": "parquet", ".sql": "sql"}


@click.command()
@click.option(
    "--format",
    "kind",
    type=click.Choice(get_args(Format)),
    help="JSON lines, Parquet or SQL inserts; by the file's suffix, else jsonl.",
)
@click.option("--out", default="-", show_default=True, help="File to write, - for standard output.")
@filter_options.options
@click.option("--vectors/--no-vectors", default=True, show_default=True, help="Vectors as well.")
@click.option("--table", default="images", show_default=True, help="With sql: the table's name.")
@click.option("--tenant", default="default", show_default=True, help="Whose pictures.")
@click.option("--data", type=click.Path(file_okay=False), help="Data folder (SEENIT_DATA).")
@click.option("--json", "as_json", is_flag=True, help="Say what was written as one JSON document.")
def command(
    kind: Format | None,
    out: str,
    table: str,
    tenant: str,
    data: str | None,
    *,
    vectors: bool,
    as_json: bool,
    **chosen: Unpack[filter_options.ChosenFilters],
) -> int:
    """Write every record, newest first: all its fields in the API, and its vectors.

    The data folder is read as it is, also while a service runs on it; no model is needed. A file
    appears once it is whole. Parquet needs pyarrow: pip install "pyarrow".
    """
    if as_json and out == "-":
        raise click.UsageError("--json goes with --out FILE")
    if not TABLE.fullmatch(table):
        raise click.BadParameter(f"{table!r}: use letters, digits, _", param_hint="--table")
    kind = kind or _SUFFIXES.get(Path(out).suffix.lower(), "jsonl")
    read = settings.load(data=data, log_level="warning")
    connection.present(read)
    services = wiring.build(read)
    try:
        with _sink(out) as file:
            exporter = Exporter(services.snapshots.take(tenant), Filters(**chosen))
            written = writer(kind, file, exporter.spaces, vectors=vectors, table=table)
            records = 0
            with verdicts.progress(wanted=not as_json) as bar:
                stored = exporter.records(vectors=vectors)
                for one in bar.track(stored, total=exporter.total, description="records"):
                    written.write(one)
                    records += 1
            written.close()
    except BrokenPipeError:
        _hush()
        return 1
    except OSError as error:
        raise SeenitError(f"{out}: {(error.strerror or str(error)).lower()}") from None
    finally:
        services.close()
    if as_json:
        verdicts.as_json({"records": records, "format": kind, "out": out, "tenant": tenant})
    else:
        click.echo(f"{records} records" + ("" if out == "-" else f" in {out}"), err=True)
    return 0


@contextmanager
def _sink(out: str) -> Iterator[BinaryIO]:
    """Yield standard output, or a file that gets its name once it is whole. Raise OSError."""
    if out == "-":
        file = cast("BinaryIO", sys.stdout.buffer)
        yield file
        file.flush()
        return
    path = Path(out)
    if path.exists() and not path.is_file():  # a pipe or a device is written to, not replaced
        with path.open("wb") as file:
            yield file
        return
    half = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with half.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        half.replace(path)
    finally:
        with suppress(OSError):
            half.unlink(missing_ok=True)


def _hush() -> None:
    """Discard the rest of standard output: its reader has closed the pipe."""
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
