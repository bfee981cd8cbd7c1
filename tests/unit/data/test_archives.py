import gzip
import io
import stat
import struct
import tarfile
import zipfile
from pathlib import Path

import pytest

from toporepro.data.archives import Limits, read_members
from toporepro.data.store import DataError

LIMITS = Limits(members=20, member_bytes=100_000, total_bytes=300_000)
FILES = {"top/a.txt": b"alpha" * 3000, "top/sub/b.bin": bytes(range(256)), "top/empty": b""}


def everything(path: Path, limits: Limits = LIMITS) -> dict[str, bytes]:
    return dict(read_members(path, wanted=lambda name: True, limits=limits))


def info(name: str, size: int = 0, kind: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.type = size, kind
    return member


def tar(path: Path, files: dict[str, bytes], *others: tarfile.TarInfo, mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, data in files.items():
            archive.addfile(info(name, len(data)), io.BytesIO(data))
        for other in others:
            archive.addfile(other)
    return path


def zipped(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz"])
def test_tars_are_read_whatever_their_suffix(tmp_path: Path, mode: str) -> None:
    folders = info("top", kind=tarfile.DIRTYPE), info("./", kind=tarfile.DIRTYPE)
    path = tar(tmp_path / "archive", FILES, *folders, mode=mode)
    assert everything(path) == FILES


def test_zips_are_read(tmp_path: Path) -> None:
    path = zipped(tmp_path / "archive", FILES)
    with zipfile.ZipFile(path, "a") as archive:
        archive.mkdir("top/folder")
    assert everything(path) == FILES


def test_only_wanted_members_come(tmp_path: Path) -> None:
    for path in (tar(tmp_path / "a", FILES), zipped(tmp_path / "b", FILES)):
        found = read_members(path, wanted=lambda name: name.endswith(".bin"), limits=LIMITS)
        assert [name for name, _ in found] == ["top/sub/b.bin"]


BAD_NAMES = ["../evil", "top/../../evil", "/etc/evil", "C:\\evil", "..\\evil", "C:evil"]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_names_that_lead_out_are_refused(tmp_path: Path, name: str) -> None:
    files = {"good": b"1", name: b"2"}
    for path in (tar(tmp_path / "a", files), zipped(tmp_path / "b", files)):
        with pytest.raises(DataError, match="leads out of the archive"):
            everything(path)


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE]
)
def test_links_and_devices_in_tars_are_refused(tmp_path: Path, kind: bytes) -> None:
    link = info("top/link", kind=kind)
    link.linkname = "/etc/passwd"
    with pytest.raises(DataError, match="'top/link' is a link or a device"):
        everything(tar(tmp_path / "a", FILES, link))


def test_links_in_zips_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a", "w") as archive:
        link = zipfile.ZipInfo("link")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(DataError, match="is a link"):
        everything(tmp_path / "a")


def test_a_name_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="twice"):
        everything(tar(tmp_path / "a", {"x": b"1", "./x": b"2"}))


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"big": bytes(100_001)}, "exceeds"),
        ({str(i): bytes(90_000) for i in range(4)}, "exceeds"),
        ({str(i): b"" for i in range(21)}, "more than 20 members"),
    ],
)
def test_bombs_are_refused(tmp_path: Path, files: dict[str, bytes], message: str) -> None:
    for path in (tar(tmp_path / "a", files), zipped(tmp_path / "b", files)):
        with pytest.raises(DataError, match=message):
            dict(read_members(path, wanted=lambda name: False, limits=LIMITS))


def test_a_bomb_in_extended_headers_is_refused(tmp_path: Path) -> None:
    header = info("pax", 50_000_000, tarfile.XHDTYPE).tobuf(tarfile.USTAR_FORMAT)
    with gzip.open(tmp_path / "a", "wb") as file:
        file.write(header + bytes(50_000_000))
    with pytest.raises(DataError, match=r"more than 300\.0 kB"):
        everything(tmp_path / "a")


def test_a_bomb_behind_the_end_is_refused(tmp_path: Path) -> None:
    whole = gzip.decompress(tar(tmp_path / "a", FILES).read_bytes())
    (tmp_path / "a").write_bytes(gzip.compress(whole + bytes(10_000_000)))
    with pytest.raises(DataError, match="more than"):
        everything(tmp_path / "a")


def test_a_zip_that_lies_about_a_size_is_refused(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a", {"x": bytes(5000)})
    path.write_bytes(path.read_bytes().replace(struct.pack("<I", 5000), struct.pack("<I", 50)))
    with pytest.raises(DataError, match=r"damaged|larger than it says"):
        everything(path)


def test_encrypted_zips_are_refused(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a", {"x": b"data"})
    content = bytearray(path.read_bytes())
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match="is encrypted"):
        everything(path)


def test_cut_archives_are_errors(tmp_path: Path) -> None:
    for make in (tar, zipped):
        whole = make(tmp_path / "a", FILES).read_bytes()
        for cut in range(0, len(whole), 7):
            (tmp_path / "cut").write_bytes(whole[:cut])
            with pytest.raises(DataError, match="damaged or unknown archive"):
                everything(tmp_path / "cut")


def test_damage_is_an_error(tmp_path: Path) -> None:
    for make in (tar, zipped):
        content = bytearray(make(tmp_path / "a", FILES).read_bytes())
        content[len(content) // 3] ^= 0xFF
        (tmp_path / "a").write_bytes(content)
        with pytest.raises(DataError):
            everything(tmp_path / "a")


def test_a_missing_archive_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere: No such file"):
        everything(tmp_path / "nowhere")
