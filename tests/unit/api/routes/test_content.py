"""The bytes of a picture over HTTP."""

from __future__ import annotations

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from core import keys
from tests.doubles.small_service import Service
from tests.samples.pictures import jpeg, photo, png

PICTURE = png(photo(5, 64, 48))


def upload(client: TestClient[Litestar], data: bytes = PICTURE, **fields: str) -> str:
    """Upload one file whose name and type claim to be a page; return its content's address."""
    file = ('a"\r\nX-Evil: 1.html', data, "text/html")
    response = client.post("/v1/images", files={"file": file}, data=fields)
    return f"/v1/images/{response.json()['items'][0]['image_id']}/content"


def test_the_original_comes_back_as_it_was(client: TestClient[Litestar]) -> None:
    """Under the type that the bytes show, with headers that let it do no harm."""
    url = upload(client)
    image_id = url.split("/")[3]
    record = client.get(f"/v1/images/{image_id}").json()
    response = client.get(url)
    assert response.content == PICTURE
    told = {name: response.headers.get(name) for name in HEADERS}
    assert told == {
        "content-type": "image/png",
        "content-length": str(len(PICTURE)),
        "etag": f'"{record["sha256"]}"',
        "cache-control": "private, no-cache",
        "x-content-type-options": "nosniff",
        "content-disposition": f'inline; filename="{image_id}.png"',
        "content-security-policy": "default-src 'none'; sandbox",
        "access-control-allow-origin": None,
        "x-evil": None,
    }


HEADERS = (
    "content-type",
    "content-length",
    "etag",
    "cache-control",
    "x-content-type-options",
    "content-disposition",
    "content-security-policy",
    "access-control-allow-origin",
    "x-evil",
)


@pytest.mark.parametrize("size", ["original", "preview", "thumb"])
def test_head_is_get_without_the_bytes(
    client: TestClient[Litestar], service: Service, size: str
) -> None:
    """The same headers, also for sizes that are made on the spot."""
    url = upload(client)
    preview = jpeg(photo(5, 64, 48))
    service.blobs.put([(keys.derived(service.tenant, url.split("/")[3], "preview"), preview)])
    got, headed = client.get(f"{url}?size={size}"), client.head(f"{url}?size={size}")
    assert (got.status_code, headed.status_code, headed.content) == (200, 200, b"")
    assert [headed.headers[name] for name in HEADERS[:7]] == [
        got.headers[name] for name in HEADERS[:7]
    ]
    assert got.headers["content-length"] == str(len(got.content))
    assert got.headers["content-type"] == ("image/png" if size == "original" else "image/jpeg")


def test_bytes_that_are_held_are_not_sent_again(client: TestClient[Litestar]) -> None:
    """304 for their hash, for each size its own."""
    url = upload(client)
    etag = client.get(url).headers["etag"]
    for method in ("GET", "HEAD"):
        response = client.request(method, url, headers={"If-None-Match": etag})
        assert (response.status_code, response.content) == (304, b"")
        assert response.headers["etag"] == etag
    assert client.get(f"{url}?size=preview", headers={"If-None-Match": etag}).status_code == 200


def test_what_is_not_there_says_why(client: TestClient[Litestar]) -> None:
    """Not kept: 404; purged: 410 in every size, also with a matching ETag."""
    kept = upload(client)
    copy = upload(client, on_duplicate="discard_bytes")
    response = client.get(copy)
    assert (response.status_code, "not kept" in response.json()["detail"]) == (404, True)
    assert client.get(f"{copy}?size=preview").status_code == 200
    etag = client.get(kept).headers["etag"]
    client.post(f"{kept.removesuffix('/content')}/purge")
    for size in ("original", "preview", "thumb"):
        response = client.get(f"{kept}?size={size}", headers={"If-None-Match": etag})
        assert (response.status_code, "purged" in response.json()["detail"]) == (410, True)


def test_a_size_must_be_one(client: TestClient[Litestar]) -> None:
    """The answer is 400, and names it."""
    response = client.get(f"{upload(client)}?size=huge")
    assert (response.status_code, response.json()["field"]) == (400, "size")


def test_bytes_that_the_store_lost_are_a_404(
    client: TestClient[Litestar], service: Service
) -> None:
    """The answer is decided before the first header is sent."""
    url = upload(client)
    service.blobs.delete([keys.blob(service.tenant, url.split("/")[3])])
    assert client.get(url).status_code == 404
