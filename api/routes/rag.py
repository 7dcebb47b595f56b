"""The route that builds prompts with pictures."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
from litestar import Controller, post
from litestar.di import NamedDependency
from litestar.params import SkipValidation

from api.auth import KEYED
from api.check_gate import CheckGate
from api.dependencies import Configured, Records, Requested, Searching, Spooled, Who
from api.forwarding import TrustedProxies
from api.multipart import FormLimits
from api.problems import FILE_ERRORS, documented
from api.request_bodies import received_body
from api.schemas.operation_bodies import PromptOperation
from api.schemas.requests import PromptBody
from core.errors import (
    ConflictError,
    EmbedderUnavailableError,
    GoneError,
    MissingError,
)
from core.search.searcher import Searcher
from rag.prompt_builder import PromptBuilder, PromptRequest, PromptResult

FILES = 8
"""Most pictures sent along with one question."""


class RagRoutes(Controller):
    """The route POST /v1/rag/context."""

    path = "/v1/rag/context"
    tags = ("rag",)
    security = KEYED

    @post(
        status_code=200,
        opt={"role": "read"},
        request_max_body_size=None,
        operation_class=PromptOperation,
        summary="The pictures that help with a question, as a prompt",
        responses=documented(
            MissingError, ConflictError, GoneError, EmbedderUnavailableError, *FILE_ERRORS
        ),
    )
    async def build_context(
        self,
        *,
        request: Requested,
        settings: Configured,
        searcher: Searching,
        records: Records,
        caller: Who,
        spool: Spooled,
        checks: NamedDependency[SkipValidation[CheckGate]],
        contexts: NamedDependency[SkipValidation[PromptBuilder]],
        proxies: NamedDependency[SkipValidation[TrustedProxies]],
    ) -> PromptResult:
        """Find pictures relevant to a `query`, to stored pictures (`images`) or to files.

        `messages` is a whole turn in the format of the provider that `format` names, `blocks` the
        same without the question, for a turn that the caller writes; `citations` maps each label to
        its picture. Only pictures whose decision and original's are `allow` are shown. If nothing
        is relevant, or the budget is too small for one picture, there are no citations but a
        `reason`. A picture that does not fit is sent smaller, and listed in `dropped` if that does
        not fit either. Tokens are estimated by the provider's published formula for `model`, for an
        unknown model by its costliest one, with a line in `notes`. `deliver` sends pictures
        `inline`, by `url` (signed, valid for an hour, below `SEENIT_PUBLIC_URL`) or by `reference`
        (labels and ids only). Files are parts named `images` or `file`; none of them is stored.
        """
        base = settings.public_url or (
            f"{proxies.scheme(request.scope)}://{request.base_url.netloc}"
        )
        limits = FormLimits(FILES, int(settings.max_bytes), either=frozenset({"images"}))
        async with received_body(request, spool, PromptBody, files=limits) as (body, files):
            wanted = body.request(base)
            if caller.shown_only and wanted.image_ids:
                await asyncio.to_thread(
                    records.check_shown, caller.tenant, wanted.image_ids, "images"
                )
            if not files:
                return await asyncio.to_thread(contexts.build, caller.tenant, wanted)
            return await checks.run(
                caller.tenant, lambda: _build(searcher, contexts, caller.tenant, wanted, files)
            )


def _build(
    searcher: Searcher,
    contexts: PromptBuilder,
    tenant: str,
    wanted: PromptRequest,
    files: list[Path],
) -> PromptResult:
    """Build a prompt, searching also by the pictures sent along."""
    vectors = tuple(searcher.see(tenant, file.read_bytes()) for file in files)
    return contexts.build(tenant, msgspec.structs.replace(wanted, vectors=vectors))
