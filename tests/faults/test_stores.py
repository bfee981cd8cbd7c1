"""Archives and shards whose bits flip or whose ends are lost: named before anything is read."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import io
import lzma
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow
import pytest
from PIL import Image
from pyarrow import parquet

from tests.faults.conftest import Injected
from tests.faults.test_damage import DAMAGES
from tests.unit.data import misbehaving_server as web
from toporepro.data import imagenet, parquet_text, scatter
from toporepro.data.archives import Limits, read_members
from toporepro.data.fetch import Patience, RemoteFile, fetch
from toporepro.data.index import INDEX, DataError
from toporepro.data.mnist import read_idx
from toporepro.data.shards import ShardedImages
from toporepro.paths import prepared_part
from toporepro.spec import DataSpec

NOISE = np.random.default_rng(3).bytes(20_000)
LIMITS = Limits(members=3, member_bytes=1 << 20, total_bytes=1 << 20)


def tar() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        member = tarfile.TarInfo("a.bin")
        member.size = len(NOISE)
        archive.addfile(member, io.BytesIO(NOISE))
    return file.getvalue()


def zipped() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.bin", NOISE)
    return file.getvalue()


def members(path: Path) -> object:
    return list(read_members(path, wanted=bool, limits=LIMITS))


IDX = bytes((0, 0, 8, 1)) + (20_000).to_bytes(4, "big") + NOISE
ARCHIVES: dict[str, tuple[bytes, Callable[[Path], object]]] = {
    "archive: tar.gz": (gzip.compress(tar()), members),
    "archive: tar.xz": (lzma.compress(tar()), members),
    "archive: zip": (zipped(), members),
    "archive: IDX, gzipped": (gzip.compress(IDX), lambda path: read_idx(path, (20_000,))),
}


@pytest.mark.parametrize("what", ARCHIVES)
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_archive_is_named(
    what: str, damage: str, tmp_path: Path, injected: Injected
) -> None:
    content, read = ARCHIVES[what]
    path = tmp_path / "the archive"
    path.write_bytes(content)
    read(path)
    path.write_bytes(DAMAGES[damage](content))
    with pytest.raises(DataError, match="the archive"):
        read(path)
    injected(damage, what, 1, "refused, the file named")


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_that_was_fetched_is_named_and_fetched_again(
    damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, injected: Injected
) -> None:
    """Whatever its form: a plain tar has no checksum of its own."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    content = tar()
    path = tmp_path / "a.tar"
    path.write_bytes(DAMAGES[damage](content))
    with web.serving() as server:
        remote = RemoteFile(
            name="a.tar",
            urls=(server.put("/a", web.status(404), web.right(content)),),
            bytes=len(content),
            sha256=hashlib.sha256(content).hexdigest(),
        )
        patience = Patience(attempts=1, pause=0)
        with pytest.raises(DataError, match=r"a\.tar is there, but wrong"):
            fetch(remote, tmp_path, patience=patience)
        assert fetch(remote, tmp_path, patience=patience).read_bytes() == content
    injected(damage, "archive: any that was fetched", 1, "named, fetched again")


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> tuple[DataSpec, Path]:
    """A small ImageNet in folders, in two parts."""
    root = tmp_path_factory.mktemp("shards")
    draw = np.random.default_rng(0)
    for split, count in (("train", 3), ("val", 2)):
        for wnid in ("n01440764", "n01443537"):
            folder = root / "imagenet" / split / wnid
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = draw.integers(0, 256, (40, 44, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{number}.JPEG", quality=95)
    counts = {"train_images": 6, "test_images": 4}
    options = imagenet.Options(form="folders", shards=2, side=32, test_side=40, **counts)
    spec = DataSpec(source="imagenet", options=dataclasses.asdict(options))
    index = root / "prepared" / "imagenet-1" / INDEX
    scatter.prepare_all(spec, root, index)
    return spec, index


SHARDED = ["train-00001.bin", "train_labels.npy", "train_places.npy", INDEX]


@pytest.mark.parametrize("name", SHARDED)
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_shard_is_named_before_an_image_is_read(
    name: str, damage: str, shards: tuple[DataSpec, Path], injected: Injected
) -> None:
    _, index = shards
    path = index.parent / name
    whole = path.read_bytes()
    path.write_bytes(DAMAGES[damage](whole))
    try:
        with pytest.raises(DataError, match=name):
            ShardedImages.open(index).verify_split("train")
    finally:
        path.write_bytes(whole)
    injected(damage, f"shards: {name}", 1, "refused, the file named")


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_note_of_a_part_is_made_again(
    damage: str,
    shards: tuple[DataSpec, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    injected: Injected,
) -> None:
    spec, index = shards
    shutil.copytree(index.parents[2], tmp_path / "data")
    copy = tmp_path / "data" / index.relative_to(index.parents[2])
    note = prepared_part(copy, 1)
    note.write_bytes(DAMAGES[damage](note.read_bytes()))
    scatter.prepare_all(spec, tmp_path / "data", copy)
    assert f"{note}: its checksum does not hold" in capsys.readouterr().err
    assert copy.read_bytes() == index.read_bytes()
    injected(damage, "shards: note of a part", 1, "named, made again, identical files")


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_parquet_is_named(damage: str, tmp_path: Path, injected: Injected) -> None:
    """Pages have checksums where their writer gave them any."""
    texts = pyarrow.table({"text": [f"{number}: {NOISE.hex()[:900]}" for number in range(50)]})
    path = tmp_path / "0.parquet"
    parquet.write_table(
        texts, path, compression="none", use_dictionary=False, write_page_checksum=True
    )
    read = parquet_text.ParquetFiles(parquet_text.Options(dataset=tmp_path.name), tmp_path).read
    assert not any(document.fault for document in read(path.name))
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    faults = [(document.name, document.fault) for document in read(path.name) if document.fault]
    assert len(faults) == 1
    assert str(path) in faults[0][0]
    assert "a damaged file" in faults[0][1]
    injected(damage, "Parquet, with checksums of its pages", 1, "refused, the file named")
