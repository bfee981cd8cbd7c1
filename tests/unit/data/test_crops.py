import io
import math
import pickle
import re
from pathlib import Path

import ilsvrc
import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import stats

from toporepro.data import crops, jpeg
from toporepro.data.loader import random_flips
from toporepro.data.shards import (
    BYTES,
    FORMAT,
    OFFSET,
    ShardedSplit,
    ShardWriter,
    join,
    labels_file,
    places_file,
)
from toporepro.data.store import DataError
from toporepro.models.vision import import_torchvision

import_torchvision()
from torchvision.transforms import InterpolationMode, RandomResizedCrop  # noqa: E402
from torchvision.transforms import functional as transforms  # noqa: E402

SIZES = ((70, 93), (64, 64), (41, 130), (133, 48), (17, 16), (33, 31), (200, 180))


def split_of(folder: Path, storage: str) -> ShardedSplit:
    path = folder / f"train-{storage}.bin"
    with ShardWriter(path, storage, 90) as writer:  # type: ignore[arg-type]
        for number, (height, width) in enumerate(SIZES):
            writer.add(ilsvrc.pixels(number, height, width), number)
    labels, places = join([writer.rows()])
    return ShardedSplit(folder / "dataset.json", "train", storage, labels, places, (path,))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> ShardedSplit:
    return split_of(tmp_path_factory.mktemp("jpeg"), "jpeg")


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> ShardedSplit:
    return split_of(tmp_path_factory.mktemp("raw"), "raw")


