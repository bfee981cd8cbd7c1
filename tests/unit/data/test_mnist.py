import gzip
import hashlib
import struct
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pytest

from toporepro.data import mnist
from toporepro.data.store import INDEX, DataError, PreparedImages
from toporepro.spec import SpecError

REAL = Path(__file__).parents[3] / "../shared/data/mnist"
needs_real = pytest.mark.skipif(not REAL.is_dir(), reason="needs the shared data's MNIST")


def write_idx(path: Path, array: npt.NDArray[np.uint8]) -> None:
    header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    path.write_bytes(gzip.compress(header + array.tobytes()))


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Files in MNIST's format, with 20 and 10 images."""
    monkeypatch.setattr(mnist, "_COUNTS", {"train": 20, "test": 10})
    rng = np.random.default_rng(0)
    for split, count in (("train", 20), ("test", 10)):
        images = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        write_idx(tmp_path / mnist.FILES[split, "images"].name, images)
        labels = (np.arange(count) % 10).astype(np.uint8)
        write_idx(tmp_path / mnist.FILES[split, "labels"].name, labels)
    return tmp_path


@pytest.mark.parametrize("channels", [1, 3])
def test_small_files_in_the_real_format(small: Path, channels: Literal[1, 3]) -> None:
    options = mnist.Options(train_images=15, channels=channels)
    mnist.prepare(options, small, small / "out")
    data = PreparedImages.open(small / "out" / INDEX)
    assert (data.mean, data.std) == ((0.5,) * channels, (0.5,) * channels)
    assert data.shape == mnist.extent(options).shape == (28, 28, channels)
    assert data.classes == tuple("0123456789")
    assert {name: split.count for name, split in data.splits.items()} == {"train": 15, "test": 10}
    expected = np.random.default_rng(0).integers(0, 256, (20, 28, 28), dtype=np.uint8)
    for channel in range(channels):
        np.testing.assert_array_equal(data.split("train").images[..., channel], expected[:15])
    np.testing.assert_array_equal(data.split("train").labels, np.arange(15) % 10)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it begins with '', '00000801' expected"),
        (b"\x00\x00\x0d\x01" + bytes(20), "it begins with '00000d01'"),
        (struct.pack(">HBBII", 0, 8, 2, 4, 1) + bytes(4), "it begins with '00000802'"),
        (struct.pack(">HBBI", 0, 8, 1, 5) + bytes(5), r"shape \(5,\), \(4,\) expected"),
        (struct.pack(">HBBI", 0, 8, 1, 4) + bytes(3), "11 bytes unpacked, 12 expected"),
        (struct.pack(">HBBI", 0, 8, 1, 4) + bytes(5), "more than 12 bytes unpacked"),
        (struct.pack(">HBBI", 0, 8, 1, 4)[:6], r"shape \(0,\), \(4,\) expected"),
    ],
)
def test_wrong_contents_are_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "labels.gz"
    path.write_bytes(gzip.compress(content))
    with pytest.raises(DataError, match=message) as caught:
        mnist.read_idx(path, (4,))
    assert str(path) in str(caught.value)


def test_cut_and_damaged_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "labels.gz"
    write_idx(path, np.arange(200, dtype=np.uint8))
    whole = path.read_bytes()
    assert mnist.read_idx(path, (200,)).tolist() == list(range(200))
    for cut in range(len(whole)):
        path.write_bytes(whole[:cut])
        with pytest.raises(DataError, match=r"labels\.gz"):
            mnist.read_idx(path, (200,))
    path.write_bytes(whole[:60] + bytes([whole[60] ^ 1]) + whole[61:])
    with pytest.raises(DataError):
        mnist.read_idx(path, (200,))
    with pytest.raises(DataError, match="No such file"):
        mnist.read_idx(tmp_path / "nothing", (4,))


@pytest.mark.parametrize("change", [{"train_images": 0}, {"test_images": 10_001}, {"channels": 2}])
def test_impossible_options_are_named(change: dict[str, Any]) -> None:
    with pytest.raises(SpecError, match=next(iter(change))):
        mnist.Options(**change)


def test_mirrors_and_checksums() -> None:
    files = mnist.raw_files(mnist.Options())
    assert len({file.sha256 for file in files}) == 4
    for file in files:
        assert {url.rpartition("/")[2] for url in file.urls} == {file.name}
        assert len(file.urls) == 2
        assert all(url.startswith("https://") for url in file.urls)


@needs_real
def test_the_checksums_are_those_of_the_original_files() -> None:
    for file in mnist.raw_files(mnist.Options()):
        assert file.fault(REAL / file.name) is None
        assert hashlib.sha256((REAL / file.name).read_bytes()).hexdigest() == file.sha256


@needs_real
def test_the_real_files(tmp_path: Path) -> None:
    options = mnist.Options()
    mnist.prepare(options, REAL, tmp_path)
    data = PreparedImages.open(tmp_path / INDEX)
    train, test = data.split("train"), data.split("test")
    assert (len(train), len(test)) == (60_000, 10_000)
    # Published facts of MNIST: the class sizes, the first labels, mean and deviation of the pixels.
    sizes = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(train.labels).tolist() == sizes
    assert train.labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert test.labels[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    assert train.images.mean() / 255 == pytest.approx(0.1307, abs=5e-5)
    assert train.images.std(dtype=np.float64) / 255 == pytest.approx(0.3081, abs=5e-5)
    size = sum(path.stat().st_size for path in tmp_path.iterdir())
    assert size == pytest.approx(mnist.prepared_bytes(options), rel=0.01)
