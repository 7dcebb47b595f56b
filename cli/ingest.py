"""`seenit ingest`: files and folders in, and what became of each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from cli import service, show
from cli.client import Answer, Client, read
from cli.files import Found, found
from core.errors import InputError

_ENDED = ("done", "failed")


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--category", help="Category of all of them.")
@click.option("--owner", help="owner_id of all of them.")
@click.option("--tag", "tags", multiple=True, help="Tag of all of them; may be repeated.")
@click.option("--discard", is_flag=True, help="Keep no bytes of exact and near duplicates.")
@click.option(
    "--at-once", type=click.IntRange(1, 64), default=16, show_default=True, help="Uploads in hand."
)
@service.options
def command(
    paths: tuple[Path, ...],
    category: str | None,
    owner: str | None,
    tags: tuple[str, ...],
    *,
    discard: bool,
    at_once: int,
    url: str | None,
    key: str | None,
    data: str | None,
    model: str | None,
    tenant: str,
    as_json: bool,
) -> int:
    """Take in files and folders, and tell each one's verdict.

    Each picture's path becomes its external_id. Run it again after an interruption, and it goes
    on where it stopped: what is stored under the same path with the same bytes is not sent again.
    With --at-once 1 the files are taken strictly in the order of their names.
    """
    files = list(found(paths))
    fields: dict[str, Any] = {
        "category": category,
        "owner_id": owner,
        "tags": list(tags),
        "on_duplicate": "discard_bytes" if discard else None,
    }
    sending = {name: value for name, value in fields.items() if value}
    with service.connect(url, key, data, model, tenant) as client:
        rows = list(_rows(client, files, sending, at_once, show_bar=not as_json))
    if as_json:
        show.as_json({"items": rows, "counts": show.counts(rows)})
    else:
        show.verdicts(rows)
        click.echo(show.summary(rows))
    return 1 if any(row["status"] == "failed" for row in rows) else 0


def _rows(
    client: Client, files: Sequence[Found], fields: dict[str, Any], at_once: int, *, show_bar: bool
) -> Iterator[Answer]:
    """One row a file, in order, while a bar runs on standard error."""
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=not show_bar,
        transient=True,
    )
    with ThreadPoolExecutor(at_once, thread_name_prefix="upload") as pool, bar:
        task = bar.add_task("pictures", total=len(files))

        def ended(_: Future[Answer]) -> None:
            bar.advance(task)

        waiting: list[Future[Answer]] = []
        for file in files:
            future = pool.submit(_take, client, file, fields)
            future.add_done_callback(ended)
            waiting.append(future)
        try:
            for future in waiting:
                yield future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _take(client: Client, file: Found, fields: dict[str, Any]) -> Answer:
    """Send a file unless it is stored already, and wait for its verdict.

    Raises UnavailableError where nobody answers: then all stop.
    """
    row: Answer = {"file": file.name, "status": "failed", "already": False}
    try:
        content = sha256(read(file.path)).hexdigest()
        record = client.find(sha256=content, external_id=file.name)
        if record is not None:
            told = {name: record[name] for name in ("image_id", "verdict", "decision")}
            return {**row, "status": "done", "already": True, **told}
        job = client.upload(
            file.path, {**fields, "external_id": file.name}, _key(file, content, fields)
        )
        while "error" not in job and job["status"] not in _ENDED:
            job = client.job(job["job_id"])
    except InputError as error:
        return {**row, "error": {"type": error.type, "detail": error.detail}}
    return {**row, **job, "status": job.get("status", "failed")}


def _key(file: Found, content: str, fields: dict[str, Any]) -> str:
    """The same path, bytes and fields are the same upload, however often they are sent."""
    parts = [file.name, content, *(f"{name}={value}" for name, value in sorted(fields.items()))]
    return sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()
