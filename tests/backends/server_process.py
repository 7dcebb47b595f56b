"""Real servers as processes of the tests, on their own ports."""

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
"""Folder in which `make servers` installs the programs that no system package has."""
PORTS = (range(10_000, 21_000), range(21_000, 32_000))[
    int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 2
]
"""Ports below those of outgoing connections: a server that is down for a while finds its own ports
free again, and no client connects to itself meanwhile. Two processes of tests have a half each."""
GIVEN: set[int] = set()
"""Ports that this run has assigned to tests."""
START_SECONDS = 90.0
STOP_SECONDS = 20.0

USED: dict[str, list[str]] = {}
"""Servers that the tests of this run used, by name, with versions and paths."""


def binary(name: str, part: str) -> str:
    """Find the path of a server's program; call absent(`part`) if there is none."""
    own = BINARIES / name
    found = str(own) if own.exists() else shutil.which(name)
    if found is None:
        absent(part, f"{name} is neither in .servers/ nor on the PATH: make servers")
    return found


def used(name: str, told: str) -> None:
    """Record that tests use a server of that version."""
    if told not in USED.setdefault(name, []):
        USED[name].append(told)


@cache
def built(path: str, module: str) -> str:
    """Read the version of the Go module that a program was built from; many do not print it."""
    data = Path(path).read_bytes()
    found = re.search(rb"(?:mod|dep)\t" + re.escape(module.encode()) + rb"\t(v[^\t\n]+)", data)
    return found[1].decode() if found else "of unknown version"


def free_ports(count: int) -> list[int]:
    """Find free ports on loopback, each with the next one free as well.

    No port is returned twice, because its first user may not listen yet.
    """
    found: list[int] = []
    while len(found) < count:
        port = random.choice(PORTS)
        if not {port - 1, port, port + 1} & GIVEN and is_free(port) and is_free(port + 1):
            found.append(port)
            GIVEN.add(port)
    return found


def is_free(port: int) -> bool:
    """Return whether a server could listen there now."""
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            held.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def wait(ask: Callable[[], bool], seconds: float, what: Callable[[], str]) -> None:
    """Wait until `ask` returns true; raise AssertionError with `what` after that many seconds."""
    deadline = time.monotonic() + seconds
    pause = 0.005
    while not ask():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what()}"
        time.sleep(pause)
        pause = min(0.1, pause * 1.5)


def outside() -> dict[str, str]:
    """Return the system's environment without variables of Seenit or a bucket."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("SEENIT_", "AWS_"))
    }


class Server:
    """Program with ports and data that survive restarts.

    Its environment is the part of the system's that `outside` leaves.
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
        """Return whether it accepts connections; subclasses use their protocol."""
        with socket.socket() as held:
            held.settimeout(1.0)
            return held.connect_ex(("127.0.0.1", self.ports[0])) == 0

    @property
    def running(self) -> bool:
        """Return whether its process lives."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Return the id of its process."""
        assert self._process is not None
        return self._process.pid

    @property
    def code(self) -> int | None:
        """Return the exit status of its process, None while it runs."""
        assert self._process is not None
        return self._process.poll()

    def log(self) -> str:
        """Return the end of its output."""
        path = self.folder / "log"
        return path.read_text(errors="replace")[-4000:] if path.exists() else ""

    def launch(self) -> None:
        """Start it without waiting."""
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
        """Wait until it answers; raise with its output if it ends or stays silent."""

        def answers() -> bool:
            assert self.running, f"{self.command[0]} ended: {self.log()}"
            return self.ready()

        wait(answers, START_SECONDS, lambda: f"{self.command[0]} does not answer: {self.log()}")

    def start(self) -> None:
        """Start it on the same ports and data, and return once it answers."""
        self.launch()
        self.await_ready()

    def stop(self) -> None:
        """Stop it by SIGTERM, and by kill -9 if that is not enough."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGCONT)
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """Kill it by SIGKILL, without a chance to clean up."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def pause(self) -> None:
        """Stop its process by SIGSTOP: the system accepts connections, and no answer comes."""
        os.kill(self.pid, signal.SIGSTOP)
        # On a busy machine a thread of it may go on for a moment, and answer.
        _, status = os.waitpid(self.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status), "it ended"

    def resume(self) -> None:
        """Continue its process by SIGCONT."""
        os.kill(self.pid, signal.SIGCONT)

    def _free(self) -> bool:
        return all(is_free(port) for port in self.ports)


S = TypeVar("S", bound=Server)


@contextmanager
def started(server: S) -> Iterator[S]:
    """Start a server, and stop it in the end."""
    try:
        server.start()
        yield server
    finally:
        server.stop()
