"""ETags: the revision of a record that a caller holds, compared with the current one."""

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
    description="Starts with the record's revision; equal ETags mean equal answers.",
)

IfMatch: TypeAlias = Annotated[
    str | None,
    HeaderParameter(
        name="If-Match",
        description="ETag of the record as last read; 412 if it has another revision now.",
        examples=[Example(value='"3"')],
    ),
]
IfNoneMatch: TypeAlias = Annotated[
    str | None,
    HeaderParameter(
        name="If-None-Match", description="ETag of a cached answer; 304 if it is current."
    ),
]


def matched(header: str | None, revision: int) -> int | None:
    """Return the revision that an operation must find, None for any. Raise PreconditionError.

    An ETag starts with the record's revision; the rest names the spaces that were read, if a model
    was changed, and the revision of its original.
    """
    if header is None or header.strip() == "*":
        return None
    wanted = {re.split("[.-]", tag.strip().strip('"'), maxsplit=1)[0] for tag in header.split(",")}
    if str(revision) not in wanted:
        raise PreconditionError(
            f"the record is at revision {revision}, which If-Match does not name: read it again",
            field="If-Match",
        )
    return revision


def holds(header: str, etag: str) -> bool:
    """Return whether If-None-Match names this ETag (RFC 9110, 13.1.2: weak comparison)."""
    held = [tag.strip().removeprefix("W/") for tag in header.split(",")]
    return "*" in held or etag in held


def answer(seen: RecordView, held: str | None = None) -> Response[images.Image]:
    """Return a record with its ETag, or 304 if the caller holds it already."""
    state = seen.record.state
    below = f"-{seen.original.revision}" if seen.original is not None else ""
    spaces = "".join(f".{one}" for _, one in sorted(seen.spaces.items())) if seen.chosen else ""
    without = f".without{seen.gone}" if seen.gone else ""
    etag = f'"{state.revision}{spaces}{without}{below}"'
    headers = {"ETag": etag, "Cache-Control": "private, no-cache"}
    if held is not None and holds(held, etag):
        return Response(None, status_code=304, headers=headers)  # type: ignore[arg-type]
    return Response(render.image(seen), headers=headers)
