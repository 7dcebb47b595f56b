"""Status of the engine of a process: its thread writes it, readiness reads it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

from core.errors import EngineUnavailableError, UnavailableError


class Status(NamedTuple):
    """State of the engine at one moment.

    `none`: this process has no engine. `standby`: another process holds the data folder.
    `waiting`: another part is away, such as the blob store. `failed`: the engine cannot run.
    """

    state: Literal["none", "starting", "standby", "running", "waiting", "failed"]
    reason: str = ""


class EngineStatus:
    """The present status, replaced as a whole: safe to read from any thread."""

    def __init__(self) -> None:
        self._status = Status("none")
        self._ailing: Callable[[], str | None] = lambda: None

    @property
    def status(self) -> Status:
        """The status, with the reason of a helping thread that fails while the engine runs."""
        status = self._status
        if status.state == "running" and (ailing := self._ailing()):
            return Status("waiting", ailing)
        return status

    def starting(self) -> None:
        """Note that the engine loads models or takes up what was pending."""
        self._status = Status("starting", "the engine is starting")

    def standby(self) -> None:
        """Note that another process holds the data folder."""
        self._status = Status("standby")

    def running(self, ailing: Callable[[], str | None]) -> None:
        """Note that uploads are settled here; `ailing` names a helping thread that fails."""
        self._ailing = ailing
        self._status = Status("running")

    def failed(self, reason: str, error: BaseException) -> None:
        """Note why it does not run: another part is away, or it cannot."""
        away = isinstance(error, UnavailableError) and not isinstance(error, EngineUnavailableError)
        self._status = Status("waiting" if away else "failed", reason)
