"""The steps of ``make test``: each with its time, what was skipped said again, one exit status."""

import sys

import pytest

from tools import test as steps

SKIPS = "print('\\x1b[33mSKIPPED\\x1b[0m [3] labs/one.ipynb: no data'); print('3 skipped')"


@pytest.fixture
def planned(monkeypatch):
    """Return a function that plans steps from programs, by name."""

    def plan(**programs):
        planned = {name: ("", [sys.executable, "-c", code]) for name, code in programs.items()}
        monkeypatch.setattr(steps, "STEPS", planned)

    return plan


def test_what_is_skipped_is_said_again_in_the_end(planned, capfd):
    planned(one=SKIPS, two="print('well')")
    assert steps.main([]) == 0
    said = capfd.readouterr().out
    assert said.count("SKIPPED") == 2
    end = said[said.index("well") :].splitlines()
    assert end[1:3] == ["What was skipped, and why:", "SKIPPED [3] labs/one.ipynb: no data"]
    assert [line.split()[:2] for line in end[3:5]] == [["passed", "one"], ["passed", "two"]]
    assert end[5].startswith("in all ")


def test_a_step_that_fails_stops_no_other_and_fails_the_whole(planned, capfd):
    planned(one="import sys; sys.exit(3)", two="print('well')")
    assert steps.main([]) == 3
    said = capfd.readouterr().out
    assert "FAILED one" in said
    assert "passed two" in said
    assert "skipped" not in said


def test_one_step_alone_and_none_of_that_name(planned, capfd):
    planned(one="print('first')", two="print('second')")
    assert steps.main(["two"]) == 0
    assert "first" not in capfd.readouterr().out
    assert steps.main(["three"]) == 2
    assert "no step 'three': the steps are one, two" in capfd.readouterr().out


def test_each_process_computes_with_one_thread(planned, capfd, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    planned(one="import os; print('threads:', os.environ['OMP_NUM_THREADS'])")
    steps.main([])
    assert "threads: 1" in capfd.readouterr().out
