"""The options that narrow a command down to some of the pictures."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, TypedDict, TypeVar

import click

from core import clock

_F = TypeVar("_F", bound=Callable[..., Any])


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


def options(command: _F) -> _F:
    """`--category` to `--accepted-before`, as the fields of `ChosenFilters`."""
    for option in (
        click.option("--accepted-before", type=Time(), help="Accepted before this day or moment."),
        click.option("--accepted-after", type=Time(), help="Accepted after this day or moment."),
        decision,
        click.option(
            "--verdict",
            type=click.Choice(["new", "similar", "near_duplicate", "exact"]),
            help="Of this kind.",
        ),
        click.option("--external-id", help="With this id of yours."),
        click.option("--owner-id", "--owner", "owner_id", help="Of this owner."),
        click.option("--tag", "tags", multiple=True, help="With this tag; repeated: with all."),
        click.option("--category", help="Of this category."),
    ):
        command = option(command)
    return command


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
