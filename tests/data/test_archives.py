"""Unpacking: what is harmless comes out as it went in, what could leave the folder is refused."""

import contextlib
import io
import random
import tarfile
import zipfile

import pytest

from mmlib.data.archives import UnsafeArchiveError, unpack

MOST = 1e6  # bytes


def make_zip(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def make_tar(path, members, compression="gz"):
    with tarfile.open(path, f"w:{compression}") as archive:
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
    unpack(make(tmp_path / "archive", members), folder, most=MOST)
    assert contents(folder) == members


@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_a_single_top_folder_is_dropped_once(make, tmp_path, folder):
    archive = make(tmp_path / "archive", {"top/top/a.txt": "one", "top/b.txt": "two"})
    unpack(archive, folder, most=MOST)
    assert contents(folder) == {"top/a.txt": "one", "b.txt": "two"}


@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_hidden_and_system_files_stay_behind_and_do_not_hide_the_top_folder(make, tmp_path, folder):
    strangers = ("__MACOSX/top/._a.txt", ".DS_Store", "top/Thumbs.db", "top/._a.txt")
    members = {"top/a.txt": "one", **dict.fromkeys(strangers, "x")}
    unpack(make(tmp_path / "archive", members), folder, most=MOST)
    assert contents(folder) == {"a.txt": "one"}


@pytest.mark.parametrize("make", [make_zip, make_tar])
@pytest.mark.parametrize("name", ["../out.txt", "a/../../out.txt"])
def test_a_member_outside_the_folder_is_refused(make, name, tmp_path, folder):
    archive = make(tmp_path / "archive", {"harmless.txt": "one", name: "two"})
    with pytest.raises(UnsafeArchiveError, match=r"archive is not to be trusted: .*out.txt"):
        unpack(archive, folder, most=MOST)
    assert not list(tmp_path.rglob("out.txt"))


@pytest.mark.parametrize("make", [make_zip, make_tar])
@pytest.mark.parametrize("name", ["/out.txt", "..\\out.txt", "C:\\out.txt", "\\out.txt"])
def test_an_absolute_name_and_one_of_another_system_stay_inside(make, name, tmp_path, folder):
    archive = make(tmp_path / "archive", {"a.txt": "one", name: "two"})
    with contextlib.suppress(UnsafeArchiveError):
        unpack(archive, folder, most=MOST)
    assert {file.parent for file in tmp_path.rglob("*") if file.is_file()} <= {tmp_path, folder}
    assert [file.name for file in tmp_path.iterdir() if file.is_file()] == ["archive"]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE])
def test_a_link_that_leads_out_or_a_device_in_a_tar_is_refused(kind, tmp_path, folder):
    path = tmp_path / "archive.tar"
    with tarfile.open(path, "w") as archive:
        member = tarfile.TarInfo("door")
        member.type, member.linkname = kind, "../.."
        archive.addfile(member)
        archive.addfile(tarfile.TarInfo("door/out.txt"))
    with pytest.raises(UnsafeArchiveError, match=r"archive.tar is not to be trusted: 'door'"):
        unpack(path, folder, most=MOST)
    assert list(folder.iterdir()) == []


def make_bz2(path, members):
    return make_tar(path, members, "bz2")


def make_xz(path, members):
    return make_tar(path, members, "xz")


def make_plain(path, members):
    return make_tar(path, members, "")


FORMATS = [make_zip, make_tar, make_bz2, make_xz]


@pytest.mark.parametrize("make", FORMATS)
def test_a_damaged_archive_is_refused(make, tmp_path, folder):
    text = "".join(map(str, range(50_000)))
    path = make(tmp_path / "archive", {"a.txt": text})
    whole = bytearray(path.read_bytes())
    middle = len(whole) // 2
    whole[middle : middle + 400] = bytes(400)
    path.write_bytes(whole)
    with pytest.raises(UnsafeArchiveError, match=r"archive is (damaged|neither)"):
        unpack(path, folder, most=MOST)


@pytest.mark.parametrize("make", [*FORMATS, make_plain])
def test_whatever_is_wrong_the_error_is_the_promised_one(make, tmp_path):
    draw = random.Random(0)
    path = make(tmp_path / "archive", {f"{i}.txt": "".join(map(str, range(200))) for i in range(3)})
    whole = path.read_bytes()
    for trial in range(150):
        broken = bytearray(whole)
        for _ in range(draw.choice([1, 1, 4])):
            broken[draw.randrange(len(broken))] = draw.randrange(256)
        if draw.random() < 0.3:
            del broken[draw.randrange(len(broken)) :]
        path.write_bytes(broken)
        folder = tmp_path / str(trial)
        folder.mkdir()
        with contextlib.suppress(UnsafeArchiveError):
            unpack(path, folder, most=MOST)


@pytest.mark.parametrize("make", [*FORMATS, make_plain])
def test_an_archive_that_unpacks_to_more_than_it_may_is_refused(make, tmp_path, folder):
    path = make(tmp_path / "archive", {"a.txt": "0" * 300_000, "b.txt": "0" * 800_000})
    with pytest.raises(UnsafeArchiveError, match=r"unpacks to .* MB or more, 1 MB is the most"):
        unpack(path, folder, most=MOST)
    assert list(folder.iterdir()) == []
    unpack(path, folder, most=2 * MOST)
    assert sorted(contents(folder)) == ["a.txt", "b.txt"]


def test_an_archive_that_lies_about_its_size_cannot_unpack_to_more(tmp_path, folder):
    path = make_zip(tmp_path / "archive", {"a.txt": "0" * 3_000_000})
    true, small = (3_000_000).to_bytes(4, "little"), (1000).to_bytes(4, "little")
    path.write_bytes(path.read_bytes().replace(true, small))
    with pytest.raises(UnsafeArchiveError, match="archive is damaged"):
        unpack(path, folder, most=MOST)
    assert (folder / "a.txt").stat().st_size <= 1000


def test_a_file_that_is_no_archive_is_refused(tmp_path, folder):
    path = tmp_path / "page.zip"
    path.write_text("<html>please log in</html>")
    with pytest.raises(UnsafeArchiveError, match=r"page.zip is neither a zip nor a tar file"):
        unpack(path, folder, most=MOST)
