"""A real service in a process of its own, on a free port, and what a client says to it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil

from tests.backends.server_process import ROOT, free_ports, outside
from tests.e2e.talking import Talking, drained, until

READY_SECONDS = 180.0


class Service(Talking):
    """`seenit up` on a data directory; may be killed and started again."""

    def __init__(self, data: Path, *, settings: Mapping[str, str] | None = None) -> None:
        self.data = data
        self.settings = {
            "SEENIT_MODEL": "none",
            "SEENIT_CAPTION_MODEL": "none",
            "SEENIT_DATA": str(data),
            "SEENIT_LOG_LEVEL": "warning",
            **(settings or {}),
        }
        self.log_file = data.parent / f"{data.name}.log"
        (self.port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{self.port}"
        self.client = httpx.Client(base_url=self.url, timeout=120.0)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Return the service's own process id."""
        assert self._process is not None
        return self._process.pid

    def start(self, *, ready: bool = True) -> Service:
        """Return once it is ready, or at once."""
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "cli", "up", "--port", str(self.port)],
                env={**outside(), **self.settings},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=ROOT,
                start_new_session=True,
            )
        if ready:
            until(self._ready, READY_SECONDS)
        return self

    def _ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log()
        try:
            return self.client.get("/health/ready", timeout=5.0).status_code == 200
        except httpx.TransportError:
            return False

    def log(self) -> str:
        """Return the output of the service."""
        return self.log_file.read_text()

    def tree(self) -> list[psutil.Process]:
        """Return the process and all its children."""
        own = psutil.Process(self.pid)
        return [own, *own.children(recursive=True)]

    def memory(self) -> int:
        """Return the bytes that the tree has for itself (unique set size)."""
        total = 0
        for process in self.tree():
            try:
                total += process.memory_full_info().uss
            except psutil.NoSuchProcess:
                continue
        return total

    def kill(self) -> None:
        """Kill -9 of the service; its children must notice by themselves."""
        tree = self.tree()
        tree[0].send_signal(signal.SIGKILL)
        assert self._process is not None
        self._process.wait()
        _, left = psutil.wait_procs(tree[1:], timeout=30)
        assert left == []

    def stop(self) -> int:
        """SIGTERM, and the exit code."""
        assert self._process is not None
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        return self._process.wait(timeout=60)

    def order(self) -> list[str]:
        """Return the image_ids of all settled uploads, in the order of the log."""
        return [
            operation["image_id"]
            for path in sorted((self.data / "blobs" / "log" / "default").glob("*/0*"))
            for operation in json.loads(path.read_bytes())["operations"]
            if operation["kind"] == "settled"
        ]

    def settled(self, seconds: float = 60.0) -> None:
        """Wait until nothing is pending; fail if nothing is settled for so long."""
        pending = self.data / "blobs" / "pending"
        drained(lambda: sum(1 for _ in pending.glob("*/*")), seconds, 0.1)


@contextmanager
def serving(data: Path, **settings: str) -> Iterator[Service]:
    """Run a service, and stop it however the block ends."""
    service = Service(data, settings=settings)
    try:
        yield service.start()
    finally:
        service.client.close()
        service.stop()
