"""One finding of `seenit doctor`, and the checks that yield them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from core.errors import SeenitError
from core.supervision import describe


@dataclass(frozen=True, kw_only=True)
class DoctorFinding:
    """One thing that was looked at."""

    name: str
    state: Literal["ok", "absent", "missing"]
    """`absent`: it runs without, and less is possible; `missing`: it does not run as it is set."""
    says: str
    remedy: str = ""

    def told(self) -> dict[str, str]:
        """Return the finding as JSON shows it."""
        told = {"name": self.name, "state": self.state, "says": self.says}
        return {**told, "remedy": self.remedy} if self.remedy else told


def checked(
    name: str, look: Callable[[], DoctorFinding | Iterable[DoctorFinding]], remedy: str = ""
) -> Iterator[DoctorFinding]:
    """Yield what a check finds; one that fails, whatever it raises, is a finding itself."""
    try:
        found = look()
        if isinstance(found, DoctorFinding):
            yield found
        else:
            yield from found
    except SeenitError as error:
        yield DoctorFinding(name=name, state="missing", says=error.detail, remedy=remedy)
    except ImportError as error:
        yield DoctorFinding(name=name, state="missing", says=describe(error), remedy="make setup")
    except Exception as error:  # noqa: BLE001  a diagnosis ends with no check
        yield DoctorFinding(name=name, state="missing", says=describe(error), remedy=remedy)


def unwritable(path: Path) -> str:
    """Why a folder can neither be written to nor made; empty where it can. Raise OSError."""
    nearest = next(one for one in (path, *path.parents) if one.exists())
    if nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK):
        return ""
    return f"{nearest} cannot be written to" if nearest.is_dir() else f"{nearest} is no folder"
