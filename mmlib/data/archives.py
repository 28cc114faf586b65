"""Unpack a zip or tar file that a stranger packed: nothing lands outside the folder it is for.

Every member is judged before the first one is written. An absolute path, a ``..``, a drive letter,
a link or a device is refused: no data set of this book needs one.
"""

import gzip
import stat
import tarfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath, PureWindowsPath

_DAMAGED = (
    zipfile.BadZipFile,
    tarfile.TarError,
    gzip.BadGzipFile,
    zlib.error,
    EOFError,
    RuntimeError,  # zipfile's word for an archive that needs a password
)


class UnsafeArchiveError(ValueError):
    """An archive that is not readable, or has a member that must not be unpacked."""


def unpack(archive: Path, folder: Path) -> None:
    """Unpack the zip or tar file ``archive`` into the existing ``folder``.

    Where everything in the archive lies in one top folder (as in GitHub's archives), the contents
    of that folder are unpacked and its name is dropped.

    Raises:
        UnsafeArchiveError: the file is no zip or tar file, is damaged, or a member would leave the
            folder. In the last case nothing has been written.
        OSError: the disk refused a write.
    """
    try:
        if zipfile.is_zipfile(archive):
            _unpack_zip(archive, folder)
        elif tarfile.is_tarfile(archive):
            _unpack_tar(archive, folder)
        else:
            raise UnsafeArchiveError(f"{archive.name} is neither a zip nor a tar file")
    except _DAMAGED as error:
        raise UnsafeArchiveError(f"{archive.name} is damaged: {error}") from error
    _drop_top_folder(folder)


def _unpack_zip(archive: Path, folder: Path) -> None:
    with zipfile.ZipFile(archive) as opened:
        for member in opened.infolist():
            kind = stat.S_IFMT(member.external_attr >> 16)
            _judge(archive, member.filename, plain=kind in (0, stat.S_IFREG, stat.S_IFDIR))
        opened.extractall(folder)


def _unpack_tar(archive: Path, folder: Path) -> None:
    with tarfile.open(archive) as opened:
        while opened.fileobj.read(1 << 20):
            pass  # to the very end: there stands the checksum, which tarfile itself never reaches
        for member in opened.getmembers():
            _judge(archive, member.name, plain=member.isfile() or member.isdir())
        opened.extractall(folder, filter="data")


def _judge(archive: Path, name: str, *, plain: bool) -> None:
    """Refuse the member ``name`` if it is no plain file or folder, or could leave the folder."""
    posix, windows = PurePosixPath(name), PureWindowsPath(name)
    if posix.is_absolute() or windows.drive or windows.root or ".." in windows.parts:
        raise UnsafeArchiveError(
            f"{archive.name} has the member {name!r}, which points outside the folder it is "
            "unpacked to: nothing was unpacked, do not trust this file"
        )
    if not plain:
        raise UnsafeArchiveError(
            f"{archive.name} has the member {name!r}, which is a link or a device and not a plain "
            "file: nothing was unpacked, do not trust this file"
        )


def _drop_top_folder(folder: Path) -> None:
    entries = list(folder.iterdir())
    if len(entries) != 1 or not entries[0].is_dir():
        return
    top = entries[0].rename(folder / ".top")  # so that a child of the same name finds room
    for child in list(top.iterdir()):
        child.rename(folder / child.name)
    top.rmdir()
