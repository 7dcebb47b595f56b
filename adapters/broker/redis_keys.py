"""Keys of Seenit in Redis, besides those of Celery, and the name of a job there."""

from __future__ import annotations

from core.ingest.sweeper import Handle

LEASES = "seenit:leases"
"""Sorted set of leased jobs; the score is when the lease expires, in seconds by Redis' clock."""
PAUSES = "seenit:pauses"
"""Sorted set of jobs that were put off; the score is when they may be retried, likewise."""
FAILURES = "seenit:failures"
"""Hash of how often each job was put off, which lengthens its next pause."""
TOGETHER = "seenit:together"
"""Hash of how many batches of each job ended with neither an outcome nor an error."""
ALONE = "seenit:alone"
"""Hash likewise, of batches in which it was the only job."""
WAITING = "seenit:waiting:"
"""Prefix of a sorted set of waiting jobs for each queue and tenant, in the order of their turns."""
TURNS = "seenit:turns:"
"""Prefix of a hash for each queue: the token of the next turn of each tenant with waiting jobs."""
TOKENS = "seenit:tokens"
"""Counter of tokens: a later one is greater."""
OVERTAKEN = "seenit:overtaken:"
"""Prefix of a hash for each queue: the latest token used, and the tokens that are missing."""
SETTLER = "seenit:settler:"
"""Prefix of a hash for each tenant: the worker that settles it, and until when, or did last."""
EPOCH = "seenit:epoch"
"""Mark that is missing once the broker was emptied."""
BEAT = "seenit:beat"
"""Name of the beat that sweeps."""
NEWS = "seenit:news"
"""Channel of the progress of jobs."""
PROBE = "seenit:probe"
"""Key that readiness writes to check that Redis accepts writes."""
STATE = "seenit:state:"
"""Prefix of the keys with the last state of each job."""


def written(job: Handle) -> str:
    """Return a job's name, which is also its task id. A tenant has no slash in its name."""
    return f"{job[0]}/{job[1]}"


def read(word: str) -> Handle:
    """Return the job of a name."""
    tenant, _, job_id = word.partition("/")
    return tenant, job_id
