"""Exceptions of decoders, translated into the errors of this service."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image, ImageCms

from core.errors import BrokenError, DecoderKilledError, UnsupportedError
from core.imaging import headers

FAULTS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    BufferError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
    ImageCms.PyCMSError,
)
"""Exceptions that Pillow and its plugins raise on bad files, and their neighbours."""
_CUT = ("truncat", "end of", "eof", "not enough", "incomplete", "unexpected end", "no more images")

_PLAIN = re.compile(r"[\w ,.;:%/+=-]{1,200}", re.ASCII)

_CUT_OFF = "the file ends in the middle of the picture"
_HUNGRY = "decoding it needed more memory than is allowed"


@contextmanager
def translated(name: str, data: bytes) -> Iterator[None]:
    """Translate any exception of a decoder into one of our errors, in plain words."""
    try:
        yield
    except MemoryError:
        raise DecoderKilledError(_HUNGRY) from None
    except NotImplementedError as fault:
        raise _unsupported(name, _words(fault)) from fault
    except FAULTS as fault:
        if headers.cut_off(data):
            raise BrokenError(_CUT_OFF) from fault
        raise _named(name, fault) from fault


def _named(name: str, fault: Exception) -> BrokenError | UnsupportedError:
    """Make an error from a decoder's message, without the parts that mean nothing to a person."""
    low, said = str(fault).lower(), _words(fault)
    if any(word in low for word in ("allocate memory", "out of memory", "memory limit")):
        return DecoderKilledError(_HUNGRY)
    if any(word in low for word in _CUT):
        return BrokenError(_CUT_OFF)
    if "unsupported" in low or "not supported" in low:
        return _unsupported(name, said)
    if not said or "decoder error" in low or not isinstance(fault, OSError | ValueError):
        return BrokenError(f"the {name} file is damaged")
    return BrokenError(f"the {name} file is damaged ({said})")


def _unsupported(name: str, said: str) -> UnsupportedError:
    why = f" ({said})" if said else ""
    return UnsupportedError(f"this kind of {name} file is not read here{why}")


def _words(fault: Exception) -> str:
    """Return a decoder's message if it is plain words, and nothing if Python itself raised it.

    Brackets and quotes reveal the latter: `invalid literal for int() with base 10: b'x'`.
    """
    said = " ".join(str(fault).split())
    return said if _PLAIN.fullmatch(said) and not isinstance(fault, UnicodeError) else ""
