"""Which formats are decoded: by name, by default, and never one that is off."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from adapters import settings
from core.errors import SettingsError, UnsupportedError
from core.image_formats import BY_DEFAULT, FORMATS, parse, setting, titles
from core.imaging import decoding
from core.imaging.decoding import decode, inspect, whole
from core.types import Limits
from tests.samples.image_files import HEIC, HEIC_TURNED, HEIGHT, NAMES, WIDTH, drawn, encoded, every

FILES = every()
ROOT = Path(__file__).parents[3]


def without(name: str) -> Limits:
    """Return every format but one."""
    return Limits(formats=tuple(one for one in FORMATS if one != name))


# --- the setting --------------------------------------------------------------------------------


@given(st.data(), st.sets(st.sampled_from(FORMATS), min_size=1))
def test_a_list_is_read_in_any_order_and_case(data: st.DataObject, names: set[str]) -> None:
    """With spaces, empty places and repeats."""
    written = data.draw(st.permutations([*names, *names, ""]))
    cased = [
        data.draw(st.sampled_from([name, name.upper(), f" {name.title()} "])) for name in written
    ]
    assert parse(",".join(cased)) == tuple(name for name in FORMATS if name in names)


def test_heic_is_off_unless_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The default is all others; an empty variable is none."""
    others = ("jpeg", "png", "gif", "webp", "avif", "tiff", "bmp", "ppm")
    monkeypatch.setenv("SEENIT_FORMATS", "")
    assert settings.load().limits.formats == Limits().formats == BY_DEFAULT == others
    monkeypatch.setenv("SEENIT_FORMATS", "Heic,JPEG")
    assert settings.load().limits.formats == ("jpeg", "heic")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("jpg,png", "'jpg' is no format (did you mean jpeg?)"),
        ("heif", "'heif' is no format (did you mean heic?)"),
        ("jpeg,tif", "'tif' is no format (did you mean tiff?)"),
        (",", "no format is named"),
        (" ", "no format is named"),
    ],
)
def test_a_wrong_list_names_what_is_allowed(
    value: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One sentence, of this setting alone, with the nearest name."""
    monkeypatch.setenv("SEENIT_FORMATS", value)
    with pytest.raises(SettingsError) as told:
        settings.load()
    assert told.value.detail == f"SEENIT_FORMATS: {said}; the formats are {', '.join(FORMATS)}."


# --- a file of a format that is off -------------------------------------------------------------


@pytest.mark.parametrize("name", FILES)
def test_a_format_that_is_off_never_reaches_its_decoder(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One clear refusal, at accept and in the decoding child alike; a broken file gets it too."""
    opened: list[str] = []
    for kind in decoding._OPENERS:
        monkeypatch.setitem(decoding._OPENERS, kind, lambda _: opened.append("a decoder"))
    off = setting(NAMES[name])
    limits = without(off)
    for data in (FILES[name], FILES[name][:40]):
        for look in (inspect, decode, whole):
            with pytest.raises(UnsupportedError) as told:
                look(data, limits)
            assert told.value.detail == (
                f"{titles([off])} is off here; what is read: {titles(limits.formats)}. Send the "
                f"picture as one of these, or have the operator add {off} to SEENIT_FORMATS"
            )
    assert opened == []


def container(major: bytes, *compatible: bytes) -> bytes:
    """Return the HEIC file's boxes under other brands."""
    brands = b"".join((major, bytes(4), *compatible))
    rest = HEIC[int.from_bytes(HEIC[:4], "big") :]
    return struct.pack(">I", 8 + len(brands)) + b"ftyp" + brands + rest


@pytest.mark.parametrize(
    "major", [b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"]
)
def test_every_brand_of_heic_is_heic(major: bytes) -> None:
    """Stills, grids, multiview and sequences; as major brand and inside of a general one."""
    for data in (
        container(major, b"mif1", major),
        container(b"mif1", b"mif1", major),
        container(b"msf1", b"msf1", major),
    ):
        assert inspect(data, Limits(formats=("heic",))).format == "HEIF"
        with pytest.raises(UnsupportedError, match=r"^HEIC is off here"):
            inspect(data, Limits())


@pytest.mark.parametrize("major", [b"mif1", b"msf1", b"avif", b"avis"])
def test_avif_is_told_by_its_compatible_brands(major: bytes) -> None:
    """Wherever it stands among them: it is AVIF, which is on while HEIC is off."""
    for before in (0, 1, 40):
        data = container(major, *[b"miaf"] * before, b"avif")
        assert inspect(data, Limits()).format == "AVIF"
        with pytest.raises(UnsupportedError, match=r"^AVIF is off here"):
            inspect(data, without("avif"))


@pytest.mark.parametrize("packed", ["jpeg", "tiff_jpeg"])
def test_a_tiff_is_not_a_way_around(packed: str) -> None:
    """JPEG inside of TIFF is decoded by JPEG's decoder, and only where that is on."""
    data = encoded(Image.fromarray(drawn()), "TIFF", compression=packed)
    assert decode(data, Limits()).format == "TIFF"
    with pytest.raises(UnsupportedError, match=r"^JPEG is off here"):
        decode(data, without("jpeg"))
    assert decode(FILES["tiff-lzw"], without("jpeg")).format == "TIFF"


def test_heic_is_decoded_where_it_is_named() -> None:
    """Its pixels are right, at its full size too; turned as its container demands, once."""
    on = Limits(formats=("heic",))
    assert (decode(HEIC, on).width, decode(HEIC, on).height) == (WIDTH, HEIGHT)
    assert whole(HEIC_TURNED, on).size == (HEIGHT, WIDTH)


@pytest.mark.parametrize("name", FILES)
def test_the_whole_picture_is_the_one_that_is_shown(name: str) -> None:
    """RGB at full size, in every format."""
    found = whole(FILES[name], Limits(formats=FORMATS))
    assert (found.mode, found.size) == ("RGB", (WIDTH, HEIGHT))


def test_the_whole_picture_is_upright() -> None:
    """EXIF turns it once, in TIFF too, whose decoder turns by itself."""
    exif = Image.Exif()
    exif[0x0112] = 6
    for name in ("JPEG", "PNG", "WEBP", "TIFF"):
        assert whole(encoded(Image.fromarray(drawn()), name, exif=exif), Limits()).size == (
            HEIGHT,
            WIDTH,
        )


# --- libheif is not there at all ----------------------------------------------------------------

_LOADED = """
import io, sys
import adapters.decoding.sandbox, api.app, cli.commands.up, worker.embedded
from core.imaging.decoding import decode, inspect
from core.errors import SeenitError
from core.types import Limits
from tests.samples.image_files import HEIC, every
for name, data in every().items():
    try:
        print(name, decode(data, Limits()).format, file=sys.stderr)
    except SeenitError as error:
        print(name, type(error).__name__, file=sys.stderr)
maps = open("/proc/self/maps").read() if sys.platform == "linux" else ""
print("pi_heif" in sys.modules, "heif" in maps)
"""


def test_libheif_is_not_loaded_where_heic_is_off() -> None:
    """In an API, a worker and a decoding child, whatever was decoded or refused."""
    told = subprocess.run(
        [sys.executable, "-c", _LOADED],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.stdout == "False False\n", told.stderr
    assert "heic UnsupportedError" in told.stderr
    assert "avif AVIF" in told.stderr


def test_no_plugin_takes_heic_by_itself() -> None:
    """Pillow alone does not know it: nothing registered libheif for every `Image.open`."""
    with pytest.raises(OSError, match="cannot identify"):
        Image.open(io.BytesIO(HEIC))
