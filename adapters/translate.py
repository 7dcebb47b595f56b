"""Vendors' errors become ours here, once: one context manager a vendor."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from kombu.exceptions import OperationalError
from obstore.exceptions import AlreadyExistsError, BaseError

from core.errors import (
    EmbedderUnavailableError,
    ExistsError,
    MissingError,
    QueueUnavailableError,
    StoreUnavailableError,
)


@contextmanager
def filesystem(key: str) -> Iterator[None]:
    """Errors of the operating system while working on `key` in a directory."""
    try:
        yield
    except FileExistsError as error:
        raise ExistsError(f"{key} already exists") from error
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise MissingError(f"no object {key}") from error
    except OSError as error:
        raise StoreUnavailableError(f"the directory refused {key}: {error.strerror}") from error


@contextmanager
def object_store(key: str) -> Iterator[None]:
    """Errors of obstore while working on `key`.

    Whatever is neither "not found" nor "already exists" leaves the outcome unknown. obstore says
    "already exists" for its own retry of a put whose first answer was lost, and for a 409 where
    nothing landed: whoever is told so must read the key.
    """
    try:
        yield
    except AlreadyExistsError as error:
        raise ExistsError(f"{key} already exists") from error
    except FileNotFoundError as error:
        raise MissingError(f"no object {key}") from error
    except (BaseError, OSError, ValueError) as error:
        said = str(error).partition("\n")[0]
        raise StoreUnavailableError(f"the blob store failed on {key}: {said}") from error


@contextmanager
def broker_errors() -> Iterator[None]:
    """Errors of the broker while sending a message."""
    try:
        yield
    except (OperationalError, OSError) as error:
        raise QueueUnavailableError(f"the broker does not answer: {error}") from error


@contextmanager
def torch_errors(what: str) -> Iterator[None]:
    """Errors of torch and transformers while loading or running a model.

    torch raises RuntimeError for what a device refuses; transformers and the hub raise OSError
    for files that are missing or unreachable, ValueError, KeyError and ImportError for
    configurations they cannot build, TypeError and AttributeError for models of another kind.
    """
    try:
        yield
    except (
        RuntimeError,
        OSError,
        ValueError,
        KeyError,
        ImportError,
        TypeError,
        AttributeError,
    ) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise EmbedderUnavailableError(f"{what}: {lines[0]}") from error
