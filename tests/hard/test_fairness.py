"""Attacks of one tenant on the others' time: their uploads settle beside whatever it sends."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx
import pytest

from tests.backends import servers
from tests.e2e.fleet import fleet
from tests.e2e.service import serving
from tests.e2e.talking import Talking
from tests.samples.pictures import jpeg, many_scans, photo

pytestmark = [pytest.mark.hard, pytest.mark.timeout(120)]

SETTINGS = {
    "SEENIT_API_KEYS": "key-of-tenant-one:one:write,key-of-tenant-two:two:write",
    "SEENIT_DECODE_SECONDS": "3",  # 8 by default, which only the end of this test waits for
}
FILES = 30
AT_MOST = 5.0
"""Seconds in which the other tenant's upload settles. One after another the files take minutes."""

Server = servers.Redis | servers.Given


def as_tenant(service: Talking, name: str) -> None:
    """Send the key of this tenant from now on."""
    service.client.headers["Authorization"] = f"Bearer key-of-tenant-{name}"


def check(url: httpx.URL, data: bytes) -> None:
    """Check a file as the first tenant, for as long as that takes, or the service runs."""
    headers = {"Authorization": "Bearer key-of-tenant-one"}
    with suppress(httpx.TransportError):
        httpx.post(url.join("/v1/check"), files={"file": data}, headers=headers, timeout=60.0)


@pytest.mark.parametrize("distributed", [False, True])
def test_files_of_many_scans_keep_no_other_tenant_waiting(
    tmp_path: Path, redis_server: Server, *, distributed: bool
) -> None:
    """Thirty pictures that are decoded until their deadline, and three checks of such, as well."""
    with ExitStack() as stack:
        if distributed:
            index = f"sqlite://{tmp_path}/index.sqlite"
            service: Talking = stack.enter_context(
                fleet(tmp_path, redis=redis_server.url, weaviate=index, **SETTINGS)
            )
        else:
            service = stack.enter_context(serving(tmp_path, SEENIT_MODEL="none", **SETTINGS))
        as_tenant(service, "one")
        slow = [(f"{n}.jpg", many_scans(4000, 3000, 1500 + n)) for n in range(FILES)]
        accepted = service.upload(slow)
        assert [one["status"] for one in accepted.json()["items"]] == ["queued"] * FILES
        checks = [
            threading.Thread(target=check, daemon=True, args=(service.client.base_url, slow[n][1]))
            for n in range(3)
        ]
        for each in checks:
            each.start()
        as_tenant(service, "two")
        took = []
        for seed in range(2):
            time.sleep(1.0)  # at different moments of the work on the others
            began = time.monotonic()
            answer = service.upload([("a.jpg", jpeg(photo(seed, 640, 480)))], wait=60)
            took.append(time.monotonic() - began)
            assert answer.status_code == httpx.codes.OK, answer.text
            began = time.monotonic()
            answer = service.check(jpeg(photo(9, 640, 480)))
            took.append(time.monotonic() - began)
            assert answer.status_code == httpx.codes.OK, answer.text
        assert max(took) < AT_MOST, took
        as_tenant(service, "one")
        left = [job for job in service.jobs() if job["status"] not in ("done", "failed")]
        assert len(left) > FILES // 2, "the files were too cheap to mean anything"
