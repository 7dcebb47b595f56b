"""Routes that change pictures: edit, delete, purge, decide."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from litestar import Controller, Response, delete, patch, post, put
from litestar.di import NamedDependency
from litestar.params import QueryParameter, SkipValidation

from api.auth import KEYED
from api.dependencies import ImageId, Requested, Who
from api.etags import ETAG, IfMatch, answer
from api.operations import RecordChanges
from api.problems import documented
from api.request_bodies import of_json, of_patch
from api.schemas import examples, images
from api.schemas.operation_bodies import DecisionOperation, PatchOperation
from api.schemas.requests import DecisionBody
from core.errors import (
    ConflictError,
    GoneError,
    MissingError,
    PendingError,
    PreconditionError,
    TooLargeError,
)

Changes: TypeAlias = NamedDependency[SkipValidation[RecordChanges]]


class ChangeRoutes(Controller):
    """The routes below /v1/images that change a record."""

    path = "/v1/images"
    tags = ("images",)
    security = KEYED

    @delete(
        status_code=200,
        opt={"role": "write"},
        summary="Delete all of an owner's pictures",
        response_description="All deletes are settled.",
        responses={
            **documented(ConflictError),
            202: examples.spec(images.Erased, "Accepted; `waiting` deletes are not settled yet."),
        },
    )
    async def delete_owner_images(
        self,
        changes: Changes,
        caller: Who,
        owner_id: Annotated[str, QueryParameter(min_length=1, max_length=200)],
    ) -> Response[images.Erased]:
        """Delete every picture of an owner: settled, still waiting, or set aside as failed.

        Each picture is one operation. If some are not settled within ten seconds, the answer is
        202, and the same call again returns the progress. Pictures that are held stay: once all
        others are deleted, the answer is 409 and names the time until which the last one is held.

        With a key below admin, the hashes and features of a picture that a person blocked stay, as
        after the delete of that picture alone.
        """
        erased = await changes.erase(caller, owner_id)
        if erased.waiting:
            headers = {"Retry-After": str(PendingError.after)}
            return Response(erased, status_code=202, headers=headers)
        return Response(erased)

    @patch(
        "/{image_id:str}",
        opt={"role": "write"},
        operation_class=PatchOperation,
        summary="Edit the fields of a picture",
        response_headers=[ETAG],
        responses=documented(
            MissingError, GoneError, ConflictError, PreconditionError, TooLargeError
        ),
    )
    async def edit_image(
        self,
        *,
        request: Requested,
        changes: Changes,
        caller: Who,
        image_id: ImageId,
        if_match: IfMatch = None,
    ) -> Response[images.Image]:
        """Apply a JSON merge patch (RFC 7396): null removes a field, `metadata` is merged.

        Editable are title, description, category, tags, owner_id, external_id, source_url and
        metadata; any other field is a 400. `hold_until` takes a key of role moderate: until then
        the picture can be neither deleted nor purged; null lifts the hold.
        """
        patch = of_patch(await request.body())
        return answer(await changes.edit(caller, image_id, if_match=if_match, patch=patch))

    @delete(
        "/{image_id:str}",
        opt={"role": "write"},
        summary="Delete a picture",
        responses=documented(MissingError, GoneError, ConflictError, PreconditionError),
    )
    async def delete_image(
        self,
        *,
        changes: Changes,
        caller: Who,
        image_id: ImageId,
        if_match: IfMatch = None,
        forget: Annotated[bool, QueryParameter()] = False,
    ) -> None:
        """Delete the record, its bytes and all that was made from them, or an upload still waiting.

        Its copies are re-evaluated. 410 if it is deleted already; 409, with the time, if it is
        held.

        If a person blocked the picture and the key is below admin, its hashes and features stay,
        seen by no caller, so that later copies are still blocked. With a key of role admin all is
        deleted; `forget=true` also deletes what such an earlier delete left.
        """
        await changes.delete(caller, image_id, if_match, forget=forget)

    @post(
        "/{image_id:str}/purge",
        status_code=200,
        opt={"role": "moderate"},
        summary="Purge the bytes of a picture",
        responses=documented(MissingError, GoneError, ConflictError, PreconditionError),
    )
    async def purge_image(
        self, changes: Changes, caller: Who, image_id: ImageId, if_match: IfMatch = None
    ) -> Response[images.Image]:
        """Delete the bytes and previews; the fingerprint stays and recognises new uploads.

        409, with the time, if the picture is held.
        """
        return answer(await changes.change(caller, "purge", image_id, if_match))

    @put(
        "/{image_id:str}/decision",
        opt={"role": "moderate"},
        operation_class=DecisionOperation,
        summary="Decide what may be done with a picture",
        responses=documented(
            MissingError, GoneError, ConflictError, PreconditionError, TooLargeError
        ),
    )
    async def decide_image(
        self,
        request: Requested,
        changes: Changes,
        caller: Who,
        image_id: ImageId,
        if_match: IfMatch = None,
    ) -> Response[images.Image]:
        """Store a person's decision; it also applies to what repeats or contains the picture.

        The strictest decision over all confirmed matches of a copy counts, unless a person decided
        on the copy itself.
        """
        body = of_json(await request.body(), DecisionBody)
        seen = await changes.change(
            caller, "decide", image_id, if_match, value=body.value, reason=body.reason
        )
        return answer(seen)
