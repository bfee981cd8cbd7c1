import hashlib
import json
import tempfile
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from toporepro.data.store import (
    INDEX,
    DataError,
    ImageWriter,
    PreparedImages,
    channel_statistics,
    in_chunks,
)

SHAPE = (5, 4, 3)


def writer(folder: Path, **changes: Any) -> ImageWriter:
    values: dict[str, Any] = {
        "source": "made_up",
        "options": {"size": 5},
        "shape": SHAPE,
        "classes": ["cat", "dog", "rock"],
        "categories": {"animals": [0, 1]},
        "mean": [0.1, 0.2, 0.3],
        "std": [0.4, 0.5, 0.6],
        "extra": {"note": "hand-made"},
    }
    return ImageWriter(folder, **(values | changes))


def some(count: int, seed: int = 0) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, *SHAPE), dtype=np.uint8), rng.integers(0, 3, count)


def prepared(folder: Path) -> PreparedImages:
    writing = writer(folder)
    writing.write_split("train", 10, [some(6, 1), some(4, 2)])
    writing.write_split("test", 3, [some(3, 3)])
    return PreparedImages.open(writing.finish())


def test_what_was_written_is_read(tmp_path: Path) -> None:
    data = prepared(tmp_path / "new" / "folder")
    assert (data.source, data.options, data.shape) == ("made_up", {"size": 5}, SHAPE)
    assert data.classes == ("cat", "dog", "rock")
    assert data.categories == {"animals": (0, 1)}
    assert (data.mean, data.std) == ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    assert data.extra == {"note": "hand-made"}
    train = data.split("train")
    assert isinstance(train.images, np.memmap)
    assert not train.images.flags.writeable
    assert len(train) == 10
    np.testing.assert_array_equal(train.images, np.concatenate([some(6, 1)[0], some(4, 2)[0]]))
    np.testing.assert_array_equal(train.labels, np.concatenate([some(6, 1)[1], some(4, 2)[1]]))
    assert (train.images.dtype, train.labels.dtype) == (np.uint8, np.int64)
    data.verify()


def test_the_index_is_as_agreed(tmp_path: Path) -> None:
    content = json.loads(prepared(tmp_path).index.read_text())
    assert content["splits"]["train"] == {
        "images": "train_images.npy",
        "labels": "train_labels.npy",
        "count": 10,
    }
    for name in ("train_images.npy", "train_labels.npy", "test_images.npy", "test_labels.npy"):
        data = (tmp_path / name).read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        assert content["files"][name] == {"sha256": digest, "bytes": len(data)}
    assert {path.name for path in tmp_path.iterdir()} == {INDEX, *content["files"]}


def test_equal_data_give_equal_bytes_however_they_are_cut(tmp_path: Path) -> None:
    images, labels = some(9)
    folders = []
    for cut in (1, 4, 9):
        folder = tmp_path / str(cut)
        writing = writer(folder)
        pieces = [(images[i : i + cut], labels[i : i + cut]) for i in range(0, 9, cut)]
        writing.write_split("train", 9, pieces)
        writing.write_split("test", 9, in_chunks(images, labels))
        writing.finish()
        folders.append({path.name: path.read_bytes() for path in folder.iterdir()})
    assert folders[0] == folders[1] == folders[2]


@settings(max_examples=50)
@given(st.data())
def test_round_trip(data: st.DataObject) -> None:
    shape = data.draw(st.tuples(st.integers(1, 6), st.integers(1, 6), st.integers(1, 4)))
    classes = data.draw(st.lists(st.text(min_size=1), min_size=1, max_size=5, unique=True))
    splits = {}
    for name in ("train", "test", *data.draw(st.sampled_from([(), ("localizer",)]))):
        count = data.draw(st.integers(1, 7))
        images = data.draw(npst.arrays(np.uint8, (count, *shape)))
        kind = data.draw(st.sampled_from([np.int64, np.uint8, np.int32]))
        labels = data.draw(npst.arrays(kind, count, elements=st.integers(0, len(classes) - 1)))
        splits[name] = (images, labels)
    with tempfile.TemporaryDirectory() as folder:
        normal = [0.5] * shape[2]
        writing = writer(
            Path(folder), shape=shape, classes=classes, mean=normal, std=normal, categories={}
        )
        for name, (images, labels) in splits.items():
            # Not C-contiguous on purpose: the order of the bytes must not follow memory.
            turned = np.asfortranarray(images)
            writing.write_split(name, len(labels), [(turned, labels)])
        opened = PreparedImages.open(writing.finish())
        opened.verify()
        assert opened.classes == tuple(classes)
        for name, (images, labels) in splits.items():
            found = opened.split(name)
            np.testing.assert_array_equal(found.images, images)
            np.testing.assert_array_equal(found.labels, labels)
            assert found.images.flags.c_contiguous


