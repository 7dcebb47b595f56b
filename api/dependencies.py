"""Types of injected dependencies, and of parameters that several handlers share."""

from __future__ import annotations

import math
from typing import Annotated, Any, TypeAlias

from litestar import Request
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.params import PathParameter, QueryParameter, SkipValidation

from adapters.wiring import Services
from api.auth import Caller
from api.upload_spool import UploadSpool
from core.errors import MalformedError

Wired: TypeAlias = NamedDependency[SkipValidation[Services]]
Who: TypeAlias = NamedDependency[SkipValidation[Caller]]
Spooled: TypeAlias = NamedDependency[SkipValidation[UploadSpool]]

ImageId: TypeAlias = Annotated[str, PathParameter(description="As the upload returned it.")]
JobId: TypeAlias = Annotated[
    str, PathParameter(description="An upload's image_id, a retry's, or an operation's own id.")
]
Limit: TypeAlias = Annotated[int, QueryParameter(ge=1, le=200, description="Most items.")]
Cursor: TypeAlias = Annotated[
    str | None, QueryParameter(description="`next_cursor` of the part before.")
]
Requested: TypeAlias = Request[Any, Any, State]


def number(name: str, value: float) -> float:
    """Return a parameter's value. Raise MalformedError for NaN, which passes every comparison."""
    if math.isnan(value):
        raise MalformedError(f"{name} must be a number, not NaN", field=name)
    return value
