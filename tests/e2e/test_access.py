"""Who gets in, seen from outside: a real service, real sockets, its own log."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import httpx
import pytest

from tests.e2e.command import ran_here
from tests.e2e.service import Service, serving
from tests.e2e.talking import until
from tests.samples import image_files
from tests.samples.pictures import photo, png

A, B = "the-key-of-tenant-a-long", "the-key-of-tenant-b-long"
SECONDS = 20.0


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Two tenants; its log is JSON."""
    settings = {
        "SEENIT_API_KEYS": f"{A}:a:admin,{B}:b:admin",
        "SEENIT_LOG_LEVEL": "info",
        "SEENIT_LOG_FORMAT": "json",
    }
    with serving(tmp_path_factory.mktemp("keyed") / "data", **settings) as made:
        yield made


@pytest.fixture(scope="module")
def keyless(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Yield a service without API keys and without a trusted proxy."""
    with serving(tmp_path_factory.mktemp("keyless") / "data") as made:
        yield made


# --- where a request ends -------------------------------------------------------------------------


def talk(service: Service, sent: bytes) -> bytes:
    """Return all bytes of the answer, until the service hangs up or sends no more."""
    with closing(socket.create_connection(("127.0.0.1", service.port), SECONDS)) as line:
        line.sendall(sent)
        line.settimeout(2.0)
        found = b""
        try:
            while part := line.recv(65_536):
                found += part
        except TimeoutError:
            return found
        return found + b"<closed>"


HEAD = b"POST /v1/search HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
KEY = f"Authorization: Bearer {A}\r\n".encode()
NEXT = b"GET /health/live?smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
REFUSED = {
    "length beside coding": b"Content-Length: 5\r\n" + CHUNKED + b"\r\n0\r\n\r\n" + NEXT,
    "coding beside length": CHUNKED + b"Content-Length: 5\r\n\r\n0\r\n\r\n" + NEXT,
    "length of 0 beside coding": b"Content-Length: 0\r\n" + CHUNKED + b"\r\n0\r\n\r\n" + NEXT,
    "two lengths": b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{} " + NEXT,
    "two lengths in one": b"Content-Length: 2, 3\r\n\r\n{} " + NEXT,
    "a sign": b"Content-Length: +2\r\n\r\n{}" + NEXT,
    "below zero": b"Content-Length: -2\r\n\r\n{}" + NEXT,
    "hexadecimal": b"Content-Length: 0x2\r\n\r\n{}" + NEXT,
    "an underscore in a number": b"Content-Length: 0_2\r\n\r\n{}" + NEXT,
    "a blank in a number": b"Content-Length: 0 2\r\n\r\n{}" + NEXT,
    "no number": b"Content-Length: \r\n\r\n" + NEXT,
    "a blank before the colon": b"Content-Length : 2\r\n\r\n{}" + NEXT,
    "an underscore in a name": b"Content_Length: 2\r\n\r\n" + NEXT,
    "an underscore in the coding": b"Transfer_Encoding: chunked\r\n\r\n0\r\n\r\n" + NEXT,
    "chunked twice": CHUNKED + CHUNKED + b"\r\n0\r\n\r\n" + NEXT,
    "chunked twice in one": b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n" + NEXT,
    "another coding": b"Transfer-Encoding: gzip\r\n\r\n0\r\n\r\n" + NEXT,
    "another before": b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" + NEXT,
    "identity": b"Transfer-Encoding: identity\r\nContent-Length: 2\r\n\r\n{}" + NEXT,
    "a letter before": b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + NEXT,
    "a tab of another kind": b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n" + NEXT,
    "quoted": b'Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n' + NEXT,
    "a blank before the coding's colon": b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + NEXT,
    "a coding on a line of its own": b"X: y\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + NEXT,
    "LF alone after a header": b"X: y\nContent-Length: 2\r\n\r\n{}" + NEXT,
    "LF alone at the end": b"Content-Length: 2\r\n\n{}" + NEXT,
    "CR alone": b"X: y\rContent-Length: 2\r\n\r\n{}" + NEXT,
    "LF alone after a chunk's size": CHUNKED + b"\r\n2\n{}\r\n0\r\n\r\n" + NEXT,
    "LF alone after the last chunk": CHUNKED + b"\r\n2\r\n{}\r\n0\r\n\n" + NEXT,
    "LF alone in a trailer": CHUNKED + b"\r\n2\r\n{}\r\n0\r\nX: y\n\r\n" + NEXT,
    "a chunk that is longer": CHUNKED + b"\r\n2\r\n{} \r\n0\r\n\r\n" + NEXT,
    "a chunk's size with a sign": CHUNKED + b"\r\n+2\r\n{}\r\n0\r\n\r\n" + NEXT,
    "a second host": b"Host: y\r\nContent-Length: 2\r\n\r\n{}" + NEXT,
}


@pytest.mark.parametrize("rest", REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("key", [KEY, b""], ids=["known", "unknown"])
def test_a_request_of_uncertain_end_is_refused(keyed: Service, rest: bytes, key: bytes) -> None:
    """400 as a problem, the connection closed, and what follows never read as a request."""
    told = talk(keyed, HEAD + key + rest)
    # the end of a chunked body is read after a caller that nobody knows was answered
    early = not key and b" 401 " in told.split(b"\r\n")[0] and CHUNKED in rest
    assert told.startswith(b"HTTP/1.1 400 ") or early, told
    assert told.endswith(b"<closed>"), told
    assert len(re.findall(rb"HTTP/1\.1 \d\d\d ", told)) == 1, told
    assert b"application/problem+json" in told
    assert b'"live"' not in told


def test_host_is_a_host(keyed: Service) -> None:
    """It goes into addresses that are signed."""
    for host in (b"a b", b"user@x", b"x/y", "x\u00ad".encode("latin-1"), b"<x>"):
        told = talk(keyed, b"GET /health/live HTTP/1.1\r\nHost: " + host + b"\r\n\r\n")
        assert told.startswith(b"HTTP/1.1 400 "), told
        assert told.endswith(b"<closed>"), told


def test_old_requests_have_no_coding(keyed: Service) -> None:
    """A proxy of HTTP/1.0 does not know it."""
    head = HEAD.replace(b"HTTP/1.1", b"HTTP/1.0") + KEY + CHUNKED
    assert b" 400 " in talk(keyed, head + b"\r\n0\r\n\r\n" + NEXT).split(b"\r\n")[0]


def test_sound_requests_follow_each_other(keyed: Service) -> None:
    """Sent at once on one connection, by length, in chunks with a trailer, in any order."""
    body = b'{"text":"x","mode":"keyword"}'
    length = HEAD + KEY + b"Content-Length: %d\r\n\r\n" % len(body) + body
    chunks = HEAD + KEY + CHUNKED + b"\r\n%x;a=b\r\n" % len(body) + body + b"\r\n0\r\nX: y\r\n\r\n"
    told = talk(keyed, length + chunks + length + chunks + NEXT)
    assert told.count(b"HTTP/1.1 200 OK") == 5, told
    # in pieces, with a line broken in the middle of its end
    with closing(socket.create_connection(("127.0.0.1", keyed.port), SECONDS)) as line:
        for piece in (chunks[:-3], chunks[-3:-2], chunks[-2:-1], chunks[-1:]):
            line.sendall(piece)
        line.settimeout(SECONDS)
        assert line.recv(65_536).startswith(b"HTTP/1.1 200 OK")


# --- what a line of the log says ------------------------------------------------------------------


def lines(service: Service, request_id: str) -> list[dict[str, Any]]:
    """Return the log lines of one request, once it is answered."""
    found: list[dict[str, Any]] = []

    def there() -> bool:
        said = (json.loads(one) for one in service.log().splitlines() if one.startswith("{"))
        found[:] = [one for one in said if one.get("request_id") == request_id]
        return any(one["event"] == "answered" for one in found)

    until(there, SECONDS)
    return found


def upload(request_id: str, size: int) -> bytes:
    """Return an upload by tenant A, with a body that arrives in many pieces."""
    part = b'--XX\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n'
    body = part + png(photo(3, 64, 48)) + bytes(size) + b"\r\n--XX--\r\n"
    return (
        b"POST /v1/images HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=XX\r\n"
        + KEY
        + f"X-Request-ID: {request_id}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        + body
    )


def bare(request_id: str, more: bytes = b"") -> bytes:
    """Return a request without an API key."""
    return (
        f"GET /v1/images HTTP/1.1\r\nHost: x\r\nX-Request-ID: {request_id}\r\n".encode()
        + more
        + b"\r\n"
    )


def test_nothing_of_one_request_is_said_of_the_next(keyed: Service) -> None:
    """On one connection, at once or in turn, however large the first one was."""
    for n, size in enumerate((0, 3_000_000)):
        for pipelined in (False, True):
            first, second = f"first-{n}-{pipelined}", f"second-{n}-{pipelined}"
            with closing(socket.create_connection(("127.0.0.1", keyed.port), SECONDS)) as line:
                line.settimeout(SECONDS)
                line.sendall(upload(first, size) + (bare(second) if pipelined else b""))
                answer = line.recv(65_536)
                assert b" 202 " in answer.split(b"\r\n")[0]
                if not pipelined:
                    line.sendall(bare(second))
                while b" 401 " not in answer:
                    part = line.recv(65_536)
                    assert part
                    answer += part
            mine = [one for one in lines(keyed, first) if one["event"] == "answered"]
            assert mine[0]["tenant"] == "a"
            assert mine[0]["job_ids"]
            for one in lines(keyed, second):
                assert "tenant" not in one
                assert "job_ids" not in one


def test_nothing_of_one_request_is_said_of_a_broken_one(keyed: Service) -> None:
    """The server's own word on what is no request names no tenant either."""
    before = len(keyed.log())
    for pipelined in (False, True):
        with closing(socket.create_connection(("127.0.0.1", keyed.port), SECONDS)) as line:
            line.settimeout(SECONDS)
            broken = b"GET / HTTP/1.1\r\nHost : x\r\n\r\n"
            line.sendall(upload(f"whole-{pipelined}", 3_000_000) + (broken if pipelined else b""))
            answer = line.recv(65_536)
            if not pipelined:
                line.sendall(broken)
            while part := line.recv(65_536):
                answer += part
            assert b" 400 " in answer
    said = [json.loads(one) for one in keyed.log()[before:].splitlines() if one.startswith("{")]
    told = [one for one in said if "nvalid HTTP" in one["event"]]
    assert len(told) == 2
    assert not any("tenant" in one or "request_id" in one for one in told)


# --- what a picture is ----------------------------------------------------------------------------


MEDIA = {
    "JPEG": ("image/jpeg", "jpeg"),
    "PNG": ("image/png", "png"),
    "GIF": ("image/gif", "gif"),
    "WEBP": ("image/webp", "webp"),
    "AVIF": ("image/avif", "avif"),
    "HEIF": ("image/heic", "heic"),
    "TIFF": ("image/tiff", "tiff"),
    "BMP": ("image/bmp", "bmp"),
    "PPM": ("image/x-portable-pixmap", "ppm"),
}


def test_originals_are_served_as_what_they_are(keyed: Service) -> None:
    """The bytes decide the media type, whatever the upload declared; the file name is generated."""
    served = set()
    with httpx.Client(base_url=keyed.url, headers={"Authorization": f"Bearer {A}"}) as client:
        for name, data in image_files.every().items():
            sent = client.post(
                "/v1/images?wait=60", files={"file": ('x".svg', data, "image/svg+xml")}
            )
            if image_files.NAMES[name] == "HEIF" and sent.status_code == 415:
                continue  # not read unless a setting says so
            image_id = sent.json()["items"][0]["image_id"]
            media, ending = MEDIA[image_files.NAMES[name]]
            url = f"/v1/images/{image_id}/content?size=original"
            for answer in (client.get(url), client.head(url)):
                assert answer.status_code == 200, (name, answer.text)
                told = answer.headers
                assert (name, told["content-type"]) == (name, media)
                assert told["x-content-type-options"] == "nosniff"
                assert told["content-disposition"] == f'inline; filename="{image_id}.{ending}"'
                assert told["content-security-policy"] == "default-src 'none'; sandbox"
            assert client.get(url).content == data
            served.add(media)
        assert len(served) >= len(MEDIA) - 1
        refused = client.post("/v1/images", files={"file": ("x.png", b"<svg xmlns='x'/>")})
        assert refused.status_code == 415


# --- without keys ---------------------------------------------------------------------------------

PASSED_ON = [
    ("Forwarded", "for=192.0.2.1"),
    ("forwarded", ""),
    ("X-Forwarded-For", "127.0.0.1"),
    ("X-Forwarded-Proto", "https"),
    ("X-Forwarded-Host", "localhost"),
    ("X-Forwarded-Prefix", "/"),
    ("X_Forwarded_For", "192.0.2.1"),
    ("X-Real-IP", "192.0.2.1"),
    ("Via", "1.1 proxy"),
    ("CF-Connecting-IP", "192.0.2.1"),
    ("CF-Ray", "1"),
    ("True-Client-IP", "192.0.2.1"),
    ("X-Client-IP", "192.0.2.1"),
    ("X-Cluster-Client-IP", "192.0.2.1"),
    ("Fly-Client-IP", "192.0.2.1"),
    ("Fastly-Client-IP", "192.0.2.1"),
    ("X-Original-Forwarded-For", "192.0.2.1"),
]


@pytest.mark.parametrize("header", PASSED_ON, ids=[name for name, _ in PASSED_ON])
def test_without_keys_nothing_that_was_passed_on_is_answered(
    keyless: Service, header: tuple[str, str]
) -> None:
    """The 403 names the reason and the setting; probes are answered."""
    client = keyless.client
    assert client.get("/v1/images").status_code == 200
    for method, url in (("GET", "/v1/images"), ("DELETE", "/v1/images/x"), ("GET", "/metrics")):
        refused = client.request(method, url, headers=[header])
        assert refused.status_code == 403
        detail = refused.json()["detail"]
        assert "SEENIT_TRUSTED_PROXY" in detail
        assert "SEENIT_API_KEYS" in detail
        assert header[0].lower().replace("_", "-") in detail
    for url in ("/health/live", "/health/ready"):
        assert client.get(url, headers=[header]).status_code == 200


def test_a_trusted_proxy_passes_on(keyless: Service, keyed: Service) -> None:
    """Its requests are answered, its scheme is that of addresses; a page of another site's not."""
    keyed_client = httpx.Client(base_url=keyed.url, headers={"Authorization": f"Bearer {A}"})
    passed = {"X-Forwarded-For": "192.0.2.1", "X-Forwarded-Proto": "https"}
    with keyed_client as client:  # with keys nobody's word is needed, and nobody's counts
        assert client.get("/v1/images", headers=passed).status_code == 200
    settings = {
        "SEENIT_TRUSTED_PROXY": "10.0.0.0/8, 127.0.0.1",
        "SEENIT_PUBLIC_URL": "https://pictures.example.org",
    }
    with serving(keyless.data.parent / "trusted", **settings) as service:
        client = service.client
        for name, value in PASSED_ON:
            assert client.get("/v1/images", headers=[(name, value)]).status_code == 200
        for host in ("pictures.example.org", "localhost", "127.0.0.1:1"):
            told = client.get("/v1/images", headers={**passed, "Host": host})
            assert (host, told.status_code) == (host, 200)
        own = {"Origin": "https://pictures.example.org"}
        assert client.get("/v1/images", headers={**passed, **own}).status_code == 200
        for more in ({"Host": "evil.example"}, {"Origin": "https://evil.example"}):
            assert client.get("/v1/images", headers={**passed, **more}).status_code == 403
    with serving(keyless.data.parent / "elsewhere", SEENIT_TRUSTED_PROXY="10.0.0.0/8") as service:
        told = service.client.get("/v1/images", headers={"X-Forwarded-For": "10.0.0.1"})
        assert told.status_code == 403


@pytest.mark.parametrize(("trusted", "scheme"), [("", "http"), ("127.0.0.1", "https")])
def test_signed_addresses_are_as_the_caller_came(
    keyless: Service, trusted: str, scheme: str
) -> None:
    """The word of a trusted proxy alone counts."""
    settings = {"SEENIT_TRUSTED_PROXY": trusted} if trusted else {}
    settings["SEENIT_API_KEYS"] = f"{A}:a:admin"
    with serving(keyless.data.parent / f"signed-{scheme}", **settings) as service:
        client = service.client
        client.headers["Authorization"] = f"Bearer {A}"
        sent = {"files": {"file": ("a.png", png(photo(6, 64, 48)))}, "data": {"title": "A dog"}}
        assert client.post("/v1/images?wait=60", **sent).status_code == 200  # type: ignore[arg-type]
        ask = {"query": "dog", "deliver": "url", "format": "anthropic"}
        passed = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "evil.example"}
        told = client.post("/v1/rag/context", json=ask, headers=passed).json()
        (url,) = [one["source"]["url"] for one in told["blocks"] if one["type"] == "image"]
        assert url.startswith(f"{scheme}://127.0.0.1:{service.port}/v1/images/")


# --- keys -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("as_list", [True, False])
@pytest.mark.parametrize("command", ["up", "api"])
def test_weak_keys_start_nothing(
    keyless: Service, capsys: pytest.CaptureFixture[str], command: str, as_list: bool
) -> None:
    """The error names the place of a weak key, never its text, in either way of writing keys."""
    weak = "hush-hush-hush!"
    keys = f"{A}:a:admin,{weak}:b:write"
    if not as_list:
        one = {"key": A, "tenant": "a", "role": "admin"}
        keys = json.dumps([one, {"key": weak, "tenant": "b", "role": "write"}])
    given = {"SEENIT_DATA": str(keyless.data), "SEENIT_API_KEYS": keys}
    ended = ran_here(capsys, given, command, "--port", "0")
    assert ended.returncode == 2
    assert "SEENIT_API_KEYS: key 2 has 15 characters, and at least 16 are needed" in ended.stderr
    assert "hush" not in ended.stderr + ended.stdout
