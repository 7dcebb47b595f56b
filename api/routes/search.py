"""The search route: by words, by meaning, by example."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import msgspec
import numpy as np
from litestar import Controller, post
from litestar.di import NamedDependency
from litestar.params import SkipValidation

from api.auth import KEYED, check_decisions
from api.check_gate import CheckGate
from api.dependencies import Configured, Records, Requested, Searching, Spooled, Who
from api.multipart import FormLimits
from api.problems import FILE_ERRORS, documented
from api.request_bodies import received_body
from api.schemas import images, render
from api.schemas.operation_bodies import SearchOperation
from api.schemas.requests import SearchBody
from core.errors import (
    ConflictError,
    EmbedderUnavailableError,
    GoneError,
    MissingError,
    WorkerUnavailableError,
)
from core.queries.records import RecordReader
from core.search import request as search_request
from core.search.request import SearchRequest
from core.search.searcher import Searcher, SearchResults

NOTHING = np.zeros(1, np.float32)
"""Placeholder for a file's vector while the rest of the request is validated."""


class SearchRoutes(Controller):
    """The route POST /v1/search."""

    path = "/v1/search"
    tags = ("search",)
    security = KEYED

    @post(
        status_code=200,
        opt={"role": "read"},
        request_max_body_size=None,
        operation_class=SearchOperation,
        summary="Find pictures",
        response_description="Best first.",
        responses=documented(
            MissingError,
            ConflictError,
            GoneError,
            EmbedderUnavailableError,
            WorkerUnavailableError,
            *FILE_ERRORS,
        ),
    )
    async def search_images(
        self,
        *,
        request: Requested,
        settings: Configured,
        searcher: Searching,
        records: Records,
        caller: Who,
        spool: Spooled,
        checks: NamedDependency[SkipValidation[CheckGate]],
    ) -> images.Hits:
        """Find pictures that match a text, a stored picture (`image_id`) or a `file`.

        `hybrid`, the default, searches every space and the words of the records, and fuses the
        lists by rank; `used` names the modes that took part, `missing` the others, with reasons. A
        mode that is named but has no model is a 503. A `space` other than the active one is a 409.
        `min_similarity` is a number with one mode, in hybrid an object such as `{"caption": 0.4}`,
        of which a hit must reach one. Only pictures whose decision and original's are `allow` are
        found, unless a key of role `moderate` or `admin` names others in `filters.decision`. A copy
        is shown as its original, with its id in `matched_copy_id`, unless `collapse` is false. A
        file is not stored.
        """
        begun = time.perf_counter()
        limits = FormLimits(1, int(settings.max_bytes))
        async with received_body(request, spool, SearchBody, files=limits) as (body, files):
            ask = body.request()
            check_decisions(caller, ask.filters.decision, "filters.decision")
            if caller.shown_only and ask.image_id is not None:
                await asyncio.to_thread(
                    records.check_shown, caller.tenant, [ask.image_id], "image_id"
                )
            if files:
                search_request.check(msgspec.structs.replace(ask, vector=NOTHING))
                found = await checks.run(
                    caller.tenant, lambda: _search_by_file(searcher, caller.tenant, ask, files[0])
                )
            else:
                found = await asyncio.to_thread(searcher.search, caller.tenant, ask)
            if caller.shown_only:
                found = await asyncio.to_thread(_for_readers, records, caller.tenant, found)
            return render.hits(found, time.perf_counter() - begun)


def _for_readers(records: RecordReader, tenant: str, found: SearchResults) -> SearchResults:
    """Return results whose verdicts name no picture that a reader may not see."""
    views = records.for_readers(tenant, [hit.seen for hit in found.hits])
    hits = [
        msgspec.structs.replace(hit, seen=seen) for hit, seen in zip(found.hits, views, strict=True)
    ]
    return msgspec.structs.replace(found, hits=hits)


def _search_by_file(
    searcher: Searcher, tenant: str, ask: SearchRequest, path: Path
) -> SearchResults:
    """Search by a picture, in the space that its vector was made for."""
    space_id = searcher.space_id(tenant, ask.space or "visual")
    vector = searcher.see(tenant, path.read_bytes())
    return searcher.search(tenant, msgspec.structs.replace(ask, vector=vector, space=space_id))
