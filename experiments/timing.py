"""Time contestants against each other fairly."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Runs:
    """What one contestant took and returned, round by round, the warm-up left out."""

    seconds: list[float] = field(default_factory=list)
    results: list[object] = field(default_factory=list)

    @property
    def median(self) -> float:
        """The median of the seconds."""
        return statistics.median(self.seconds)


def interleave(contestants: dict[str, Callable[[int], object]], *, rounds: int) -> dict[str, Runs]:
    """Run every contestant once a round, one after the other, so that noise falls on all alike.

    A contestant is called with the number of the round. Round 0 warms up and is not counted.
    """
    runs = {name: Runs() for name in contestants}
    for number in range(rounds + 1):
        for name, work in contestants.items():
            start = time.perf_counter()
            result = work(number)
            seconds = time.perf_counter() - start
            if number > 0:
                runs[name].seconds.append(seconds)
                runs[name].results.append(result)
    return runs
