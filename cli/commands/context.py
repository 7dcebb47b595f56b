"""`seenit context`: the pictures that help with a question, as a prompt."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Unpack, get_args

import click

from cli import connection, filter_options
from cli.commands.similar import named
from cli.rendering import results, verdicts
from rag.budget_packing import Deliver
from rag.prompt_builder import LIMIT, MOST
from rag.providers.registry import Name


@click.command()
@click.argument("question", nargs=-1)
@click.option(
    "--image",
    "images",
    multiple=True,
    metavar="IMAGE_ID|FILE",
    help="Go by this picture too; a file is not stored. May be repeated.",
)
@click.option(
    "--format",
    "shape",
    type=click.Choice(get_args(Name)),
    default="openai",
    show_default=True,
    help="Whose messages.",
)
@click.option("--model", "reader", help="The model that will read it, for the count of tokens.")
@filter_options.options
@click.option(
    "--limit",
    type=click.IntRange(1, MOST),
    default=LIMIT,
    show_default=True,
    help="Most pictures.",
)
@click.option("--token-budget", type=click.IntRange(0), help="Most tokens of the whole prompt.")
@click.option("--byte-budget", type=click.IntRange(0), help="Most bytes of the pictures inline.")
@click.option(
    "--deliver",
    type=click.Choice(get_args(Deliver)),
    default="inline",
    show_default=True,
    help="Pictures as they are, as signed addresses, or by id alone.",
)
@click.option("--blocks", is_flag=True, help="Print the blocks alone, as JSON.")
@connection.connected
def command(
    question: tuple[str, ...],
    *,
    images: tuple[str, ...],
    shape: str,
    reader: str | None,
    limit: int,
    token_budget: int | None,
    byte_budget: int | None,
    deliver: str,
    blocks: bool,
    service: connection.ServiceOptions,
    as_json: bool,
    **chosen: Unpack[filter_options.ChosenFilters],
) -> None:
    """Answer a question with the pictures that help, in the shape that a model's provider takes.

    Only pictures that may be shown are taken. Without --json or --blocks their citations are
    listed, and what did not fit.
    """
    if not question and not images:
        raise click.UsageError("ask something, or name a picture with --image")
    stored, files = _pictures(images)
    sending = filter_options.given(
        query=" ".join(question),
        images=stored,
        filters=filter_options.sent(chosen),
        limit=limit,
        token_budget=token_budget,
        byte_budget=byte_budget,
        format=shape,
        model=reader,
        deliver=deliver,
    )
    with connection.connect(
        service, asked=("visual", "caption"), lasting=deliver == "url"
    ) as client:
        answer = results.advised(lambda: client.context(sending, files))
    if as_json:
        verdicts.as_json(answer)
    elif blocks:
        verdicts.as_json(answer["blocks"])
    else:
        results.citations(answer)


def _pictures(named_ones: Sequence[str]) -> tuple[list[str], list[Path]]:
    """Part the pictures of a question into ids of stored ones and files. Raise BadParameter."""
    found = [named(one, "--image") for one in named_ones]
    return [stored for stored, _ in found if stored], [file for _, file in found if file]
