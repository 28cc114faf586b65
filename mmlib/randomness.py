"""All sources of randomness in a training run, taken together: torch's global state and generators.

Library code draws from generators only. Dropout and some other modules of torch take none and draw
from the global state: here that state is lent out and put back.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def global_randomness_from(generator: torch.Generator, *, device: torch.device) -> Iterator[None]:
    """Let ``generator`` seed torch's global random state for a while; put it back afterwards.

    ``device`` is the GPU in use, whose global state is treated likewise, or the CPU.
    """
    seed = torch.randint(2**31, (), generator=generator, device=generator.device)
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(int(seed))
        yield


class RandomStates:
    """Reads and sets, together, the states of torch's global randomness and of some generators.

    Args:
        generators: by name; ``None`` stands for one that is not there.
        device: the GPU whose global state belongs to it, or the CPU.
    """

    def __init__(self, generators: dict[str, torch.Generator | None], device: torch.device) -> None:
        self._access = {"global": (torch.get_rng_state, torch.set_rng_state)}
        if device.type == "cuda":
            self._access["cuda"] = (torch.cuda.get_rng_state, torch.cuda.set_rng_state)
        for name, generator in generators.items():
            if generator is not None:
                self._access[name] = (generator.get_state, generator.set_state)

    def read(self) -> dict[str, torch.Tensor]:
        """Return all states, by name."""
        return {name: read() for name, (read, _) in self._access.items()}

    def write(self, states: dict[str, torch.Tensor]) -> None:
        """Set all states to what ``read`` returned."""
        for name, (_, write) in self._access.items():
            write(states[name])
