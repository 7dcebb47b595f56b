"""Translation of errors of huggingface_hub, torch and transformers into core.errors' own."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from adapters.error_lines import first_line
from core.errors import EmbedderUnavailableError, SeenitError

logger = logging.getLogger(__name__)


@contextmanager
def hub_errors(what: str) -> Iterator[None]:
    """Translate errors of huggingface_hub, whose base classes depend on its HTTP library."""
    from huggingface_hub.errors import HfHubHTTPError  # noqa: PLC0415 - heavy

    roots: tuple[type[Exception], ...] = tuple(
        kind
        for kind in HfHubHTTPError.__mro__
        if issubclass(kind, Exception) and kind is not Exception
    )
    try:
        yield
    except (OSError, ValueError, RuntimeError, *roots) as error:  # type: ignore[misc] # a tuple all the same
        raise EmbedderUnavailableError(f"{what}: {first_line(error)}") from error


@contextmanager
def torch_errors(what: str) -> Iterator[None]:
    """Translate errors of torch, transformers and their libraries on loading or running a model.

    Every exception counts: a model's files decide which code reads them, and no list of classes
    covers them all. Broken files caused UnpicklingError and EOFError, JSONDecodeError,
    SafetensorError and bare Exception; a chip RuntimeError, full memory MemoryError. A panic in
    Rust (tokenizers, safetensors) is not even an Exception.
    """
    try:
        yield
    except (SeenitError, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as error:
        logger.debug("%s", what, exc_info=error)
        raise EmbedderUnavailableError(f"{what}: {first_line(error)}") from error
