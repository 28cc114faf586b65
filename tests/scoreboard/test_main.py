"""The scoreboard: rows from keys, means with intervals, no seed run twice."""

import json

import pytest

from scoreboard import __main__ as board


def test_keys_become_rows_and_columns():
    columns, rows = board.table_of(
        {"0": {"ours: exact": 0.5, "ours: colour": 0.9, "chance: exact": 0.1}}
    )
    assert [c["key"] for c in columns] == ["row", "exact", "colour"]
    assert rows[0] == {"row": "ours", "exact": "0.500", "colour": "0.900"}
    assert rows[1] == {"row": "chance", "exact": "0.100", "colour": None}


def test_several_seeds_give_a_mean_and_half_an_interval():
    runs = {str(seed): {"ours: exact": value} for seed, value in enumerate([0.5, 0.6, 0.7])}
    text = board.table_of(runs)[1][0]["exact"]
    assert text.startswith("0.600 ± 0.248")  # t(2) = 4.303 times 0.1 / sqrt(3)


class System:
    TITLE = "A system"

    def __init__(self):
        self.seeds = []

    def run(self, seed):
        self.seeds.append(seed)
        return {"ours: exact": 0.5 + seed / 10}


@pytest.fixture
def system(monkeypatch, tmp_path):
    made = System()
    monkeypatch.setattr(board, "RESULTS", tmp_path)
    monkeypatch.setattr(board.importlib, "import_module", lambda name: made)
    monkeypatch.setattr(board, "code_digest", lambda name: "as it is now")
    return made


def test_a_broken_off_run_goes_on_where_it_was(system, tmp_path, capsys):
    board.score("vqa", 2)
    board.score("vqa", 3)
    assert system.seeds == [0, 1, 2]
    stored = json.loads((tmp_path / "vqa.json").read_text())
    assert set(stored["runs"]) == {"0", "1", "2"}
    assert stored["command"] == "make scoreboard"
    assert "Mean of 3 seeds" in capsys.readouterr().out


def test_changed_code_is_run_again(system, monkeypatch):
    board.score("vqa", 2)
    monkeypatch.setattr(board, "code_digest", lambda name: "changed")
    board.score("vqa", 2)
    assert system.seeds == [0, 1, 0, 1]


def test_scores_depend_on_their_module_and_the_chapters_it_uses():
    found = {path.name for path in board.sources(board.HERE / "attention_parts.py")}
    assert {"attention_parts.py", "attention.py", "captioning.py"} <= found
    assert "training.py" not in found


def test_the_stored_scores_are_of_the_code_as_it_is():
    for path in sorted((board.HERE / "results").glob("*.json")):
        assert json.loads(path.read_text())["code"] == board.code_digest(path.stem), (
            f"{path.stem}: its code changed after it was scored: run make scoreboard"
        )
