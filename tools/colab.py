"""Prove that installing mmlib in Colab downloads nothing else: python tools/colab.py

Makes an empty environment of Colab's Python, writes into it only the metadata (name and version) of
the packages that Colab ships, and asks uv what installing mmlib would add. The answer must be mmlib
alone: then nothing is downloaded beside it and no restart is asked for.
The weekly workflow goes all the way and runs the chapters in Colab's own image.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTHON = "3.13"
# Colab's published package list of August 2026, as far as it concerns us
COLAB = {
    "accelerate": "1.14.0",
    "einops": "0.8.2",
    "ipykernel": "6.17.1",
    "ipython": "7.34.0",
    "ipywidgets": "7.7.1",
    "librosa": "0.11.0",
    "matplotlib": "3.10.0",
    "nbformat": "5.11.1",
    "nltk": "3.9.1",
    "numpy": "2.1.3",
    "pillow": "11.3.0",
    "pooch": "1.9.0",
    "psutil": "5.9.5",
    "safetensors": "0.8.0",
    "scikit-image": "0.25.2",
    "scikit-learn": "1.6.1",
    "scipy": "1.16.3",
    "soundfile": "0.14.0",
    "torch": "2.11.0",
    "torchaudio": "2.11.0",
    "torchvision": "0.26.0",
    "tqdm": "4.67.3",
    "transformers": "5.15.0",
}


def find_python() -> str:
    """Return the path of a Python of Colab's version; a pyenv shim is asked with its version named.

    Raises:
        FileNotFoundError: there is none on this machine.
    """
    ask = [f"python{PYTHON}", "-c", "import sys; print(sys.executable)"]
    installed = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    versions = [path.name for path in sorted(installed.glob(f"{PYTHON}*"))]
    for version in [None, *versions] if shutil.which(ask[0]) else []:
        extra = {} if version is None else {"PYENV_VERSION": version}
        done = subprocess.run(ask, capture_output=True, text=True, env={**os.environ, **extra})
        if done.returncode == 0:
            return done.stdout.strip()
    raise FileNotFoundError(f"no python{PYTHON} on this machine, as Colab has it: install it first")


def make_environment(folder: Path, packages: dict[str, str]) -> Path:
    """Make an environment that claims to hold ``packages``; return its Python."""
    uv = [sys.executable, "-m", "uv", "venv", "--quiet", "--python", find_python(), str(folder)]
    subprocess.run(uv, check=True)
    (site,) = [*folder.glob("lib/python*/site-packages"), *folder.glob("Lib/site-packages")]
    for name, version in packages.items():
        info = site / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        (info / "METADATA").write_text(metadata)
        (info / "RECORD").write_text("")
        (info / "INSTALLER").write_text("colab\n")
    return next(
        path for path in (folder / "bin/python", folder / "Scripts/python.exe") if path.exists()
    )


def uv_install(python: Path, *arguments: str) -> str:
    """Install with uv into the environment of ``python``; return what uv said."""
    command = ["uv", "pip", "install", "--no-config", "--python", str(python), *arguments]
    done = subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"uv cannot install mmlib beside Colab's packages:\n{done.stderr}")
    return done.stderr


def copy_source(source: Path, folder: Path) -> str:
    """Copy what builds mmlib away from the checkout, whose [tool.uv] holds our own pins."""
    folder.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(source / name, folder)
    shutil.copytree(source / "mmlib", folder / "mmlib")
    return str(folder)


def would_install(source: Path, packages: dict[str, str] = COLAB) -> list[str]:
    """Return the names of the distributions that installing ``source`` would add or change."""
    with tempfile.TemporaryDirectory() as folder:
        python = make_environment(Path(folder) / "colab", packages)
        said = uv_install(python, "--dry-run", copy_source(source, Path(folder) / "source"))
    return re.findall(r"^ \+ ([\w.-]+)", said, flags=re.M)


if __name__ == "__main__":
    ADDED = would_install(ROOT)
    print(f"In Colab (Python {PYTHON}), installing mmlib adds: {', '.join(ADDED)}")
    sys.exit(ADDED != ["mmlib"])
