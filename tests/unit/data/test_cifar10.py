import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import python2_pickle as py2
from PIL import Image

from toporepro.data import cifar10
from toporepro.data.batches import read_batch
from toporepro.data.store import INDEX, DataError, PreparedImages
from toporepro.spec import SpecError

NAMES = ("data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5")
ORDER = ("data_batch_4", "test_batch", "data_batch_3", "data_batch_2", "data_batch_5")


def some(seed: int, count: int = 4) -> tuple[npt.NDArray[np.uint8], list[int]]:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, 3072), dtype=np.uint8), rng.integers(0, 10, count).tolist()


def members() -> dict[str, bytes]:
    """Batches of four images, in the shuffled order of the original archive."""
    made = {}
    for name in (*ORDER, "data_batch_1"):
        seed = NAMES.index(name) if name in NAMES else 9
        made[name] = py2.batch(*some(seed), name.encode(), fortran=seed == 2)
    return made


def test_the_batches_are_what_numpy_reads_from_them() -> None:
    for name, content in members().items():
        expected = pickle.loads(content, encoding="bytes")
        assert sorted(expected) == [b"batch_label", b"data", b"filenames", b"labels"]
        found = read_batch(content, name)
        np.testing.assert_array_equal(found.data, expected[b"data"])
        assert found.data.dtype == expected[b"data"].dtype == np.uint8
        assert found.labels.tolist() == expected[b"labels"]


def test_the_archive(tmp_path: Path) -> None:
    py2.archive(tmp_path / "cifar-10-python.tar.gz", members())
    cifar10.prepare(cifar10.Options(), tmp_path, tmp_path / "out")
    data = PreparedImages.open(tmp_path / "out" / INDEX)
    assert data.shape == (32, 32, 3)
    assert data.classes[3] == "cat"
    assert sorted(i for group in data.categories.values() for i in group) == list(range(10))
    train, test = data.split("train"), data.split("test")
    assert (len(train), len(test)) == (20, 4)
    for split, seeds in ((train, range(5)), (test, [9])):
        rows = np.concatenate([some(seed)[0] for seed in seeds])
        # The makers: 1024 red, 1024 green, 1024 blue values, each row by row.
        for channel in range(3):
            plane = rows[:, 1024 * channel : 1024 * (channel + 1)].reshape(-1, 32, 32)
            np.testing.assert_array_equal(split.images[..., channel], plane)
        assert split.labels.tolist() == [n for seed in seeds for n in some(seed)[1]]
    np.testing.assert_allclose(data.mean, (train.images / 255).mean((0, 1, 2)))
    np.testing.assert_allclose(data.std, (train.images / 255).std((0, 1, 2)))


def test_the_first_images_of_the_archive(tmp_path: Path) -> None:
    py2.archive(tmp_path / "cifar-10-python.tar.gz", members())
    options = cifar10.Options(train_images=6, test_images=3)
    cifar10.prepare(options, tmp_path, tmp_path / "out")
    data = PreparedImages.open(tmp_path / "out" / INDEX)
    assert data.split("train").labels.tolist() == some(0)[1] + some(1)[1][:2]
    assert data.split("test").labels.tolist() == some(9)[1][:3]
    with pytest.raises(DataError, match="20 train images found, train_images=21"):
        cifar10.prepare(cifar10.Options(train_images=21), tmp_path, tmp_path / "out")


def test_a_missing_batch_is_named(tmp_path: Path) -> None:
    rest = {name: data for name, data in members().items() if name != "data_batch_3"}
    py2.archive(tmp_path / "cifar-10-python.tar.gz", rest)
    with pytest.raises(DataError, match="data_batch_3 not found in it"):
        cifar10.prepare(cifar10.Options(), tmp_path, tmp_path / "out")


class Executing:
    """What an attacker's pickle asks for when it is read."""

    def __init__(self, flag: Path) -> None:
        self.flag = flag

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.flag),)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_an_executing_pickle_is_refused(tmp_path: Path, protocol: int) -> None:
    flag = tmp_path / "executed"
    content = pickle.dumps({"data": Executing(flag), "labels": []}, protocol)
    with pytest.raises(DataError, match=r"data_batch_1: refused: .*(posix|nt)\.mkdir"):
        read_batch(content, "data_batch_1")
    assert not flag.exists()
    pickle.loads(content)
    assert flag.exists(), "the pickle would have executed"


@pytest.mark.parametrize(
    "name", ["builtins\neval", "numpy\nload", "numpy.core.multiarray\nscalar", "os\nsystem"]
)
def test_every_other_name_is_refused(name: str) -> None:
    with pytest.raises(DataError, match="refused: the pickle asks for"):
        read_batch(py2.pickled(f"c{name}\n".encode()), "x")


