"""What Redis holds of Seenit beside Celery's own keys, and how a job is named there."""

from __future__ import annotations

from core.ingest.sweeper import Handle

LEASES = "seenit:leases"
"""Sorted set of jobs that a worker has; the score is the second, by Redis' clock, until when."""
PAUSES = "seenit:pauses"
"""Sorted set of jobs that were put off; the score is the second they may go again."""
FAILURES = "seenit:failures"
"""Hash: how often a job was put off. It makes the next pause longer."""
TOGETHER = "seenit:together"
"""Hash: batches a job was in that ended without an outcome and without an error."""
ALONE = "seenit:alone"
"""Hash: likewise, where it was the only one."""
EPOCH = "seenit:epoch"
"""There as long as the broker was not emptied."""
BEAT = "seenit:beat"
"""Which of the beats sweeps."""
NEWS = "seenit:news"
"""The channel that news of jobs goes through."""
PROBE = "seenit:probe"
"""Written by readiness, to see whether Redis takes writes."""
STATE = "seenit:state:"
"""Before a job: the last thing heard of it."""


def written(job: Handle) -> str:
    """A job in one word; it is also the id of its task. A tenant has no slash in its name."""
    return f"{job[0]}/{job[1]}"


def read(word: str) -> Handle:
    """The job that a word names."""
    tenant, _, job_id = word.partition("/")
    return tenant, job_id
