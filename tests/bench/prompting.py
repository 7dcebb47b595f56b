"""A question to a prompt of eight pictures: search, what may be shown, previews, shape and JSON."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import msgspec
from rich.progress import Progress

from adapters.wiring import Services
from core.entries import Fields
from core.errors import SeenitError
from rag import assembly
from rag.context import Wanted
from rag.prompt.formats import Name
from tests.bench import photos, running, weights
from tests.bench.rows import Row, seconds

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
PICTURES = 160
SHOWN = 8
ASKED = 40
MODELS: dict[Name, str] = {
    "openai": "gpt-4o",
    "openai-responses": "gpt-5-mini",
    "anthropic": "claude-opus-4-8",
    "gemini": "gemini-2.5-flash",
}


def rows(progress: Progress) -> list[Row]:
    """The median and the slowest of questions to each format, previews warm."""
    small = weights.mini()
    with (
        photos.folder() as folder,
        running.services(folder, str(small) if small else "none", durable=False) as built,
    ):
        built.caption.load()
        _fill(progress, built, folder)
        taken = {name: _taken(progress, built, name) for name in get_args(Name)}
    told = {f"{name}, median, ms": each[len(each) // 2] for name, (each, _) in taken.items()}
    slowest = {f"{name}, slowest, ms": each[-1] for name, (each, _) in taken.items()}
    return [
        Row(
            work="a context of 8 pictures, models loaded, previews warm, the slowest format",
            unit="ms",
            value=max(told.values()),
            target=100,
            better="less",
            details={
                "visual model": small.name if small else "none",
                "caption model": built.caption.absent or built.settings.caption_model,
                "pictures stored": PICTURES,
                "pictures in a prompt": min(shown for _, shown in taken.values()),
                **told,
                **slowest,
            },
        )
    ]


def _fill(progress: Progress, built: Services, folder: Path) -> None:
    files = photos.small(progress, PICTURES)
    for n, data in enumerate(progress.track(files, description=f"storing {PICTURES} pictures")):
        fields = Fields(title=f"{SUBJECTS[n % len(SUBJECTS)]}, number {n}")
        uploads = [photos.upload(folder, n, data)]
        (job,) = built.acceptor.uploads(running.TENANT, uploads, fields).items
        if isinstance(job, SeenitError):
            raise job
        built.ingest.run(running.TENANT, [job.job_id])
        built.hand.ended([(running.TENANT, job.job_id)])


def _taken(progress: Progress, built: Services, name: Name) -> tuple[list[float], int]:
    """Milliseconds of each question, sorted, and the fewest pictures that one brought."""
    context = assembly.context(built)
    fewest = SHOWN

    def ask(n: int) -> None:
        nonlocal fewest
        query = f"is there {SUBJECTS[n % len(SUBJECTS)]}?"
        wanted = Wanted(query=query, limit=SHOWN, format=name, model=MODELS[name])
        answered = context.build(running.TENANT, wanted)
        msgspec.json.encode(answered)
        fewest = min(fewest, len(answered.citations))

    for n in range(len(SUBJECTS)):
        ask(n)
    asked = progress.track(range(ASKED), description=f"asking for {name}")
    return sorted(1000 * seconds(lambda n=n: ask(n)) for n in asked), fewest  # type: ignore[misc]