def test_persistent_objects_are_refused() -> None:
    with pytest.raises(DataError, match="persistent"):
        read_batch(b"Pname\n.", "x")


def test_an_array_larger_than_its_bytes_is_refused() -> None:
    whole = py2.batch(*some(0), b"x")
    lying = whole.replace(py2.integer(4) + py2.integer(3072), py2.integer(2**31 - 1) * 2)
    assert lying != whole
    with pytest.raises(DataError, match="not a two-dimensional array of unsigned bytes"):
        read_batch(lying, "x")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "damaged pickle"),
        (b"\x80\x02}.", "expected"),
        (py2.pickled(py2.listed([])), "list found"),
        (py2.batch(some(0)[0], [1, 2, 3], b"x"), r"data \(4, 3072\), \(3, 3072\) expected"),
        (py2.batch(some(0)[0], [1, 2, 3, 10], b"x"), "labels other than 0 to 9"),
        (py2.batch(some(0)[0][:, :100], some(0)[1], b"x"), r"data \(4, 100\)"),
        (py2.batch(some(0)[0].view(np.int8), some(0)[1], b"x"), "not a two-dimensional"),
        (py2.batch(some(0)[0].view("<f4"), some(0)[1], b"x"), "not a two-dimensional"),
        (py2.batch(some(0)[0].ravel(), some(0)[1], b"x"), "not a two-dimensional"),
    ],
)
def test_other_contents_are_refused(content: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_batch(content, "x")


def test_damage_never_escapes_as_another_error() -> None:
    whole = py2.batch(*some(0, 1), b"x")
    tail = range(len(whole) - 60, len(whole))
    for position in (*range(300), *tail):
        for value in (0, 0x28, 0x52, 0x62, 0x74, 0xFF):
            broken = whole[:position] + bytes([value]) + whole[position + 1 :]
            try:
                read_batch(broken, "x")
            except DataError:
                continue


def folders(root: Path, per_class: int = 2) -> dict[tuple[str, int, int], npt.NDArray[np.uint8]]:
    rng = np.random.default_rng(0)
    made = {}
    for split in ("train", "test"):
        for label, name in enumerate(cifar10.CLASSES):
            (root / split / name).mkdir(parents=True)
            for number in range(per_class):
                image = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
                Image.fromarray(image).save(root / split / name / f"{number:04d}.png")
                made[split, label, number] = image
    (root / "train" / "cat" / "notes.txt").write_text("not an image")
    return made


def test_folders(tmp_path: Path) -> None:
    made = folders(tmp_path)
    options = cifar10.Options(form="folders", train_images=13)
    assert cifar10.raw_files(options) == ()
    cifar10.prepare(options, tmp_path, tmp_path / "out")
    data = PreparedImages.open(tmp_path / "out" / INDEX)
    train, test = data.split("train"), data.split("test")
    assert train.labels.tolist() == [*range(10), 0, 1, 2]
    assert test.labels.tolist() == [*range(10), *range(10)]
    np.testing.assert_array_equal(train.images[3], made["train", 3, 0])
    np.testing.assert_array_equal(train.images[11], made["train", 1, 1])
    np.testing.assert_array_equal(test.images[19], made["test", 9, 1])
    files = cifar10.local_files(options, tmp_path)
    assert len(files) == 33
    assert len(set(files)) == 33
    assert cifar10.local_files(cifar10.Options(), tmp_path) == ()


def test_folders_that_are_not_right_are_named(tmp_path: Path) -> None:
    folders(tmp_path, per_class=1)
    options = cifar10.Options(form="folders")
    victim = tmp_path / "train" / "frog" / "0000.png"
    Image.new("RGB", (32, 31)).save(victim)
    with pytest.raises(DataError, match=r"frog/0000\.png: 32×31 pixels, 32×32 expected"):
        cifar10.prepare(options, tmp_path, tmp_path / "out")
    victim.write_bytes(b"\x89PNG damaged")
    with pytest.raises(DataError, match=r"frog/0000\.png: not a readable image"):
        cifar10.prepare(options, tmp_path, tmp_path / "out")
    victim.unlink()
    with pytest.raises(DataError, match=r"train/frog: no images"):
        cifar10.prepare(options, tmp_path, tmp_path / "out")
    with pytest.raises(DataError, match=r"nowhere/train/airplane: no images"):
        cifar10.local_files(options, tmp_path / "nowhere")


def test_impossible_options_are_named() -> None:
    with pytest.raises(SpecError, match="train_images=0"):
        cifar10.Options(train_images=0)
