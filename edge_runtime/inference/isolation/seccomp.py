"""Forbids a process to start others, on Linux, with a system call filter (seccomp(2)) that cannot be removed.

The resource limit ``RLIMIT_NPROC`` does not work here: it also counts threads, which the kernels need, adds up all of
the user's programs, and does not apply to root.
"""

from __future__ import annotations

import ctypes
import errno
import platform
import sys
from typing import NamedTuple


class _Machine(NamedTuple):
    """Constants from ``linux/audit.h`` and ``asm/unistd.h``."""

    architecture: int
    seccomp: int
    clone: int
    forbidden: tuple[int, ...]  # fork, vfork, execve, execveat, socket, ptrace


_MACHINES = {
    "x86_64": _Machine(0xC000003E, 317, 56, (57, 58, 59, 322, 41, 101)),
    "aarch64": _Machine(0xC00000B7, 277, 220, (221, 281, 198, 117)),
    "arm": _Machine(0x40000028, 383, 120, (2, 190, 11, 387, 281, 26)),
}
_IO_URING_SETUP, _CLONE3 = 425, 435  # on every machine; io_uring opens sockets without socket(2)
_CLONE_THREAD = 0x10000
_FOREIGN = 0x40000000  # first number of x86-64's second set of system calls (x32)
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06  # classic BPF
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16  # offsets in struct seccomp_data
_ALLOW, _ERROR, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_NO_NEW_PRIVILEGES, _SET_FILTER, _ALL_THREADS = 38, 1, 1


class _Filter(ctypes.Structure):
    _fields_ = (("code", ctypes.c_uint16), ("yes", ctypes.c_uint8), ("no", ctypes.c_uint8), ("value", ctypes.c_uint32))


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_uint16), ("filters", ctypes.POINTER(_Filter)))


def forbid_processes_and_sockets() -> bool:
    """Forbid this process to create processes, programs and sockets from now on; threads are still allowed.

    Returns:
        Whether the filter is active; False on other systems and machines, and on kernels without seccomp.
    """
    machine = _machine()
    if machine is None:
        return False
    steps = [_Filter(*step) for step in _steps(machine)]
    program = _Program(len(steps), (_Filter * len(steps))(*steps))
    library = ctypes.CDLL(None, use_errno=True)
    zero = ctypes.c_ulong(0)
    if library.prctl(_NO_NEW_PRIVILEGES, ctypes.c_ulong(1), zero, zero, zero) != 0:
        return False
    arguments = (ctypes.c_long(_SET_FILTER), ctypes.c_long(_ALL_THREADS), ctypes.byref(program))
    done: int = library.syscall(ctypes.c_long(machine.seccomp), *arguments)
    return done == 0


def _machine() -> _Machine | None:
    if sys.platform != "linux":
        return None
    name = platform.machine()
    if sys.maxsize < 1 << 32:  # 32-bit programs use their own numbers, even on a 64-bit kernel
        return _MACHINES["arm"] if name.startswith(("arm", "aarch64")) else None
    return _MACHINES.get(name)


def _steps(machine: _Machine) -> list[tuple[int, int, int, int]]:
    """Return the filter: code, steps to skip if true, steps to skip if false, value. The last step allows."""
    refused = _ERROR | errno.EPERM
    steps = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 1, 0, machine.architecture),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER),
        (_AT_LEAST, 0, 1, _FOREIGN),
        (_RETURN, 0, 0, refused),
    ]
    for number in (*machine.forbidden, _IO_URING_SETUP):
        steps += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, refused)]
    return [
        *steps,
        # A filter cannot follow the pointer to its flags; on ENOSYS, the C library uses clone instead.
        (_EQUAL, 0, 1, _CLONE3),
        (_RETURN, 0, 0, _ERROR | errno.ENOSYS),
        (_EQUAL, 0, 3, machine.clone),
        (_LOAD, 0, 0, _FIRST_ARGUMENT),
        (_ANY_BIT, 1, 0, _CLONE_THREAD),
        (_RETURN, 0, 0, refused),
        (_RETURN, 0, 0, _ALLOW),
    ]
