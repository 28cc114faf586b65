"""Files: read as they should be, listed without the system's own, written whole or not at all."""

import gzip
import os
import signal
import tempfile
import threading
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePath

_SYSTEM_FILES = {"__macosx", "thumbs.db", "desktop.ini"}


class DataError(ValueError):
    """A file of data, or a table of files, that cannot be read; says which, why and what to do."""


def read_text(path: str | os.PathLike, *, otherwise: str | None = None) -> str:
    """Return a text in UTF-8, with or without a byte order mark, also one packed by gzip (.gz).

    Args:
        path: the file.
        otherwise: the encoding of a file that is not UTF-8, such as ``"latin-1"``; None: an error.

    Raises:
        DataError: the file is missing, its packing is damaged, or a line is not UTF-8.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(
            f"there is no {path}: this copy lacks that part, choose another or fetch the whole set"
        )
    raw = path.read_bytes()
    try:
        raw = gzip.decompress(raw) if path.suffix.casefold() == ".gz" else raw
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if otherwise:
            return raw.decode(otherwise)
        line = raw.count(b"\n", 0, error.start) + 1
        raise DataError(f"{path}, line {line} is not UTF-8: save it as UTF-8 text") from error
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} is damaged ({error}): fetch it again") from error


def read_lines(path: str | os.PathLike) -> list[str]:
    """Return the lines of a text; only a line feed, or carriage return and line feed, ends one.

    (``str.splitlines`` cuts at eight other marks, too, some of which occur within captions.)

    Raises:
        DataError: as ``read_text``.
    """
    return read_text(path).replace("\r\n", "\n").removesuffix("\n").split("\n")


def check_text(value: object) -> str:
    """Return ``value`` from a table, or raise ``TypeError`` if it is no text: ``null``, say."""
    if not isinstance(value, str):
        raise TypeError(f"{value!r} stands where a text should")
    return value


def check_present(paths: Sequence[Path], folder: Path) -> None:
    """Raise ``DataError`` if there are no ``paths``, or if some are no files: how many, the first.

    Args:
        paths: as a table in ``folder`` names them; many rows may be about one file.
        folder: of the data set.
    """
    named = dict.fromkeys(paths)
    missing = [path for path in named if not path.is_file()]
    if missing or not named:
        first = f", the first is {missing[0]}" if missing else ""
        raise DataError(
            f"{folder} lacks {len(missing)} of the {len(named)} files in its table{first}: "
            "remove the folder and fetch it again"
        )


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
    beside, received = Path(beside), []

    def stop(number: int, frame: object) -> None:
        if not received:
            received.append(number)
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
        if received:
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
