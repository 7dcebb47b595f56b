"""Logging to standard error, as text or JSON."""

from __future__ import annotations

import logging
import sys

import structlog

from adapters.settings import Settings
from cli.server.log_throttle import LogThrottle

FIELDS = (
    "tenant",
    "job_id",
    "job_ids",
    "image_id",
    "image_ids",
    "kind",
    "verdict",
    "original",
    "reason",
    "task_id",
    "task",
    "queue",
    "seq",
    "entries",
    "records",
    "ms",
    "bytes",
    "times",
    "suppressed",
    "delete",
    "purge",
)
"""Fields copied from a line's `extra`: ids and numbers, no text that a person wrote."""


def log_to(read: Settings) -> None:
    """Send every log line to standard error, for people or as JSON.

    Lines of the doors get their fields from structlog, those of everything below from `extra`.
    """
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    renderer: list[structlog.typing.Processor] = (
        [
            structlog.processors.ExceptionRenderer(
                structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
            ),
            structlog.processors.JSONRenderer(),
        ]
        if read.log_format == "json"
        else [
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
            )
        ]
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder(FIELDS)],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer],
    )
    handler = logging.StreamHandler()
    handler.setFormatter(formatter)
    handler.addFilter(LogThrottle())
    logging.basicConfig(level=read.log_level.upper(), handlers=[handler], force=True)
    for talkative in ("httpx", "httpcore", "amqp", "celery", "PIL", "urllib3", "uvicorn"):
        logging.getLogger(talkative).setLevel(logging.WARNING)
    logging.getLogger("kombu").setLevel(logging.ERROR)  # memory:// has no host, and it warns
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
