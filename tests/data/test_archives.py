"""Unpacking: what is harmless comes out as it went in, what could leave the folder is refused."""

import io
import stat
import tarfile
import zipfile

import pytest

from mmlib.data.archives import UnsafeArchiveError, unpack


def make_zip(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def make_tar(path, members):
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content.encode()))
    return path


def contents(folder):
    return {
        file.relative_to(folder).as_posix(): file.read_text()
        for file in folder.rglob("*")
        if file.is_file()
    }


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "inside"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_contents_come_out_as_they_went_in(make, tmp_path, folder):
    members = {"a.txt": "one", "deep/er/b.txt": "two"}
    unpack(make(tmp_path / "archive", members), folder)
    assert contents(folder) == members


@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_a_single_top_folder_is_dropped_once(make, tmp_path, folder):
    unpack(make(tmp_path / "archive", {"top/top/a.txt": "one", "top/b.txt": "two"}), folder)
    assert contents(folder) == {"top/a.txt": "one", "b.txt": "two"}


@pytest.mark.parametrize("make", [make_zip, make_tar])
@pytest.mark.parametrize(
    "name", ["../out.txt", "a/../../out.txt", "/out.txt", "..\\out.txt", "C:\\out.txt", "\\out.txt"]
)
def test_a_member_outside_the_folder_is_refused_before_anything_is_written(
    make, name, tmp_path, folder
):
    archive = make(tmp_path / "archive", {"harmless.txt": "one", name: "two"})
    with pytest.raises(UnsafeArchiveError, match="points outside the folder"):
        unpack(archive, folder)
    assert [file.name for file in tmp_path.rglob("*") if file.is_file()] == ["archive"]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE])
def test_a_link_or_device_in_a_tar_is_refused(kind, tmp_path, folder):
    path = tmp_path / "archive.tar"
    with tarfile.open(path, "w") as archive:
        member = tarfile.TarInfo("door")
        member.type, member.linkname = kind, "../.."
        archive.addfile(member)
        inner = tarfile.TarInfo("door/out.txt")
        archive.addfile(inner)
    with pytest.raises(UnsafeArchiveError, match=r"'door', which is a link or a device"):
        unpack(path, folder)
    assert list(folder.iterdir()) == []


def test_a_symbolic_link_in_a_zip_is_refused(tmp_path, folder):
    link = zipfile.ZipInfo("door")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    path = tmp_path / "archive.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(link, "../..")
    with pytest.raises(UnsafeArchiveError, match=r"'door', which is a link or a device"):
        unpack(path, folder)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_a_damaged_archive_is_refused(make, tmp_path, folder):
    path = make(tmp_path / "archive", {"a.txt": "".join(map(str, range(50_000)))})
    whole = bytearray(path.read_bytes())
    middle = len(whole) // 2
    whole[middle : middle + 400] = bytes(400)
    path.write_bytes(whole)
    with pytest.raises(UnsafeArchiveError, match="archive is damaged"):
        unpack(path, folder)


def test_a_file_that_is_no_archive_is_refused(tmp_path, folder):
    path = tmp_path / "page.zip"
    path.write_text("<html>please log in</html>")
    with pytest.raises(UnsafeArchiveError, match=r"page.zip is neither a zip nor a tar file"):
        unpack(path, folder)
