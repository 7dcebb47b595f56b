"""Parts of a form whose headers are odd or broken: each costs itself at most."""

from __future__ import annotations

import asyncio
import itertools
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from litestar import Litestar
from litestar.testing import TestClient
from multipart import MultipartError  # type: ignore[import-untyped]

from api.form_parser import HEADER, FormParser, why
from api.multipart import FILENAME, FormLimits, FormReceiver, ReceivedForm
from core.errors import MalformedError
from core.ingest.accept import Upload
from tests.doubles.small_service import Service
from tests.samples.pictures import photo, png
from tests.unit.api.calls import problem

PICTURE = png(photo(3, 64, 48))
TYPE = "multipart/form-data; boundary=XX"
END = b"--XX--\r\n"
NAMED = b'Content-Disposition: form-data; name="file"'
GOOD = NAMED + b'; filename="good.png"'
PIECES = rb"Content-Disposition|:| |form-data|;|name|filename|*|=|file|UTF-8''|%C3|%|\\".split(b"|")
PIECES += [b'"', b"\xfc", b"\r\n", b"\0"]
PYTHON = ("Error(", "codec", "b'", "Traceback", "('")


def part(head: bytes, data: bytes = PICTURE) -> bytes:
    """Return one part, with any header lines."""
    return b"--XX\r\n" + head + b"\r\n\r\n" + data + b"\r\n"


def post(client: TestClient[Litestar], *parts: bytes, path: str = "/v1/images") -> Any:  # noqa: ANN401  # a response
    """Send some parts as one form."""
    return client.post(path, content=b"".join(parts) + END, headers={"Content-Type": TYPE})


# --- file names ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "name"),
    [
        (b'; filename="F\xfcchse.jpg"', "Füchse.jpg"),
        (b'; filename="F\xc3\xbcchse.jpg"', "Füchse.jpg"),
        (b'; filename="\x93q\x94 \x80.jpg"', "“q” €.jpg"),
        (b'; filename="\x81\xfc.jpg"', "ü.jpg"),  # in neither: what Latin-1 makes of it
        (b'; filename="\xed\xa0\x80.jpg"', "í€.jpg"),  # no surrogate comes of it
        (b"; filename*=UTF-8''F%C3%BCchse.jpg", "Füchse.jpg"),
        (b"; filename*=utf-8'de'F%c3%bcchse.jpg", "Füchse.jpg"),
        (b"; filename*=ISO-8859-1''F%FCchse.jpg", "Füchse.jpg"),
        (b"; filename=\"a.jpg\"; filename*=UTF-8''b.jpg", "b.jpg"),
        (b"; filename*=UTF-8''b.jpg; filename=\"a.jpg\"", "b.jpg"),
        (b"; FileName* = UTF-8''b.jpg ; filename=a.jpg", "b.jpg"),
        (b"; filename=a.jpg; filename*=UTF-8''b(1)'%20%2Ac.jpg", "b(1)' *c.jpg"),
        (b"; filename=\"a.jpg\"; filename*=klingon''b.jpg", "a.jpg"),
        (b"; filename=\"a.jpg\"; filename*=UTF-8''%FF.jpg", "a.jpg"),
        (b"; filename=\"a.jpg\"; filename*=UTF-8''%zz.jpg", "a.jpg"),
        (b"; filename=\"a.jpg\"; filename*=UTF-8''", "a.jpg"),
        (b'; filename="a.jpg"; filename*=b.jpg', "a.jpg"),
        (b"; filename=\"a; filename*=UTF-8''b.jpg\"", "a; filename*=UTF-8''b.jpg"),
        (b"; filename*=UTF-8''%2e%2e%2fetc%2fpasswd", "passwd"),
        (b"; filename*=UTF-8''a%00b%0D%0Ac%E2%80%AEd.jpg", "abcd.jpg"),
        (b"; filename*=UTF-8''%ED%A0%80.jpg; filename=a.jpg", "a.jpg"),
        (b'; filename="a%22b.jpg"', 'a"b.jpg'),
        (b'; filename="a\\"b.jpg"', 'a"b.jpg'),
        (b'; filename="a%20b%C3%BC.jpg"', "a%20b%C3%BC.jpg"),  # browsers escape no more than quotes
        (b'; filename="=?UTF-8?Q?F=C3=BCchse.jpg?="', "=?UTF-8?Q?F=C3=BCchse.jpg?="),
        (b'; filename="a\x00b\x01.jpg"', "ab.jpg"),
        (b'; filename="C:\\dir\\a.jpg"', "a.jpg"),
        (b'; filename="/a/b/"', None),
        (b'; filename="a.jpg"; filename="b.jpg"', "b.jpg"),
        (b'; filename="' + b"x" * (HEADER - 100) + b'"', "x" * FILENAME),
        (b";\r\n filename=a.jpg", "a.jpg"),
        (b"\r\nContent-Length: 7", None),
        (b"\r\nContent-Transfer-Encoding: base64", None),
        (b"\r\nContent-Type: text/plain; charset=klingon", None),
        (b"\r\nA: b" * 20, None),
        (b"\r\nA b\xff: c", None),
        (b"\r\nX-Long: " + b"y" * 50_000, None),
    ],
)
def test_a_file_is_kept_whatever_its_name(
    client: TestClient[Litestar], said: bytes, name: str | None
) -> None:
    """UTF-8, else Windows-1252, else Latin-1; `filename*` where it can be decoded."""
    response = post(client, part(NAMED + said))
    assert response.status_code == 202, response.text
    (item,) = response.json()["items"]
    record = client.get(f"/v1/images/{item['image_id']}").json()
    assert (record["filename"], record["bytes"]) == (name, len(PICTURE))


