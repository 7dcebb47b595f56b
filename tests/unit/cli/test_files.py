"""Files that the command line takes from a folder, how it reads them, and their names."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from hypothesis import strategies as st

from cli import file_names, files
from cli.client import HTTPClient
from cli.commands import ingest
from cli.file_reading import UnreadError, read, read_text
from cli.files import KINDS, FoundFiles, Skipped, failing, listed
from cli.rendering import verdicts
from cli.rendering.printable import printable
from core.errors import InputError, TooLargeError
from core.records import EXTERNAL_ID
from tests.samples import odd_tree
from tests.samples.odd_tree import JPEG_START, ODD

LATIN = Path(os.fsdecode(b"latin1 \xe9\xf1.jpg"))


def bytes_of(name: str) -> bytes:
    """Return the bytes of the path that a name was made from."""
    if not re.search(r"\\x[0-9a-f]{2}", name):
        return name.encode()
    parts = re.split(r"(\\\\|\\x[0-9a-f]{2})", name)
    return b"".join(
        b"\\"
        if part == "\\\\"
        else bytes.fromhex(part[2:])
        if part.startswith("\\x")
        else part.encode()
        for part in parts
    )


# A file name as the kernel takes it, short enough to have something around it.
raw_names = st.binary(min_size=1, max_size=40).map(
    lambda raw: raw.replace(b"/", b"_").replace(b"\0", b"0")
)
told_names = st.one_of(
    raw_names,
    st.text("aé \\x9f\n\x1b\u202e\u200b😀.", min_size=1, max_size=12).map(str.encode),
    st.sampled_from([b"\xe9", b"\\xe9", b"\\\\xe9", b"\\\xe9", b"\xc2\x85", b"\n", b"-", b"~"]),
)


@hypothesis.given(st.lists(told_names, min_size=2, max_size=2, unique=True))
def test_a_name_is_lossless_printable_and_its_own(pair: list[bytes]) -> None:
    """Any bytes come back from it, and no two paths share one."""
    told = [file_names.path_name(Path("in", os.fsdecode(raw))) for raw in pair]
    for raw, name in zip(pair, told, strict=True):
        assert bytes_of(name) == b"in/" + raw or raw in (b".", b"..")
        name.encode()  # no surrogate is left
        assert not re.search("[\0-\x1f\x7f-\x9f]", name)
    if not {b".", b".."} & set(pair):
        assert told[0] != told[1]


def test_names_of_latin1_and_of_utf8() -> None:
    """UTF-8 names stay as they are, so that stored pictures are found again."""
    assert file_names.path_name(Path("photos") / LATIN) == r"photos/latin1 \xe9\xf1.jpg"
    assert file_names.path_name(Path("Fotos/Möwe \\ 100 %.jpg")) == "Fotos/Möwe \\ 100 %.jpg"
    assert file_names.form_name(LATIN) == "latin1 \ufffd\ufffd.jpg"


@hypothesis.given(st.text("aé/", min_size=1, max_size=3_000), st.text("b.", max_size=20))
def test_an_id_is_as_long_as_a_service_takes(start: str, end: str) -> None:
    """A longer path gets a digest and its end, always the same and unique to it."""
    name = start + end
    told = file_names.external_id(name)
    assert len(told) <= EXTERNAL_ID
    assert told == file_names.external_id(name)
    assert told.endswith(name[-900:])
    if len(name) > EXTERNAL_ID:
        assert told != file_names.external_id(f"x{name}")
    else:
        assert told == name


@hypothesis.given(st.text(max_size=60))
def test_nothing_printed_moves_a_terminal(text: str) -> None:
    """Controls, bidi overrides, zero-width and lone surrogates are escaped."""
    told = printable(text)
    assert all(letter.isprintable() or letter.isspace() for letter in told)
    assert not re.search(
        "[\0-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u200b\ufeff\ud800-\udfff]", told
    )


def test_printing_escapes_and_keeps_spaces() -> None:
    """Screenshots have spaces in their names."""
    assert printable("a\x1b[31m\n\u202egpj.\udce9") == r"a\x1b[31m\x0a\u202egpj.\xe9"
    assert printable("1.02\u202fPM\U000e0041") == "1.02\u202fPM" + r"\U000e0041"


entries = st.lists(
    st.tuples(
        st.sampled_from([*ODD, "picture", "picture without a suffix", "link to a picture"]),
        st.lists(st.integers(0, 2), max_size=3),
        st.sampled_from([b"", b"\xe9", b"\n", b"\x1b[31m", "\u202e".encode(), b"\\x41", b" "]),
    ),
    max_size=25,
)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the path of a folder that each example makes."""
    return tmp_path_factory.mktemp("odd") / "root"


