"""Vendors' errors become ours here, once: one context manager a vendor."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from kombu.exceptions import OperationalError
from obstore.exceptions import AlreadyExistsError, BaseError
from redis.exceptions import RedisError, ResponseError

from core.errors import (
    EmbedderUnavailableError,
    ExistsError,
    IndexUnavailableError,
    MissingError,
    QueueUnavailableError,
    SeenitError,
    StoreUnavailableError,
)

logger = logging.getLogger(__name__)


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
        raise StoreUnavailableError(f"the blob store failed on {key}: {_line(error)}") from error


@contextmanager
def broker_errors() -> Iterator[None]:
    """Errors of the broker, by kombu or by Redis itself."""
    try:
        yield
    except ResponseError as error:  # out of memory, MISCONF, READONLY: it is there and refuses
        raise QueueUnavailableError(f"the broker refuses: {_line(error)}") from error
    except (OperationalError, RedisError, OSError) as error:
        raise QueueUnavailableError(f"the broker does not answer: {error}") from error


@contextmanager
def weaviate_errors() -> Iterator[None]:
    """Errors of Weaviate; MissingError for a tenant that a collection does not know.

    Whatever else it is, another try or another node may do better.

    weaviate-client's errors have one root, but for those of the HTTP library below it.
    """
    from httpx import HTTPError  # noqa: PLC0415 - heavy, and absent from the embedded default
    from weaviate.exceptions import WeaviateBaseError  # noqa: PLC0415 - likewise

    from adapters.weaviate_index.refused import Refused  # noqa: PLC0415 - it imports gRPC

    try:
        yield
    except (WeaviateBaseError, Refused, HTTPError, OSError) as error:
        if "tenant not found" in str(error):
            raise MissingError("no such tenant in the index") from error
        raise IndexUnavailableError(f"Weaviate failed: {_line(error)}") from error


@contextmanager
def hub_errors(what: str) -> Iterator[None]:
    """Errors of huggingface_hub. Its HTTP library, and so their roots, depend on its version."""
    from huggingface_hub.errors import HfHubHTTPError  # noqa: PLC0415 - heavy

    roots: tuple[type[Exception], ...] = tuple(
        kind
        for kind in HfHubHTTPError.__mro__
        if issubclass(kind, Exception) and kind is not Exception
    )
    try:
        yield
    except (OSError, ValueError, RuntimeError, *roots) as error:  # type: ignore[misc] # a tuple all the same
        raise EmbedderUnavailableError(f"{what}: {_line(error)}") from error


@contextmanager
def torch_errors(what: str) -> Iterator[None]:
    """Errors of torch, transformers and all below them while loading or running a model.

    Whatever they raise: a model's files decide which code reads them, and no list of classes
    holds them all. Of files that are broken came UnpicklingError and EOFError, JSONDecodeError,
    SafetensorError and bare Exception; of a chip RuntimeError, of a full memory MemoryError. A
    panic in Rust (tokenizers, safetensors) is not even an Exception.
    """
    try:
        yield
    except (SeenitError, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as error:
        logger.debug("%s", what, exc_info=error)
        raise EmbedderUnavailableError(f"{what}: {_line(error)}") from error


def _line(error: BaseException) -> str:
    """The first line of what an error says, for the rest is for developers."""
    if isinstance(error, UnicodeError | RecursionError):  # which speak of Python alone
        return "one of its files is damaged"
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
