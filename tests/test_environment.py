"""One environment: pyproject, the lock and conda's file agree, and Colab needs nothing else."""

import os
import re
import tomllib
from pathlib import Path, PurePath

import pytest
import yaml
from packaging.requirements import Requirement

import mmlib
from tools import colab

ROOT = Path(__file__).resolve().parent.parent
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT, GROUPS = SETTINGS["project"], SETTINGS["dependency-groups"]
GROUPED = [*PROJECT["optional-dependencies"].values(), *GROUPS.values()]


def locked() -> dict[str, list[str]]:
    """Return name → locked versions; a package may have one for each range of Pythons."""
    versions: dict[str, list[str]] = {}
    for line in (ROOT / "requirements.txt").read_text().splitlines():
        if match := re.match(r"([\w.-]+)==([^ ;]+)", line):
            versions.setdefault(match[1].lower(), []).append(match[2])
    return versions


ALL = sorted({*PROJECT["dependencies"], *(line for group in GROUPED for line in group)})


@pytest.mark.parametrize("line", ALL)
def test_the_lock_holds_every_dependency_within_its_range(line):
    wanted = Requirement(line)
    assert wanted.name in locked()
    assert all(version in wanted.specifier for version in locked()[wanted.name])


def test_conda_installs_the_lock_and_nothing_of_its_own():
    packages = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    *plain, nested = packages
    assert plain == ["python=3.11", "pip"]
    assert nested == {"pip": ["-r requirements.txt", "-e ."]}
    assert PROJECT["requires-python"] == ">=3.11"


def test_what_builds_the_book_holds_no_torch():
    assert not [line for line in GROUPS["book"] if "torch" in line]


def test_one_version():
    assert PROJECT["version"] == mmlib.__version__


@pytest.mark.parametrize("line", PROJECT["dependencies"])
def test_colab_ships_what_mmlib_needs(line):
    wanted = Requirement(line)
    assert colab.COLAB[wanted.name] in wanted.specifier


def not_shipped(files: list[str], patterns: list[str]) -> list[str]:
    """Return the files of the package that an install would leave behind."""
    return [
        name
        for name in files
        if not name.endswith(".py")
        and not any(PurePath(name).match(pattern.removeprefix("**/")) for pattern in patterns)
    ]


def test_an_install_takes_all_files_of_the_package_along():
    files = [path for path in (ROOT / "mmlib").rglob("*") if path.is_file()]
    names = [path.relative_to(ROOT).as_posix() for path in files if path.suffix != ".pyc"]
    assert not_shipped(names, SETTINGS["tool"]["setuptools"]["package-data"]["mmlib"]) == []
    assert not_shipped(["mmlib/a.py", "mmlib/b/c.csv"], ["**/*.txt"]) == ["mmlib/b/c.csv"]


def need_python():
    try:
        colab.find_python()
    except FileNotFoundError as absent:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(absent))


def test_installing_in_colab_adds_mmlib_alone():
    need_python()
    assert colab.would_install(ROOT) == ["mmlib"]


def test_a_package_that_colab_lacks_is_noticed():
    need_python()
    without = {name: version for name, version in colab.COLAB.items() if name != "soundfile"}
    assert "soundfile" in colab.would_install(ROOT, without)
