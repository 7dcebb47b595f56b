"""What `seenit doctor` tells of one thing."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct


class Finding(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that was looked at."""

    name: str
    state: Literal["ok", "absent", "missing"]
    """`absent`: it runs without, and less is possible; `missing`: it does not run."""
    says: str
    remedy: str = ""
