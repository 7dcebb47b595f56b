"""Files with false headers: mutated ones, extreme numbers, endless digits, loops, depth."""

from __future__ import annotations

import struct

from hypothesis import strategies as st

from tests.samples.image_files import every

FILES = every()
EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1)
"""Numbers at the limits of a field."""
LENGTHS = (1, 9, 10, 11, 19, 20, 308, 309, 310, 1000, 4000, 4085, 4096, 4300, 4301, 5000)
"""Digits of a number in text form: around the limits of floats, of reads and of int()."""


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """Draw a real file of any format with changed bytes, numbers or runs, or truncated."""
    data = bytearray(FILES[draw(st.sampled_from(sorted(FILES)))])
    head = min(len(data), 400)
    for _ in range(draw(st.integers(1, 5))):
        at = draw(st.integers(0, max(0, min(head, len(data)) - 1)))
        match draw(st.integers(0, 4)):
            case 0:
                data[at : at + 1] = draw(st.binary(min_size=1, max_size=1))
            case 1:
                width, order = draw(st.sampled_from((2, 4, 8))), draw(st.sampled_from("<>"))
                number = draw(st.sampled_from(EXTREMES)) % 256**width
                data[at : at + width] = struct.pack(f"{order}{_CODES[width]}", number)
            case 2:
                del data[at : at + draw(st.integers(1, 64))]
            case 3:
                data[at:at] = data[: draw(st.integers(1, 64))]
            case _:
                del data[draw(st.integers(min(4, len(data)), len(data))) :]
    return bytes(data)


_CODES = {2: "H", 4: "I", 8: "Q"}


@st.composite
def netpbm(draw: st.DrawFn) -> bytes:
    """Draw a PPM, PGM or PBM whose numbers have any number of digits, or are none."""
    digits = st.builds(
        lambda digit, count: digit * count,
        st.sampled_from(b"0179"[:]).map(lambda byte: bytes([byte])),
        st.sampled_from(LENGTHS),
    )
    odd = st.sampled_from(
        [b"", b"-1", b"+5", b"1_0", b"0x10", b"1e9", b"\xb2", b"\xd9\xa1", b"nan", b"12 ", b"#\n7"]
    )
    between = st.sampled_from([b" ", b"\n", b"\t", b"\n# said\n", b"\r\n", b"\x0c", b""])
    words = [draw(st.one_of(digits, odd, st.just(b"10"))) for _ in range(3)]
    glue = [draw(between) for _ in range(3)]
    magic = draw(st.sampled_from([b"P4", b"P5", b"P6"])) + draw(st.sampled_from([b"\n", b" "]))
    return magic + b"".join(a + b for a, b in zip(words, glue, strict=True)) + bytes(40)


@st.composite
def boxes(draw: st.DrawFn) -> bytes:
    """Draw an AVIF or HEIF file of nested boxes, whose lengths may be false."""
    brand = draw(st.sampled_from([b"avif", b"avis", b"heic", b"heim", b"mif1", b"msf1"]))
    other = draw(st.sampled_from([b"avif", b"heic", b"miaf"]))
    inner = draw(st.binary(max_size=40))
    kinds = st.sampled_from(
        [b"meta", b"iprp", b"ipco", b"moov", b"trak", b"stbl", b"ispe", b"tkhd"]
    )
    kinds |= st.sampled_from([b"stsz", b"mdat"])
    for _ in range(draw(st.sampled_from((0, 1, 3, 7, 30, 2000)))):
        inner = struct.pack(">I", 12 + len(inner)) + draw(kinds) + bytes(4) + inner
        if len(inner) > 30_000:
            break
    length = draw(st.sampled_from([*(n for n in EXTREMES if n < 2**32), 8 + len(inner)]))
    wide = struct.pack(">Q", draw(st.sampled_from(EXTREMES))) if length == 1 else b""
    head = struct.pack(">I", 20) + b"ftyp" + brand + bytes(4) + other
    return head + struct.pack(">I", length) + draw(kinds) + wide + inner


@st.composite
def directories(draw: st.DrawFn) -> bytes:
    """Draw a TIFF or BigTIFF of directories that point anywhere, to themselves too."""
    order, big = draw(st.sampled_from([("<", b"II"), (">", b"MM")])), draw(st.booleans())
    sign, mark = order
    word, count, size = ("Q", "Q", 20) if big else ("I", "H", 12)
    data = mark + struct.pack(f"{sign}H", 43 if big else 42)
    data += struct.pack(f"{sign}HH", 8, 0) if big else b""
    start = len(data) + struct.calcsize(f"{sign}{word}")
    data += struct.pack(f"{sign}{word}", draw(st.sampled_from((start, 0, 2**32 - 1, 7))))
    tops = 256 ** struct.calcsize(f"{sign}{word}")
    for _ in range(draw(st.integers(0, 3))):
        entries = draw(st.integers(0, 6))
        claimed = draw(st.sampled_from((entries, 0, 0xFFFF)))
        data += struct.pack(f"{sign}{count}", claimed)
        for _ in range(entries):
            tag = draw(st.sampled_from((256, 257, 258, 259, 262, 273, 277, 279, 330, 34665)))
            kind = draw(st.sampled_from((0, 1, 2, 3, 4, 5, 12, 13, 16)))
            much, value = (draw(st.sampled_from(EXTREMES)) % tops for _ in range(2))
            data += struct.pack(f"{sign}HH{word}{word}", tag, kind, much, value)[:size]
        data += struct.pack(f"{sign}{word}", draw(st.sampled_from((start, 0, len(data), 2**31))))
    return data


@st.composite
def chunks(draw: st.DrawFn) -> bytes:
    """Draw a signature of the other formats, followed by arbitrary numbers."""
    head = draw(
        st.sampled_from(
            [b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", b"GIF89a", b"BM", b"II+\0"]
        )
        | st.sampled_from(
            [b"RIFF\xff\xff\xff\xffWEBPVP8X", b"RIFF\0\0\0\0WEBPVP8 ", b"RIFF0000WEBPVP8L"]
        )
    )
    numbers = st.sampled_from([n for n in EXTREMES if n < 2**32]).map(
        lambda n: struct.pack(">I", n)
    )
    marks = st.sampled_from([b"\xff\xc0", b"\xff\xff", b"acTL", b"IDAT", b",", b"!", b";", b"ANMF"])
    return head + b"".join(draw(st.lists(numbers | marks | st.binary(max_size=6), max_size=60)))


def headers() -> st.SearchStrategy[bytes]:
    """Draw any of them, or any bytes."""
    return st.one_of(mutated(), netpbm(), boxes(), directories(), chunks(), st.binary(max_size=200))
