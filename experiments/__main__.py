"""Run experiments and store what the book shows: python -m experiments scores|speed [TOPIC ...]

A seed that is stored is not run again, so a run that was broken off goes on where it was; a changed
list of systems throws the stored seeds away, and so does --again.
"""

import argparse
import importlib
import time
from types import ModuleType

from experiments.record import HERE, Table, commit, load, store, versions
from mmlib.metrics import mean_and_interval

Scores = dict[str, float]  # "system: measure" → score
SHIPPED = " †"
DAGGER = "† Longer training: its weights ship with mmlib and are measured once."


def split(key: str) -> tuple[str, str]:
    """Return the system and the measure of a key; a system's name may hold colons."""
    system, measure = key.rsplit(":", 1)
    return system.strip(), measure.strip()


def check_systems(topic: str, systems: list[str], scores: Scores) -> None:
    """Refuse scores of other systems than those that the module names.

    Raises:
        ValueError: it names too few or too many.
    """
    measured = {split(key)[0] for key in scores}
    if measured != set(systems):
        raise ValueError(
            f"experiments/scores/{topic}.py: SYSTEMS and run differ in "
            f"{', '.join(sorted(measured ^ set(systems)))}: name what run measures"
        )


def score_table(systems: list[str], runs: dict[str, Scores], shipped: Scores) -> Table:
    """Return the means with half of their 95 % intervals, a row a system."""
    rows: dict[str, dict] = {system: {"system": system} for system in systems}
    measures: dict[str, None] = {}  # an ordered set
    for key in next(iter(runs.values())):
        system, measure = split(key)
        measures[measure] = None
        rows[system][measure] = summary([scores[key] for scores in runs.values()])
    for key, value in shipped.items():
        system, measure = split(key)
        measures[measure] = None
        rows.setdefault(system + SHIPPED, {"system": system + SHIPPED})[measure] = value
    columns = [{"key": "system", "label": "system"}]
    columns += [{"key": measure, "label": measure, "digits": 3} for measure in measures]
    filled = [{"system": "", **dict.fromkeys(measures), **row} for row in rows.values()]
    mean = f"Mean of {len(runs)} seeds ± half of its 95 % interval."
    notes = [mean if len(runs) > 1 else "One seed, so no interval.", versions("torch")]
    return Table(columns, filled, notes + [DAGGER] * bool(shipped))


def summary(values: list[float]) -> list[float] | float:
    """Return [mean, half of its interval], or the value if there is only one."""
    if len(values) == 1:
        return values[0]
    found = mean_and_interval(values)
    return [round(found.value, 4), round(found.high - found.value, 4)]


def score(topic: str, module: ModuleType, *, seeds: int, again: bool = False) -> None:
    """Run one topic with seeds 0 to ``seeds`` - 1 and store its table after each."""
    if not hasattr(module, "SYSTEMS"):
        raise AttributeError(f"experiments/scores/{topic}.py has no SYSTEMS: name them")
    name, systems = f"scores/{topic}", list(module.SYSTEMS)
    stored = load(name)
    keep = stored.get("systems") == systems and not again
    runs, commits = (stored[key] if keep else {} for key in ("runs", "commits"))

    def save(shipped: Scores) -> None:
        used = ", ".join(dict.fromkeys(commits.values()))
        more = {"systems": systems, "runs": runs, "commits": commits, "shipped": shipped}
        store(name, module.TITLE, score_table(systems, runs, shipped), commit=used, **more)

    print(f"{name}: {len(runs)} seeds are stored, {seeds} wanted", flush=True)
    for seed in map(str, range(seeds)):
        if seed not in runs:
            start = time.perf_counter()
            runs[seed], commits[seed] = module.run(int(seed)), commit()
            check_systems(topic, systems, runs[seed])
            print(f"{name}, seed {seed}: {time.perf_counter() - start:.0f} s", flush=True)
            save(stored.get("shipped", {}) if keep else {})
    if hasattr(module, "shipped"):
        save(module.shipped())


def measure_speed(topic: str, module: ModuleType, *, rounds: int | None) -> None:
    """Time one topic and store its table."""
    table = module.run(rounds or module.ROUNDS)
    store(f"speed/{topic}", module.TITLE, table)


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=("scores", "speed"))
    parser.add_argument("topics", nargs="*", metavar="TOPIC", help="all of them if none is named")
    parser.add_argument("--seeds", type=int, default=5, help="of scores, 5 if nothing is said")
    parser.add_argument("--rounds", type=int, help="of speed, each topic's own if nothing is said")
    parser.add_argument("--again", action="store_true", help="run the stored seeds again")
    asked = parser.parse_args()
    known = sorted(path.stem for path in (HERE / asked.kind).glob("[!_]*.py"))
    if unknown := set(asked.topics) - set(known):
        parser.error(f"no {asked.kind} of {unknown.pop()!r}: choose from {', '.join(known)}")
    if asked.seeds < 1 or (asked.rounds or 2) < 2:
        parser.error("run 1 seed or 2 rounds at least")
    for topic in asked.topics or known:
        module = importlib.import_module(f"experiments.{asked.kind}.{topic}")
        if asked.kind == "scores":
            score(topic, module, seeds=asked.seeds, again=asked.again)
        else:
            measure_speed(topic, module, rounds=asked.rounds)


if __name__ == "__main__":
    main()
