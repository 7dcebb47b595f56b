"""Names of queues and tasks, and the parts of a job id."""

from __future__ import annotations

INGEST_QUEUE = "ingest"
"""Queue of turns: each gives one tenant a batch of its jobs."""
COSTLY_QUEUE = "ingest-costly"
"""Queue of turns likewise, for pictures that take long to decode: one for each turn."""
QUERY_QUEUE = "query"
"""Queue of the queries for which a caller waits: latency comes first."""
DEFAULT_QUEUE = "default"
"""Queue of administrative tasks (reindex, backfill, …), each of which may take long."""
QUEUES = (INGEST_QUEUE, QUERY_QUEUE, DEFAULT_QUEUE)

SETTLE_TASK = "seenit.settle"
"""Settles a batch of a tenant's jobs: arguments tenant and the token of its turn."""
ADMIN_TASK = "seenit.admin"
"""Runs one administrative task: argument task_id."""
CHECK_TASK = "seenit.check"
"""Returns the verdict on a picture that is not stored."""
SEE_TASK = "seenit.see"
"""Returns the visual vector of a picture that is not stored."""
EMBED_TASK = "seenit.embed"
"""Returns the vectors of texts."""
SPACE_TASK = "seenit.space"
"""Returns the spaces of the models, or why they are absent."""


def picture_of(job_id: str) -> str:
    """Return the image_id of an upload's job: a retry's id is `<image_id>.<n>`."""
    return job_id.partition(".")[0]


def attempt_of(job_id: str) -> int:
    """Return 1 for the first try of an upload, 2 for its first retry, and so on."""
    _, _, n = job_id.partition(".")
    return int(n) + 1 if n.isdigit() else 1