def test_memory_does_not_grow_with_the_number_of_images(tmp_path: Path) -> None:
    side, per_chunk = 64, 80
    chunk = np.zeros((per_chunk, side, side, 3), dtype=np.uint8)

    def chunks(count: int) -> Iterator[tuple[Any, Any]]:
        for number in range(count):
            yield chunk + np.uint8(number), np.zeros(per_chunk, dtype=np.int64)

    def peak(count: int) -> int:
        writing = writer(tmp_path / str(count), shape=(side, side, 3))
        tracemalloc.start()
        for name in ("train", "test"):
            writing.write_split(name, count * per_chunk, chunks(count))
        PreparedImages.open(writing.finish()).verify()
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    assert peak(32) < peak(2) + chunk.nbytes


def test_nothing_is_left_of_a_split_that_failed(tmp_path: Path) -> None:
    def chunks() -> Iterator[tuple[Any, Any]]:
        yield some(2)
        raise RuntimeError("the generator broke")

    writing = writer(tmp_path)
    with pytest.raises(RuntimeError, match="broke"):
        writing.write_split("train", 4, chunks())
    assert list(tmp_path.iterdir()) == []


def test_a_new_writer_takes_the_old_index_away(tmp_path: Path) -> None:
    prepared(tmp_path)
    writer(tmp_path)
    assert not (tmp_path / INDEX).exists()


@pytest.mark.parametrize(
    ("count", "chunks", "message"),
    [
        (3, [some(2)], "2 images written, 3 announced"),
        (1, [some(2)], "2 images written, 1 announced"),
        (0, [], "≥ 1"),
        (1, [(np.zeros((1, *SHAPE)), [0])], "float64"),
        (1, [(np.zeros((1, 5, 4), np.uint8), [0])], r"\(1, 5, 4\)"),
        (1, [(np.zeros((1, *SHAPE), np.uint8), [0.5])], "labels float64"),
        (1, [(np.zeros((1, *SHAPE), np.uint8), [0, 1])], r"labels int64 \(2,\)"),
        (1, [(np.zeros((1, *SHAPE), np.uint8), [3])], "labels from 3 to 3; 0 to 2"),
        (1, [(np.zeros((1, *SHAPE), np.uint8), [-1])], "labels from -1"),
    ],
)
def test_wrong_images_are_refused(
    tmp_path: Path, count: int, chunks: list[Any], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        writer(tmp_path).write_split("train", count, chunks)


@pytest.mark.parametrize("name", ["../train", "", "a b"])
def test_split_names_are_plain(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match="split"):
        writer(tmp_path).write_split(name, 1, [some(1)])


def test_a_split_is_written_once_and_both_are_needed(tmp_path: Path) -> None:
    writing = writer(tmp_path)
    writing.write_split("train", 1, [some(1)])
    with pytest.raises(DataError, match="split 'train'"):
        writing.write_split("train", 1, [some(1)])
    with pytest.raises(DataError, match="'test'"):
        writing.finish()


@pytest.mark.parametrize(
    "change",
    [
        {"shape": (0, 4, 3)},
        {"classes": []},
        {"classes": ["a", "a"]},
        {"mean": [0.5]},
        {"std": [0.5, 0.5, 0.0]},
        {"mean": [0.5, 0.5, float("nan")]},
        {"categories": {"x": [3]}},
    ],
)
def test_impossible_datasets_are_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    with pytest.raises(DataError, match="needed"):
        writer(tmp_path, **change)


def test_normalisation_can_come_later(tmp_path: Path) -> None:
    writing = writer(tmp_path)
    for name in ("train", "test"):
        writing.write_split(name, 1, [some(1)])
    writing.set_normalisation([0.7] * 3, [0.1] * 3)
    with pytest.raises(DataError, match="std above 0"):
        writing.set_normalisation([0.7] * 3, [0] * 3)
    assert PreparedImages.open(writing.finish()).mean == (0.7, 0.7, 0.7)


def test_a_cut_file_is_noticed_on_opening(tmp_path: Path) -> None:
    path = prepared(tmp_path).index
    victim = tmp_path / "train_images.npy"
    whole = victim.stat().st_size
    victim.write_bytes(victim.read_bytes()[:-1])
    with pytest.raises(DataError) as caught:
        PreparedImages.open(path)
    assert f"{victim}: {whole - 1} bytes found, {whole} expected" in str(caught.value)
    assert f"remove the folder {tmp_path} and prepare the data again" in str(caught.value)
    victim.unlink()
    with pytest.raises(DataError, match="No such file"):
        PreparedImages.open(path)


def test_a_changed_byte_is_noticed_by_verify(tmp_path: Path) -> None:
    data = prepared(tmp_path)
    victim = tmp_path / "test_labels.npy"
    content = bytearray(victim.read_bytes())
    content[-8] ^= 1
    victim.write_bytes(content)
    found = hashlib.sha256(content).hexdigest()
    expected = data.files["test_labels.npy"].sha256
    PreparedImages.open(data.index)
    with pytest.raises(DataError, match=f"{found} found, {expected} expected"):
        data.verify()


def test_another_array_of_the_same_size_is_noticed(tmp_path: Path) -> None:
    data = prepared(tmp_path)
    victim = tmp_path / "test_labels.npy"
    np.save(victim, np.zeros(3, dtype=np.uint64))
    with pytest.raises(DataError, match=r"uint64 \(3,\) found, int64 \(3,\) expected"):
        data.split("test")
    victim.write_bytes(b"x" * victim.stat().st_size)
    with pytest.raises(DataError, match="not a readable array"):
        data.split("test")


def test_unknown_splits_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no split 'val'; there are test, train"):
        prepared(tmp_path).split("val")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"shape": 3}', "null", "\x00"])
