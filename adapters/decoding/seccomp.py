"""Filter of system calls for a decoding child: those that computing needs, and no others.

The kernel runs it before every call (seccomp, Linux 3.17 and later). A call that is not listed
fails with EPERM, so a library that asks for one takes its way without; a process cannot remove its
filter. Numbers are those of the kernel's tables (arch/x86/entry/syscalls/syscall_64.tbl and
include/uapi/asm-generic/unistd.h).
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys
from typing import NamedTuple


class _Calls(NamedTuple):
    """System calls of one architecture, by number."""

    audit: int
    """AUDIT_ARCH_*: the table that a call's number is from."""
    install: int
    """seccomp(2) itself."""
    free: tuple[int, ...]
    """Calls that are let through whatever their arguments."""
    mapping: tuple[int, ...]
    """mmap and mprotect: let through unless the memory could be executed."""
    own: int
    """tgkill: let through for the process itself, as abort() does."""
    limits: int
    """prlimit64: likewise, by its pid 0."""
    clone: int
    """clone: let through for a thread, which libheif starts, and for no process."""


# read, write, close, fstat, poll, lseek, munmap, brk, rt_sigaction, rt_sigprocmask, rt_sigreturn,
# pread64, sched_yield, mremap, madvise, nanosleep, alarm, setitimer, getpid, sendto, recvfrom,
# recvmsg, exit, uname, gettimeofday, getrlimit, getrusage, sysinfo, getppid, sigaltstack,
# arch_prctl, setrlimit, gettid, time, futex, sched_getaffinity, restart_syscall, clock_gettime,
# clock_getres, clock_nanosleep, exit_group, ppoll, set_robust_list, getcpu, getrandom, membarrier,
# rseq
_X86_64 = _Calls(
    audit=0xC000003E,
    install=317,
    free=(
        *(0, 1, 3, 5, 7, 8, 11, 12, 13, 14, 15, 17, 24, 25, 28, 35, 37, 38, 39, 44, 45, 47, 60, 63),
        *(96, 97, 98, 99, 110, 131, 158, 160, 186, 201, 202, 204, 219, 228, 229, 230, 231, 271),
        *(273, 309, 318, 324, 334),
    ),
    mapping=(9, 10),
    own=234,
    limits=302,
    clone=56,
)
# the same, without poll, alarm, arch_prctl and time, which this architecture does not have
_AARCH64 = _Calls(
    audit=0xC00000B7,
    install=277,
    free=(
        *(57, 62, 63, 64, 67, 73, 80, 93, 94, 98, 99, 101, 103, 113, 114, 115, 123, 124, 128, 132),
        *(134, 135, 139, 160, 163, 164, 165, 168, 169, 172, 173, 178, 179, 206, 207, 212, 214, 215),
        *(216, 233, 278, 283, 293),
    ),
    mapping=(222, 226),
    own=131,
    limits=261,
    clone=220,
)
_CALLS = {"x86_64": _X86_64, "aarch64": _AARCH64}

_LOAD, _EQUAL, _ANY_BIT, _RETURN = 0x20, 0x15, 0x45, 0x06
"""BPF: load a word, jump if equal, jump if a bit is set, return (linux/bpf_common.h)."""
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_FAIL, _UNKNOWN = _ERRNO | errno.EPERM, _ERRNO | errno.ENOSYS
_NUMBER, _ARCHITECTURE, _FIRST, _THIRD = 0, 4, 16, 32
"""Offsets in struct seccomp_data: the call, its architecture, low words of its arguments."""
_PROT_EXEC, _CLONE_THREAD = 0x4, 0x10000
_CLONE3 = 435
"""Unknown, so that C libraries use clone, whose flags a filter can read."""
_SET_MODE_FILTER, _TSYNC = 1, 1
"""Operation and flag of seccomp(2): all threads of the process get the filter."""


class _Program(ctypes.Structure):
    """The kernel's struct sock_fprog."""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def install() -> str:
    """Filter the calls of this process for good; return the reason if it cannot be done.

    PR_SET_NO_NEW_PRIVS must be set.
    """
    calls = _CALLS.get(platform.machine())
    if sys.platform != "linux" or calls is None or sys.maxsize < 2**32:
        return f"no filter for {sys.platform} on {platform.machine()}"
    code = b"".join(_program(calls, os.getpid()))
    program = _Program(len(code) // 8, code)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(calls.install, _SET_MODE_FILTER, _TSYNC, ctypes.byref(program)):
        return os.strerror(ctypes.get_errno()).lower()
    return ""


def _program(calls: _Calls, pid: int) -> list[bytes]:
    """Return the filter's instructions, each with its jumps counted from the next one."""
    allow, fail = _step(_RETURN, _ALLOW), _step(_RETURN, _FAIL)
    itself = _step(_LOAD, _FIRST), _step(_EQUAL, pid, 0, 1), allow, fail
    zero = _step(_LOAD, _FIRST), _step(_EQUAL, 0, 0, 1), allow, fail
    thread = _step(_LOAD, _FIRST), _step(_ANY_BIT, _CLONE_THREAD, 0, 1), allow, fail
    data = _step(_LOAD, _THIRD), _step(_ANY_BIT, _PROT_EXEC, 0, 1), fail, allow
    rules = {
        **dict.fromkeys(calls.free, (allow,)),
        **dict.fromkeys(calls.mapping, data),
        calls.own: itself,
        calls.limits: zero,
        calls.clone: thread,
        _CLONE3: (_step(_RETURN, _UNKNOWN),),
    }
    return [
        _step(_LOAD, _ARCHITECTURE),
        _step(_EQUAL, calls.audit, 1, 0),
        _step(_RETURN, _KILL),
        _step(_LOAD, _NUMBER),
        *(
            step
            for number, steps in rules.items()
            for step in (_step(_EQUAL, number, 0, len(steps)), *steps)
        ),
        fail,
    ]


def _step(code: int, value: int, true: int = 0, false: int = 0) -> bytes:
    """Encode the kernel's struct sock_filter."""
    return struct.pack("=HBBI", code, true, false, value)
