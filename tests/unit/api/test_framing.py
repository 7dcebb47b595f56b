"""Requests whose end is not certain, whatever server took them in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.framing import fault

Headers = list[tuple[bytes, bytes]]

NAMES = st.sampled_from(
    [
        *(b"content-length", b"Content-Length", b"content_length", b"transfer-encoding"),
        *(b"Transfer-Encoding", b"transfer_encoding", b"host", b"x", b"content-type"),
    ]
)
VALUES = st.one_of(
    st.sampled_from(
        [
            *(b"0", b"5", b"05", b"+5", b"-5", b"5 ", b"0x5", b"5_0", b"5, 5", b"", b"\xb2"),
            *(b"chunked", b"Chunked", b"chunked, chunked", b"gzip", b"identity", b"\x0bchunked"),
            *(b"localhost:80", b"[::1]", b"a b", b"a@b", b"x\xad"),
        ]
    ),
    st.binary(max_size=6),
)


@given(
    headers=st.lists(st.tuples(NAMES, VALUES), max_size=4), version=st.sampled_from(["1.0", "1.1"])
)
def test_what_passes_has_one_end(headers: Headers, version: str) -> None:
    """One length in digits, or chunked alone, or neither; and a host that could be one."""
    if fault(headers, version) is not None:
        return
    alike = [(name.lower().replace(b"_", b"-"), value) for name, value in headers]
    lengths = [value for name, value in alike if name == b"content-length"]
    codings = [value for name, value in alike if name == b"transfer-encoding"]
    assert not (lengths and codings)
    assert len(set(lengths)) <= 1
    assert all(value.isdigit() and value.isascii() for value in lengths)
    assert [one.lower() for one in codings] in ([], [b"chunked"])
    assert not codings or version == "1.1"
    assert not any(name in (b"content_length", b"transfer_encoding") for name, _ in headers)
    for name, value in alike:
        if name == b"host":
            assert value.isascii()
            assert not set(value) & set(b' @/?#<>"\\\r\n\t')


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"content-length", b"0")],
        [(b"content-length", b"12345678901234567890")],
        [(b"content-length", b"5"), (b"content-length", b"5")],
        [(b"transfer-encoding", b"Chunked")],
        *([(b"host", one)] for one in (b"", b"x", b"x.example:80", b"[::1]:80", b"a_b", b"%41")),
    ],
)
def test_sound_requests_pass(headers: Headers) -> None:
    """Clients and proxies send these."""
    assert fault(headers, "1.1") is None
