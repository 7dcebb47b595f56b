"""Where everything lies in the blob store: each key but admin/ has its tenant after its first part.

blobs/<t>/<image_id>               the bytes as uploaded
pending/<t>/<job_id>               a Job that no entry of the log holds yet
keys/<t>/<sha256 of key>/<n>       an Idempotency-Key that was used
derived/<t>/<image_id>/…           fingerprint, preview, detail
vectors/<t>/<image_id>/<space_id>  float32, little-endian; of a caption space with /<op_id>
fields/<t>/<image_id>/<op_id>      what the caller says of the picture
log/<t>/<seq // 10000>/<seq>       the order of all things
done/<t>/<job_id>                  the seq that holds this job's outcome
tombstones/<t>/<image_id>          deleted
kept/<t>/<image_id>                the fingerprint of a purged picture
purged/<t>/<image_id>              the mark of a purge
calibration/<t>/<space_id>         what is near enough there, overwritten by the next one
checks/<t>/<id>                    a picture that a worker is asked about, gone after the answer
admin/requests/<task_id>           an administrative task that has not ended
admin/reports/<task_id>            its progress and its outcome, overwritten
"""

from __future__ import annotations

from typing import Literal

Part = Literal["fingerprint", "preview", "detail"]

ENTRIES_PER_FOLDER = 10_000
"""Listing a folder stays quick at this size."""
ASKED = "checks/"
"""Below it lie pictures that are asked about."""
ADMIN_REQUESTS = "admin/requests/"
ADMIN_REPORTS = "admin/reports/"


def blob(tenant: str, image_id: str) -> str:
    """The bytes as uploaded."""
    return f"blobs/{tenant}/{image_id}"


def pending(tenant: str, job_id: str) -> str:
    """A job waiting to be settled."""
    return f"pending/{tenant}/{job_id}"


def idempotency(tenant: str, digest: str, n: int) -> str:
    """The nth use of an Idempotency-Key; `digest` is the sha256 of the key, in hex."""
    return f"keys/{tenant}/{digest}/{n:06d}"


def derived(tenant: str, image_id: str, part: Part) -> str:
    """Something computed from the bytes."""
    return f"derived/{tenant}/{image_id}/{part}"


def vector(tenant: str, image_id: str, space_id: str, said: str | None) -> str:
    """A vector of one space; one of a caption lies by the op_id of the fields it was made of."""
    key = f"vectors/{tenant}/{image_id}/{space_id}"
    return f"{key}/{said}" if is_caption(space_id) else key


def is_caption(space_id: str) -> bool:
    """Whether a space is one of texts about pictures: ids begin with their kind."""
    return space_id.startswith("caption-")


def fields(tenant: str, image_id: str, op_id: str) -> str:
    """What the caller said in one call."""
    return f"fields/{tenant}/{image_id}/{op_id}"


def entry(tenant: str, seq: int) -> str:
    """One entry of the log."""
    return f"log/{tenant}/{seq // ENTRIES_PER_FOLDER}/{seq:020d}"


def done(tenant: str, job_id: str) -> str:
    """The mark of a job that the log holds."""
    return f"done/{tenant}/{job_id}"


def tombstone(tenant: str, image_id: str) -> str:
    """The mark of a deleted picture."""
    return f"tombstones/{tenant}/{image_id}"


def kept(tenant: str, image_id: str) -> str:
    """The fingerprint of a purged picture."""
    return f"kept/{tenant}/{image_id}"


def purged(tenant: str, image_id: str) -> str:
    """The mark of a purged picture."""
    return f"purged/{tenant}/{image_id}"


def calibration(tenant: str, space_id: str) -> str:
    """What was measured in a space on a tenant's own pictures."""
    return f"calibration/{tenant}/{space_id}"


def asked(tenant: str, asked_id: str) -> str:
    """A picture that a worker is asked about: no upload, and gone after the answer."""
    return f"{ASKED}{tenant}/{asked_id}"


def admin_request(task_id: str) -> str:
    """Return the key of an administrative task's request."""
    return f"{ADMIN_REQUESTS}{task_id}"


def admin_report(task_id: str) -> str:
    """Return the key of an administrative task's report."""
    return f"{ADMIN_REPORTS}{task_id}"


def of_picture(tenant: str, image_id: str) -> tuple[str, ...]:
    """Prefixes below which every per-picture object lies; a delete removes all of them."""
    return tuple(f"{part}/{tenant}/{image_id}/" for part in ("derived", "vectors", "fields"))
