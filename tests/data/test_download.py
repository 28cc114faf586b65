"""Fetching from a small local server: what arrives is whole and checked, or leaves no trace."""

import errno
import hashlib
import io
import signal
import subprocess
import sys
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from mmlib.data import catalogue, download
from mmlib.data.catalogue import DataSet, Source
from mmlib.data.download import DataSetError, data_folder, fetch, is_present, locate


def zipped(**members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


FILES = {
    "/words.txt": b"the quick brown fox\n" * 500,
    "/sounds.zip": zipped(**{"sounds-main/readme": "hello", "sounds-main/deep/a": "sound"}),
    "/evil.zip": zipped(**{"../evil": "out"}),
    "/bomb.zip": zipped(a="0" * 3_000_000),
    "/empty.txt": b"",
    "/empty.zip": zipped(),
}


class Server(BaseHTTPRequestHandler):
    """Serves FILES; breaks off half-way as long as ``breaks`` is above zero, or waits there."""

    breaks = 0
    halfway = None  # two events: it has come there, it may go on

    def do_GET(self):
        content = FILES.get(self.path)
        if content is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if type(self).breaks > 0:
            type(self).breaks -= 1
            content = content[: len(content) // 2]
        if type(self).halfway:
            there, on = type(self).halfway
            there.set()
            on.wait(60)
            return
        self.wfile.write(content)

    def log_message(self, *args):
        """Keep quiet."""


@pytest.fixture(scope="module")
def address():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("MMLIB_DATA", str(tmp_path / "data"))
    for variable in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    return tmp_path / "data"


@pytest.fixture
def register(monkeypatch):
    def add(*sources, probe="."):
        data_set = DataSet(
            name="toy",
            page="http://example.invalid/toy",
            sources=sources,
            megabytes=0.25,
            licence="CC0",
            citation="A. Author. Toy.",
            probe=probe,
        )
        monkeypatch.setitem(catalogue.DATA_SETS, "toy", data_set)

    return add


def words(address, sha256=None):
    return Source(f"{address}/words.txt", "text/words.txt", sha256)


def names(folder):
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_the_folder_is_the_one_that_the_environment_names(monkeypatch, tmp_path):
    monkeypatch.setenv("MMLIB_DATA", str(tmp_path))
    assert data_folder() == tmp_path
    monkeypatch.delenv("MMLIB_DATA")
    assert data_folder().name == "mmlib"


def test_a_data_set_that_is_present_is_used_without_a_connection(folder, register):
    register(Source("http://127.0.0.1:1/nothing", "nothing"), probe="text")
    (folder / "toy" / "text").mkdir(parents=True)
    assert is_present("toy")
    assert locate("toy") == folder / "toy"


def test_files_and_archives_arrive_whole_after_an_account_of_them(address, folder, register):
    digest = hashlib.sha256(FILES["/words.txt"]).hexdigest()
    register(words(address, digest), Source(f"{address}/sounds.zip", "sounds", archive=True))
    said = []
    assert fetch("toy", say=said.append) == locate("toy") == folder / "toy"
    assert (folder / "toy/text/words.txt").read_bytes() == FILES["/words.txt"]
    assert (folder / "toy/sounds/deep/a").read_text() == "sound"
    assert names(folder) == ["toy", "toy.sha256.json"]
    account = "\n".join(said)
    for told in ("toy", "0.25 MB", "http://example.invalid/toy", str(folder), "CC0", "A. Author"):
        assert told in account
    unknown = hashlib.sha256(FILES["/sounds.zip"]).hexdigest()
    assert f"sounds.zip: checksum not known; downloaded file's SHA-256 is {unknown}" in account
    assert "words.txt: checksum not known" not in account


def test_a_file_that_changed_since_the_last_fetch_is_reported(
    address, folder, register, monkeypatch
):
    register(words(address))
    fetch("toy", say=lambda line: None)
    (folder / "toy/text/words.txt").unlink()
    (folder / "toy/text").rmdir()
    (folder / "toy").rmdir()
    before = hashlib.sha256(FILES["/words.txt"]).hexdigest()
    monkeypatch.setitem(FILES, "/words.txt", b"other words")
    said = []
    fetch("toy", say=said.append)
    assert f"  words.txt: it differs from the one fetched before, {before}" in said


def test_a_download_that_breaks_off_leaves_nothing_and_a_retry_works(
    address, folder, register, monkeypatch
):
    register(words(address))
    monkeypatch.setattr(Server, "breaks", 1)
    with pytest.raises(DataSetError, match=r"could not download .*/words.txt.*try again"):
        locate("toy")
    assert names(folder) == []
    assert not is_present("toy")
    assert (locate("toy") / "text/words.txt").read_bytes() == FILES["/words.txt"]


def test_a_wrong_checksum_is_refused(address, folder, register):
    register(words(address, "0" * 64))
    with pytest.raises(DataSetError, match=r"is not the official file \(its SHA-256 is [0-9a-f]+"):
        locate("toy")
    assert names(folder) == []


def test_an_unsafe_archive_is_refused(address, folder, register):
    register(Source(f"{address}/evil.zip", ".", archive=True))
    with pytest.raises(DataSetError, match=r"was not unpacked .*'../evil' points outside"):
        locate("toy")
    assert names(folder) == []
    assert not (folder.parent / "evil").exists()


def test_an_archive_ten_times_as_large_as_announced_is_refused(address, folder, register):
    register(Source(f"{address}/bomb.zip", ".", archive=True))
    with pytest.raises(DataSetError, match=r"bomb.zip unpacks to 3 MB or more, 2.5 MB is the most"):
        locate("toy")
    assert names(folder) == []


def test_an_empty_answer_does_not_become_the_data_set(address, folder, register):
    register(Source(f"{address}/empty.txt", "empty.txt"))
    with pytest.raises(DataSetError, match=r"empty.txt is empty \(it has 0 bytes\)"):
        locate("toy")
    register(Source(f"{address}/empty.zip", ".", archive=True), probe="readme")
    with pytest.raises(DataSetError, match=r"is not the data set \(it lacks readme\)"):
        locate("toy")
    assert names(folder) == []


def test_a_complete_set_is_left_as_it_is(address, folder, register):
    register(Source(f"{address}/sounds.zip", ".", archive=True), probe="readme")
    fetch("toy", say=lambda line: None)
    (folder / "toy" / "mine").write_text("precious")
    said = []
    assert fetch("toy", say=said.append) == folder / "toy"
    assert said == [f"toy is present in {folder / 'toy'}"]
    assert (folder / "toy" / "mine").read_text() == "precious"


@pytest.mark.parametrize("content", ["", "[1]", "null", "{", b"\xff"])
def test_a_damaged_record_of_digests_is_the_promised_error(content, address, folder, register):
    register(words(address))
    folder.mkdir()
    record = folder / "toy.sha256.json"
    record.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataSetError, match=r"toy.sha256.json is damaged .*: remove it"):
        locate("toy")
    assert names(folder) == ["toy.sha256.json"]


def test_offline_one_error_names_address_folder_and_remedy(folder, register):
    register(Source("http://127.0.0.1:1/words.txt", "words.txt"))
    with pytest.raises(DataSetError) as caught:
        locate("toy")
    for told in ("http://127.0.0.1:1/words.txt", str(folder / "toy"), "set MMLIB_DATA"):
        assert told in str(caught.value)
    assert names(folder) == []


def test_a_missing_file_on_the_server_is_a_clear_error(address, folder, register):
    register(Source(f"{address}/gone.txt", "gone.txt"))
    with pytest.raises(DataSetError, match="404"):
        locate("toy")
    assert names(folder) == []


def test_a_disk_that_fills_up_while_downloading(address, folder, register, monkeypatch):
    class FullDisk(download.pooch.HTTPDownloader):
        def __call__(self, url, output_file, pooch):
            Path(output_file).write_bytes(b"the first half")
            raise OSError(errno.ENOSPC, "No space left on device")

    register(words(address))
    monkeypatch.setattr(download.pooch, "HTTPDownloader", FullDisk)
    with pytest.raises(DataSetError, match=r"the disk is full: could not download .*make room"):
        locate("toy")
    assert names(folder) == []


def test_a_disk_that_fills_up_while_unpacking(address, folder, register, monkeypatch):
    def copy_half(source, target, *args):
        target.write(source.read(2))
        raise OSError(errno.ENOSPC, "No space left on device")

    register(Source(f"{address}/sounds.zip", ".", archive=True))
    monkeypatch.setattr(zipfile.shutil, "copyfileobj", copy_half)
    with pytest.raises(DataSetError, match=r"the disk is full: could not write to .*make room"):
        locate("toy")
    assert names(folder) == []


INTERRUPTED = """
import sys
from mmlib.data import catalogue, download

source = catalogue.Source(sys.argv[1], "words.txt")
toy = catalogue.DataSet("toy", "page", (source,), 1, "CC0", "citation", "words.txt")
catalogue.DATA_SETS["toy"] = toy
download.fetch("toy")
"""


def test_a_download_that_is_told_to_stop_leaves_nothing(address, folder, monkeypatch):
    there, on = threading.Event(), threading.Event()
    monkeypatch.setattr(Server, "halfway", (there, on))
    command = [sys.executable, "-c", INTERRUPTED, f"{address}/words.txt"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            assert there.wait(60)
            assert len(names(folder)) == 1
            process.terminate()
            assert process.wait(60) == -signal.SIGTERM
        finally:
            on.set()
            process.kill()
    assert names(folder) == []


def test_an_incomplete_folder_is_not_overwritten(folder, register):
    register(Source("http://127.0.0.1:1/nothing", "nothing"), probe="text")
    (folder / "toy").mkdir(parents=True)
    (folder / "toy" / "mine").write_text("precious")
    with pytest.raises(DataSetError, match="lacks text: remove the folder"):
        locate("toy")
    assert (folder / "toy" / "mine").read_text() == "precious"