@hypothesis.given(entries)
def test_every_entry_is_accounted_for_once(
    root: Path, planned: list[tuple[str, list[int], bytes]]
) -> None:
    """All good pictures are found, and everything else is skipped under its kind, nothing twice."""
    odd_tree.clear(root)
    good, skipped = set(), set()
    for number, (what, where, odd) in enumerate(planned):
        folder = Path(root, *(f"folder {n}" for n in where))
        folder.mkdir(parents=True, exist_ok=True)
        name = b"%d %b" % (number, odd)
        if what in ODD:
            skipped.add(odd_tree.told(what, odd_tree.make(folder, what, name)))
            continue
        suffix = "" if "without" in what else ".JPeG"
        path = Path(folder, os.fsdecode(name).strip() + suffix)
        path.write_bytes(JPEG_START)
        good.add(path)
        if "link" in what:
            other = path.with_name(f"link {path.name}.png")
            other.symlink_to(path)
            good.add(other)
    found = listed([root])
    assert {one.path for one in found.files} == good
    assert len(found.files) == len(good)
    assert sorted((one.kind, one.name.rstrip("/")) for one in found.skipped) == sorted(
        (kind, file_names.path_name(path)) for kind, path in skipped
    )
    assert {one.kind for one in found.skipped} <= set(KINDS)
    assert not any(one.named for one in found.skipped)
    again = listed([root, *(file.path for file in found.files)])
    assert again == found


@pytest.fixture
def deep(tmp_path: Path) -> Iterator[Path]:
    """Yield a folder, and remove it by `rm`: Python's own ways end at the depth of its stack."""
    folder = tmp_path / "deep"
    folder.mkdir()
    yield folder
    subprocess.run(["rm", "-rf", folder], check=True, timeout=60)


def test_a_folder_may_be_deeper_than_a_stack_and_than_a_path(deep: Path) -> None:
    """Past the 4,096 bytes of a path, the folder that cannot be listed is named."""
    home = os.open(".", os.O_RDONLY)
    try:
        os.chdir(deep)
        for _ in range(2_500):
            Path("d").mkdir()
            os.chdir("d")
        Path("lost.jpg").write_bytes(JPEG_START)
    finally:
        os.fchdir(home)
        os.close(home)
    (deep / "d" / "d" / "a.jpg").write_bytes(JPEG_START)
    found = listed([deep])
    assert [one.path for one in found.files] == [deep / "d" / "d" / "a.jpg"]
    (one,) = found.skipped
    assert (one.kind, one.reason) == ("unreadable", "file name too long")
    assert failing(found.skipped)


