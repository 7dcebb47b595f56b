"""Routes that read pictures: lists, records, neighbours, duplicates and variants."""

from __future__ import annotations

from typing import Annotated, get_args

from litestar import Controller, Response, get
from litestar.params import QueryParameter

from api.auth import KEYED, check_decisions
from api.dependencies import Cursor, ImageId, Limit, Records, Searching, Who, number
from api.etags import ETAG, IfNoneMatch, answer
from api.problems import documented
from api.schemas import examples, images, render
from api.schemas.requests import SearchFilters
from core import validation
from core.errors import (
    ConflictError,
    EmbedderUnavailableError,
    GoneError,
    MissingError,
)
from core.filters import SHOWN
from core.types import SPACE_KINDS, Kind, SpaceKind, Value


class ImageRoutes(Controller):
    """The routes below /v1/images that read records."""

    path = "/v1/images"
    tags = ("images",)
    security = KEYED

    @get(
        opt={"role": "write"},
        summary="List records",
        responses=documented(),
        sync_to_thread=True,
    )
    def list_images(
        self,
        *,
        records: Records,
        caller: Who,
        category: Annotated[str | None, QueryParameter()] = None,
        tags: Annotated[
            str | None, QueryParameter(description="A tag that the picture has.")
        ] = None,
        tag: Annotated[str | None, QueryParameter(include_in_schema=False)] = None,
        verdict: Annotated[Kind | None, QueryParameter()] = None,
        decision: Annotated[Value | None, QueryParameter()] = None,
        owner_id: Annotated[str | None, QueryParameter()] = None,
        external_id: Annotated[str | None, QueryParameter()] = None,
        sha256: Annotated[
            str | None, QueryParameter(description="SHA-256 of the bytes, in hex.")
        ] = None,
        original_id: Annotated[
            str | None, QueryParameter(description="Copies of this record.")
        ] = None,
        accepted_after: Annotated[str | None, QueryParameter(description="RFC 3339.")] = None,
        accepted_before: Annotated[str | None, QueryParameter(description="RFC 3339.")] = None,
        limit: Limit = 50,
        cursor: Cursor = None,
    ) -> images.Images:
        """List settled pictures that pass every filter, newest first."""
        filters = SearchFilters(
            category=category,
            tags=tuple(one for one in (tag, tags) if one is not None),
            verdict=verdict,
            decision=decision,
            owner_id=owner_id,
            external_id=external_id,
            sha256=sha256,
            original_id=original_id,
            accepted_after=accepted_after,
            accepted_before=accepted_before,
        ).filters("")
        return render.images(records.pictures(caller.tenant, filters, limit, cursor))

    @get(
        "/{image_id:str}",
        opt={"role": "read"},
        summary="One record",
        response_headers=[ETAG],
        responses={
            **documented(MissingError, GoneError),
            304: examples.empty("The ETag in If-None-Match still holds."),
        },
        sync_to_thread=True,
    )
    def get_image(
        self, records: Records, caller: Who, image_id: ImageId, held: IfNoneMatch = None
    ) -> Response[images.Image]:
        """Return a record: 404 with the `job` until it is settled, 410 once it is deleted.

        To a key of role `read`, here and below, a picture whose decision or original's is not
        `allow`, or that is not settled, is unknown: 404, in no list, and named nowhere.
        """
        seen = records.record(caller.tenant, image_id, shown_only=caller.shown_only)
        return answer(seen, held)

    @get(
        "/{image_id:str}/similar",
        opt={"role": "read"},
        summary="Pictures near one",
        responses=documented(MissingError, GoneError, ConflictError, EmbedderUnavailableError),
        sync_to_thread=True,
    )
    def find_similar_images(
        self,
        *,
        records: Records,
        searcher: Searching,
        caller: Who,
        image_id: ImageId,
        space: Annotated[
            str, QueryParameter(description="`visual` or `caption`, or the id of an active space.")
        ] = "visual",
        limit: Limit = 50,
        min_similarity: Annotated[
            float, QueryParameter(ge=-1, le=1, description="Minimum cosine.")
        ] = -1.0,
        decision: Annotated[
            str | None,
            QueryParameter(
                description="Decisions of the neighbours, separated by commas; `allow` unless "
                "others are named, which takes the role `moderate`."
            ),
        ] = None,
    ) -> images.Neighbours:
        """List a picture's neighbours in an embedding space, best first, without itself.

        Neighbours are pictures whose decision and original's are `allow`, unless a key of role
        `moderate` or `admin` names other decisions; the picture itself may have any. A copy without
        a vector uses its original's. 409 if neither has one, or if the space is not the active one;
        503 if there is no model.
        """
        if space.partition("-")[0] not in SPACE_KINDS:
            raise validation.mismatch("space", space, SpaceKind)
        wanted = SHOWN if decision is None else tuple(dict.fromkeys(decision.split(",")))
        for one in wanted:
            if one not in get_args(Value):
                raise validation.mismatch("decision", one, Value)
        check_decisions(caller, wanted, "decision")
        space_id = searcher.space_id(caller.tenant, space)
        least = number("min_similarity", min_similarity)
        found = records.similar(
            caller.tenant,
            image_id,
            space_id,
            limit,
            least,
            decisions=wanted,
            shown_only=caller.shown_only,
        )
        return render.neighbours(space_id, found)

    @get(
        "/{image_id:str}/duplicates",
        opt={"role": "read"},
        summary="An original and its copies",
        responses=documented(MissingError, GoneError),
        sync_to_thread=True,
    )
    def list_duplicates(
        self,
        records: Records,
        caller: Who,
        image_id: ImageId,
        limit: Limit = 50,
        cursor: Cursor = None,
    ) -> images.Star:
        """Return a picture's original (itself if it is not a copy) and all copies, newest first."""
        found = records.duplicate_group(
            caller.tenant, image_id, limit, cursor, shown_only=caller.shown_only
        )
        return render.star(found)

    @get(
        "/{image_id:str}/variants",
        opt={"role": "read"},
        summary="Variants of one picture",
        responses=documented(MissingError, GoneError),
        sync_to_thread=True,
    )
    def list_variants(
        self,
        records: Records,
        caller: Who,
        image_id: ImageId,
        limit: Limit = 50,
        cursor: Cursor = None,
    ) -> images.Images:
        """List pictures with the same layout or scene and other content, newest first.

        They are the matches of kind `variant` in the picture's verdict, and the pictures whose
        verdicts have such a match with this one. None of them is a copy of it.
        """
        found = records.variants(
            caller.tenant, image_id, limit, cursor, shown_only=caller.shown_only
        )
        return render.images(found)
