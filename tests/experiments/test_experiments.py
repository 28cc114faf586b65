"""Experiments: rows from keys, means with intervals, no seed run twice, and what is stored."""

import importlib
import json
import re
from types import SimpleNamespace

import pytest

from experiments import __main__ as board
from experiments import record, timing

SCORES = sorted(path.stem for path in (record.HERE / "scores").glob("[!_]*.py"))


def test_keys_become_rows_and_columns():
    runs = {"0": {"ours: exact": 0.5, "ours: colour": 0.9, "chance: exact": 0.1}}
    table = board.score_table(["chance", "ours"], runs, {"ours: exact": 0.6})
    assert [c["key"] for c in table.columns] == ["system", "exact", "colour"]
    assert table.rows == [
        {"system": "chance", "exact": 0.1, "colour": None},
        {"system": "ours", "exact": 0.5, "colour": 0.9},
        {"system": "ours †", "exact": 0.6, "colour": None},
    ]
    assert board.DAGGER in table.notes


def test_several_seeds_give_a_mean_and_half_an_interval():
    runs = {str(seed): {"ours: exact": value} for seed, value in enumerate([0.5, 0.6, 0.7])}
    (row,) = board.score_table(["ours"], runs, {}).rows
    assert row["exact"] == [0.6, 0.2484]  # t(2) = 4.303 times 0.1 / sqrt(3)


@pytest.fixture
def system(monkeypatch, tmp_path):
    """A topic that notes with which seeds it was run."""
    monkeypatch.setattr(record, "RESULTS", tmp_path)
    seeds = []

    def run(seed):
        seeds.append(seed)
        return {f"{name}: exact": 0.5 + seed / 10 for name in made.SYSTEMS}

    made = SimpleNamespace(TITLE="A system", SYSTEMS=("ours",), run=run, seeds=seeds)
    return made


def test_a_broken_off_run_goes_on_where_it_was(system, capsys):
    board.score("vqa", system, seeds=2)
    board.score("vqa", system, seeds=3)
    assert system.seeds == [0, 1, 2]
    stored = record.load("scores/vqa")
    assert list(stored["runs"]) == ["0", "1", "2"]
    assert stored["command"] == "python -m experiments scores vqa"
    assert stored["commit"] == record.commit()
    assert "Mean of 3 seeds" in capsys.readouterr().out


def test_another_list_of_systems_is_run_again(system):
    board.score("vqa", system, seeds=2)
    system.SYSTEMS = ("ours", "theirs")
    board.score("vqa", system, seeds=2)
    assert system.seeds == [0, 1, 0, 1]
    board.score("vqa", system, seeds=1, again=True)
    assert system.seeds == [0, 1, 0, 1, 0]


def test_scores_of_systems_that_are_not_named_are_refused(system):
    system.run = lambda seed: {"theirs: exact": 0.5}
    with pytest.raises(ValueError, match="SYSTEMS and run differ in ours, theirs"):
        board.score("vqa", system, seeds=1)
    del system.SYSTEMS
    with pytest.raises(AttributeError, match="has no SYSTEMS"):
        board.score("vqa", system, seeds=1)


def test_shipped_weights_are_a_marked_row(system):
    board.score("vqa", system, seeds=2)
    system.shipped = lambda: {"ours: exact": 0.9}
    board.score("vqa", system, seeds=2)
    assert system.seeds == [0, 1]
    assert record.load("scores/vqa")["rows"][1] == {"system": "ours †", "exact": 0.9}


@pytest.mark.parametrize("topic", SCORES)
def test_the_stored_scores_are_of_the_systems_as_they_are_now(topic):
    module = importlib.import_module(f"experiments.scores.{topic}")
    assert record.load(f"scores/{topic}").get("systems") == list(module.SYSTEMS), (
        f"the list of systems has changed: run python -m experiments scores {topic}"
    )


@pytest.mark.parametrize(("kind", "page"), [("scores", "scoreboard"), ("speed", "performance")])
def test_the_book_shows_all_that_is_measured(kind, page):
    topics = {path.stem for path in (record.HERE / kind).glob("[!_]*.py")}
    text = (record.HERE.parent / "book" / f"{page}.md").read_text(encoding="utf-8")
    assert set(re.findall(rf"{{results-table}} {kind}/(\w+)", text)) == topics
    assert {path.stem for path in (record.RESULTS / kind).glob("*.json")} == topics
    assert text.count(":picture:") == (len(topics) if kind == "scores" else 0)


def test_a_stored_file_has_one_row_a_line():
    result = {"rows": [{"a": 1}, {"a": [0.5, 0.1]}], "runs": {"0": {"x": 1}}, "title": "T", "n": []}
    text = record.dump(result)
    assert json.loads(text) == result
    assert '\n  {"a": 1},\n  {"a": [0.5, 0.1]}\n' in text


def test_contestants_take_turns_and_the_warm_up_is_not_counted():
    order = []
    calls = {name: lambda number, name=name: order.append((number, name)) for name in "ab"}
    runs = timing.interleave(calls, rounds=2)
    assert order == [(number, name) for number in range(3) for name in "ab"]
    assert len(runs["a"].seconds) == 2
