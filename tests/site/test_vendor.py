"""The committed browser libraries are what tools/vendor_assets.sh fetched, small, and licensed."""

import hashlib
from pathlib import Path

VENDOR = Path(__file__).resolve().parents[2] / "book" / "_static" / "vendor"
LARGEST = 3_000_000  # bytes of one file


def drift(folder: Path) -> list[str]:
    """Return the files that differ from SHA256SUMS, are missing or are not listed there."""
    lines = (folder / "SHA256SUMS").read_text().splitlines()
    listed = {name.removeprefix("./"): digest for digest, name in map(str.split, lines)}
    found = {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "SHA256SUMS"
    }
    names = listed.keys() | found.keys()
    return sorted(name for name in names if listed.get(name) != found.get(name))


def test_vendored_files_are_as_fetched():
    assert not drift(VENDOR), "run tools/vendor_assets.sh, or undo the change by hand"


def test_drift_is_noticed(tmp_path):
    (tmp_path / "same.js").write_text("a")
    (tmp_path / "changed.js").write_text("b")
    (tmp_path / "extra.js").write_text("c")
    digest = hashlib.sha256(b"a").hexdigest()
    names = ("same.js", "changed.js", "gone.js")
    (tmp_path / "SHA256SUMS").write_text("".join(f"{digest}  ./{name}\n" for name in names))
    assert drift(tmp_path) == ["changed.js", "extra.js", "gone.js"]


def test_vendored_files_are_small_and_licensed():
    assert max(path.stat().st_size for path in VENDOR.rglob("*") if path.is_file()) < LARGEST
    assert all(any(part.glob("*LICENSE")) for part in VENDOR.iterdir() if part.is_dir())


def test_widgets_name_no_host_for_code():
    text = (VENDOR / "widgets" / "embed.js").read_text()
    assert "jsdelivr" not in text
    assert "unpkg" not in text
