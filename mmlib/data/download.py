"""Where the real data sets come from, and how they come here.

``locate("esc50")`` returns the folder of a data set. ``MMLIB_DATA`` names the folder in which data
sets lie; without it they lie in the user's cache folder. What is there is used. What is not is
downloaded, after saying what, from where, how large and under which licence. A data set appears
in its place complete and checked, or not at all.
"""

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path

import pooch
from tqdm import tqdm

from mmlib.data.archives import UnsafeArchiveError, unpack
from mmlib.data.catalogue import DataSet, Source, find_data_set
from mmlib.files import scratch_folder, written_whole

_DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_SWELL = 10  # an archive may unpack to this many times the size of the whole data set's download


class DataSetError(OSError):
    """A data set is not here and could not be brought here; the message says what to do."""


def data_folder() -> Path:
    """Return the folder in which data sets lie: ``MMLIB_DATA``, else the user's cache folder."""
    named = os.environ.get("MMLIB_DATA")
    return Path(named).expanduser() if named else Path(pooch.os_cache("mmlib"))


def is_present(name: str) -> bool:
    """Say whether the data set ``name`` lies in ``data_folder()``: nothing need be downloaded."""
    data_set = find_data_set(name)
    return (data_folder() / data_set.name / data_set.probe).exists()


def locate(name: str) -> Path:
    """Return the folder of the data set ``name``; ``fetch`` it first where it is not present.

    Raises:
        ValueError: no data set has this name.
        DataSetError: it is not here and could not be fetched.
    """
    if is_present(name):
        return data_folder() / name
    return fetch(name)


def fetch(name: str, *, say: Callable[[str], None] = print) -> Path:
    """Download the data set ``name`` into ``data_folder()``, check and unpack it.

    One that is present is left as it is. Everything happens in a temporary folder beside the
    target, which is renamed when it is complete and thrown away otherwise, also when the process
    is told to stop (SIGTERM), so that a later try starts clean. The digest of each
    file is kept in ``<name>.sha256.json`` beside the folder, so that a later fetch of a file
    without a published checksum can be compared with this one.

    Args:
        name: one of ``catalogue.DATA_SETS``.
        say: takes each line of the account of what is downloaded.

    Returns:
        the folder of the data set.

    Raises:
        ValueError: no data set has this name.
        DataSetError: the folder stands but is incomplete, there is no connection, the download
            broke off, an answer is empty, a checksum is wrong, an archive is damaged, unsafe or too
            large, the record of digests is damaged, or the disk is full.
    """
    data_set = find_data_set(name)
    target = data_folder() / name
    if is_present(name):
        say(f"{name} is present in {target}")
        return target
    if target.exists():
        raise DataSetError(
            f"{target} lacks {data_set.probe}: remove the folder and it is downloaded again, or "
            f"complete it from {data_set.page}"
        )
    say(f"{name}: about {data_set.megabytes:g} MB from {data_set.page} to {target}")
    say(f"  licence: {data_set.licence}")
    say(f"  please cite: {data_set.citation}")
    if data_set.note:
        say(f"  note: {data_set.note}")
    try:
        data_folder().mkdir(parents=True, exist_ok=True)
        with scratch_folder(target) as scratch:
            _fill(data_set, scratch, say)
            (scratch / "complete").rename(target)
    except DataSetError:
        raise
    except OSError as error:
        if not is_present(name):  # else another process was faster
            raise _explain(error, f"could not write to {target}", data_set) from error
    return target


def _fill(data_set: DataSet, scratch: Path, say: Callable[[str], None]) -> None:
    """Download and unpack every source into ``scratch / "complete"``; record the digests."""
    complete, digests = scratch / "complete", {}
    complete.mkdir()
    for source in data_set.sources:
        file = scratch / Path(source.url).name
        _download(source, file, data_set)
        digests[source.url] = _verify(source, file, data_set, say)
        into = complete / source.path
        into.parent.mkdir(parents=True, exist_ok=True)
        if not source.archive:
            file.rename(into)
            continue
        into.mkdir(exist_ok=True)
        try:
            unpack(file, into, most=_SWELL * 1e6 * data_set.megabytes)
        except UnsafeArchiveError as error:
            raise _explain(error, f"{source.url} was not unpacked", data_set) from error
        file.unlink()
    if not (complete / data_set.probe).exists():
        error = ValueError(f"it lacks {data_set.probe}")
        raise _explain(error, "what was downloaded is not the data set", data_set)
    with written_whole(_record_path(data_set)) as record:
        record.write_text(json.dumps(digests, indent=1), encoding="utf-8")


def _download(source: Source, file: Path, data_set: DataSet) -> None:
    bar = tqdm(desc=file.name, total=1, unit="B", unit_scale=True, leave=False, mininterval=1)
    download = pooch.HTTPDownloader(progressbar=bar, chunk_size=1 << 16, timeout=30)
    try:
        with bar:
            download(source.url, str(file), None)
    except (OSError, ValueError) as error:  # requests' errors are OSErrors
        raise _explain(error, f"could not download {source.url}", data_set) from error


def _verify(source: Source, file: Path, data_set: DataSet, say: Callable[[str], None]) -> str:
    """Return the SHA-256 of ``file``; refuse it where it is not the official one."""
    digest = pooch.file_hash(str(file))
    if source.sha256 is not None:
        if digest != source.sha256:
            error = ValueError(f"its SHA-256 is {digest}, it should be {source.sha256}")
            raise _explain(error, f"{source.url} is not the official file", data_set)
        return digest
    if file.stat().st_size == 0:
        raise _explain(ValueError("it has 0 bytes"), f"{source.url} is empty", data_set)
    say(f"  {file.name}: checksum not known; downloaded file's SHA-256 is {digest}")
    before = _recorded(data_set).get(source.url, digest)
    if before != digest:
        say(f"  {file.name}: it differs from the one fetched before, {before}")
    return digest


def _recorded(data_set: DataSet) -> dict[str, str]:
    """Return the digests of the last fetch by address, none if there was no fetch."""
    record = _record_path(data_set)
    try:
        return dict(json.loads(record.read_text(encoding="utf-8"))) if record.exists() else {}
    except (ValueError, TypeError) as error:
        raise DataSetError(f"{record} is damaged ({error}): remove it and try again") from error


def _record_path(data_set: DataSet) -> Path:
    return data_folder() / f"{data_set.name}.sha256.json"


def _explain(error: Exception, what: str, data_set: DataSet) -> DataSetError:
    """Return the one clear error: what failed, why, and what to do."""
    target = data_folder() / data_set.name
    if isinstance(error, OSError) and error.errno in _DISK_FULL:
        what = f"the disk is full: {what}"
        remedy = (
            f"make room for more than twice {data_set.megabytes:g} MB, or set MMLIB_DATA to a "
            "folder on another disk"
        )
    else:
        remedy = (
            f"try again with a connection, put the data set into {target} by hand "
            f"(see {data_set.page}), or set MMLIB_DATA to the folder in which {data_set.name} lies"
        )
    return DataSetError(f"{data_set.name}: {what} ({error}). Nothing was left behind. {remedy}")
