"""Make the environment in .venv: python tools/environment.py book | full

``book`` installs what builds the static book from the stored outputs: no torch, seconds.
``full`` installs all of requirements.txt and mmlib itself, to run and test everything.
Versions come from requirements.txt in both. Needs nothing but Python 3.11 or newer.
"""

import os
import subprocess
import sys
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
PYTHON = BIN / ("python.exe" if os.name == "nt" else "python")


def pip(*arguments: str) -> None:
    """Install with uv, ten times as fast as pip, into the environment."""
    command = [str(PYTHON), "-m", "uv", "pip", "install", "--quiet", "--python", str(PYTHON)]
    subprocess.run([*command, *arguments], check=True, cwd=ROOT)


def main(wanted: str) -> None:
    if not PYTHON.exists():
        venv.create(VENV, with_pip=True)
    pin = ["-c", "requirements.txt"]
    quiet = ["--quiet", "--disable-pip-version-check"]
    subprocess.run([str(PYTHON), "-m", "pip", "install", *quiet, *pin, "uv"], check=True, cwd=ROOT)
    if wanted == "book":
        extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
        pip(*pin, *extras["optional-dependencies"]["book"])
    else:
        # compiled once here: else every notebook's kernel waits seconds for its imports
        pip("--compile-bytecode", "-r", "requirements.txt")
        pip("--no-deps", "-e", ".")


if __name__ == "__main__":
    if sys.argv[1:] not in (["book"], ["full"]):
        sys.exit(__doc__)
    main(sys.argv[1])
