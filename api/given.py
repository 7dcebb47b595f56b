"""What every handler is given, and the parameters that several of them share."""

from __future__ import annotations

import math
from typing import Annotated, TypeAlias

from litestar.di import NamedDependency
from litestar.openapi.spec import Example
from litestar.params import FromPath, HeaderParameter, QueryParameter, SkipValidation

from adapters.wiring import Services
from api.auth import Caller
from core.errors import MalformedError, PreconditionError

Wired: TypeAlias = NamedDependency[SkipValidation[Services]]
Who: TypeAlias = NamedDependency[SkipValidation[Caller]]

ImageId: TypeAlias = FromPath[str]
JobId: TypeAlias = FromPath[str]
Limit: TypeAlias = Annotated[int, QueryParameter(ge=1, le=200, description="Most items.")]
Cursor: TypeAlias = Annotated[
    str | None, QueryParameter(description="`next_cursor` of the part before.")
]
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

    An ETag begins with the record's revision; what follows is of its original's.
    """
    if header is None or header.strip() == "*":
        return None
    wanted = {tag.strip().strip('"').partition("-")[0] for tag in header.split(",")}
    if str(revision) not in wanted:
        raise PreconditionError(f"the record is at revision {revision}", field="If-Match")
    return revision


def holds(header: str | None, etag: str) -> bool:
    """Whether the caller has what this ETag names (RFC 9110, 13.1.2: weak comparison)."""
    if header is None:
        return False
    held = [tag.strip().removeprefix("W/") for tag in header.split(",")]
    return "*" in held or etag in held


def number(name: str, value: float) -> float:
    """A parameter that is a number; NaN passes every comparison and is none."""
    if math.isnan(value):
        raise MalformedError(f"{name} is a number", field=name)
    return value
