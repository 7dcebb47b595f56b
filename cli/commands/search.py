"""`seenit search`: pictures by words, by meaning, by example."""

from __future__ import annotations

from pathlib import Path
from typing import Unpack

import click

from cli import connection, filter_options
from cli.rendering import results, verdicts
from core.types import SpaceKind

ASKED: dict[str, tuple[SpaceKind, ...]] = {
    "hybrid": ("visual", "caption"),
    "visual": ("visual",),
    "caption": ("caption",),
    "keyword": (),
}
"""Spaces by mode."""


class Least(click.ParamType[tuple[str, float]]):
    """A cosine, alone or after the name of its space: 0.4, caption=0.4."""

    name = "cosine"

    def convert(
        self,
        value: str | tuple[str, float],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> tuple[str, float]:
        """Return the name of the space, "" for none, and the cosine."""
        if isinstance(value, tuple):
            return value
        kind, _, number = value.rpartition("=")
        try:
            return kind, float(number)
        except ValueError:
            self.fail(f"{value!r} is not a cosine: write 0.4 or caption=0.4", param, ctx)


@click.command()
@click.argument("text", nargs=-1)
@click.option(
    "--image",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Search by this picture, which is not stored.",
)
@click.option(
    "--mode",
    type=click.Choice(list(ASKED)),
    default="hybrid",
    show_default=True,
    help="What is asked: all together, pixels, what words mean, or the words themselves.",
)
@filter_options.options
@click.option(
    "--limit", type=click.IntRange(1, 200), default=10, show_default=True, help="Most pictures."
)
@click.option(
    "--min-similarity",
    "least",
    type=Least(),
    multiple=True,
    help="Least cosine; in hybrid with its space: caption=0.4.",
)
@click.option(
    "--group-by",
    type=click.Choice(["category", "owner_id", "decision", "verdict", "tag"]),
    help="Only the best of each.",
)
@click.option("--collapse/--no-collapse", default=True, help="Show copies as their original.")
@connection.options
def command(
    text: tuple[str, ...],
    *,
    image: Path | None,
    mode: str,
    limit: int,
    least: tuple[tuple[str, float], ...],
    group_by: str | None,
    collapse: bool,
    service: connection.ServiceOptions,
    as_json: bool,
    **chosen: Unpack[filter_options.ChosenFilters],
) -> None:
    """Find pictures by words, by what words mean, by a picture, or by all of them at once.

    Only allowed pictures are shown, unless --decision names others; a service with keys then asks
    for the role moderate.
    """
    if not text and image is None:
        raise click.UsageError("say what to search for, or name a picture with --image")
    sending = filter_options.given(
        text=" ".join(text),
        mode=mode,
        filters=filter_options.sent(chosen),
        limit=limit,
        min_similarity=_least(least, mode),
        group_by=group_by,
        collapse=collapse,
    )
    with connection.connect(service, asked=ASKED[mode]) as client:
        answer = results.advised(lambda: client.search(sending, image))
    if as_json:
        verdicts.as_json(answer)
    else:
        results.hits(answer)


def _least(given: tuple[tuple[str, float], ...], mode: str) -> float | dict[str, float] | None:
    if not given:
        return None
    if mode != "hybrid" and len(given) == 1 and given[0][0] in ("", mode):
        return given[0][1]
    if mode != "hybrid":
        raise click.UsageError(
            f"--min-similarity with --mode {mode} takes one number without a name, such as 0.4"
        )
    if any(not kind for kind, _ in given):
        raise click.UsageError(
            "--min-similarity with --mode hybrid names its space, such as caption=0.4 or "
            "visual=0.25"
        )
    return dict(given)
