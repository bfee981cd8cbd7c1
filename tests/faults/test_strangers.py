"""Files that strangers made are refused with what is wrong, or read; memory stays bounded."""

from __future__ import annotations

import functools
import gzip
import io
import os
import struct
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pytest
import safetensors.torch
import torch
from PIL import Image
from pyarrow import parquet

from tests.faults.conftest import Injected
from toporepro.data import parquet_text
from toporepro.data.archives import Limits, read_members
from toporepro.data.index import DataError
from toporepro.data.pairs import parse_pairs
from toporepro.data.pictures import read_picture
from toporepro.data.text_files import TextFile
from toporepro.models import mlp, resnet18
from toporepro.models.checkpoint import CheckpointError, load, read_metadata
from toporepro.models.inputs import Inputs
from toporepro.models.published import fitted
from toporepro.models.torch_files import read_weights

DIGITS = Inputs(channels=1, height=8, width=8, classes=10)
MEMORY = 1 << 30  # bytes above what the libraries need when loaded


def picture(mode: str, size: tuple[int, int], kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    Image.new(mode, size).save(file, kind, **options)
    return file.getvalue()


def frames() -> bytes:
    first, second = Image.new("RGB", (9, 9), "red"), Image.new("RGB", (9, 9), "blue")
    file = io.BytesIO()
    first.save(file, "GIF", save_all=True, append_images=[second])
    return file.getvalue()


READ = {
    "an image of 1 pixel": (picture("RGB", (1, 1), "PNG"), (1, 1, 3)),
    "a CMYK image": (picture("CMYK", (8, 6), "JPEG"), (6, 8, 3)),
    "a greyscale image": (picture("L", (8, 6), "JPEG"), (6, 8, 3)),
    "an animated image": (frames(), (9, 9, 3)),
}
REFUSED = {
    "an image of 30,000 × 30,000 pixels": picture("1", (30_000, 30_000), "PNG"),
    "a truncated image": picture("RGB", (64, 64), "JPEG")[:300],
    "text for an image": b"<html>not found</html>",
    "an empty image": b"",
}


@pytest.mark.parametrize("what", READ)
def test_odd_pictures_are_read(what: str, injected: Injected) -> None:
    content, shape = READ[what]
    pixels = read_picture(content).pixels
    assert pixels.shape == shape
    assert pixels.dtype == np.uint8
    if what == "an animated image":  # the first picture
        assert pixels[0, 0].tolist() == [254, 0, 0] or pixels[0, 0].tolist() == [255, 0, 0]
    injected("stranger's file", what, 1, "read")


@pytest.mark.parametrize("what", REFUSED)
def test_pictures_that_are_none_are_refused(what: str, injected: Injected) -> None:
    with pytest.raises(DataError, match="not a readable image"):
        read_picture(REFUSED[what])
    injected("stranger's file", what, 1, "refused")


def tar(change: Callable[[tarfile.TarInfo], None]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        member = tarfile.TarInfo("images/a.jpg")
        member.size = 3
        change(member)
        archive.addfile(member, io.BytesIO(b"abc"))
    return file.getvalue()


def packed(name: str, content: bytes = b"abc") -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return file.getvalue()


def link(member: tarfile.TarInfo) -> None:
    member.type, member.linkname, member.size = tarfile.SYMTYPE, "/etc/passwd", 0


@functools.cache
def bomb() -> bytes:
    return packed("zeros", bytes(1 << 30))


ARCHIVES: dict[str, Callable[[], bytes]] = {
    "a zip whose name leads out": lambda: packed("../../pwned"),
    "a zip of an absolute name": lambda: packed("/tmp/pwned"),
    "a tar whose name leads out": lambda: tar(lambda member: setattr(member, "name", "../pwned")),
    "a tar with a symbolic link": lambda: tar(link),
    "a bomb: 1 GB of zeros in 1 MB": bomb,
    "half an archive": lambda: packed("a.jpg")[:40],
}


@pytest.mark.parametrize("what", ARCHIVES)
def test_archives_that_lead_out_or_explode_are_refused(
    what: str, tmp_path: Path, injected: Injected
) -> None:
    path = tmp_path / "in" / "archive"
    path.parent.mkdir()
    path.write_bytes(ARCHIVES[what]())
    limits = Limits(members=10, member_bytes=1 << 20, total_bytes=1 << 20)
    with pytest.raises(DataError, match="archive"):
        list(read_members(path, wanted=lambda name: True, limits=limits))
    assert list(tmp_path.rglob("*")) == [path.parent, path]
    injected("stranger's file", what, 1, "refused, nothing written")


class Attack:
    """Pickles as a call of the shell."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> Any:
        return os.system, (self.command,)


def test_a_pickle_that_executes_is_refused(tmp_path: Path, injected: Injected) -> None:
    torch.save({"model": Attack(f"touch {tmp_path / 'pwned'}")}, tmp_path / "f.pt")
    with pytest.raises(CheckpointError, match=r"f\.pt"):
        read_weights(tmp_path / "f.pt")
    assert not (tmp_path / "pwned").exists()
    injected("stranger's file", "a checkpoint whose pickle executes", 1, "refused, not executed")


def test_a_checkpoint_of_another_architecture_is_refused(
    tmp_path: Path, injected: Injected
) -> None:
    small = mlp.build(mlp.Options(hidden=64), DIGITS)
    torch.save(small.state_dict(), tmp_path / "f.pt")
    weights = read_weights(tmp_path / "f.pt")
    fitted(small, weights, "f.pt")
    for other, says in (
        (mlp.build(mlp.Options(hidden=100), DIGITS), "of another shape"),
        (resnet18.build(resnet18.Options(), DIGITS), "missing: "),
    ):
        with pytest.raises(CheckpointError, match=f"(?s)f.pt.*{says}"):
            fitted(other, weights, "f.pt")
    injected("stranger's file", "a checkpoint of another architecture", 2, "refused, named")


SCHEMAS = {
    "Parquet without the column": pyarrow.table({"content": ["a text"]}),
    "Parquet whose column holds bytes": pyarrow.table({"text": [b"a text"]}),
    "Parquet whose column holds numbers": pyarrow.table({"text": [1.5]}),
}


@pytest.mark.parametrize("what", SCHEMAS)
def test_parquet_of_another_schema_is_refused(
    what: str, tmp_path: Path, injected: Injected
) -> None:
    parquet.write_table(SCHEMAS[what], tmp_path / "0.parquet")
    options = parquet_text.Options(dataset=tmp_path.name)
    (document,) = parquet_text.ParquetFiles(options, tmp_path).read("0.parquet")
    assert str(tmp_path / "0.parquet") in document.name
    assert "column `text`" in document.fault
    injected("stranger's file", what, 1, "refused, file and column named")


def header(length: int, text: bytes) -> bytes:
    return struct.pack("<Q", length) + text


HEADERS = {
    "a header of 2^63 bytes": header(1 << 63, b"{}"),
    "a header of a gigabyte, cut": header(1 << 30, b"{" * 64),
    "a header that is no JSON": header(8, b"not JSON"),
    "a tensor beyond the file": header(
        67, b'{"a":{"dtype":"F32","shape":[9999999],"data_offsets":[0,39999996]}}'
    ),
    "a tensor of negative size": header(
        56, b'{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}\0'
    ),
    "no metadata of ours": safetensors.torch.save({"a": torch.zeros(2)}),
}


@pytest.mark.parametrize("what", HEADERS)
def test_absurd_safetensors_are_refused(what: str, tmp_path: Path, injected: Injected) -> None:
    path = tmp_path / "weights.safetensors"
    path.write_bytes(HEADERS[what])
    for reader in (read_metadata, load):
        with pytest.raises(CheckpointError, match=r"weights\.safetensors"):
            reader(path)
    injected("stranger's file", f"safetensors: {what}", 1, "refused, the file named")


TEXTS = {
    "a NUL in a text": b"abc\0def",
    "broken UTF-8": b"ab\xffcd",
    "UTF-16": "ab".encode("utf-16"),
}


@pytest.mark.parametrize("what", TEXTS)
def test_texts_that_are_none_are_refused(what: str, tmp_path: Path, injected: Injected) -> None:
    path = tmp_path / "a book.txt"
    path.write_bytes(TEXTS[what])
    with pytest.raises(DataError, match=r"a book\.txt: .*byte"):
        list(TextFile(path))
    injected("stranger's file", what, 1, "refused, the byte named")


LINES = {
    "a jsonl line of 100 MB": b'{"sentence_good": "' + b"a" * 100_000_000 + b'"}\n',
    "a jsonl line nested a million deep": b"[" * 1_000_000 + b"\n",
    "a jsonl line that is no object": b"[1]\n",
    "a jsonl line in broken UTF-8": b'{"sentence_good": "\xff"}\n',
}


@pytest.mark.parametrize("what", LINES)
def test_lines_that_are_no_pairs_are_refused(what: str, injected: Injected) -> None:
    with pytest.raises(DataError, match=r"f\.jsonl, line 1: not a minimal pair") as error:
        list(parse_pairs(LINES[what], "f.jsonl"))
    assert len(str(error.value)) < 1000
    injected("stranger's file", what, 1, "refused, the line named")


def test_what_is_refused_takes_no_memory(tmp_path: Path, injected: Injected) -> None:
    """All in a process that may hold a gigabyte more than the libraries alone."""
    (tmp_path / "line.jsonl").write_bytes(LINES["a jsonl line of 100 MB"])
    (tmp_path / "no text.txt").write_bytes(b"a" * (200 << 20))
    (tmp_path / "bomb.tar.gz").write_bytes(gzip.compress(bytes(1 << 24)) * 64)
    (tmp_path / "huge.png").write_bytes(REFUSED["an image of 30,000 × 30,000 pixels"])
    (tmp_path / "bomb.zip").write_bytes(bomb())
    (tmp_path / "a.safetensors").write_bytes(HEADERS["a header of a gigabyte, cut"])
    code = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from toporepro.data.archives import Limits, read_members\n"
        "from toporepro.data.pairs import read_pairs\n"
        "from toporepro.data.pictures import read_picture\n"
        "from toporepro.data.text_files import TextFile\n"
        "from toporepro.models.checkpoint import load\n"
        "import PIL.Image, PIL.PngImagePlugin\n"
        "used = int(Path('/proc/self/statm').read_text().split()[0]) * resource.getpagesize()\n"
        f"resource.setrlimit(resource.RLIMIT_AS, (used + {MEMORY},) * 2)\n"
        "folder, refused = Path(sys.argv[1]), 0\n"
        "limits = Limits(members=10, member_bytes=1 << 20, total_bytes=1 << 20)\n"
        "for work in (\n"
        "    lambda: read_picture((folder / 'huge.png').read_bytes()),\n"
        "    lambda: list(read_members(folder / 'bomb.zip', wanted=bool, limits=limits)),\n"
        "    lambda: list(read_members(folder / 'bomb.tar.gz', wanted=bool, limits=limits)),\n"
        "    lambda: load(folder / 'a.safetensors'),\n"
        "    lambda: list(read_pairs(folder / 'line.jsonl')),\n"
        "    lambda: list(TextFile(folder / 'no text.txt')),\n"
        "):\n"
        "    try: work()\n"
        "    except MemoryError: raise\n"
        "    except ValueError: refused += 1\n"
        "print(refused)\n"
    )
    answer = subprocess.check_output([sys.executable, "-c", code, str(tmp_path)], text=True)
    assert answer.split() == ["6"]
    injected("stranger's file", "huge images, bombs, headers, lines", 6, "refused within 1 GiB")
