"""The submission with which a machine is tried out: it attacks each limit and says which held."""

import os
import socket
import sys


def probe(outside, port, grader, memory, file_bytes):
    """Return what held: sentence → whether the attack was refused."""
    held = {
        "memory is limited": refused(bytearray, memory + 1),
        "the size of files is limited": refused(write_large, file_bytes + 1),
        "writing outside its own folder is refused": refused(open, outside, "r+b"),
        "reading other people's files is refused": refused(open, outside, "rb"),
        "the network is refused": all(
            refused(connect, kind, port) for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM)
        ),
    }
    if os.name == "posix":
        held["signals to other processes are refused"] = refused(os.kill, grader, 0)
        held["the number of processes is limited"] = forking_is_limited()
    if sys.platform.startswith("linux"):
        import resource

        look = (grader, resource.RLIMIT_CORE)
        held["changing other processes' limits is refused"] = refused(resource.prlimit, *look)
        held["reading the grader's memory is refused"] = refused(open, f"/proc/{grader}/mem", "rb")
    return held


def refused(action, *arguments):
    try:
        action(*arguments)
    except (OSError, MemoryError):
        return True
    return False


def write_large(size):
    with open("large", "wb") as file:
        file.truncate(size)


def connect(kind, port):
    with socket.socket(socket.AF_INET, kind) as line:
        line.settimeout(5)
        line.connect(("127.0.0.1", port))


def forking_is_limited():
    import resource

    child = os.fork()
    if child == 0:
        resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
        os._exit(0 if refused(os.fork) else 1)
    return os.waitpid(child, 0)[1] == 0
