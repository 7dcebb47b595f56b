"""Decoders that obey orders in a child with both of the kernel's locks, or with one alone."""

from __future__ import annotations

from adapters.decoding import confinement, seccomp
from tests.doubles.hostile_decoders import obey


def __getattr__(name: str) -> object:
    """Take one lock away before the child confines itself, when its work is looked up."""
    if name == "landlock_alone":
        seccomp.install = lambda: ""
    elif name == "seccomp_alone":
        confinement._landlock = lambda _: ""
    elif name != "both":
        raise AttributeError(name)
    return obey
