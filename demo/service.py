"""A Seenit of its own for the demo: started on a free port and an empty folder, and stopped."""

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
    """The service did not start; the message holds what it said."""


@contextmanager
def running() -> Iterator[str]:
    """Start `seenit up` as anyone would, and yield its address; nothing of it is left after."""
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
    """Ours without any setting but the models: the demo is the same wherever it runs."""
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
    """Ask it to end, and see to it that it does, with all its children."""
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
