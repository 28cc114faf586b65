"""The machine underneath: which device to use, and randomness as an argument.

Library code never picks a device and never touches the global random state: a notebook or a
command calls ``pick_device`` once, and every random choice takes a ``torch.Generator``.
"""

import itertools
import operator
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import cache

import torch


def pick_device() -> torch.device:
    """Return the GPU where there is one (CUDA first, then Apple's), else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def make_generator(seed: int, *, device: torch.device | str = "cpu") -> torch.Generator:
    """Return a ``torch.Generator`` on ``device`` that starts from ``seed``.

    Same seed, same device: same random numbers, whatever else draws numbers meanwhile.

    Raises:
        ValueError: ``seed`` is not a whole number of 0 or more.
    """
    try:  # NumPy's whole numbers are as good
        whole = -1 if isinstance(seed, bool) else operator.index(seed)
    except TypeError:
        whole = -1
    if not 0 <= whole < 2**64:
        raise ValueError(
            f"seed is {seed!r}, it must be a whole number of 0 or more and below 2**64, such as 0"
        )
    return torch.Generator(device=device).manual_seed(whole)


@contextmanager
def one_torch_thread() -> Iterator[int]:
    """Give torch one thread within the block (or the decorated function), then what it had.

    For many small operations a second OpenMP thread gains little, and when a neighbour keeps a core
    busy the two wait for each other at every operation. Yields how many threads torch had.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield before
    finally:
        torch.set_num_threads(before)


@contextmanager
def worker_threads(most: int | None = None) -> Iterator[Callable]:
    """Yield ``run(work, items)``, which does ``work`` on every item in parallel Python threads.

    Each thread gets an equal share of the items, neighbours together. The caller's thread is one of
    them: it is awake already, and two that are woken at once may long share a core. An error in any
    of them comes out when all are done.

    As many threads as torch may use (``torch.get_num_threads``), at most ``most``; each of them,
    and the caller's too, has one torch thread within the block (see ``one_torch_thread``).
    """
    with one_torch_thread() as available:

        def run(work: Callable, items: Iterable) -> list:
            items = list(items)
            count = min(available if most is None else min(available, most), len(items))
            if count <= 1:
                return _do_all(work, items)
            ends = [share * len(items) // count for share in range(count + 1)]
            mine, *theirs = (items[start:end] for start, end in itertools.pairwise(ends))
            at_work = [_pool(count - 1).submit(_do_all, work, share) for share in theirs]
            try:
                done = _do_all(work, mine)
            finally:
                wait(at_work)
            return done + [result for job in at_work for result in job.result()]

        yield run


def _do_all(work: Callable, items: Iterable) -> list:
    return [work(item) for item in items]


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    """Return the threads that all calls share: starting them anew costs a millisecond."""
    return ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,))
