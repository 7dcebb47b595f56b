"""Routes of a picture's bytes: as uploaded, or as a preview."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal, TypeAlias

from litestar import Controller, Response, get, head
from litestar.di import NamedDependency
from litestar.openapi import ResponseSpec
from litestar.openapi.spec import (
    OpenAPIFormat,
    OpenAPIMediaType,
    OpenAPIResponse,
    OpenAPIType,
    Operation,
    Schema,
)
from litestar.params import QueryParameter, SkipValidation
from litestar.response import Stream

from api.auth import KEYED, Caller
from api.dependencies import ImageId, Records, Who
from api.etags import IfNoneMatch, holds
from api.problems import documented
from api.schemas import examples
from core.errors import ForbiddenError, GoneError, MissingError
from core.imaging.decoding import PREVIEW, preview_size
from core.imaging.previews import smaller
from core.queries.joined_views import RecordView
from core.queries.records import RecordReader
from core.storage.picture_store import PictureStore
from rag.types import allowed

MEDIA_TYPES = {
    "JPEG": "image/jpeg",
    "PNG": "image/png",
    "GIF": "image/gif",
    "WEBP": "image/webp",
    "AVIF": "image/avif",
    "HEIF": "image/heic",
    "TIFF": "image/tiff",
    "BMP": "image/bmp",
    "PPM": "image/x-portable-pixmap",
}
"""Media types (IANA's; PPM has none of its own) by format as `core.imaging.headers` names it."""

_ENDINGS = {"HEIF": "heic"}
"""File name endings that differ from the format's name."""

Size = Annotated[
    Literal["original", "preview", "thumb"],
    QueryParameter(description="As uploaded, or a JPEG of at most 512 or 160 pixels."),
]
Tenant = Annotated[
    str | None, QueryParameter(description="Part of a signed URL: the tenant that signed it.")
]
Expires = Annotated[
    str | None,
    QueryParameter(description="Part of a signed URL: when it expires, in seconds since 1970."),
]
Signature = Annotated[
    str | None,
    QueryParameter(description="Part of a signed URL: replaces a key, for this picture only."),
]
Chunks = Stream | Response[bytes]
Shelf: TypeAlias = NamedDependency[SkipValidation[PictureStore]]


@dataclass
class ContentOperation(Operation):
    """The documented operation, with every media type that the bytes may have."""

    def __post_init__(self) -> None:
        """Fill in all media types; the framework takes only one."""
        answer = (self.responses or {})["200"]
        assert isinstance(answer, OpenAPIResponse)  # noqa: S101 - for mypy: never a reference here
        binary = Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.BINARY)
        kinds = (*MEDIA_TYPES.values(), "application/octet-stream")
        answer.content = {kind: OpenAPIMediaType(schema=binary) for kind in kinds}


class ContentRoutes(Controller):
    """GET and HEAD of a picture's bytes."""

    path = "/v1/images/{image_id:str}/content"
    tags = ("images",)
    security = KEYED

    @get(
        opt={"role": "read", "signed": True},
        operation_class=ContentOperation,
        summary="The bytes of a picture",
        responses={
            **documented(MissingError, GoneError),
            200: ResponseSpec(
                bytes,
                description="The bytes, with the media type of their format.",
                generate_examples=False,
            ),
            304: examples.empty("The ETag in If-None-Match still holds."),
        },
        sync_to_thread=True,
    )
    def get_image_content(
        self,
        *,
        records: Records,
        shelf: Shelf,
        caller: Who,
        image_id: ImageId,
        size: Size = "original",
        held: IfNoneMatch = None,
        tenant: Tenant = None,  # noqa: ARG002 - the guard reads these two
        expires: Expires = None,  # noqa: ARG002
        signature: Signature = None,
    ) -> Chunks:
        """Return the bytes with the media type of their actual format, never the one claimed.

        A signed URL, as `/v1/rag/context` returns them, needs no key: it opens this picture in this
        size until it expires, as long as the decisions on it and on its original are `allow`.

        The ETag is made from their hash. A cache may keep the bytes but must revalidate them before
        each use, so that a picture that is taken down disappears at once. 410 if the bytes were
        purged, 404 if they were not kept.
        """
        shown = _seen(records, caller, image_id, signed=signature is not None)
        return _bytes(shelf, caller.tenant, shown, size, held, body=True)

    @head(
        opt={"role": "read", "signed": True},
        summary="The headers of a picture's bytes",
        responses={
            **documented(MissingError, GoneError),
            304: examples.empty("The ETag in If-None-Match still holds."),
        },
        sync_to_thread=True,
    )
    def head_image_content(
        self,
        *,
        records: Records,
        shelf: Shelf,
        caller: Who,
        image_id: ImageId,
        size: Size = "original",
        held: IfNoneMatch = None,
        tenant: Tenant = None,  # noqa: ARG002 - the guard reads these two
        expires: Expires = None,  # noqa: ARG002
        signature: Signature = None,
    ) -> Response[None]:
        """Return the headers of GET, without the bytes."""
        shown = _seen(records, caller, image_id, signed=signature is not None)
        return _bytes(shelf, caller.tenant, shown, size, held, body=False)  # type: ignore[return-value]


