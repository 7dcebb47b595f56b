"""The services of a compose file as processes on loopback: its commands, environment, volumes.

Only the services of containers are replaced: a network (host names become loopback, each port a
free one of its own), volumes (folders), and the programs that the images hold.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from tests.backends.server_process import BINARIES, ROOT, Server, binary, built, free_ports, used

FILES = ("compose.yaml", "compose.platform.yaml")
SECRETS = {
    "REDIS_PASSWORD": "redis-password",
    "WEAVIATE_KEY": "weaviate-key",
    "SEENIT_URL_SECRET": "a-secret-of-more-than-32-characters",
    "SEENIT_API_KEYS": "key-of-the-client:default:admin",
}
_ALONE = {
    "CLUSTER_IN_LOCALHOST": "true",
    "CLUSTER_ADVERTISE_ADDR": "127.0.0.1",
    "CLUSTER_BIND_ADDR": "127.0.0.1",
    "DISK_USE_READONLY_PERCENTAGE": "100",
}
"""Settings that Weaviate needs because its network is loopback."""
_CONFINED = """
mount --bind "$0" "$0" && mount -o remount,bind,ro / && cd "$PWD" &&
exec setpriv --bounding-set=-all --inh-caps=-all --no-new-privs "$@"
"""
"""Runs a program as a container does that may write to its volumes alone and has no capability."""


def project(folder: Path, **settings: str) -> Path:
    """Copy the files into a folder, with an .env made from .env.example, its secrets filled in."""
    folder.mkdir(parents=True)
    for name in FILES:
        shutil.copy(ROOT / name, folder)
    given = {**SECRETS, **settings}
    lines = (ROOT / ".env.example").read_text().splitlines()
    kept = [line for line in lines if line.partition("=")[0] not in given]
    told = [f"{name}={value}" for name, value in given.items()]
    (folder / ".env").write_text("\n".join([*kept, *told]) + "\n")
    return folder


def compose(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run docker-compose in that folder, without any other environment."""
    program = binary("docker-compose", "compose")
    used("compose", f"{built(program, 'github.com/docker/compose/v2')} ({program})")
    return subprocess.run(
        [program, *words],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "HOME": str(folder)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def config(folder: Path, files: Iterable[str] = FILES[:1], *profiles: str) -> dict[str, Any]:
    """Return the services as compose configures them, by a plain `up` if no profile is named."""
    named = [word for file in files for word in ("-f", file)]
    named += [word for profile in profiles for word in ("--profile", profile)]
    told = compose(folder, *named, "config", "--format", "json")
    assert told.returncode == 0, told.stderr
    services: dict[str, Any] = json.loads(told.stdout)["services"]
    return services


class Process(Server):
    """One container of a service."""

    def __init__(self, name: str, told: Mapping[str, Any], network: Network, place: Path) -> None:
        self.name = name
        self.grace = _seconds(told["stop_grace_period"])
        self._check: list[str] = []
        volumes = {one["target"]: str(network.volume(one["source"])) for one in told["volumes"]}
        own = network.ports[place.name]
        self.port = int(next(iter(own.values())))

        def here(text: str, *, ports: bool) -> str:
            text = text.replace("$$", "$").replace("0.0.0.0", "127.0.0.1")
            paths = "|".join(re.escape(one) for one in volumes)
            text = re.sub(rf"(?<![\w.])({paths})(?!\w)", lambda at: volumes[at[1]], text)
            if ports:
                known = "|".join(own)
                return re.sub(rf"(?<![\w.])({known})\b", lambda at: str(own[at[1]]), text)
            return network.reached(own.get(text, text))

        environment = {
            key: network.named(value) if key == "RAFT_JOIN" else here(value, ports=False)
            for key, value in told["environment"].items()
            if value is not None
        }
        command = [here(word, ports=True) for word in told["command"]]
        if "image" in told and "weaviate" in told["image"]:  # the entry point of that image
            program = binary("weaviate-server", "weaviate")
            version = built(program, "github.com/weaviate/weaviate").removeprefix("v")
            assert told["image"].endswith(f":{version}")
            used("weaviate", f"{version} ({program})")
            command = [program, *command]
            environment |= _ALONE
        elif command[0] == "seenit":
            command[0] = str(Path(sys.executable).with_name("seenit"))
        if told["read_only"] and _can_confine():
            command = ["unshare", "--mount", "sh", "-c", _CONFINED, str(place.parent), *command]
            used("containers", "with a read-only root, without capabilities")
        path = f"{BINARIES}:{Path(sys.executable).parent}:/usr/bin:/bin"
        super().__init__(
            command,
            place,
            ports=[int(one) for one in own.values()],
            environment={**environment, "PATH": path, "TMPDIR": str(network.volume("tmp"))},
        )
        kind, *words = [here(word, ports=True) for word in told["healthcheck"]["test"]]
        self._check = words if kind == "CMD" else ["/bin/sh", "-c", words[0]]
        needed = self._check[0] if kind == "CMD" else words[0].split()[0]
        if shutil.which(needed, path=path) is None:
            self._check = []  # redis-cli and wget lie in the images, not on every machine

    def ready(self) -> bool:
        """Return whether its own health check passes."""
        if not self._check:
            return super().ready()
        told = subprocess.run(
            self._check,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=30,
            check=False,
        )
        return told.returncode == 0


@cache
def _can_confine() -> bool:
    """Return whether this machine lets the tests mount, as root alone may."""
    return bool(shutil.which("setpriv")) and not subprocess.call(
        ["/usr/bin/env", "unshare", "--mount", "true"], stderr=subprocess.DEVNULL
    )


class Network:
    """Ports and volumes of all."""

    def __init__(self, services: Mapping[str, Any], folder: Path) -> None:
        self._folder = folder
        self.ports: dict[str, dict[str, str]] = {}
        for name, told in services.items():
            for place in places(name, told):
                self.ports[place] = _ports(told)

    def volume(self, name: str) -> Path:
        """Make the folder of a named volume, and return it."""
        place = self._folder / "volumes" / name
        place.mkdir(parents=True, exist_ok=True)
        return place

    def reached(self, text: str) -> str:
        """Return `host:port`, or several ports, as it is reached on loopback."""
        return self._mapped(text, "127.0.0.1")

    def named(self, text: str) -> str:
        """Likewise where the name is that of a node and stays."""
        return self._mapped(text, None)

    def _mapped(self, text: str, host: str | None) -> str:
        names = "|".join(sorted(map(re.escape, self.ports), key=len, reverse=True))

        def on(found: re.Match[str]) -> str:
            own = self.ports[found[1]]
            return ":".join([host or found[1], *(own[one] for one in found[2][1:].split(":"))])

        return re.sub(rf"\b({names})((?::\d+)+)", on, text)


def places(name: str, told: Mapping[str, Any]) -> list[str]:
    """Return the names of a service's containers."""
    count = told.get("deploy", {}).get("replicas", 1)
    return [name if n == 1 else f"{name}.{n}" for n in range(1, count + 1)]


@contextmanager
def running(services: Mapping[str, Any], folder: Path) -> Iterator[dict[str, Process]]:
    """Run every container of every service until healthy, each after those it depends on."""
    network = Network(services, folder)
    found = {
        place: Process(name, told, network, folder / place)
        for name, told in services.items()
        for place in places(name, told)
    }
    with ExitStack() as stop:
        for process in found.values():
            stop.callback(process.stop)
        waiting = dict(services)
        while waiting:
            free = [
                name
                for name, told in waiting.items()
                if not set(told.get("depends_on", {})) & set(waiting)
            ]
            assert free, f"{list(waiting)} wait for each other"
            started = [process for process in found.values() if process.name in free]
            for process in started:
                process.launch()
            for process in started:
                process.await_ready()
            for name in free:
                del waiting[name]
        yield found


def _ports(told: Mapping[str, Any]) -> dict[str, str]:
    """Map the ports that a service names to free ones; neighbours stay neighbours."""
    words = " ".join(map(str, told["command"]))
    named = re.findall(r"--port (\d+)", words)
    named += [value for key, value in told["environment"].items() if key.endswith("_PORT")]
    own: dict[str, str] = {}
    for port in sorted(dict.fromkeys(named), key=int):
        before = own.get(str(int(port) - 1))
        own[port] = str(int(before) + 1 if before else free_ports(1)[0])
    return own


def _seconds(duration: str) -> float:
    found = re.findall(r"(\d+)([hms])", duration)
    return float(sum(int(n) * {"h": 3600, "m": 60, "s": 1}[unit] for n, unit in found))
