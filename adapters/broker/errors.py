"""Translation of errors of kombu and Redis into errors of core."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from kombu.exceptions import OperationalError
from redis.exceptions import RedisError, ResponseError

from adapters.error_lines import first_line
from core.errors import QueueUnavailableError


@contextmanager
def broker_errors() -> Iterator[None]:
    """Translate errors of kombu and Redis into QueueUnavailableError."""
    try:
        yield
    except ResponseError as error:  # out of memory, MISCONF, READONLY: it answers and refuses
        raise QueueUnavailableError(f"the broker refuses: {first_line(error)}") from error
    except (OperationalError, RedisError, OSError) as error:
        raise QueueUnavailableError(f"the broker does not answer: {error}") from error
