"""Latency of a prompt of eight pictures: search, visibility, previews, format and JSON."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, get_args

import msgspec

from adapters.wiring import Services
from benchmarks import service
from benchmarks.data import models, photos
from benchmarks.data.photos import PhotoSource
from benchmarks.report import Row, Run, seconds
from core.records import Fields
from rag import factory
from rag.prompt_builder import PromptRequest
from rag.providers.registry import Name

SUBJECTS = (
    "a red bicycle leaning on a brick wall",
    "two dogs playing in the park",
    "a bowl of fruit on a wooden table",
    "a sailing boat off a rocky coast",
    "a tram in the old town at night",
    "a snow covered mountain hut",
    "a child flying a kite on the beach",
    "a white cat asleep on a sofa",
)
SHOWN = 8
MODELS: dict[Name, str] = {
    "openai": "gpt-4o",
    "openai-responses": "gpt-5-mini",
    "anthropic": "claude-opus-4-8",
    "gemini": "gemini-2.5-flash",
}


class Size(NamedTuple):
    """Numbers of pictures and queries."""

    pictures: int
    queries: int
    """Queries for each format."""


FULL = Size(160, 40)
QUICK = Size(16, 2)


def rows(run: Run) -> list[Row]:
    """Measure the median and maximum of each format's queries, with cached previews."""
    return [_row(run, source) for source in run.sources]


def _row(run: Run, source: PhotoSource) -> Row:
    size = QUICK if run.quick else FULL
    files = source.stored(run.progress, size.pictures)
    small = models.mini()
    with (
        photos.folder() as folder,
        service.services(folder, str(small.folder) if small else "none", durable=False) as built,
    ):
        built.caption.load()
        _fill(run, built, folder, files)
        taken = {name: _taken(run, built, name, size.queries) for name in get_args(Name)}
    medians = {f"{name}, median, ms": each[len(each) // 2] for name, (each, _) in taken.items()}
    slowest = {f"{name}, slowest, ms": each[-1] for name, (each, _) in taken.items()}
    return Row(
        work="a context of 8 pictures, models loaded, previews warm, the slowest format",
        photos=source.kind,
        unit="ms",
        value=max(medians.values()),
        target=100,
        better="less",
        details={
            "visual model": small.name if small else "none",
            "caption model": built.caption.absent or built.settings.caption_model,
            "pictures stored": len(files),
            "pictures in a prompt": min(shown for _, shown in taken.values()),
            **medians,
            **slowest,
        },
    )


def _fill(run: Run, built: Services, folder: Path, files: list[bytes]) -> None:
    tracked = run.progress.track(files, description=f"storing {len(files)} pictures")
    for n, data in enumerate(tracked):
        fields = Fields(title=f"{SUBJECTS[n % len(SUBJECTS)]}, number {n}")
        service.ingest(built, folder, [data], fields)


def _taken(run: Run, built: Services, name: Name, questions: int) -> tuple[list[float], int]:
    """Return the milliseconds of each query, sorted, and the fewest pictures of one."""
    context = factory.context(built)
    fewest = SHOWN

    def ask(n: int) -> None:
        nonlocal fewest
        query = f"is there {SUBJECTS[n % len(SUBJECTS)]}?"
        wanted = PromptRequest(query=query, limit=SHOWN, format=name, model=MODELS[name])
        answered = context.build(service.TENANT, wanted)
        msgspec.json.encode(answered)
        fewest = min(fewest, len(answered.citations))

    for n in range(len(SUBJECTS)):
        ask(n)
    tracked = run.progress.track(range(questions), description=f"building {name}")
    return sorted(1000 * seconds(lambda n=n: ask(n)) for n in tracked), fewest  # type: ignore[misc]
