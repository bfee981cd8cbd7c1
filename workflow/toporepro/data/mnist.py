"""MNIST in its original IDX files (LeCun, Cortes, Burges)."""

from __future__ import annotations

import gzip
import math
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from toporepro.data.extent import Extent
from toporepro.data.remote_file import RemoteFile
from toporepro.data.store import DataError, Images, ImageWriter, in_chunks
from toporepro.spec import SpecError

_MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
_UNSIGNED_BYTES = 0x08


def _file(name: str, size: int, sha256: str) -> RemoteFile:
    urls = tuple(mirror + name for mirror in _MIRRORS)
    return RemoteFile(name=name, urls=urls, bytes=size, sha256=sha256)


FILES = {
    ("train", "images"): _file(
        "train-images-idx3-ubyte.gz",
        9912422,
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    ),
    ("train", "labels"): _file(
        "train-labels-idx1-ubyte.gz",
        28881,
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    ),
    ("test", "images"): _file(
        "t10k-images-idx3-ubyte.gz",
        1648877,
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    ),
    ("test", "labels"): _file(
        "t10k-labels-idx1-ubyte.gz",
        4542,
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    ),
}
_COUNTS = {"train": 60_000, "test": 10_000}


@dataclass(frozen=True, kw_only=True)
class Options:
    """How much of MNIST is used; images stay 28×28, normalised to [−1, 1] (mean = std = 0.5).

    Attributes:
        channels: 1, or 3 equal ones, for networks made for colour.
        train_images: the first so many of the 60,000 training images; null for all.
        test_images: the first so many of the 10,000 test images; null for all.
    """

    channels: Literal[1, 3] = 1
    train_images: int | None = None
    test_images: int | None = None

    def __post_init__(self) -> None:
        if self.channels not in (1, 3):
            raise SpecError(f"channels={self.channels}: 1 or 3")
        for split, most in _COUNTS.items():
            value = getattr(self, f"{split}_images")
            if value is not None and not 1 <= value <= most:
                raise SpecError(f"{split}_images={value}: 1 to {most}, or null for all")

    def count(self, split: str) -> int:
        """Number of images taken of a split."""
        return getattr(self, f"{split}_images") or _COUNTS[split]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of an image: height, width, channels."""
        return (28, 28, self.channels)


def raw_files(options: Options) -> tuple[RemoteFile, ...]:
    """The four original files."""
    return tuple(FILES.values())


def prepared_bytes(options: Options) -> int:
    """Bytes that the prepared images take, about."""
    return sum(options.count(split) * (math.prod(options.shape) + 8) for split in _COUNTS)


def extent(options: Options) -> Extent:
    """How much it holds."""
    splits = {split: options.count(split) for split in _COUNTS}
    return Extent(splits=splits, shape=options.shape, classes=10)


def prepare(options: Options, raw: Path, out: Path) -> None:
    """Write MNIST's splits from the original files in ``raw``.

    Raises:
        DataError: if a file is not what its name says.
    """
    writer = ImageWriter(
        out,
        source="mnist",
        options=asdict(options),
        shape=options.shape,
        classes=[str(digit) for digit in range(10)],
        mean=[0.5] * options.channels,
        std=[0.5] * options.channels,
    )
    for split, count in _COUNTS.items():
        images = read_idx(raw / FILES[split, "images"].name, (count, 28, 28))
        labels = read_idx(raw / FILES[split, "labels"].name, (count,))
        kept = options.count(split)
        equal = np.broadcast_to(images[:kept, ..., None], (kept, *options.shape))
        writer.write_split(split, kept, in_chunks(equal, labels[:kept]))
    writer.finish()


def read_idx(path: Path, shape: tuple[int, ...]) -> Images:
    """Read a gzipped IDX file of unsigned bytes, which must hold exactly an array of this shape.

    Format: two zero bytes, the type (0x08), the number of axes, each axis' length as a big-endian
    32-bit integer, the values in C order.

    Raises:
        DataError: naming the file, what was expected and what was found.
    """
    size = 4 + 4 * len(shape) + math.prod(shape)
    try:
        with gzip.open(path) as file:
            content = file.read(size + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: {error}; remove the file, and it will be fetched again") from None
    magic = bytes((0, 0, _UNSIGNED_BYTES, len(shape)))
    if content[:4] != magic:
        raise _wrong(path, f"it begins with '{content[:4].hex()}', '{magic.hex()}' expected")
    sides = (content[at : at + 4] for at in range(4, 4 + 4 * len(shape), 4))
    found = tuple(int.from_bytes(side, "big") for side in sides)
    if found != shape:
        raise _wrong(path, f"shape {found}, {shape} expected")
    if len(content) != size:
        more = "more than " if len(content) > size else ""
        raise _wrong(path, f"{more}{min(len(content), size)} bytes unpacked, {size} expected")
    return np.frombuffer(content, dtype=np.uint8, offset=4 + 4 * len(shape)).reshape(shape)


def _wrong(path: Path, what: str) -> DataError:
    return DataError(f"{path}: {what}; remove the file, and it will be fetched again")
