"""Stored pictures to search in, in the index and in the tail of the log."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
from PIL import Image

from core import keys
from core.records import Fields, Record
from core.search.request import SearchRequest
from core.search.searcher import FoundPicture
from core.types import Vector
from tests.doubles.records import image_id, record, tombstone
from tests.doubles.small_service import Service, tail_of

TENANT = "default"


def flat(colour: str) -> Image.Image:
    """Return a picture of one colour."""
    return Image.new("RGB", (32, 32), colour)


def picture(
    service: Service,
    n: int,
    title: str | None = None,
    colour: str | None = None,
    seq: int = 1,
    **more: Any,  # noqa: ANN401  # any part of a record
) -> Record:
    """Return a record with the vectors of its title and colour."""
    told = {name: more.pop(name) for name in ("category", "owner_id", "tags") if name in more}
    fields = Fields(title=title, **told)
    vectors: dict[str, Vector] = {}
    if title is not None:
        vectors[service.caption.space.space_id] = service.caption.of(fields)
    if colour is not None:
        vectors[service.visual.space.space_id] = seen(service, colour)
    return record(n, seq, fields=fields, vectors=vectors, **more)


def seen(service: Service, colour: str) -> Vector:
    """Return the vector of a picture of one colour."""
    return np.asarray(service.visual.embed_images([flat(colour)])[0], np.float32)


def project(service: Service, *records: Record) -> None:
    """Project records into the index."""
    service.index.project_entry(TENANT, service.index.watermark(TENANT) + 1, records, [], [])


def log(service: Service, *records: Record, removed: tuple[int, ...] = ()) -> None:
    """Into the tail; what belongs to the records goes where a worker puts it."""
    states = {}
    for one in records:
        place = keys.derived(TENANT, one.state.image_id, "fingerprint")
        service.blobs.put([(place, msgspec.msgpack.encode(one.fingerprint))])
        service.shelf.write_fields(TENANT, [(one.state.image_id, "op", one.fields)])
        states[one.state.image_id] = msgspec.structs.replace(one.state, fields="op", revision=9)
    service.follower.tails[TENANT] = tail_of(
        states=states,
        removed={image_id(n): tombstone(n, 9) for n in removed},
        head=service.index.watermark(TENANT) + 1,
    )


def hits(service: Service, **ask: Any) -> list[FoundPicture]:  # noqa: ANN401  # any question
    """Return the hits of a search."""
    return service.searcher.search(TENANT, SearchRequest(**ask)).hits


def found(service: Service, **ask: Any) -> list[int]:  # noqa: ANN401  # any question
    """Numbers of the pictures that are found."""
    return [int(hit.seen.record.state.image_id[-12:]) for hit in hits(service, **ask)]


def zoo(service: Service) -> None:
    """Six pictures with titles, colours and categories."""
    project(
        service,
        picture(service, 1, "a dog in a park", "green", category="pets", tags=("park", "old")),
        picture(service, 2, "sleeping cat", "orange", category="pets", tags=("home",)),
        picture(service, 3, "mountain at sunrise", "blue", category="nature", tags=("old",)),
        picture(service, 4, "red car on a mountain road", "red", category="vehicles"),
        picture(service, 5, None, "yellow", owner_id="o"),
        picture(service, 6, "city street", None, category="urban", decision="review"),
    )


def stars(service: Service) -> None:
    """Project an original with two copies whose fields differ, and a stranger."""
    project(
        service,
        picture(service, 1, "dog", "green", owner_id="a"),
        picture(service, 2, "red car", None, original=1, owner_id="b", category="vehicles"),
        picture(service, 3, None, None, original=1, owner_id="c", tags=("x",)),
        picture(service, 4, "city", "red", owner_id="d"),
    )
