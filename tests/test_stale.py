"""The stored outputs of every notebook come from the code that stands here today."""

from tools import execute


def test_stored_outputs_come_from_the_code_of_today():
    names = [path.relative_to(execute.ROOT).as_posix() for path in execute.stale()]
    assert not names, (
        "their code, or code of mmlib that they import, has changed since their outputs were "
        "stored. Make them anew: .venv/bin/python tools/execute.py " + " ".join(names)
    )
