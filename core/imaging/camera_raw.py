"""Names of camera raw files, so that their refusal can say which one it is.

A raw file holds the mosaic of a sensor; its only pictures are small previews. Most are TIFF files
inside, and a TIFF decoder would take their thumbnail for the picture.
"""

from __future__ import annotations

_SIGNATURES = (
    (0, b"FUJIFILMCCD-RAW", "Fujifilm RAF"),
    (0, b"IIU\0", "Panasonic RW2"),
    (0, b"IIRO", "Olympus ORF"),
    (0, b"IIRS", "Olympus ORF"),
    (0, b"MMOR", "Olympus ORF"),
    (0, b"FOVb", "Sigma X3F"),
    (0, b"\0MRM", "Minolta MRW"),
    (6, b"HEAPCCDR", "Canon CRW"),
    (4, b"ftypcrx ", "Canon CR3"),
)
"""Offset, bytes and name of the raw formats that are no TIFF."""
_MAKERS = (
    ("nikon", "Nikon NEF"),
    ("canon", "Canon CR2"),
    ("sony", "Sony ARW"),
    ("pentax", "Pentax PEF"),
    ("ricoh", "Pentax PEF"),
    ("samsung", "Samsung SRW"),
    ("hasselblad", "Hasselblad 3FR"),
    ("phase one", "Phase One IIQ"),
    ("epson", "Epson ERF"),
    ("kodak", "Kodak DCR"),
    ("mamiya", "Mamiya MEF"),
    ("leaf", "Leaf MOS"),
)
"""Names of the TIFF-based formats, by a part of the tag Make in lower case."""
MOSAICS = (32803, 34892)
"""PhotometricInterpretation of a mosaic (TIFF/EP) and of linear raw data (DNG)."""


def of_signature(start: bytes) -> str | None:
    """Name the raw format of a file that begins with these bytes; None if it is none, or a TIFF."""
    known = (name for offset, mark, name in _SIGNATURES if start.startswith(mark, offset))
    return next(known, None)


def of_maker(make: str) -> str:
    """Name the raw format of a TIFF-based raw file by its tag Make."""
    low = make.lower()
    return next((name for part, name in _MAKERS if part in low), "of another camera")


def refusal(name: str) -> str:
    """Return the error for a raw file of that name."""
    return f"camera raw files ({name}) are not read here: export a JPEG, and send that"
