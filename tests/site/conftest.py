"""The book, built once for all tests that look at it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tools.site_browser import find_chromium

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "book" / "_ext"))  # the extensions are modules of the book


@pytest.fixture(scope="session")
def book(tmp_path_factory) -> Path:
    """Return the folder of the built book; any warning of the build fails the tests."""
    out = tmp_path_factory.mktemp("book")
    jupyter_book = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()"]
    command = [*jupyter_book, "build", str(ROOT), "--path-output", str(out)]
    run = subprocess.run(
        [*command, "-W", "-n", "--keep-going", "--quiet"], capture_output=True, text=True
    )
    assert run.returncode == 0, (
        f"the book does not build:\n{run.stdout[-3000:]}{run.stderr[-3000:]}"
    )
    return out / "_build" / "html"


@pytest.fixture(scope="session")
def browser() -> str:
    """Return the path of a browser; without one skip, but in CI fail."""
    path = find_chromium()
    if path is None and os.environ.get("CI") == "true":
        pytest.fail("CI must look at the book in a browser: install chromium")
    if path is None:
        pytest.skip("no Chromium or Chrome here: the book was not looked at in a browser")
    return path
