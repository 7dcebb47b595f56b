"""Redis, Weaviate and S3 for tests: the real programs, on free loopback ports.

Each is a context manager that gives a server with `url` and the verbs `kill`, `stop`, `start`,
`pause` and `resume`; the ports and the data outlive them. The fixtures of tests/conftest.py start
one of each per run. tests/backends/weaviate_cluster.py has Weaviate, tests/backends/faults.py the
faults in between; both are imported here.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
from redis import Redis as Client
from redis import RedisError
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.backends.faults import Flaky, Link, Toxiproxy, flaky, toxiproxy
from tests.backends.server_process import Server, binary, built, free_ports, started, used
from tests.backends.weaviate_cluster import Weaviate, Weaviates, weaviate, weaviates

__all__ = [
    "NEVER",
    "S3",
    "Flaky",
    "Given",
    "Link",
    "Redis",
    "Toxiproxy",
    "Weaviate",
    "Weaviates",
    "flaky",
    "given",
    "redis",
    "s3",
    "toxiproxy",
    "weaviate",
    "weaviates",
]

BUCKET = "seenit"
NEVER = Retry(NoBackoff(), 0)
"""Retry policy of Redis clients in tests: none, where the default is ten times, for seconds."""
_S3_KEYS = {
    "AWS_ACCESS_KEY_ID": "tester",
    "AWS_SECRET_ACCESS_KEY": "tester-secret",
    "AWS_REGION": "us-east-1",
}


class Redis(Server):
    """Process of redis-server, which forgets at a restart unless it has an append-only file."""

    def __init__(self, folder: Path, password: str | None, *, appendonly: bool) -> None:
        (self.port,) = ports = free_ports(1)
        self.data = folder / "data"
        self.data.mkdir(parents=True, exist_ok=True)
        self.password = password
        self.url = f"redis://{f':{password}@' if password else ''}127.0.0.1:{self.port}/0"
        command = [binary("redis-server", "redis"), "--port", str(self.port)]
        command += ["--bind", "127.0.0.1", "--dir", str(self.data), "--save", ""]
        command += ["--appendonly", "yes" if appendonly else "no"]
        if password:
            command += ["--requirepass", password]
        super().__init__(command, folder, ports=ports)

    def ready(self) -> bool:
        """Return whether it answers PING, and so has read its file too."""
        try:
            with Client.from_url(self.url, socket_timeout=2.0, retry=NEVER) as client:
                version = _redis_version(client)
        except (RedisError, OSError):
            return False
        used("redis", f"{version} ({self.command[0]})")
        return True


def redis(
    folder: Path, *, password: str | None = None, appendonly: bool = False
) -> AbstractContextManager[Redis]:
    """Start a private Redis server."""
    return started(Redis(folder, password, appendonly=appendonly))


class S3(Server):
    """Process of versitygw over a folder; every client reads its variables in `environment`."""

    def __init__(self, folder: Path) -> None:
        (self.port,) = ports = free_ports(1)
        self.data = folder / "data"
        (self.data / BUCKET).mkdir(parents=True, exist_ok=True)
        self.url = f"s3://{BUCKET}"
        program = binary("versitygw", "s3")
        self.environment = self.through(self.port)
        super().__init__(
            [program, "--quiet", "--port", f"127.0.0.1:{self.port}", "posix", str(self.data)],
            folder,
            ports=ports,
            environment={
                "ROOT_ACCESS_KEY": _S3_KEYS["AWS_ACCESS_KEY_ID"],
                "ROOT_SECRET_KEY": _S3_KEYS["AWS_SECRET_ACCESS_KEY"],
            },
        )
        self._version = f"versitygw {built(program, 'github.com/versity/versitygw')} ({program})"

    def through(self, port: int) -> dict[str, str]:
        """Return the variables for a client that uses another port, such as a faulty link's."""
        endpoint = f"http://127.0.0.1:{port}"
        return {**_S3_KEYS, "AWS_ENDPOINT_URL": endpoint, "AWS_ALLOW_HTTP": "true"}

    def ready(self) -> bool:
        """Return whether it answers, even if only with a refusal."""
        try:
            httpx.get(f"http://127.0.0.1:{self.port}/{BUCKET}")
        except httpx.TransportError:
            return False
        used("s3", self._version)
        return True


def s3(folder: Path) -> AbstractContextManager[S3]:
    """Start a private S3 server with one bucket."""
    return started(S3(folder))


class Given:
    """Server that the environment names: tests use it and cannot stop it."""

    def __init__(self, url: str, environment: Mapping[str, str], key: str | None) -> None:
        self.url, self.environment, self.key = url, dict(environment), key


def given(part: str) -> Given | None:
    """Return the server of SEENIT_TEST_REDIS_URL, _WEAVIATE_URL (and _KEY) or _S3_URL, if set."""
    url = os.environ.get(f"SEENIT_TEST_{part.upper()}_URL")
    if not url:
        return None
    key = os.environ.get(f"SEENIT_TEST_{part.upper()}_KEY") or None
    own = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    if part == "s3":  # a run of its own below the bucket, so that runs do not meet
        url = f"{url.rstrip('/')}/{time.time_ns()}"
    used(part, f"{_told(part, url, key)} (SEENIT_TEST_{part.upper()}_URL)")
    return Given(url, own if part == "s3" else {}, key)


def _told(part: str, url: str, key: str | None) -> str:
    if part == "redis":
        with Client.from_url(url) as client:
            return _redis_version(client)
    if part == "weaviate":
        scheme, _, rest = url.partition("://")
        host, http, *_ = [*rest.split(",")[0].split(":"), "8080"]
        root = f"{'https' if scheme == 'weaviates' else 'http'}://{host}:{http}/v1/meta"
        answer = httpx.get(root, headers={"Authorization": f"Bearer {key}"} if key else {})
        return str(answer.json()["version"])
    return os.environ.get("AWS_ENDPOINT_URL", "AWS")


def _redis_version(client: Client) -> str:
    told: Any = client.info("server")
    return str(told["redis_version"])
