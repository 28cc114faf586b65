"""Write a file whole or not at all."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


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
    with tempfile.TemporaryDirectory(prefix=f".{path.name}-", dir=path.parent) as scratch:
        yield Path(scratch) / path.name
        (Path(scratch) / path.name).replace(path)
