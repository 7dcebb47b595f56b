"""Keys of the blob store: all but admin/ have their tenant after the first part.

blobs/<t>/<image_id>               the bytes as uploaded
pending/<t>/<job_id>               a Job that no entry of the log holds yet
keys/<t>/<sha256 of key>/<n>       one use of an Idempotency-Key
derived/<t>/<image_id>/…           fingerprint, preview, detail, and for drawn pictures large;
                                   computed again, below <op_id>/
vectors/<t>/<image_id>/<space_id>  float32, little-endian; of a caption space with /<op_id>, of
                                   pixels decoded again below <op_id>/
fields/<t>/<image_id>/<op_id>      the caller's fields of the picture
log/<t>/<seq // 10000>/<seq>       an entry of the log
done/<t>/<job_id>                  the seq that holds this job's outcome
tombstones/<t>/<image_id>          the mark of a delete
kept/<t>/<image_id>                the fingerprint of a purged or hidden picture
purged/<t>/<image_id>              the mark of a purge
hidden/<t>/<image_id>              the mark of a purge that leaves the fingerprint alone, of a
                                   picture that a person blocked and a caller deleted
calibration/<t>/<space_id>         the thresholds measured there, overwritten
backfills/<t>/<part>               the place and the counts of a backfill, or when it last ended
examined/<t>                       the place in the log up to which leftovers were removed
checks/<t>/<id>                    a picture sent to a worker, deleted after the reply
admin/requests/<task_id>           an administrative task that has not ended
admin/reports/<task_id>            its progress and its outcome, overwritten
"""

from __future__ import annotations

from typing import Literal

Part = Literal["fingerprint", "preview", "detail", "large"]

ENTRIES_PER_FOLDER = 10_000
"""Entries a folder holds: listing one stays fast at this size."""
ASKED = "checks/"
"""Prefix of the pictures of queries to workers."""
ADMIN_REQUESTS = "admin/requests/"
ADMIN_REPORTS = "admin/reports/"


def blob(tenant: str, image_id: str) -> str:
    """Return the key of the bytes as uploaded."""
    return f"blobs/{tenant}/{image_id}"


def pending(tenant: str, job_id: str) -> str:
    """Return the key of a job waiting to be settled."""
    return f"pending/{tenant}/{job_id}"


def idempotency(tenant: str, digest: str, n: int) -> str:
    """Return the key of an Idempotency-Key's nth use; `digest` is its sha256 in hex."""
    return f"keys/{tenant}/{digest}/{n:06d}"


def derived(tenant: str, image_id: str, part: Part, op_id: str | None = None) -> str:
    """Return the key of data computed from the bytes; `op_id` names a later computation."""
    return f"derived/{tenant}/{image_id}/{part if op_id is None else f'{op_id}/{part}'}"


def vector(tenant: str, image_id: str, space_id: str, said: str | None) -> str:
    """Return the key of a vector; `said` is the op_id of its caption, or of its later pixels."""
    if is_caption(space_id):
        return f"vectors/{tenant}/{image_id}/{space_id}/{said}"
    return f"vectors/{tenant}/{image_id}/{space_id if said is None else f'{said}/{space_id}'}"


def is_caption(space_id: str) -> bool:
    """Return whether a space is one of captions: ids begin with their kind."""
    return space_id.startswith("caption-")


def fields(tenant: str, image_id: str, op_id: str) -> str:
    """Return the key of the fields that the caller sent in one call."""
    return f"fields/{tenant}/{image_id}/{op_id}"


def entry(tenant: str, seq: int) -> str:
    """Return the key of one entry of the log."""
    return f"log/{tenant}/{seq // ENTRIES_PER_FOLDER}/{seq:020d}"


def done(tenant: str, job_id: str) -> str:
    """Return the key of the mark of a job that the log holds."""
    return f"done/{tenant}/{job_id}"


def tombstone(tenant: str, image_id: str) -> str:
    """Return the key of the mark of a deleted picture."""
    return f"tombstones/{tenant}/{image_id}"


def kept(tenant: str, image_id: str) -> str:
    """Return the key of a purged picture's fingerprint."""
    return f"kept/{tenant}/{image_id}"


def purged(tenant: str, image_id: str) -> str:
    """Return the key of the mark of a purged picture."""
    return f"purged/{tenant}/{image_id}"


def hidden(tenant: str, image_id: str) -> str:
    """Return the key of the mark of a hidden picture, which has that of a purge as well."""
    return f"hidden/{tenant}/{image_id}"


def calibration(tenant: str, space_id: str) -> str:
    """Return the key of the thresholds measured in a space on a tenant's own pictures."""
    return f"calibration/{tenant}/{space_id}"


def backfill(tenant: str, part: str) -> str:
    """Return the key of the place that a backfill of pixels or features has reached."""
    return f"backfills/{tenant}/{part}"


def examined(tenant: str) -> str:
    """Return the key of the place up to which a log's deletes were examined for leftovers."""
    return f"examined/{tenant}"


def asked(tenant: str, asked_id: str) -> str:
    """Return the key of a picture sent to a worker: no upload, deleted after the reply."""
    return f"{ASKED}{tenant}/{asked_id}"


def admin_request(task_id: str) -> str:
    """Return the key of an administrative task's request."""
    return f"{ADMIN_REQUESTS}{task_id}"


def admin_report(task_id: str) -> str:
    """Return the key of an administrative task's report."""
    return f"{ADMIN_REPORTS}{task_id}"


def of_picture(tenant: str, image_id: str) -> tuple[str, ...]:
    """Return the prefixes of all per-picture objects; a delete removes what lies below."""
    return tuple(f"{part}/{tenant}/{image_id}/" for part in ("derived", "vectors", "fields"))