def _seen(records: RecordReader, caller: Caller, image_id: str, *, signed: bool) -> RecordView:
    """Return the record. Raise ForbiddenError for a signed URL of one that may not be shown."""
    hidden = caller.shown_only and not signed
    seen = records.record(caller.tenant, image_id, shown_only=hidden)
    if signed and not allowed(seen):
        raise ForbiddenError(
            "this picture may no longer be shown: its decision or its original's is not allow",
            field="signature",
        )
    return seen


def _bytes(
    shelf: PictureStore,
    tenant: str,
    seen: RecordView,
    size: Literal["original", "preview", "thumb"],
    held: str | None,
    *,
    body: bool,
) -> Chunks:
    print_, content = seen.record.fingerprint, seen.record.state.content
    image_id = seen.record.state.image_id
    if content == "purged":
        raise GoneError(f"the bytes of picture {image_id} were purged")
    if content == "discarded" and size == "original":
        raise MissingError(
            f"the bytes of picture {image_id} were not kept: it was a duplicate, uploaded "
            "with on_duplicate=discard_bytes"
        )
    headers = _headers(seen, size)
    if held is not None and holds(held, headers["ETag"]):
        return Response(b"", status_code=304, headers=headers)
    if size == "original":
        kind = MEDIA_TYPES.get(print_.format, "application/octet-stream")
        headers["Content-Length"] = str(print_.bytes)
        if not body:
            return Response(b"", headers=headers, media_type=kind)
        chunks = shelf.stream(tenant, image_id)
        return Stream(_opened(chunks), headers=headers, media_type=kind)
    read = shelf.preview if size == "preview" else shelf.thumb
    data = read(tenant, image_id, seen.record.state.remade)
    if size == "preview" and max(preview_size(print_.width, print_.height)) > PREVIEW:
        data = smaller(data, PREVIEW).data
    headers["Content-Length"] = str(len(data))
    return Response(data if body else b"", headers=headers, media_type="image/jpeg")


def _headers(seen: RecordView, size: str) -> dict[str, str]:
    print_ = seen.record.fingerprint
    digest = print_.sha256 if size == "original" else f"{print_.pixels_sha256}-{size}"
    original = _ENDINGS.get(print_.format, print_.format.lower())
    ending = original if size == "original" else "jpeg"
    return {
        "ETag": f'"{digest}"',
        "Cache-Control": "private, no-cache",
        # The uploaded file name is untrusted, so it is never sent back in a header.
        "Content-Disposition": f'inline; filename="{seen.record.state.image_id}.{ending}"',
        "Content-Security-Policy": "default-src 'none'; sandbox",
    }


def _opened(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Return the stream with its first chunk read, so that a missing blob fails before headers."""
    first = next(chunks, b"")

    def all_of_it() -> Iterator[bytes]:
        yield first
        yield from chunks

    return all_of_it()
