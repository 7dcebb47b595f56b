"""`seenit ingest`: uploads files and folders and prints each verdict."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

import click

from cli import connection
from cli.client import Answer, HTTPClient, problem
from cli.file_names import external_id
from cli.file_reading import UnreadError, read
from cli.files import FoundFiles, Skipped, failing, listed, unread
from cli.rendering import verdicts
from core.errors import SeenitError

_T = TypeVar("_T")

_ENDED = ("done", "failed")
_AHEAD = 4
"""Threads that read files before they are sent."""
_POLL_SECONDS = 0.05
_Ready = tuple[str, Answer | None] | SeenitError
"""A file's SHA-256 and its stored record if there is one, or the error of reading it."""


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--category", help="Category of all of them.")
@click.option("--owner", help="owner_id of all of them.")
@click.option("--tag", "tags", multiple=True, help="Tag of all of them; may be repeated.")
@click.option("--discard", is_flag=True, help="Keep no bytes of exact duplicates.")
@click.option(
    "--at-once",
    type=click.IntRange(1, 10_000),
    default=256,
    show_default=True,
    help="Most uploads that are accepted and not settled yet.",
)
@connection.options
def command(
    paths: tuple[Path, ...],
    category: str | None,
    owner: str | None,
    tags: tuple[str, ...],
    *,
    discard: bool,
    at_once: int,
    service: connection.ServiceOptions,
    as_json: bool,
) -> int:
    """Upload files and folders, and print each verdict.

    Each picture's path becomes its external_id. Run it again after an interruption, and it goes
    on where it stopped: what is stored under the same path with the same bytes is not sent again.
    Files are sent in the order of their names: of two copies the first is the original. Skipped
    entries of a folder are counted and listed by kind; a file that is named is taken whatever its
    suffix.
    """
    files, skipped = listed(paths)
    fields: dict[str, Any] = {
        "category": category,
        "owner_id": owner,
        "tags": list(tags),
        "on_duplicate": "discard_bytes" if discard else None,
    }
    sending = {name: value for name, value in fields.items() if value}
    with connection.connect(service) as client:
        done = list(_rows(client, files, sending, at_once, show_bar=not as_json))
    rows = [one for one in done if isinstance(one, dict)]
    skipped += [one for one in done if isinstance(one, Skipped)]
    verdicts.outcome(rows, skipped, json_wanted=as_json)
    failed = any(row["status"] == "failed" for row in rows)
    return 1 if failed or failing(skipped) else 0


def _rows(
    client: HTTPClient,
    files: Sequence[FoundFiles],
    fields: dict[str, Any],
    at_once: int,
    *,
    show_bar: bool,
) -> Iterator[Answer | Skipped]:
    """Yield one row per file, in order, while a bar runs on standard error.

    Files are read ahead, sent one after the other, and settled behind: so the first of two copies
    is the original, however many are on their way.
    """
    with (
        verdicts.progress(wanted=show_bar) as bar,
        ThreadPoolExecutor(_AHEAD, thread_name_prefix="read") as pool,
    ):
        begun = ((file, pool.submit(_look, client, file)) for file in files)
        sent = (
            _send(client, file, ready.result(), fields)
            for file, ready in _delayed(begun, 2 * _AHEAD)
        )
        task = bar.add_task("pictures", total=len(files))
        try:
            for row in _delayed(sent, at_once):
                yield _settled(client, row)
                bar.advance(task)
        finally:
            pool.shutdown(cancel_futures=True)


def _delayed(items: Iterable[_T], most: int) -> Iterator[_T]:
    """Yield the items in order, each when `most` later ones have been made, or all."""
    held: deque[_T] = deque()
    for item in items:
        held.append(item)
        if len(held) > most:
            yield held.popleft()
    yield from held


def _look(client: HTTPClient, file: FoundFiles) -> _Ready:
    """Read a file, and ask whether it is stored already under its name."""
    try:
        content = sha256(read(file.path, client.most)).hexdigest()
        return content, client.find(sha256=content, external_id=external_id(file.name))
    except SeenitError as error:
        return error


def _send(
    client: HTTPClient, file: FoundFiles, ready: _Ready, fields: dict[str, Any]
) -> Answer | Skipped:
    """Send a file unless it is stored already; return its row so far.

    Raise errors that concern all files: no answer of the service, or an unknown key.
    """
    row: Answer = {"file": file.name, "status": "failed", "already": False}
    try:
        if isinstance(ready, SeenitError):
            raise ready
        content, record = ready
        if record is not None:
            told = {name: record[name] for name in ("image_id", "verdict", "decision")}
            return {**row, "status": "done", "already": True, **told}
        data = _same(read(file.path, client.most), content)
        sending = {**fields, "external_id": external_id(file.name)}
        job = client.upload(file.path, data, sending, _key(file, content, fields))
    except UnreadError as error:
        return unread(file, error)
    except SeenitError as error:
        return {**row, "error": problem(error)}
    return {**row, **job}


def _same(data: bytes, content: str) -> bytes:
    """Return the bytes if they have not changed since the first read. Raise UnreadError."""
    if sha256(data).hexdigest() != content:
        raise UnreadError("it changed after it was first read", "changed")
    return data


def _settled(client: HTTPClient, row: Answer | Skipped) -> Answer | Skipped:
    """Wait until a job has ended; return its row."""
    if isinstance(row, Skipped):
        return row
    while row["status"] not in _ENDED:
        try:
            row |= client.job(row["job_id"])
        except SeenitError as error:
            return {**row, "status": "failed", "error": problem(error)}
        if row["status"] not in _ENDED:
            time.sleep(_POLL_SECONDS)
    if row.get("error"):  # of a job it is a problem, whose type is an address
        row["error"]["type"] = str(row["error"]["type"]).rpartition("/")[2]
    return row


def _key(file: FoundFiles, content: str, fields: dict[str, Any]) -> str:
    """Return the idempotency key of a path, its bytes and fields: equal for a repeat."""
    parts = [file.name, content, *(f"{name}={value}" for name, value in sorted(fields.items()))]
    return sha256("\0".join(parts).encode()).hexdigest()
