"""Texts are read as they are, files written whole or not at all and listed without strangers."""

import errno
import gzip
import signal
import subprocess
import sys
import threading

import pytest

from mmlib.files import (
    DataError,
    check_present,
    is_hidden,
    list_files,
    read_lines,
    read_text,
    scratch_folder,
    written_whole,
)


def test_the_new_file_takes_the_place_of_the_old_one(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with written_whole(path) as file:
        file.write_text("new")
        assert file.name == "a.txt"
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_write_leaves_the_old_file_and_no_trace(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fill_the_disk():
        with written_whole(path) as file:
            file.write_text("half")
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        fill_the_disk()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_does_not_exist_is_named(tmp_path):
    with (
        pytest.raises(FileNotFoundError, match=r"there is no folder .*gone, make it"),
        written_whole(tmp_path / "gone" / "a.txt"),
    ):
        pass


HELD = """
import sys, time
from mmlib.files import scratch_folder, written_whole
with scratch_folder(sys.argv[1]) as folder, written_whole(folder / "b") as file:
    file.write_text("half")
    print("ready", flush=True)
    time.sleep(60)
"""


def test_a_process_that_is_told_to_stop_leaves_no_scratch_folder(tmp_path):
    command = [sys.executable, "-c", HELD, str(tmp_path / "a")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "ready\n"
        assert len(list(tmp_path.iterdir())) == 1
        process.terminate()
        assert process.wait(60) == -signal.SIGTERM  # it is obeyed all the same
    assert list(tmp_path.iterdir()) == []


def test_what_a_program_does_when_told_to_stop_is_left_alone(tmp_path):
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with scratch_folder(tmp_path / "a"):
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)
    with scratch_folder(tmp_path / "a"):
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before


def test_another_thread_may_write_a_file(tmp_path):
    def write():
        with written_whole(tmp_path / "a") as file:
            file.write_text("whole")

    thread = threading.Thread(target=write)
    thread.start()
    thread.join()
    assert (tmp_path / "a").read_text() == "whole"


STRANGERS = [
    "._a.wav",
    ".DS_Store",
    "Thumbs.db",
    "desktop.ini",
    "__MACOSX/a.wav",
    ".ipynb_checkpoints/a.wav",
]


def test_files_are_listed_by_ending_in_either_case_without_the_systems_own(tmp_path):
    for name in ("b.WAV", "a.wav", "c.Wav", "a.txt", "deep/d.wav", *STRANGERS):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.wav").mkdir()
    assert [file.name for file in list_files(tmp_path, ".wav")] == ["a.wav", "b.WAV", "c.Wav"]
    assert list_files(tmp_path, ".wav", ".txt")[0] == tmp_path / "a.txt"
    assert len(list_files(tmp_path)) == 4
    assert list_files(tmp_path, ".wav", deep=True)[-1] == tmp_path / "deep/d.wav"
    assert list_files(tmp_path / "gone") == []


@pytest.mark.parametrize("name", STRANGERS)
def test_strangers_are_known(name):
    assert is_hidden(name)
    assert is_hidden(f"deep/{name}")


@pytest.mark.parametrize("name", ["a.wav", "deep/a.b.wav", "../a.wav", "./a", "_a", "MACOSX"])
def test_what_somebody_put_there_is_not_hidden(name):
    assert not is_hidden(name)


MARKS = "\v\f\x1c\x1d\x1e\x85\u2028\u2029"  # at which str.splitlines cuts, too


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("name", ["a.txt", "a.txt.gz", "A.TXT.GZ"])
def test_only_a_line_feed_ends_a_line_and_a_byte_order_mark_is_no_text(
    name, encoding, end, tmp_path
):
    lines = [f"a{mark}b é" for mark in MARKS]
    raw = "".join(line + end for line in lines).encode(encoding)
    (tmp_path / name).write_bytes(gzip.compress(raw) if name.lower().endswith("gz") else raw)
    assert read_lines(tmp_path / name) == lines
    assert read_text(tmp_path / name).startswith("a")


def test_the_last_line_needs_no_end_and_may_be_empty(tmp_path):
    for text, lines in (("a\nb", ["a", "b"]), ("a\n\n", ["a", ""]), ("", [""])):
        (tmp_path / "a").write_text(text)
        assert read_lines(tmp_path / "a") == lines


def test_what_is_not_utf8_is_named_with_its_line_or_read_as_told(tmp_path):
    (tmp_path / "a.txt").write_bytes("eins\nzwei\ndrei für\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"a.txt, line 3 is not UTF-8"):
        read_text(tmp_path / "a.txt")
    assert read_text(tmp_path / "a.txt", otherwise="latin-1") == "eins\nzwei\ndrei für\n"


def test_a_missing_text_and_a_damaged_packing_are_named(tmp_path):
    with pytest.raises(DataError, match=r"there is no .*a.txt"):
        read_text(tmp_path / "a.txt")
    whole = gzip.compress(b"one two three\n" * 100)
    for broken in (whole[: len(whole) // 2], whole[:5], b"no gzip", whole[:20] + b"?" + whole[21:]):
        (tmp_path / "a.gz").write_bytes(broken)
        with pytest.raises(DataError, match=r"a.gz is damaged"):
            read_text(tmp_path / "a.gz")


def test_files_that_a_table_names_and_are_not_there_are_counted(tmp_path):
    (tmp_path / "a").touch()
    check_present([tmp_path / "a", tmp_path / "a"], tmp_path)
    with pytest.raises(DataError, match=r"lacks 1 of the 2 files in its table, the first is .*b:"):
        check_present([tmp_path / "a", tmp_path / "b", tmp_path / "b"], tmp_path)
    with pytest.raises(DataError, match="lacks 0 of the 0 files"):
        check_present([], tmp_path)