# --- parts that cannot be taken -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("head", "field"),
    [
        (b"Content-Type: image/png", None),
        (b"", None),
        (b"rubbish", None),
        (NAMED + b"\r\nrubbish", None),
        (b" continued", None),
        (b'Content-Disposition: attachment; name="file"', None),
        (b"Content-Disposition: ", None),
        (b'Content-Disposition: form-data; filename="a.png"', ""),
        (b'Content-Disposition: form-data; name=""; filename="a.png"', ""),
        (NAMED + b"\r\n" + NAMED, None),
        (NAMED + b'; filename="' + b"x" * HEADER + b'"', None),
        (NAMED + b"\r\n x" * HEADER, None),
    ],
)
def test_a_part_that_cannot_be_taken_is_refused_alone(
    client: TestClient[Litestar], service: Service, head: bytes, field: str | None
) -> None:
    """It stands in its place as a problem; its neighbours are accepted, and alone it is a 400."""
    items = post(client, part(GOOD), part(head), part(GOOD)).json()["items"]
    assert [item.get("status") for item in items] == ["queued", None, "queued"]
    told = items[1]["error"]
    assert (told["status"], told.get("field")) == (400, field)
    assert "part" in told["detail"]
    assert not [mark for mark in PYTHON if mark in told["detail"]]
    alone = post(client, part(head))
    assert (alone.status_code, problem(alone).get("field")) == (400, field)
    assert post(client, part(head), path="/v1/check").status_code == 400
    assert list((service.settings.data / "spool").iterdir()) == []


def test_parts_that_cannot_be_taken_are_counted(client: TestClient[Litestar]) -> None:
    """They count as files do: a hundred of them in one request, and no more."""
    response = post(client, *[part(b"rubbish", b"")] * 101)
    assert (response.status_code, problem(response)["field"]) == (400, "file")


def test_texts_are_utf8(client: TestClient[Litestar]) -> None:
    """A field that is not is named, in the words that mend it; so is an unknown one."""
    for head, field in (
        (b'Content-Disposition: form-data; name="title"', "title"),
        (b'Content-Disposition: form-data; name="tags"\r\nContent-Type: text/plain', "tags"),
        (b'Content-Disposition: form-data; name="t\xeftle"', "tïtle"),
    ):
        response = post(client, part(GOOD), part(head, b"F\xfcchse"))
        told = problem(response)
        assert (response.status_code, told["field"]) == (400, field)
        assert not [mark for mark in PYTHON if mark in told["detail"]]


