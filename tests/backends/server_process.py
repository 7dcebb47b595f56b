"""A real server as a process of the tests, on ports of its own."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TypeVar

from tests.backends.requirements import absent

ROOT = Path(__file__).parents[2]
BINARIES = ROOT / ".servers"
"""Where `make servers` puts what no package of the system has."""
PORTS = range(10_000, 32_000)
"""Below the ports that the system gives to outgoing connections: a server that is down for a while
finds its own ones free again, and nobody connects to himself meanwhile."""
GIVEN: set[int] = set()
"""Ports that a test of this run has got."""
START_SECONDS = 90.0
STOP_SECONDS = 20.0

USED: dict[str, list[str]] = {}
"""What the tests of this run talked to: a server's name, its versions and where they came from."""


def binary(name: str, part: str) -> str:
    """The path of a server's program; absent(`part`) where there is none."""
    own = BINARIES / name
    found = str(own) if own.exists() else shutil.which(name)
    if found is None:
        absent(part, f"{name} is neither in .servers/ nor on the PATH: make servers")
    return found


def used(name: str, told: str) -> None:
    """Note that tests talk to a server of that version."""
    if told not in USED.setdefault(name, []):
        USED[name].append(told)


@cache
def built(path: str, module: str) -> str:
    """The version of a Go module that a program was built from, which many do not tell."""
    data = Path(path).read_bytes()
    found = re.search(rb"(?:mod|dep)\t" + re.escape(module.encode()) + rb"\t(v[^\t\n]+)", data)
    return found[1].decode() if found else "of unknown version"


def free_ports(count: int) -> list[int]:
    """Ports on loopback that nobody listens on, each of which has the next one free as well.

    None is given twice: whoever got one may not listen yet.
    """
    found: list[int] = []
    while len(found) < count:
        port = random.choice(PORTS)
        if not {port - 1, port, port + 1} & GIVEN and is_free(port) and is_free(port + 1):
            found.append(port)
            GIVEN.add(port)
    return found


def is_free(port: int) -> bool:
    """Whether a server could listen there now."""
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            held.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def wait(ask: Callable[[], bool], seconds: float, what: Callable[[], str]) -> None:
    """Until `ask` says yes; AssertionError with `what` to say after that many seconds."""
    deadline = time.monotonic() + seconds
    pause = 0.005
    while not ask():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what()}"
        time.sleep(pause)
        pause = min(0.1, pause * 1.5)


def outside() -> dict[str, str]:
    """The system's environment, less what names Seenit or a bucket."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("SEENIT_", "AWS_"))
    }


class Server:
    """A program on ports and data that stay the same however often it is started.

    Of the system's environment it gets what `outside` leaves.
    """

    def __init__(
        self,
        command: Sequence[str],
        folder: Path,
        *,
        ports: Sequence[int],
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.command = list(command)
        self.folder = folder
        self.ports = list(ports)
        self._environment = dict(environment or {})
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)

    def ready(self) -> bool:
        """Whether it answers; a server that speaks more than TCP says so itself."""
        with socket.socket() as held:
            held.settimeout(1.0)
            return held.connect_ex(("127.0.0.1", self.ports[0])) == 0

    @property
    def running(self) -> bool:
        """Whether its process lives."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Of its process."""
        assert self._process is not None
        return self._process.pid

    @property
    def code(self) -> int | None:
        """What its process ended with, None while it runs."""
        assert self._process is not None
        return self._process.poll()

    def log(self) -> str:
        """The end of what it printed."""
        path = self.folder / "log"
        return path.read_text(errors="replace")[-4000:] if path.exists() else ""

    def launch(self) -> None:
        """Start it, and do not wait."""
        assert not self.running, "it runs already"
        wait(self._free, STOP_SECONDS, lambda: f"ports {self.ports} are not free")
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self.command,
                cwd=self.folder,
                env={**outside(), **self._environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def await_ready(self) -> None:
        """Return once it answers; what it printed where it ends or stays silent."""

        def answers() -> bool:
            assert self.running, f"{self.command[0]} ended: {self.log()}"
            return self.ready()

        wait(answers, START_SECONDS, lambda: f"{self.command[0]} does not answer: {self.log()}")

    def start(self) -> None:
        """Start it, on the ports and the data of before, and return once it answers."""
        self.launch()
        self.await_ready()

    def stop(self) -> None:
        """SIGTERM, and kill -9 where that is not enough."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGCONT)
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """Kill -9."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def pause(self) -> None:
        """SIGSTOP: connections are taken by the system, and nothing is answered."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        os.kill(self.pid, signal.SIGCONT)

    def _free(self) -> bool:
        return all(is_free(port) for port in self.ports)


S = TypeVar("S", bound=Server)


@contextmanager
def started(server: S) -> Iterator[S]:
    """A server that answers, stopped in the end."""
    try:
        server.start()
        yield server
    finally:
        server.stop()
