"""The check route: the verdict on a picture that is not stored."""

from __future__ import annotations

from pathlib import Path

from litestar import Controller, post
from litestar.di import NamedDependency
from litestar.params import SkipValidation

from api.auth import KEYED, Caller
from api.check_gate import CheckGate
from api.dependencies import Configured, Records, Requested, Spooled, Who
from api.multipart import FormLimits, received
from api.problems import FILE_ERRORS, documented
from api.schemas import images, render
from api.schemas.operation_bodies import CheckOperation
from core.errors import (
    MalformedError,
    WorkerUnavailableError,
)
from core.ingest.check import Checks
from core.queries.records import RecordReader


class CheckRoutes(Controller):
    """The route POST /v1/check."""

    path = "/v1/check"
    tags = ("images",)
    security = KEYED

    @post(
        status_code=200,
        opt={"role": "read"},
        request_max_body_size=None,
        operation_class=CheckOperation,
        summary="Check a picture without storing it",
        responses=documented(WorkerUnavailableError, *FILE_ERRORS),
    )
    async def check_image(
        self,
        *,
        request: Requested,
        settings: Configured,
        checker: NamedDependency[SkipValidation[Checks]],
        records: Records,
        caller: Who,
        spool: Spooled,
        checks: NamedDependency[SkipValidation[CheckGate]],
    ) -> images.Checked:
        """Return the verdict and decision that the picture would get if it were uploaded now.

        To a key of role `read` it names only pictures that such a key may see.
        """
        limits = FormLimits(1, int(settings.max_bytes))
        async with received(request, spool, limits) as form:
            if not form.files:
                raise MalformedError("send one file as a part named file", field="file")
            (path,) = form.paths()
            return await checks.run(caller.tenant, lambda: _check(checker, records, caller, path))


def _check(checker: Checks, records: RecordReader, caller: Caller, path: Path) -> images.Checked:
    found, decision = checker.check(caller.tenant, path.read_bytes())
    verdict, original = records.joined(caller.tenant, found, shown_only=caller.shown_only)
    return images.Checked(render.verdict(verdict, original), render.decision(decision, None))
