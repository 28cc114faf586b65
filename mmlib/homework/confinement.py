"""The limits under which a stranger's code runs, each as far as this system knows it.

``resource`` limits (Linux; on macOS all but memory) bound memory, processor time, file sizes, open
files and processes. Landlock (Linux 5.13) forbids to write outside one folder and to read anything
but Python's own files, so neither the grader's memory, nor other submissions, nor the solutions.
A system call filter (seccomp; Linux on x86-64 and ARM) forbids the network, and to signal or limit
any process outside the run. Namespaces (Linux where users may make them) hide other processes.
What is really in force is not asked of the system but tried out: ``sandbox.try_out``.

This is a fence against accidents and cheap tricks, no prison: grade strangers' work as a user who
owns nothing else, on a machine that can be thrown away.
"""

import ctypes
import os
import platform
import struct
import sys
from pathlib import Path

_CREATE, _ADD_RULE, _RESTRICT = 444, 445, 446  # Landlock's system calls
_NO_NEW_PRIVILEGES, _DUMPABLE, _SECCOMP, _SUBREAPER = 38, 4, 22, 36  # options of prctl
_WRITE, _READ, _READ_FOLDER, _REFER, _TRUNCATE = 1 << 1, 1 << 2, 1 << 3, 1 << 13, 1 << 14
_WRITES = _WRITE | sum(1 << bit for bit in range(4, 13))  # write, remove, make anything
# what Python and its libraries read: no folder of a user is among them
_READABLE = ["/usr", "/lib", "/lib64", "/bin", "/proc/self", "/proc/cpuinfo", "/proc/meminfo"]
_READABLE += ["/sys/devices/system", "/dev/zero", "/dev/urandom", "/dev/random"]
_READABLE += ["/etc/ld.so.cache", "/etc/localtime", "/etc/passwd"]

# system calls by machine: architecture's number, then
# ptrace, process_vm_readv, process_vm_writev, tkill, rt_sigqueueinfo, rt_tgsigqueueinfo: never;
# prlimit64, kill, tgkill: on oneself only; socket: within the machine only (AF_UNIX)
_NEVER_ANYWHERE = (425, 434, 438)  # io_uring_setup, pidfd_open, pidfd_getfd
_CALLS = {
    "x86_64": (0xC000003E, (101, 310, 311, 200, 129, 297), (302, 62, 234), 41),
    "aarch64": (0xC00000B7, (117, 270, 271, 130, 138, 240), (261, 129, 131), 198),
}
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050001  # the second returns EPERM
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06  # instructions of the filter


class _Ruleset(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_uint64) for name in ("files", "network", "scope"))


class _Rule(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("folder", ctypes.c_int32))


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def confine(folder: Path, limits: dict[str, int]) -> None:
    """From now on this process and its children have only ``folder`` and these limits.

    Raises:
        OSError: the kernel offers a protection but refuses it.
    """
    limit_resources(**limits)
    if sys.platform.startswith("linux"):
        _landlock(folder)
        _filter_calls()


def hide_memory() -> None:
    """Make the memory and the environment of this process unreadable to others of its user."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_DUMPABLE, 0, 0, 0, 0)


def adopt_orphans() -> None:
    """Become the parent of whatever a run leaves behind, so that it can be found (Linux)."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)


def limit_resources(*, memory: int, seconds: int, file_bytes: int, processes: int) -> None:
    """Bound this process and its children, as far as the system can."""
    try:
        import resource
    except ImportError:  # Windows: only the time limit of the sandbox holds
        return
    wanted = {"AS": memory, "CPU": seconds, "FSIZE": file_bytes, "NPROC": processes}
    for name, value in {**wanted, "NOFILE": 128, "CORE": 0}.items():
        kind = getattr(resource, f"RLIMIT_{name}")
        hard = resource.getrlimit(kind)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        try:
            resource.setrlimit(kind, (value, value))
        except (ValueError, OSError):  # macOS knows RLIMIT_AS but refuses to set it
            if sys.platform != "darwin":
                raise


def _landlock(folder: Path) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    version = libc.syscall(_CREATE, None, 0, 1)
    if version < 1:
        return
    reads = _READ | _READ_FOLDER
    writes = _WRITES | (_REFER if version >= 2 else 0) | (_TRUNCATE if version >= 3 else 0)
    wanted = _Ruleset(reads | writes, 3 if version >= 4 else 0, 3 if version >= 6 else 0)
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    ruleset = _call(libc.syscall, _CREATE, ctypes.byref(wanted), size, 0)
    allowed = dict.fromkeys([*_READABLE, sys.prefix, sys.base_prefix, *sys.path], reads)
    allowed |= dict.fromkeys(map(str, _package()), reads)
    allowed |= {str(folder): reads | writes, os.devnull: _READ | _WRITE}
    for path, rights in allowed.items():
        if path and os.path.exists(path):
            handle = os.open(path, os.O_PATH)
            if not os.path.isdir(path):
                rights &= _READ | _WRITE | (_TRUNCATE if version >= 3 else 0)
            rule = _Rule(rights, handle)
            _call(libc.syscall, _ADD_RULE, ruleset, 1, ctypes.byref(rule), 0)
            os.close(handle)
    _call(libc.prctl, _NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    _call(libc.syscall, _RESTRICT, ruleset, 0)
    os.close(ruleset)


def _package() -> list[Path]:
    """Return the parts of mmlib that may be read: not the chapters' reference functions."""
    here = Path(__file__).parent
    return [
        p for p in (*here.parent.iterdir(), *here.iterdir()) if p not in (here, here / "chapters")
    ]


def _filter_calls() -> None:
    """Install the system call filter; where the system has none, nothing happens."""
    if platform.machine() not in _CALLS:
        return
    machine, never, on_oneself, socket = _CALLS[platform.machine()]
    me = os.getpid()
    lines = [(_LOAD, 0, 0, 4), (_EQUAL, 1, 0, machine), (_RETURN, 0, 0, _REFUSE)]
    lines += [(_LOAD, 0, 0, 0), (_AT_LEAST, 0, 1, 0x40000000), (_RETURN, 0, 0, _REFUSE)]
    for number in (*never, *_NEVER_ANYWHERE):
        lines += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _REFUSE)]
    for number, first, second in [(socket, 1, 1), *((n, 0, me) for n in on_oneself)]:
        lines += [
            (_EQUAL, 0, 5, number),
            (_LOAD, 0, 0, 16),  # the low half of the first argument
            (_EQUAL, 2, 0, first),
            (_EQUAL, 1, 0, second),
            (_RETURN, 0, 0, _REFUSE),
            (_RETURN, 0, 0, _ALLOW),
        ]
    lines.append((_RETURN, 0, 0, _ALLOW))
    code = b"".join(struct.pack("HBBI", *line) for line in lines)
    program = _Program(len(lines), code)
    libc = ctypes.CDLL(None)
    libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    libc.prctl(_SECCOMP, 2, ctypes.byref(program), 0, 0)


def _call(function, *arguments) -> int:
    result = function(*arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), "Landlock refused")
    return result
