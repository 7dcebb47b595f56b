"""Run of `make demo`: real photos over HTTP, copies of them after, and a page of verdicts."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

import httpx
from msgspec import structs
from rich.console import Console
from rich.table import Table
from rich.text import Text

from demo import asking, page
from demo.asking import Found, Told
from demo.photos import CHECKED, COPIES, PHOTOS, Copy, Photo, read
from demo.sent import Answer, Sent
from demo.service import ServiceError, running

OUT = Path("out", "demo.html")
WAIT = 60
"""Seconds an upload waits for its verdict."""
_INTERRUPTED = 130
_COLOURS = {
    "new": "green",
    "similar": "cyan",
    "variant": "cyan",
    "near_duplicate": "yellow",
    "exact": "yellow",
}


def main() -> int:
    """Run the demo; return 0 if every verdict is as expected."""
    console = Console()
    for asked in (signal.SIGINT, signal.SIGTERM):  # the first is ignored in background jobs
        signal.signal(asked, _terminated)
    started = time.monotonic()
    try:
        photos = {photo.name: read(photo) for photo in PHOTOS}
        console.print("Starting Seenit on a free port, with an empty data folder …")
        with running() as url, httpx.Client(base_url=url, timeout=WAIT + 10) as http:
            console.print(f"It listens on {url}. Its own reference is at {url}/schema.\n")
            originals = _send_photos(console, http, photos)
            copies = _send_copies(console, http, photos, originals)
            checked = _check(http, photos, originals)
            stats = http.get("/v1/stats").raise_for_status().json()
            found = asking.search(http)
            told = asking.context(http)
            _show_found(console, found)
            _show_told(console, told)
            story = page.Story(
                originals=originals,
                copies=[*copies, checked],
                stats=stats,
                found=found,
                told=told,
            )
            page.write(OUT, http, story)
    except (ServiceError, FileNotFoundError, httpx.HTTPError) as error:
        console.print(f"demo: {error}", style="red", markup=False)
        return 1
    except KeyboardInterrupt:
        console.print("\ndemo: interrupted; the service is stopped and its data removed")
        return _INTERRUPTED
    faults = [fault for sent in (*originals.values(), *copies, checked) for fault in sent.faults]
    faults += _miscounted(stats, len(originals), len(copies))
    faults += [fault for one in found for fault in one.faults] + list(told.faults)
    for fault in faults:
        console.print(f"not as it must be: {fault}", style="red", markup=False)
    seconds = time.monotonic() - started
    console.print(
        f"{len(originals)} photos are originals, {len(copies)} copies of them were recognised, "
        f"one was only asked about. {seconds:.0f} s in all; the service is stopped."
        if not faults
        else f"{len(faults)} answers are wrong."
    )
    console.print(f"See them side by side: {OUT.absolute().as_uri()}", soft_wrap=True)
    return 1 if faults else 0


def _send_photos(console: Console, http: httpx.Client, photos: dict[str, bytes]) -> dict[str, Sent]:
    table = _table("Photos that nobody has seen before", ("photo", "verdict", "decision"))
    sent = {}
    for photo in PHOTOS:
        item, seconds = _upload(http, photo.file, photos[photo.name], photo.fields)
        one = _sent(photo.title, photo.name, item, seconds, _faults_of_photo(photo, item))
        sent[photo.name] = one
        table.add_row(Text(photo.name), _verdict(one), _decision(one))
    console.print(table)
    return sent


def _send_copies(
    console: Console, http: httpx.Client, photos: dict[str, bytes], originals: dict[str, Sent]
) -> list[Sent]:
    columns = ("what was done", "verdict", "original", "why", "decision", "ms")
    table = _table("Copies, sent by somebody else", columns)
    sent = []
    for copy in COPIES:
        data = copy.make(photos[copy.of])
        item, seconds = _upload(http, "copy.jpg", data, {"owner_id": "somebody else"})
        one = _sent(copy.title, copy.of, item, seconds, _faults_of_copy(copy, item, originals))
        sent.append(one)
        original = (one.verdict["original"] or {}).get("external_id") or ""
        why = (one.evidence or {}).get("words", "")
        milliseconds = Text(f"{1000 * seconds:.0f}", justify="right")
        table.add_row(
            copy.title, _verdict(one), Text(original), Text(why), _decision(one), milliseconds
        )
    console.print(table)
    return sent


def _show_found(console: Console, found: Sequence[Found]) -> None:
    """Print the queries and their hits."""
    columns = ("asked", "by", "found first", "similarity", "then")
    table = _table("Which picture is it? Asked in words", columns)
    for one in found:
        if one.absent:
            table.add_row(one.text, one.mode, Text("not answered", style="yellow"), "", "")
            continue
        first, *others = one.hits or ({"title": "nothing", "similarity": ""},)
        table.add_row(
            one.text,
            one.mode,
            Text(first["title"], style="red" if one.faults else "green"),
            first["similarity"],
            ", ".join(other["title"] for other in others),
        )
    console.print(table)
    for reason in dict.fromkeys(one.absent for one in found if one.absent):
        console.print(f"{reason}\n", style="yellow", markup=False)


def _show_told(console: Console, told: Told) -> None:
    """Print the prompt for a question."""
    console.print(f"A prompt for a model: {told.question}", style="bold", markup=False)
    for citation in told.citations:
        console.print(f"  {citation['label']} {citation['title']}", markup=False)
    if told.reason:
        console.print(f"  nothing: {told.reason}", style="yellow", markup=False)
    console.print(
        f"  {told.blocks} blocks for {told.format}, about {told.tokens} tokens\n", markup=False
    )


def _check(http: httpx.Client, photos: dict[str, bytes], originals: dict[str, Sent]) -> Sent:
    """Check a copy without storing it."""
    begun = time.monotonic()
    data = CHECKED.make(photos[CHECKED.of])
    answer = http.post("/v1/check", files={"file": ("asked.jpg", data)}).raise_for_status().json()
    item = {"image_id": None, **answer}
    faults = _faults_of_copy(CHECKED, item, originals)
    sent = _sent(CHECKED.title, CHECKED.of, item, time.monotonic() - begun, faults)
    return structs.replace(sent, data=data)


def _upload(
    http: httpx.Client, name: str, data: bytes, fields: Mapping[str, str | list[str]]
) -> tuple[Answer, float]:
    """Upload one picture and wait for its verdict: a job, and the seconds it took."""
    begun = time.monotonic()
    answer = http.post(
        "/v1/images", params={"wait": WAIT}, files={"file": (name, data)}, data=fields
    )
    item: Answer = answer.raise_for_status().json()["items"][0]
    if item.get("status") != "done":
        raise ServiceError(f"{name} got no verdict: {item.get('error') or item.get('status')}")
    return item, time.monotonic() - begun


def _sent(title: str, of: str, item: Answer, seconds: float, faults: Sequence[str]) -> Sent:
    return Sent(
        title=title,
        of=of,
        image_id=item["image_id"],
        verdict=item["verdict"],
        decision=item["decision"]["value"],
        seconds=seconds,
        faults=tuple(faults),
    )


def _faults_of_photo(photo: Photo, item: Answer) -> list[str]:
    """Return faults: a different photo is never a duplicate; the second eye's shows its scene."""
    kind = item["verdict"]["kind"]
    fits = kind == "new" or (kind in ("similar", "variant") and "right" in photo.name)
    return [] if fits else [f"{photo.name} is {kind}, though nobody has seen it before"]


