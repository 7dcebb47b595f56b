"""Confinement of a decoding child: no secret, no file, no network, no other process.

Two locks of the kernel on the same doors, because neither is everywhere: a filter of system calls
(seccomp) and Landlock (Linux 5.13 and later). An attacker who controls a child through a decoder's
fault can compute, and write to its parent's socket.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import sys

from adapters.decoding import seccomp

_PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 4, 38
_CREATE_RULESET, _RESTRICT_SELF = 444, 446
"""Numbers of Landlock's calls, the same on all architectures."""
_VERSION = 1
"""Flag that asks for the newest version of Landlock."""
_FILES = {1: 0x1FFF, 2: 0x3FFF, 3: 0x7FFF, 5: 0xFFFF}
"""Access to files that each version of Landlock can deny: all of it (linux/landlock.h)."""
_NETWORK_SINCE, _SCOPE_SINCE = 4, 6
"""Versions that deny TCP, and signals and sockets of other processes."""
_SPARE = 8
"""Descriptors that may still be opened; a file to decode comes as one."""


def confine() -> list[str]:
    """Close every door for good; return what could not be closed, and why.

    Nothing can be imported or opened afterwards.
    """
    with contextlib.suppress(OSError, ValueError):
        most = _lowest_free() + _SPARE
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if sys.platform != "linux":
        return [f"system calls and files: not limited on {sys.platform}"]
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    missing = {"files": _landlock(libc), "system calls": seccomp.install()}
    return [f"{name}: {reason}" for name, reason in missing.items() if reason]


def _landlock(libc: ctypes.CDLL) -> str:
    """Deny all files and TCP; return the reason if the kernel cannot."""
    version = libc.syscall(_CREATE_RULESET, None, 0, _VERSION)
    if version < 1:
        return f"no landlock ({os.strerror(ctypes.get_errno()).lower()})"
    handled = [max(held for since, held in _FILES.items() if since <= version)]
    if version >= _NETWORK_SINCE:
        handled.append(0b11)
    if version >= _SCOPE_SINCE:
        handled.append(0b11)
    rules = (ctypes.c_uint64 * len(handled))(*handled)
    ruleset = libc.syscall(_CREATE_RULESET, rules, ctypes.sizeof(rules), 0)
    if ruleset < 0 or libc.syscall(_RESTRICT_SELF, ruleset, 0):
        return os.strerror(ctypes.get_errno()).lower()
    os.close(ruleset)
    return ""


def _lowest_free() -> int:
    """Return the number that the next descriptor would get."""
    probe = os.dup(0)
    os.close(probe)
    return probe
