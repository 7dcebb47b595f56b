"""Names that the doors share: queues, tasks, and how a job id speaks of its picture."""

from __future__ import annotations

INGEST_QUEUE = "ingest"
"""Jobs to be settled, in batches: the one task on it is batched."""
QUERY_QUEUE = "query"
"""Questions that somebody waits for: latency first."""
DEFAULT_QUEUE = "default"
"""Administrative tasks (reindex, backfill, …), each of which may take long."""
QUEUES = (INGEST_QUEUE, QUERY_QUEUE, DEFAULT_QUEUE)

SETTLE_TASK = "seenit.settle"
"""One job to be settled: arguments tenant and job_id."""
ADMIN_TASK = "seenit.admin"
"""One administrative task to run: argument task_id."""
CHECK_TASK = "seenit.check"
"""The verdict of a picture that is not stored."""
SEE_TASK = "seenit.see"
"""The visual vector of a picture that is not stored."""
EMBED_TASK = "seenit.embed"
"""The vectors of texts."""
SPACE_TASK = "seenit.space"
"""The spaces of models, or why there are none."""


def picture_of(job_id: str) -> str:
    """The image_id of an upload's job: a retry's id is `<image_id>.<n>`."""
    return job_id.partition(".")[0]


def attempt_of(job_id: str) -> int:
    """1 for the first try of an upload, 2 for its first retry, and so on."""
    _, _, n = job_id.partition(".")
    return int(n) + 1 if n.isdigit() else 1
