"""The book, built once for all tests that look at it, and a browser to look with."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools import site_browser

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
def browser() -> Iterator:
    """Give a browser; without one skip, but in CI fail."""
    if site_browser.find_chromium() is None:
        if os.environ.get("CI") == "true":
            pytest.fail("CI must look at the book in a browser: install chromium")
        pytest.skip("no Chromium or Chrome here: the book was not looked at in a browser")
    with site_browser.open_browser() as opened:
        yield opened
