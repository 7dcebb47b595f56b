"""Translation of errors of weaviate-client into errors of core."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from adapters.error_lines import first_line
from core.errors import IndexUnavailableError, MissingError


@contextmanager
def weaviate_errors() -> Iterator[None]:
    """Translate errors of Weaviate into IndexUnavailableError.

    Raise MissingError for a tenant that a collection does not know. Any other error may not occur
    at another attempt or node. weaviate-client's errors have one base class, besides those of its
    HTTP library.
    """
    from httpx import HTTPError  # noqa: PLC0415 - heavy, and absent from the embedded default
    from weaviate.exceptions import WeaviateBaseError  # noqa: PLC0415 - likewise

    from adapters.weaviate_index.grpc_errors import GRPCError  # noqa: PLC0415 - it imports gRPC

    try:
        yield
    except (WeaviateBaseError, GRPCError, HTTPError, OSError) as error:
        if "tenant not found" in str(error):
            raise MissingError("no such tenant in the index") from error
        raise IndexUnavailableError(f"Weaviate failed: {first_line(error)}") from error
