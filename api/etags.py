"""ETags: which revision was seen, and whether it still holds."""

from __future__ import annotations

import re
from typing import Annotated, TypeAlias

from litestar import Response
from litestar.datastructures import ResponseHeader
from litestar.openapi.spec import Example
from litestar.params import HeaderParameter

from api.schemas import images, render
from core.errors import PreconditionError
from core.queries.joined_views import RecordView

ETAG = ResponseHeader(
    name="ETag",
    documentation_only=True,
    description="Begins with the revision of the record; two that are equal name the same answer.",
)

IfMatch: TypeAlias = Annotated[
    str | None,
    HeaderParameter(
        name="If-Match",
        description="ETag of the record that was seen; another revision answers 412.",
        examples=[Example(value='"3"')],
    ),
]
IfNoneMatch: TypeAlias = Annotated[
    str | None,
    HeaderParameter(name="If-None-Match", description="ETag that is held; 304 if it still holds."),
]


def matched(header: str | None, revision: int) -> int | None:
    """The revision that an operation must find, None for any. Raise PreconditionError.

    An ETag begins with the record's revision; what follows is of the spaces it is asked in, where
    a model was changed, and of its original.
    """
    if header is None or header.strip() == "*":
        return None
    wanted = {re.split("[.-]", tag.strip().strip('"'), maxsplit=1)[0] for tag in header.split(",")}
    if str(revision) not in wanted:
        raise PreconditionError(f"the record is at revision {revision}", field="If-Match")
    return revision


def holds(header: str | None, etag: str) -> bool:
    """Whether the caller has what this ETag names (RFC 9110, 13.1.2: weak comparison)."""
    if header is None:
        return False
    held = [tag.strip().removeprefix("W/") for tag in header.split(",")]
    return "*" in held or etag in held


def answer(seen: RecordView, held: str | None = None) -> Response[images.Image]:
    """A record with its ETag, or 304 where the caller holds it."""
    state = seen.record.state
    below = f"-{seen.original.revision}" if seen.original is not None else ""
    asked = "".join(f".{one}" for _, one in sorted(seen.spaces.items())) if seen.chosen else ""
    without = f".without{seen.gone}" if seen.gone else ""
    etag = f'"{state.revision}{asked}{without}{below}"'
    headers = {"ETag": etag, "Cache-Control": "private, no-cache"}
    if holds(held, etag):
        return Response(None, status_code=304, headers=headers)  # type: ignore[arg-type]
    return Response(render.image(seen), headers=headers)
