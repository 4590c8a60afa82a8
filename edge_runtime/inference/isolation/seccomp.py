"""Takes a process's right to start others, on Linux: a filter of system calls (seccomp(2)) that can't be lifted again.

A resource limit (``RLIMIT_NPROC``) can't do it: it counts threads, too, which the kernels need, those of all the
user's programs together, and root has none.
"""

from __future__ import annotations

import ctypes
import errno
import platform
import sys
from typing import NamedTuple


class _Machine(NamedTuple):
    """Numbers of ``linux/audit.h`` and ``asm/unistd.h``."""

    architecture: int
    seccomp: int
    clone: int
    forbidden: tuple[int, ...]  # fork, vfork, execve, execveat, socket, ptrace


_MACHINES = {
    "x86_64": _Machine(0xC000003E, 317, 56, (57, 58, 59, 322, 41, 101)),
    "aarch64": _Machine(0xC00000B7, 277, 220, (221, 281, 198, 117)),
    "arm": _Machine(0x40000028, 383, 120, (2, 190, 11, 387, 281, 26)),
}
_IO_URING_SETUP, _CLONE3 = 425, 435  # everywhere; the first opens sockets without the system call of that name
_CLONE_THREAD = 0x10000
_FOREIGN = 0x40000000  # x86-64's second set of numbers (x32) begins here
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06  # classic BPF
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16  # offsets in struct seccomp_data
_ALLOW, _ERROR, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_NO_NEW_PRIVILEGES, _SET_FILTER, _ALL_THREADS = 38, 1, 1


class _Filter(ctypes.Structure):
    _fields_ = (("code", ctypes.c_uint16), ("yes", ctypes.c_uint8), ("no", ctypes.c_uint8), ("value", ctypes.c_uint32))


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_uint16), ("filters", ctypes.POINTER(_Filter)))


def forbid_processes_and_sockets() -> bool:
    """Refuses new processes, programs and sockets to this process from now on; threads can still be started.

    Returns:
        Whether it is so: not on other systems and machines, nor with a kernel without seccomp.
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
    if sys.maxsize < 1 << 32:  # 32-bit programs have numbers of their own, on a 64-bit kernel, too
        return _MACHINES["arm"] if name.startswith(("arm", "aarch64")) else None
    return _MACHINES.get(name)


def _steps(machine: _Machine) -> list[tuple[int, int, int, int]]:
    """Code, how many steps to skip if it holds and if not, and value; the last allows."""
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
        # Its flags are behind a pointer, which a filter can't follow; the C library then takes clone.
        (_EQUAL, 0, 1, _CLONE3),
        (_RETURN, 0, 0, _ERROR | errno.ENOSYS),
        (_EQUAL, 0, 3, machine.clone),
        (_LOAD, 0, 0, _FIRST_ARGUMENT),
        (_ANY_BIT, 1, 0, _CLONE_THREAD),
        (_RETURN, 0, 0, refused),
        (_RETURN, 0, 0, _ALLOW),
    ]
