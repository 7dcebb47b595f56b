"""Private Seenit for the demo, on a free port and an empty folder."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

START_SECONDS = 60.0
STOP_SECONDS = 20.0


class ServiceError(Exception):
    """Failure of the service to start; the message holds its output."""


@contextmanager
def running() -> Iterator[str]:
    """Start `seenit up` as a user would, and yield its address; remove everything after."""
    with TemporaryDirectory(prefix="seenit-demo-") as folder:
        log = Path(folder, "log")
        with log.open("wb") as said:
            service = subprocess.Popen(
                [sys.executable, "-m", "cli", "up", "--json"],
                env=_environment(Path(folder, "data")),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=said,
                start_new_session=True,  # Ctrl-C is ours to pass on, once
            )
        try:
            yield _address(service, log)
        finally:
            _stop(service)


def _environment(data: Path) -> dict[str, str]:
    """Return our environment without settings except the models: the demo is always the same."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("SEENIT_") or name == "SEENIT_CAPTION_MODEL"
    }
    return {
        **kept,
        "SEENIT_DATA": str(data),
        "TMPDIR": str(data.parent),  # what libraries leave there goes with it
        "SEENIT_MODEL": os.environ.get("SEENIT_MODEL", "none"),
        "SEENIT_PORT": "0",
        "SEENIT_LOG_LEVEL": "warning",
        "PYTHONUNBUFFERED": "1",
    }


def _address(service: subprocess.Popen[bytes], log: Path) -> str:
    watchdog = threading.Timer(START_SECONDS, service.kill)
    watchdog.start()
    try:
        line = _pipe(service).readline()
    finally:
        watchdog.cancel()
    if not line:
        raise ServiceError(f"the service did not start:\n{log.read_text(errors='replace').strip()}")
    return str(json.loads(line)["url"])


def _stop(service: subprocess.Popen[bytes]) -> None:
    """Stop the service and all its children, by force if necessary."""
    with suppress(ProcessLookupError):
        service.terminate()
    try:
        service.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        print("the service did not stop by itself and was killed", file=sys.stderr)  # noqa: T201
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(service.pid, signal.SIGKILL)
    service.wait()
    _pipe(service).close()


def _pipe(service: subprocess.Popen[bytes]) -> IO[bytes]:
    if service.stdout is None:
        raise ServiceError("the service has no output to read")
    return service.stdout