# --- properties ---------------------------------------------------------------------------------


def read(folder: Path, body: bytes, cuts: list[int]) -> ReceivedForm:
    """Return the form that a receiver makes of a body in pieces."""

    async def pieces() -> Any:  # noqa: ANN401  # an async generator
        places = sorted({min(cut, len(body)) for cut in cuts} | {0, len(body)})
        for start, end in itertools.pairwise(places):
            yield body[start:end]

    bounds = FormLimits(100, 10**6, frozenset({"title"}))
    return asyncio.run(FormReceiver(folder, bounds, asyncio.to_thread).read(pieces(), "XX"))


def complains_of_the_form(head: bytes, detail: str) -> None:
    """Check that a whole form is refused for the name of a field, or the end of a line."""
    assert not [mark for mark in PYTHON if mark in detail]
    assert b"\n" in head or b"\r" in head or "there is no field" in detail


@settings(max_examples=150, suppress_health_check=list(HealthCheck))
@example(b"\r", [])
@given(
    st.one_of(
        st.binary(max_size=80),
        st.lists(
            st.sampled_from(PIECES),
            max_size=24,
        ).map(b"".join),
    ),
    st.lists(st.integers(0, 600), max_size=4),
)
def test_no_header_costs_more_than_its_part(tmp_path: Path, head: bytes, cuts: list[int]) -> None:
    """Whatever its bytes are and however they are cut; both good files around it are kept.

    An unknown field's name, or a line that ends oddly, is a problem of the whole form.
    """
    body = part(GOOD, b"one") + part(head, b"two") + part(GOOD, b"three") + END
    try:
        form = read(tmp_path, body, cuts)
    except MalformedError as error:
        complains_of_the_form(head, error.detail)
        return
    finally:
        for path in tmp_path.iterdir():
            path.unlink()
    first, *_, last = form.files
    assert isinstance(first, Upload)
    assert isinstance(last, Upload)
    assert (first.bytes, last.bytes) == (3, 5)


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=60))
def test_both_ways_of_writing_a_name_say_the_same(name: str) -> None:
    """A browser's way, and that of RFC 8187."""
    escaped = name.replace("\r", "%0D").replace("\n", "%0A").replace('"', "%22")
    heads = [
        NAMED + f'; filename="{escaped}"'.encode(),
        NAMED + f"; filename*=UTF-8''{quote(name, safe='')}".encode(),
    ]
    plain, extended = (parsed(head) for head in heads)
    assert extended == name
    if "\\" not in name and "%" not in name:
        assert plain == name


def parsed(head: bytes) -> str | None:
    """Return the file name of a part."""
    with FormParser("XX", 10**6) as parser:
        events = list(parser.parse(part(head, b"x") + END))
    return str(events[0].filename) if events[0].filename is not None else None


@pytest.mark.parametrize("unit", [b'"', b'\\"', b"; filename*=", b'; a="', b"%22", b"'", b"; "])
def test_a_long_header_takes_no_time(unit: bytes) -> None:
    """Linear in its length, whatever it repeats: 20 ms for 16 KB would be far too much."""
    head = NAMED + b'; filename="' + unit * ((HEADER - 100) // len(unit)) + b"\\"
    begun = time.process_time()
    for _ in range(5):
        parsed(head)
    assert time.process_time() - begun < 1.0


def test_a_form_that_breaks_off_is_told_in_words() -> None:
    """The library's own words where there are none of ours, never a tuple of them."""
    with pytest.raises(MultipartError) as told, FormParser("XX", 10**6) as parser:
        list(parser.parse(part(GOOD)))
    assert why(told.value) == "the form cannot be read: it ends before its last boundary"
