"""Unpack a zip or tar file that a stranger packed: nothing lands outside the folder it is for.

The libraries do the work: tarfile's ``data`` filter refuses devices and whatever points outside,
and zipfile writes plain files only. Hidden files and those of an operating system stay behind.
"""

import errno
import tarfile
import zipfile
from pathlib import Path, PurePosixPath

from mmlib.files import is_hidden


class UnsafeArchiveError(ValueError):
    """An archive that is not readable, too large, or has a member that must not be unpacked."""


def unpack(archive: Path, folder: Path, *, most: float) -> None:
    """Unpack the zip or tar file ``archive`` into the existing ``folder``.

    Where everything in the archive lies in one top folder (as in GitHub's archives), the contents
    of that folder are unpacked and its name is dropped.

    Args:
        archive: the file.
        folder: if an error is raised, part of the archive may lie there.
        most: bytes that it may unpack to.

    Raises:
        UnsafeArchiveError: the file is no zip or tar file, is damaged, unpacks to more than
            ``most``, or a member would leave the folder.
        OSError: the disk refused a write.
    """
    try:
        if zipfile.is_zipfile(archive):
            _unpack_zip(archive, folder, most)
        elif tarfile.is_tarfile(archive):
            _unpack_tar(archive, folder, most)
        else:
            raise UnsafeArchiveError(f"{archive.name} is neither a zip nor a tar file")
    except UnsafeArchiveError:
        raise
    except tarfile.FilterError as error:
        raise UnsafeArchiveError(f"{archive.name} is not to be trusted: {error}") from error
    except Exception as error:  # a damaged archive may raise nearly anything
        # an OSError with a number is the disk's, but for "invalid": a seek to where nothing is
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise
        raise UnsafeArchiveError(f"{archive.name} is damaged: {error}") from error
    _drop_top_folder(folder)


def _unpack_zip(archive: Path, folder: Path, most: float) -> None:
    with zipfile.ZipFile(archive) as opened:
        members = [one for one in opened.infolist() if not is_hidden(one.filename)]
        _check_size(archive, sum(one.file_size for one in members), most)
        for name in (one.filename for one in members):
            if name.startswith("/") or ".." in PurePosixPath(name).parts:
                raise UnsafeArchiveError(
                    f"{archive.name} is not to be trusted: {name!r} points outside the folder"
                )
        opened.extractall(folder, members)


def _unpack_tar(archive: Path, folder: Path, most: float) -> None:
    with tarfile.open(archive) as opened:
        size = 0
        while piece := opened.fileobj.read(1 << 20):  # to the very end: there stands the checksum,
            size += len(piece)  # which tarfile itself never reaches
            _check_size(archive, size, most)
        members = [one for one in opened.getmembers() if not is_hidden(one.name)]
        _check_size(archive, sum(one.size for one in members), most)  # a sparse file is larger
        opened.extractall(folder, members, filter="data")


def _check_size(archive: Path, size: int, most: float) -> None:
    if size > most:
        raise UnsafeArchiveError(
            f"{archive.name} unpacks to {size / 1e6:.3g} MB or more, {most / 1e6:.3g} MB is the "
            "most that this data set may take"
        )


def _drop_top_folder(folder: Path) -> None:
    entries = list(folder.iterdir())
    if len(entries) != 1 or not entries[0].is_dir():
        return
    top = entries[0].rename(folder / ".top")  # so that a child of the same name finds room
    for child in list(top.iterdir()):
        child.rename(folder / child.name)
    top.rmdir()
