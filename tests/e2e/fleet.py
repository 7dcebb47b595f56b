"""The distributed service in real processes: Redis, Weaviate, APIs, workers and a beat."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import psutil

from adapters.blobs.opening import open_blobs
from adapters.event_log import BlobLog
from core.ports import Blobs
from tests.backends import servers
from tests.backends.server_process import ROOT, free_ports, outside
from tests.e2e.talking import Talking, drained, until

READY_SECONDS = 180.0


class Process:
    """One of our commands with its environment; its log in a file beside the data."""

    def __init__(self, folder: Path, name: str, *words: str, settings: Mapping[str, str]) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self._words = words
        self._settings = dict(settings)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Return the id of the process."""
        assert self._process is not None
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it has not ended."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Return once it has begun; readiness is the caller's to wait for."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "cli", *self._words],
                env={**outside(), **self._settings},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=ROOT,
                start_new_session=True,
            )

    def kill(self) -> None:
        """Kill -9; its children must notice by themselves."""
        tree = [psutil.Process(self.pid), *psutil.Process(self.pid).children(recursive=True)]
        tree[0].send_signal(signal.SIGKILL)
        assert self._process is not None
        self._process.wait()
        _, left = psutil.wait_procs(tree[1:], timeout=30)
        assert left == []

    def stop(self, seconds: float = 60.0) -> int:
        """SIGTERM, and the exit code; what does not end in time is killed."""
        assert self._process is not None
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise


class Fleet(Talking):
    """Every process of it; the first API is the one that a client speaks to."""

    def __init__(
        self,
        folder: Path,
        *,
        redis: str,
        weaviate: str,
        blobs: str,
        workers: int = 1,
        apis: int = 1,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.settings = {
            "SEENIT_MODEL": "none",
            "SEENIT_CAPTION_MODEL": "none",
            "SEENIT_DATA": str(folder / "data"),
            "SEENIT_BLOBS_URL": blobs,
            "SEENIT_BROKER_URL": redis,
            "SEENIT_INDEX_URL": weaviate,
            "SEENIT_INDEX_PREFIX": "Fleet",
            "SEENIT_LOG_LEVEL": "warning",
            "SEENIT_SWEEP_SECONDS": "1",
            "SEENIT_LEASE_SECONDS": "5",
            "SEENIT_DURABLE": "false",
            **(settings or {}),
        }
        folder.mkdir(parents=True, exist_ok=True)
        ports = free_ports(apis)
        self.urls = [f"http://127.0.0.1:{port}" for port in ports]
        self.apis = [
            self._process(f"api{n}", "api", "--port", str(port)) for n, port in enumerate(ports)
        ]
        self.workers = [self._process(f"worker{n}", "worker") for n in range(workers)]
        self.beat = self._process("beat", "beat")
        self.client = httpx.Client(base_url=self.urls[0], timeout=120.0)

    def _process(self, name: str, *words: str) -> Process:
        return Process(self.folder, name, *words, settings=self.settings)

    @property
    def url(self) -> str:
        """Return the address of the first API."""
        return self.urls[0]

    @property
    def processes(self) -> list[Process]:
        """Return every process of the fleet."""
        return [*self.apis, *self.workers, self.beat]

    def start(self) -> Fleet:
        """Return once every API is ready and reports no part as down."""
        for process in self.processes:
            process.start()
        for url in self.urls:
            until(lambda url=url: self._up(url), READY_SECONDS, 0.1)  # type: ignore[misc]
        return self

    def _up(self, url: str) -> bool:
        for process in self.processes:
            assert process.alive, f"{process.name} ended: {process.log.read_text()[-3000:]}"
        try:
            told = self.client.get(f"{url}/health/ready", timeout=5.0)
        except httpx.TransportError:
            return False
        return told.status_code == httpx.codes.OK and "down" not in told.json()["parts"].values()

    def close(self) -> None:
        """Stop whatever still runs."""
        self.client.close()
        for process in self.processes:
            if process.alive:
                process.stop()

    # --- what is stored -------------------------------------------------------------------------

    @property
    def blobs(self) -> Blobs:
        """Open the store of the fleet, and return it."""
        return open_blobs(self.settings["SEENIT_BLOBS_URL"], durable=False)

    def pending(self) -> list[str]:
        """Jobs not settled and projected yet."""
        return list(self.blobs.keys("pending/default/"))

    def settled(self, seconds: float = 120.0) -> None:
        """Wait until nothing is pending; fail if nothing is settled for so long."""
        drained(lambda: len(self.pending()), seconds, 0.2)

    def order(self) -> list[str]:
        """Return the image_ids of all settled uploads, in the order of the log."""
        log = BlobLog(self.blobs)
        found: list[str] = []
        for seq in range(1, log.head("default") + 1):
            entry = log.read("default", seq)
            assert entry is not None
            found += [one.image_id for one in entry.operations if one.kind == "settled"]
        return found

    def once(self, told: Mapping[int, str]) -> None:
        """Check that every accepted upload is settled once, and that there are no other records."""
        order = self.order()
        assert [one for one, times in Counter(order).items() if times > 1] == []
        assert sorted(order) == sorted(told.values())


@contextmanager
def fleet(
    folder: Path,
    *,
    redis: str | None = None,
    weaviate: str | None = None,
    blobs: str | None = None,
    workers: int = 1,
    apis: int = 1,
    **settings: str,
) -> Iterator[Fleet]:
    """Run a whole fleet, on servers of its own without a URL; stop it however the block ends."""
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        if redis is None:
            redis = stack.enter_context(servers.redis(folder / "redis")).url
        if weaviate is None:
            weaviate = stack.enter_context(servers.weaviate(folder / "weaviate")).url
        running = Fleet(
            folder,
            redis=redis,
            weaviate=weaviate,
            blobs=blobs or (folder / "blobs").as_uri(),
            workers=workers,
            apis=apis,
            settings=settings,
        )
        try:
            yield running.start()
        finally:
            running.close()