def _faults_of_copy(copy: Copy, item: Answer, originals: dict[str, Sent]) -> list[str]:
    verdict, name = item["verdict"], f"{copy.of}, {copy.title.lower()}"
    original = (verdict["original"] or {}).get("image_id")
    if verdict["kind"] != copy.kind or original != originals[copy.of].image_id:
        return [f"{name} is {verdict['kind']} of {original}"]
    faults = []
    decision = item["decision"]["value"]
    if decision != copy.decision:
        faults.append(f"{name} gets the decision {decision}, not {copy.decision}")
    evidence = next(m["evidence"] for m in verdict["matches"] if m["image_id"] == original)
    if copy.kind == "near_duplicate":
        if evidence["transform"]["mirrored"] != copy.mirrored:
            faults.append(f"{name}: the mirror was not told")
        if bool(evidence["changed_regions"]) != copy.changed:
            faults.append(f"{name}: changed regions are {evidence['changed_regions']}")
        if not evidence["words"]:
            faults.append(f"{name}: no reason in words")
    return faults


def _miscounted(stats: Answer, originals: int, copies: int) -> list[str]:
    """Check that the picture that was only checked is not counted."""
    images = stats["total"]["images"]
    expected = originals + copies
    return [] if images == expected else [f"{images} pictures are counted, {expected} were sent"]


def _table(title: str, columns: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left", header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _verdict(sent: Sent) -> Text:
    kind = sent.verdict["kind"]
    return Text(kind.replace("_", " "), style="red" if sent.faults else _COLOURS[kind])


def _decision(sent: Sent) -> Text:
    return Text(sent.decision, style={"allow": "", "review": "magenta"}.get(sent.decision, "red"))


def _terminated(number: int, frame: FrameType | None) -> NoReturn:
    """Exit as after Ctrl-C, so that the service is stopped."""
    del number, frame
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
