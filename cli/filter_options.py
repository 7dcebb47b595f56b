"""The options that narrow a command down to some of the pictures."""

from __future__ import annotations

from datetime import datetime
from typing import Any, TypedDict, get_args

import click

from cli.connection import together
from core import clock
from core.types import Kind


class ChosenFilters(TypedDict):
    """Values of the filter options; None, or no tag, means any."""

    category: str | None
    tags: tuple[str, ...]
    owner_id: str | None
    external_id: str | None
    verdict: str | None
    decision: tuple[str, ...]
    accepted_after: str | None
    accepted_before: str | None


class Time(click.ParamType[str]):
    """A moment or a day, here where it names no zone; becomes RFC 3339 in UTC."""

    name = "time"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the moment in UTC, from a text as `datetime.fromisoformat` takes it."""
        try:
            return clock.stamp(datetime.fromisoformat(value).astimezone())
        except (ValueError, OverflowError):
            self.fail(
                f"{value!r} is not a time: write 2026-03-01 or 2026-03-01T09:30:00Z", param, ctx
            )


decision = click.option(
    "--decision",
    type=click.Choice(["allow", "review", "block"]),
    multiple=True,
    help="With this one; repeated: with one of them.",
)


options = together(
    click.option("--category", help="Of this category."),
    click.option("--tag", "tags", multiple=True, help="With this tag; repeated: with all."),
    click.option("--owner-id", "--owner", "owner_id", help="Of this owner."),
    click.option("--external-id", help="With this id of yours."),
    click.option(
        "--verdict",
        type=click.Choice(get_args(Kind)),
        help="Of this kind.",
    ),
    decision,
    click.option("--accepted-after", type=Time(), help="Accepted after this day or moment."),
    click.option("--accepted-before", type=Time(), help="Accepted before this day or moment."),
)
"""Decorator that adds `--category` to `--accepted-before`, the fields of `ChosenFilters`."""


def sent(chosen: ChosenFilters) -> dict[str, Any]:
    """As the service takes them."""
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in chosen.items()
        if value
    }


def given(**asked: object) -> dict[str, Any]:
    """Return what a request says: the values without None and empty ones."""
    return {name: value for name, value in asked.items() if value not in (None, "", {}, [])}