def test_a_damaged_index_is_named(tmp_path: Path, text: str) -> None:
    index = tmp_path / INDEX
    with pytest.raises(DataError, match="No such file"):
        PreparedImages.open(index)
    index.write_text(text)
    with pytest.raises(DataError, match=INDEX):
        PreparedImages.open(index)


@pytest.mark.parametrize("name", ["../secret.npy", "/etc/passwd", "sub/file.npy"])
def test_an_index_cannot_lead_out_of_its_folder(tmp_path: Path, name: str) -> None:
    index = prepared(tmp_path).index
    text = index.read_text().replace("test_labels.npy", name)
    index.write_text(text)
    with pytest.raises(DataError, match="outside its folder"):
        PreparedImages.open(index)


def test_an_index_must_name_all_its_files(tmp_path: Path) -> None:
    index = prepared(tmp_path).index
    content = json.loads(index.read_text())
    del content["files"]["test_labels.npy"]
    index.write_text(json.dumps(content))
    with pytest.raises(DataError, match="with all their files"):
        PreparedImages.open(index)


@settings(max_examples=30)
@given(npst.arrays(np.uint8, st.tuples(*[st.integers(1, 5)] * 4)))
def test_channel_statistics_are_numpys(images: npt.NDArray[np.uint8]) -> None:
    mean, std = channel_statistics(images)
    scaled = images.astype(np.float64) / 255
    np.testing.assert_allclose(mean, scaled.mean((0, 1, 2)), atol=1e-12)
    expected = scaled.std((0, 1, 2))
    np.testing.assert_allclose(std, np.where(expected < 1e-12, 1.0, expected), atol=1e-7)


def test_chunks_are_bounded_and_complete() -> None:
    images = np.zeros((5000, 64, 64, 3), dtype=np.uint8)
    labels = np.arange(5000)
    pieces = list(in_chunks(images, labels))
    assert max(piece.nbytes for piece, _ in pieces) <= 16 << 20
    np.testing.assert_array_equal(np.concatenate([numbers for _, numbers in pieces]), labels)


def test_a_flipped_bit_is_found_before_an_image_is_shown(tmp_path: Path) -> None:
    data = prepared(tmp_path)
    path = tmp_path / "train_images.npy"
    content = bytearray(path.read_bytes())
    content[-7] ^= 1
    path.write_bytes(content)
    assert len(data.split("test")) == 3
    with pytest.raises(DataError, match=r"train_images\.npy: SHA-256 .* expected"):
        data.split("train")
