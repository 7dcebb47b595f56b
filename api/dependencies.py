"""Types of injected dependencies, and of parameters that several handlers share."""

from __future__ import annotations

import math
from typing import Annotated, Any, TypeAlias

from litestar import Request
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.params import PathParameter, QueryParameter, SkipValidation

from adapters.settings import Settings
from api.auth import Caller
from api.upload_spool import UploadSpool
from core.errors import MalformedError
from core.queries.jobs import JobReader
from core.queries.records import RecordReader
from core.search.searcher import Searcher

Configured: TypeAlias = NamedDependency[SkipValidation[Settings]]
Jobs: TypeAlias = NamedDependency[SkipValidation[JobReader]]
Records: TypeAlias = NamedDependency[SkipValidation[RecordReader]]
Searching: TypeAlias = NamedDependency[SkipValidation[Searcher]]
Spooled: TypeAlias = NamedDependency[SkipValidation[UploadSpool]]
Who: TypeAlias = NamedDependency[SkipValidation[Caller]]

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
