"""Files: written whole or not at all, and listed without those that nobody put there on purpose."""

import os
import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePath

_SYSTEM_FILES = {"__macosx", "thumbs.db", "desktop.ini"}


def is_hidden(path: str | os.PathLike) -> bool:
    """Whether a part of the relative ``path`` is hidden or an operating system's own.

    Such as ``.DS_Store``, ``._photo.jpg``, ``__MACOSX/``, ``Thumbs.db``.
    """
    parts = PurePath(path).parts
    return any(
        (part.startswith(".") and part != "..") or part.casefold() in _SYSTEM_FILES
        for part in parts
    )


def list_files(folder: Path, *endings: str, deep: bool = False) -> list[Path]:
    """Return the files in ``folder`` by name, without those that are ``is_hidden``.

    Args:
        folder: one that is not there holds no files.
        endings: of the names, such as ``".wav"``, in upper or lower case; none: every file.
        deep: also those in the folders within it.
    """
    endings = tuple(ending.casefold() for ending in endings) or ("",)
    return sorted(
        path
        for path in folder.glob("**/*" if deep else "*")
        if path.name.casefold().endswith(endings)
        and path.is_file()
        and not is_hidden(path.relative_to(folder))
    )


@contextmanager
def scratch_folder(beside: str | os.PathLike) -> Iterator[Path]:
    """Yield a temporary folder beside the path ``beside``; it is removed at the end of the block.

    Also if the process is told to stop meanwhile: SIGTERM, which by default ends it on the spot, is
    obeyed when the folder is gone. (Python lets only the main thread see to that.)
    """
    beside, told = Path(beside), []

    def stop(number: int, frame: object) -> None:
        if not told:
            told.append(number)
            raise SystemExit(128 + number)

    main = threading.current_thread() is threading.main_thread()
    ours = main and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    if ours:
        signal.signal(signal.SIGTERM, stop)
    try:
        with tempfile.TemporaryDirectory(prefix=f".{beside.name}-", dir=beside.parent) as scratch:
            yield Path(scratch)
    finally:
        if ours:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if told:
            signal.raise_signal(signal.SIGTERM)


@contextmanager
def written_whole(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a path to write to; at the end of the block that file takes the place of ``path``.

    If the block raises (the disk is full, say) or the process dies, what stood at ``path`` stands
    there still. The yielded path has the same name, in a temporary folder beside ``path``, so that
    a writer which looks at the ending finds it.

    Raises:
        FileNotFoundError: the folder of ``path`` does not exist.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"cannot write {path}: there is no folder {path.parent}, make it")
    with scratch_folder(path) as scratch:
        yield scratch / path.name
        (scratch / path.name).replace(path)
