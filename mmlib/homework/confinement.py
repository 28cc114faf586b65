"""The limits under which a student's code runs, each as far as this machine knows it.

``resource`` limits (Linux; on macOS all but memory) bound memory, processor time, file sizes and
the number of processes. Landlock (Linux 5.13 or later, no privileges needed) forbids to write
outside one folder and, on later kernels, to open TCP connections and to signal other processes.
Namespaces (Linux where users may make them) add: no network, and no process outlives its run.
Not contained anywhere: reading files, and changing the permissions and time stamps of files that
the user owns. Root is not bound by the limit on processes. Without namespaces a process that leaves
its session and wipes its environment outlives its run. This is a fence against accidents and cheap
tricks, no prison: grade strangers' work as a user who owns nothing else.
"""

import ctypes
import functools
import os
import shutil
import subprocess
import sys
from pathlib import Path

import psutil

_CREATE, _ADD_RULE, _RESTRICT = 444, 445, 446  # Landlock's system calls
_NO_NEW_PRIVILEGES = 38  # prctl
_WRITE, _TRUNCATE, _REFER = 1 << 1, 1 << 14, 1 << 13
_WRITES = _WRITE | sum(1 << bit for bit in range(4, 13))  # write, remove, make anything
_NAMESPACES = ["--user", "--map-current-user", "--pid", "--fork", "--kill-child", "--net"]


class _Ruleset(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_uint64) for name in ("files", "network", "scope"))


class _Rule(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("folder", ctypes.c_int32))


def landlock_version() -> int:
    """Return the version of Landlock that this kernel offers, 0 where there is none."""
    if not sys.platform.startswith("linux"):
        return 0
    return max(0, ctypes.CDLL(None).syscall(_CREATE, None, 0, 1))


def forbid_writing_outside(folder: Path) -> None:
    """From now on this process and its children may write in ``folder`` and /dev/null only.

    Raises:
        OSError: the kernel offers Landlock but refuses.
    """
    version = landlock_version()
    if not version:
        return
    rights = _WRITES | (_REFER if version >= 2 else 0) | (_TRUNCATE if version >= 3 else 0)
    wanted = _Ruleset(rights, 3 if version >= 4 else 0, 2 if version >= 6 else 0)
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    libc = ctypes.CDLL(None, use_errno=True)
    ruleset = _call(libc.syscall, _CREATE, ctypes.byref(wanted), size, 0)
    for path, allowed in ((folder, rights), (os.devnull, rights & (_WRITE | _TRUNCATE))):
        handle = os.open(path, os.O_PATH)
        _call(libc.syscall, _ADD_RULE, ruleset, 1, ctypes.byref(_Rule(allowed, handle)), 0)
        os.close(handle)
    _call(libc.prctl, _NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    _call(libc.syscall, _RESTRICT, ruleset, 0)
    os.close(ruleset)


def _call(function, *arguments) -> int:
    result = function(*arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), "Landlock refused")
    return result


def limit_resources(*, memory: int, seconds: int, file_bytes: int, processes: int) -> None:
    """Bound this process and its children, as far as the system can."""
    try:
        import resource
    except ImportError:  # Windows: only the time limit of the sandbox holds
        return
    wanted = {"AS": memory, "CPU": seconds, "FSIZE": file_bytes, "NPROC": processes, "CORE": 0}
    for name, value in wanted.items():
        kind = getattr(resource, f"RLIMIT_{name}")
        hard = resource.getrlimit(kind)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        try:
            resource.setrlimit(kind, (value, value))
        except (ValueError, OSError):  # macOS knows RLIMIT_AS but refuses to set it
            if sys.platform != "darwin":
                raise


def count_threads() -> int:
    """Return how many threads the user runs: the system counts them against the process limit."""
    me, total = psutil.Process().username(), 0
    for process in psutil.process_iter(["username", "num_threads"]):
        if process.info["username"] == me:
            total += process.info["num_threads"] or 0
    return total


@functools.cache
def namespace_command() -> list[str]:
    """Return the command that starts a process in namespaces of its own, or [] without them."""
    unshare = shutil.which("unshare")
    if not unshare:
        return []
    command = [unshare, *_NAMESPACES]
    trial = subprocess.run([*command, "true"], capture_output=True, check=False)
    return command if trial.returncode == 0 else []


def describe() -> list[str]:
    """Say what is contained on this machine, one sentence each, for the report."""
    version = landlock_version()
    return [
        "a process of its own with a time limit: yes",
        f"limits on memory and file size: {'yes' if os.name == 'posix' else 'no'}",
        f"writing outside its folder forbidden (Landlock): {'yes' if version else 'no'}",
        f"own process and network namespaces (unshare): {'yes' if namespace_command() else 'no'}",
        "reading files, changing permissions of files that the user owns forbidden: no",
    ]