class TestJpeg:
    """Rectangles cut out of compressed images."""

    @settings(max_examples=150)
    @given(data=st.data())
    def test_a_crop_has_exactly_the_pixels_of_the_whole(self, data: st.DataObject) -> None:
        height, width = data.draw(st.sampled_from(SIZES))
        encoded = jpeg.encode(ilsvrc.pixels(height, height, width), 90)
        top, bottom = data.draw(edges(height))
        left, right = data.draw(edges(width))
        piece, row, column = jpeg.crop(encoded, jpeg.Box(top, left, bottom, right))
        pixels = jpeg.decode(piece)
        whole = np.asarray(Image.open(io.BytesIO(encoded)))
        ours = pixels[top - row : bottom - row, left - column : right - column]
        assert np.array_equal(ours, whole[top:bottom, left:right])
        assert top - row <= jpeg.BLOCK
        assert left - column <= 2 * jpeg.BLOCK
        assert np.array_equal(pixels, np.asarray(Image.open(io.BytesIO(piece))))

    def test_the_table_of_blocks_stands_behind_the_jpeg(self) -> None:
        image = ilsvrc.pixels(2, 60, 83)
        options = {"subsampling": "4:2:0", "restart_marker_blocks": 1}
        plain = ilsvrc.saved(Image.fromarray(image), "JPEG", quality=90, **options)
        encoded = jpeg.encode(image, 90)
        assert encoded[: len(plain)] == plain
        assert int.from_bytes(encoded[-4:], "little") == len(plain)
        lengths = np.frombuffer(encoded[len(plain) : -4], dtype="<u2").astype(int)
        assert len(lengths) == 1 + 4 * 6
        assert lengths.sum() == len(plain)
        blocks = re.split(rb"\xff[\xd0-\xd9]", plain[lengths[0] :])[:-1]
        assert [len(block) + 2 for block in blocks] == lengths[1:].tolist()

    def test_a_damaged_table_of_blocks_is_refused(self) -> None:
        encoded = jpeg.encode(ilsvrc.pixels(2, 60, 83), 90)
        box = jpeg.Box(17, 17, 60, 83)
        size = int.from_bytes(encoded[-4:], "little")
        for place in range(size, len(encoded)):
            bad = bytearray(encoded)
            bad[place] ^= 1
            with pytest.raises(DataError):
                jpeg.crop(bytes(bad), box)
        shifted = bytearray(encoded)  # the sum is right, but two blocks' border is elsewhere
        shifted[size + 2 * 15] += 1
        shifted[size + 2 * 16] -= 1
        with pytest.raises(DataError, match="do not end where they should"):
            jpeg.crop(bytes(shifted), box)

    @pytest.mark.parametrize("scale", jpeg.SCALES)
    def test_both_decoders_give_the_same_pixels(self, scale: int) -> None:
        for number, (height, width) in enumerate(SIZES):
            encoded = jpeg.encode(ilsvrc.pixels(number, height, width), 85)
            ours = jpeg.decode(encoded, scale)
            assert ours.shape == (math.ceil(height / scale), math.ceil(width / scale), 3)
            assert np.array_equal(ours, jpeg.decode_with_pillow(encoded, scale))

    def test_without_the_fast_decoder(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(__import__("sys").modules, "simplejpeg", None)
        jpeg._decoder.cache_clear()
        try:
            assert jpeg._decoder() is jpeg.decode_with_pillow
        finally:
            monkeypatch.undo()
            jpeg._decoder.cache_clear()

    def test_what_is_damaged_or_foreign_is_refused(self) -> None:
        good = jpeg.encode(ilsvrc.pixels(1, 60, 60), 90)
        box = jpeg.Box(0, 0, 60, 60)
        whole = jpeg.crop(good, box)[0]
        assert np.array_equal(jpeg.decode(whole), jpeg.decode(good))
        foreign = ilsvrc.saved(Image.new("RGB", (60, 60)), "JPEG")
        progressive = ilsvrc.saved(Image.new("RGB", (60, 60)), "JPEG", progressive=True)
        for bad in (b"", good[:-2], good[:300] + good[-2:], foreign, progressive, good[:20]):
            with pytest.raises(DataError):
                jpeg.crop(bad, box)
        with pytest.raises(DataError, match="damaged JPEG"):
            jpeg.decode(b"no image")
        with pytest.raises(DataError, match="60×60"):
            jpeg.crop(good, jpeg.Box(0, 0, 61, 10))
        with pytest.raises(DataError, match="60×60"):
            jpeg.crop(good, jpeg.Box(5, 5, 5, 9))


@st.composite
def edges(draw: st.DrawFn, length: int) -> tuple[int, int]:
    first = draw(st.integers(0, length - 1))
    return first, draw(st.integers(first + 1, length))


@pytest.mark.parametrize(("height", "width"), [(256, 341), (341, 256), (100, 400), (300, 60)])
def test_boxes_are_distributed_as_torchvisions(height: int, width: int) -> None:
    count = 3000
    sides = np.full(count, height), np.full(count, width)
    ours = crops.random_boxes(*sides, seed=5, epoch=2, sample=np.arange(count))
    torch.manual_seed(0)
    image = torch.empty(3, height, width)
    theirs = np.array(
        [RandomResizedCrop.get_params(image, crops.SCALE, crops.RATIO) for _ in range(count)]
    )
    for quantity in (
        lambda b: b[:, 0],
        lambda b: b[:, 1],
        lambda b: b[:, 2],
        lambda b: b[:, 3],
        lambda b: b[:, 2] * b[:, 3],
        lambda b: b[:, 3] / b[:, 2],
        lambda b: b[:, 0] + b[:, 2],
    ):
        assert stats.ks_2samp(quantity(ours), quantity(theirs)).pvalue > 1e-4
    # The fallback, where no attempt fits, is one box; it comes as often.
    mine, other = (
        np.mean((b == theirs_fallback(height, width)).all(axis=1)) for b in (ours, theirs)
    )
    assert abs(mine - other) < 5 * math.sqrt(max(other, 0.01) / count)


def theirs_fallback(height: int, width: int) -> npt.NDArray[np.int64]:
    ratio = width / height
    tall = round(width / crops.RATIO[0]) if ratio < crops.RATIO[0] else height
    wide = round(height * crops.RATIO[1]) if ratio > crops.RATIO[1] else width
    return np.array([(height - tall) // 2, (width - wide) // 2, tall, wide])


@settings(max_examples=60)
@given(
    sides=st.lists(st.tuples(st.integers(1, 600), st.integers(1, 600)), min_size=1, max_size=40),
    seed=st.integers(0, 2**40),
    epoch=st.integers(0, 1000),
)
def test_boxes_lie_inside(sides: list[tuple[int, int]], seed: int, epoch: int) -> None:
    height, width = np.array(sides).T
    boxes = crops.random_boxes(height, width, seed=seed, epoch=epoch, sample=np.arange(len(sides)))
    assert (boxes[:, :2] >= 0).all()
    assert (boxes[:, 2:] >= 1).all()
    assert (boxes[:, 0] + boxes[:, 2] <= height).all()
    assert (boxes[:, 1] + boxes[:, 3] <= width).all()


def test_what_is_drawn_depends_on_seed_epoch_and_sample_alone(stored: ShardedSplit) -> None:
    ids = np.array([3, 0, 6, 3])
    whole = crops.random_resized_crops(stored, ids, seed=1, epoch=4, size=24, flip=True)
    assert whole.shape == (4, 24, 24, 3)
    assert whole.dtype == np.uint8
    assert np.array_equal(whole[0], whole[3])
    for place, number in enumerate(ids):
        alone = crops.random_resized_crops(stored, [number], seed=1, epoch=4, size=24, flip=True)
        assert np.array_equal(alone[0], whole[place])
    many = crops.random_resized_crops(stored, np.tile(ids, 20), seed=1, epoch=4, size=24, flip=True)
    assert np.array_equal(many, np.tile(whole, (20, 1, 1, 1)))
    mixed = crops.random_resized_crops(stored, ids, seed=1, epoch=[4, 5, 4, 5], size=24, flip=True)
    assert np.array_equal(mixed[[0, 2]], whole[[0, 2]])
    assert not np.array_equal(mixed[3], whole[3])
    other = crops.random_resized_crops(stored, ids, seed=2, epoch=4, size=24, flip=True)
    assert not np.array_equal(other, whole)


def test_flips_are_the_loaders(stored: ShardedSplit) -> None:
    ids = np.arange(len(SIZES))
    plain = crops.random_resized_crops(stored, ids, seed=9, epoch=0, size=20)
    flipped = crops.random_resized_crops(stored, ids, seed=9, epoch=0, size=20, flip=True)
    for number, flip in enumerate(random_flips(9, 0, ids)):
        expected = plain[number, :, ::-1] if flip else plain[number]
        assert np.array_equal(flipped[number], expected)


@pytest.mark.parametrize("size", [12, 32, 77])
def test_crops_are_torchvisions_of_the_same_box(raw: ShardedSplit, size: int) -> None:
    ids = np.arange(len(SIZES))
    ours = crops.random_resized_crops(raw, ids, seed=3, epoch=1, size=size)
    sides = raw.places[:, 3:]
    boxes = crops.random_boxes(sides[:, 0], sides[:, 1], seed=3, epoch=1, sample=ids)
    for number, box in enumerate(boxes.tolist()):
        image = Image.fromarray(raw.image(number))
        theirs = transforms.resized_crop(image, *box, [size, size], InterpolationMode.BILINEAR)
        difference = np.abs(np.asarray(theirs).astype(int) - ours[number])
        assert difference.max() <= 6
        assert difference.mean() < 0.6


@pytest.mark.parametrize("size", [8, 24, 50])
def test_jpegs_give_the_crops_of_their_pixels(
    stored: ShardedSplit, size: int, tmp_path: Path
) -> None:
    # The same images once more, as raw pixels after compression.
    path = tmp_path / "pixels.bin"
    with ShardWriter(path, "raw", 90) as writer:
        for number in range(len(stored)):
            writer.add(stored.image(number), number)
    labels, places = join([writer.rows()])
    pixels = ShardedSplit(tmp_path / "dataset.json", "train", "raw", labels, places, (path,))
    ids = np.arange(len(SIZES))
    ours = crops.random_resized_crops(stored, ids, seed=3, epoch=1, size=size).astype(int)
    theirs = crops.random_resized_crops(pixels, ids, seed=3, epoch=1, size=size).astype(int)
    boxes = crops.random_boxes(*stored.places[:, 3:].T, seed=3, epoch=1, sample=ids)
    for number, box in enumerate(boxes):
        if min(box[2:]) < 2 * size:
            assert np.array_equal(ours[number], theirs[number])
        else:  # decoded at a fraction: another low-pass, and edges to the nearest pixel
            assert np.abs(ours[number] - theirs[number]).mean() < 16


def test_centre_crops(raw: ShardedSplit, stored: ShardedSplit) -> None:
    ours = crops.centre_crops(raw, [0, 2], size=70, ratio=1.0)
    image = raw.image(0)
    assert np.array_equal(ours[0], image[:, 11:81])
    ours = crops.centre_crops(raw, np.arange(7), size=28, ratio=0.875)
    for number in range(7):
        height, width = SIZES[number]
        side = round(0.875 * min(height, width))
        box = ((height - side) // 2, (width - side) // 2, side, side)
        theirs = transforms.resized_crop(Image.fromarray(raw.image(number)), *box, [28, 28])
        assert np.abs(np.asarray(theirs).astype(int) - ours[number]).max() <= 6
    assert crops.centre_crops(stored, [], size=5, ratio=0.5).shape == (0, 5, 5, 3)
    with pytest.raises(DataError, match="ratio"):
        crops.centre_crops(raw, [0], size=28, ratio=1.5)


@pytest.mark.parametrize("part", ["blocks", "table"])
def test_damaged_images_are_named(stored: ShardedSplit, tmp_path: Path, part: str) -> None:
    path = tmp_path / "train.bin"
    data = bytearray(stored.files[0].read_bytes())
    offset, size = stored.places[1, [OFFSET, BYTES]]
    middle = size // 2 if part == "blocks" else size - 40
    data[offset + middle : offset + middle + 40] = bytes(range(200, 240))
    path.write_bytes(data)
    bad = ShardedSplit(stored.index, "train", "jpeg", stored.labels, stored.places, (path,))
    for ids in ([0, 1], [0] * 40 + [1, 0]):
        with pytest.raises(DataError, match=r"train\.bin: image 1 of train: "):
            crops.centre_crops(bad, ids, size=16, ratio=1.0)


def test_a_split_travels_light(tmp_path: Path) -> None:
    import json

    from toporepro.provenance import sha256

    made = split_of(tmp_path, "jpeg")
    np.save(tmp_path / labels_file("train"), made.labels)
    np.save(tmp_path / places_file("train"), made.places)
    names = ["train-jpeg.bin", labels_file("train"), places_file("train")]
    files = {
        name: {"sha256": sha256(tmp_path / name), "bytes": (tmp_path / name).stat().st_size}
        for name in names
    }
    content = {
        "source": "x", "options": {}, "format": FORMAT, "storage": "jpeg",
        "classes": [str(n) for n in range(7)],
        "categories": {"few": [1, 2]}, "mean": [0.5] * 3, "std": [0.5] * 3, "extra": {},
        "splits": {"train": {"count": 7}}, "shards": {"train": ["train-jpeg.bin"]}, "files": files,
    }  # fmt: skip
    made.index.write_text(json.dumps(content))
    from toporepro.data.shards import ShardedImages

    opened = ShardedImages.open(made.index)
    opened.verify()
    assert opened.categories == {"few": (1, 2)}
    split = opened.split("train")
    split.announce([0, 3])
    packed = pickle.dumps(split)
    assert len(packed) < 500
    again = pickle.loads(packed)
    assert np.array_equal(again.image(4), made.image(4))
    with pytest.raises(DataError, match="no split 'val'; there are train"):
        opened.split("val")
    with (tmp_path / "train-jpeg.bin").open("ab") as file:
        file.write(b"?")
    with pytest.raises(DataError, match=r"train-jpeg\.bin: \d+ bytes found"):
        ShardedImages.open(made.index)
    (tmp_path / "train-jpeg.bin").unlink()
    with pytest.raises(DataError, match=r"train-jpeg\.bin"):
        ShardedImages.open(made.index)
    del content["format"]
    made.index.write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"format 1, 2 expected; remove the folder .* and prepare"):
        ShardedImages.open(made.index)
    made.index.write_text("{}")
    with pytest.raises(DataError, match="not an index of sharded images"):
        ShardedImages.open(made.index)
    with pytest.raises(DataError, match="prepare the data"):
        ShardedImages.open(tmp_path / "none.json")
