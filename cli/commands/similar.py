"""`seenit similar`: the pictures nearest to one, stored or not."""

from __future__ import annotations

import re
import stat
from pathlib import Path
from typing import Any

import click

from cli import connection, filter_options
from cli.rendering import results, verdicts
from core.types import SpaceKind

ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@click.command()
@click.argument("picture", metavar="IMAGE_ID|FILE")
@click.option(
    "--space",
    type=click.Choice(["visual", "caption"]),
    default="visual",
    show_default=True,
    help="Compare pixels, or what was written of them.",
)
@click.option(
    "--limit", type=click.IntRange(1, 200), default=10, show_default=True, help="Most pictures."
)
@click.option("--min-similarity", type=click.FloatRange(-1, 1), help="Least cosine.")
@filter_options.decision
@connection.options
def command(
    picture: str,
    space: SpaceKind,
    limit: int,
    min_similarity: float | None,
    *,
    decision: tuple[str, ...],
    service: connection.ServiceOptions,
    as_json: bool,
) -> None:
    """Find the pictures nearest to a stored one, or to a file, which is not stored.

    Copies show as their original; a stored picture itself is left out. Only allowed pictures are
    shown, unless --decision names others; a service with keys then asks for the role moderate.
    """
    asked: dict[str, Any] = {"mode": space, "limit": limit}
    if min_similarity is not None:
        asked["min_similarity"] = min_similarity
    if decision:
        asked["filters"] = {"decision": list(decision)}
    stored, file = named(picture, "IMAGE_ID|FILE")
    if stored is not None:
        asked["image_id"] = stored
    with connection.connect(service, asked=[space]) as client:
        answer = results.advised(lambda: client.search(asked, file))
    if as_json:
        verdicts.as_json(answer)
    else:
        results.hits(answer)


def named(picture: str, hint: str) -> tuple[str | None, Path | None]:
    """Return the id of a stored picture, or a file. Raise BadParameter."""
    path = Path(picture)
    try:
        if stat.S_ISREG(path.stat().st_mode):
            return None, path
    except (OSError, ValueError):  # no such name, or none that a file could have
        pass
    if ID.fullmatch(picture.lower()):
        return picture.lower(), None
    raise click.BadParameter(
        f"{picture!r} is neither a file nor the id of a picture", param_hint=hint
    )
