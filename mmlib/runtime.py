"""The machine underneath: which device to use, and randomness as an argument.

Library code never picks a device and never touches the global random state: a notebook or a
command calls ``pick_device`` once, and every random choice takes a ``torch.Generator``.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

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
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise ValueError(f"seed is {seed!r}, it must be a whole number of 0 or more, such as 0")
    return torch.Generator(device=device).manual_seed(seed)


@contextmanager
def worker_threads(jobs: int) -> Iterator[Callable]:
    """Yield ``run(work, items)``, which does ``work`` on every item in parallel Python threads.

    As many threads as torch may use (``torch.get_num_threads``), at most ``jobs``, each with one
    torch thread of its own: two OpenMP threads stall each other when a neighbour keeps a core
    busy, two Python threads do not. Torch's own thread count is as before afterwards.
    """
    before = torch.get_num_threads()
    if min(before, jobs) <= 1:
        yield lambda work, items: [work(item) for item in items]
        return
    with ThreadPoolExecutor(
        min(before, jobs), initializer=torch.set_num_threads, initargs=(1,)
    ) as pool:
        try:
            yield lambda work, items: list(pool.map(work, items))
        finally:
            torch.set_num_threads(before)