@pytest.fixture
def unprivileged() -> Iterator[Path]:
    """Yield a folder, without the rights to read what others keep private."""
    folder = Path(tempfile.mkdtemp(prefix="seenit-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def test_what_may_not_be_read_is_told_and_the_rest_is_taken(unprivileged: Path) -> None:
    """A folder once, a file once it is read; both make a command fail."""
    (unprivileged / "closed").mkdir()
    for name in ("a.jpg", "b.jpg", "closed/c.jpg", "d"):
        (unprivileged / name).write_bytes(JPEG_START)
    for name in ("closed", "b.jpg", "d"):
        (unprivileged / name).chmod(0)
    own = os.geteuid()
    if own == 0:
        os.seteuid(65534)
    try:
        found = listed([unprivileged])
        assert [one.path.name for one in found.files] == ["a.jpg", "b.jpg"]
        with pytest.raises(UnreadError, match="permission denied") as told:
            read(unprivileged / "b.jpg")
    finally:
        os.seteuid(own)
        (unprivileged / "closed").chmod(0o700)
    assert told.value.kind == "unreadable"
    assert [(Path(one.name).name, one.kind) for one in found.skipped] == [
        ("d", "unreadable"),
        ("closed", "unreadable"),
    ]
    assert failing(found.skipped)


def test_what_is_named_is_taken_or_fails(tmp_path: Path) -> None:
    """Its suffix and the target of a link do not matter; a pipe is refused at once."""
    odd_tree.clear(tmp_path / "root")
    link, text = tmp_path / "root" / "link.jpg", tmp_path / "root" / ".notes.txt"
    link.symlink_to(tmp_path / odd_tree.OUTSIDE)
    text.write_bytes(b"text")
    assert [one.path for one in listed([link, text]).files] == [link, text]
    pipe = odd_tree.make(tmp_path, "pipe", b"pipe")
    assert listed([pipe]).skipped == [
        Skipped(pipe.as_posix(), "special", "a named pipe", named=True)
    ]
    assert failing(listed([pipe]).skipped)
    assert not failing(listed([tmp_path]).skipped)


def test_links_to_files_are_followed_wherever_they_lead(tmp_path: Path) -> None:
    """Data sets are laid out so whose pictures are kept in one place."""
    odd_tree.clear(tmp_path / "root")
    link = tmp_path / "root" / "link.jpg"
    link.symlink_to(tmp_path / odd_tree.OUTSIDE)
    assert listed([tmp_path / "root"]) == ([FoundFiles(link, link.as_posix())], [])


@pytest.mark.parametrize(
    ("put", "kind"),
    [
        (lambda _: None, "vanished"),
        (os.mkfifo, "special"),
        (lambda path: path.mkdir(), "special"),
        (lambda path: odd_tree.make(path.parent, "socket", b"now").rename(path), "special"),
        (lambda path: path.symlink_to(path.name), "broken_link"),
        (lambda path: path.symlink_to("/proc/self/status"), "changed"),  # holds more than its size
        (lambda path: path.symlink_to("/dev/zero"), "special"),
    ],
)
def test_what_became_of_a_file_since_it_was_listed(tmp_path: Path, put, kind: str) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    """The command does not wait for it or read half of it, and names its kind."""
    path = tmp_path / "a.jpg"
    put(path)
    read_in: list[object] = []

    def attempt() -> None:
        try:
            read_in.append(read(path))
        except UnreadError as error:
            read_in.append(error.kind)

    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(10)
    assert read_in == [kind]
    with HTTPClient("http://127.0.0.1:9") as client:  # which is not asked
        ready = ingest._look(client, FoundFiles(path, "a.jpg"))
        one = ingest._send(client, FoundFiles(path, "a.jpg"), ready, {})
    assert isinstance(one, Skipped)
    assert (one.name, one.kind) == ("a.jpg", kind)


def test_a_file_that_changes_between_look_and_upload_is_not_sent(tmp_path: Path) -> None:
    """Otherwise its name would stand for bytes that were never looked up."""
    path = tmp_path / "a.jpg"
    path.write_bytes(b"new")
    with HTTPClient("http://127.0.0.1:9") as client:
        one = ingest._send(client, FoundFiles(path, "a.jpg"), ("digest of the old", None), {})
    assert isinstance(one, Skipped)
    assert one.kind == "changed"


def test_a_huge_file_is_refused_by_its_size(tmp_path: Path) -> None:
    """A terabyte without a byte in it: nothing of it is read."""
    path = tmp_path / "a.jpg"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(TooLargeError, match=r"1,099,511,627,776 bytes; the limit is 1,000"):
        read(path, 1_000)


def test_a_table_that_is_no_text_is_named(tmp_path: Path) -> None:
    """So is one that is no file at all."""
    path = tmp_path / "table\x1b.tsv"
    path.write_bytes(b"image\xff")
    with pytest.raises(InputError, match=r"table\\x1b\.tsv: byte 5 is not UTF-8"):
        read_text(path)
    with pytest.raises(InputError, match="a folder"):
        read_text(tmp_path)


def test_a_long_list_is_cut_on_a_terminal_and_whole_in_json(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A few of each kind by name, with counts of all."""
    skipped = [Skipped(f"notes {n}\x1b[2J.txt", "not_a_picture", "…") for n in range(7)]
    skipped.append(Skipped("b.jpg", "unreadable", "permission denied"))
    rows = [{"file": "x\n.jpg", "error": {"type": "too-large", "detail": "too\x07 large"}}]
    verdicts.outcome(rows, skipped, json_wanted=False)
    told = capsys.readouterr().out
    assert "skipped: 7 not a picture: notes 0\\x1b[2J.txt" in told
    assert "and 4 more\n" in told
    assert "skipped: 1 unreadable: b.jpg (permission denied)\n" in told
    assert "failed: 1 too large: x\\x0a.jpg\n" in told
    assert told.endswith("1 files: 1 failed; 8 skipped: 7 not a picture, 1 unreadable\n")
    assert not re.search("[\x07\x1b]", told)
    verdicts.outcome(rows, skipped, json_wanted=True)
    assert capsys.readouterr().out.count("not_a_picture") == 8


def test_suffixes_that_are_read_are_not_called_foreign() -> None:
    """The two lists share none."""
    for suffix in "avif bmp dib gif heic heif heics hif jfif jpe jpg jpeg mpo pbm pgm png pnm ppm tif tiff webp".split():  # noqa: E501, SIM905
        assert files._PICTURE.fullmatch(f".{suffix}")
        assert not files._FOREIGN.fullmatch(f".{suffix}"), suffix
    for suffix in "psd svg jxl jp2 ico nef cr2 cr3 crw arw dng orf rw2 raf raw srw tga exr".split():  # noqa: SIM905
        assert files._FOREIGN.fullmatch(f".{suffix}"), suffix
        assert not files._PICTURE.fullmatch(f".{suffix}")
