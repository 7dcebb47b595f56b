"""Translation of errors of the file system and of obstore into those of core.errors."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from obstore.exceptions import AlreadyExistsError, BaseError

from adapters.error_lines import first_line
from core.errors import DiskFullError, ExistsError, MissingError, StoreUnavailableError

FULL = (errno.ENOSPC, errno.EDQUOT)
"""Errors of a disk, or of a user's share of it, without space."""


@contextmanager
def filesystem(key: str) -> Iterator[None]:
    """Translate errors of the operating system while working on `key` in a directory."""
    try:
        yield
    except FileExistsError as error:
        raise ExistsError(f"{key} already exists") from error
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise MissingError(f"no object {key}") from error
    except OSError as error:
        kind = DiskFullError if error.errno in FULL else StoreUnavailableError
        raise kind(f"the directory refused {key}: {error.strerror}") from error


@contextmanager
def object_store(key: str) -> Iterator[None]:
    """Translate errors of obstore while working on `key`.

    Any error but "not found" and "already exists" leaves the outcome unknown. obstore reports
    "already exists" for its own retry of a put whose first answer was lost, and for a 409 after
    which nothing landed: the caller must then read the key.
    """
    try:
        yield
    except AlreadyExistsError as error:
        raise ExistsError(f"{key} already exists") from error
    except FileNotFoundError as error:
        raise MissingError(f"no object {key}") from error
    except (BaseError, OSError, ValueError) as error:
        raise StoreUnavailableError(
            f"the blob store failed on {key}: {first_line(error)}"
        ) from error
