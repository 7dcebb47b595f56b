"""Routes of administrative tasks, which the engine or a worker runs."""

from __future__ import annotations

import asyncio
from typing import Annotated, TypeAlias

from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import PathParameter, SkipValidation

from api.auth import KEYED
from api.dependencies import Requested, Who
from api.problems import documented
from api.request_bodies import of_json
from api.schemas.admin import AdminTaskView
from api.schemas.operation_bodies import AdminTaskOperation
from api.schemas.requests import AdminTaskBody
from core.admin_tasks import AdminTaskReport, AdminTasks
from core.errors import ForbiddenError, MissingError

Tasks: TypeAlias = NamedDependency[SkipValidation[AdminTasks]]
TaskId: TypeAlias = Annotated[
    str, PathParameter(description="As the call that started the task returned it.")
]


class AdminRoutes(Controller):
    """The routes below /v1/admin/tasks."""

    path = "/v1/admin/tasks"
    tags = ("admin",)
    security = KEYED

    @post(
        status_code=202,
        opt={"role": "admin", "operator": True},
        operation_class=AdminTaskOperation,
        summary="Start an administrative task",
        responses=documented(),
    )
    async def start_admin_task(
        self, request: Requested, admin_tasks: Tasks, caller: Who
    ) -> AdminTaskView:
        """Start a task of the tenant; with a key of role operator, of all tenants.

        `reindex` makes the index of the whole service again: it takes an operator's key, or, where
        all keys open one tenant, its admin's.

        `backfill` computes missing vectors; `backfill-pixels` and `backfill-features` fingerprint
        again what an older version did; `calibrate` measures thresholds.

        If an equal task waits or runs, no other is started and the answer names that one.
        """
        body = of_json(await request.body(), AdminTaskBody)
        arguments = body.arguments()
        if body.kind == "reindex" and not caller.whole:
            raise ForbiddenError(
                "a reindex concerns every tenant: it takes a key of role operator", field="kind"
            )
        if caller.role != "operator":
            arguments["tenant"] = caller.tenant
        once = admin_tasks.request_once
        task = await asyncio.to_thread(once, body.kind, arguments)
        return _view(task.task_id, AdminTaskReport())

    @get(
        "/{task_id:str}",
        opt={"role": "admin", "operator": True},
        summary="One administrative task",
        responses=documented(MissingError),
        sync_to_thread=True,
    )
    def get_admin_task(self, admin_tasks: Tasks, caller: Who, task_id: TaskId) -> AdminTaskView:
        """Return a task's progress; once it has ended, its result or its error, for a day."""
        tenant = None if caller.role == "operator" else caller.tenant
        return _view(task_id, admin_tasks.read_report(task_id, tenant))


def _view(task_id: str, report: AdminTaskReport) -> AdminTaskView:
    return AdminTaskView(
        task_id=task_id,
        status=report.status,
        done=report.done,
        total=report.total,
        result=report.result,
        error=report.error,
    )
