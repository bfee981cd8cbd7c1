"""Images stored at full size (``data.shards``) as networks see them: crops, made when asked for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from toporepro.data.crops import centre_crops, random_resized_crops
from toporepro.data.shards import ShardedImages, ShardedSplit
from toporepro.data.store import Images, Labels, PreparedImages
from toporepro.spec import SpecError


@dataclass(frozen=True)
class Crops:
    """Centre crops of one split: like an array N×pixels×pixels×3, computed where it is indexed.

    Attributes:
        stored: the split's images.
        pixels: side of the crops.
        ratio: side of the square that becomes the crop, as a share of the image's shorter side.
    """

    stored: ShardedSplit
    pixels: int
    ratio: float

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return (len(self), self.pixels, self.pixels, 3)

    def __len__(self) -> int:
        return self.stored.count

    def __getitem__(self, chosen: slice | npt.NDArray[np.int64]) -> Images:
        ids = np.arange(len(self))[chosen]
        return centre_crops(self.stored, ids, size=self.pixels, ratio=self.ratio)

    def at_random(
        self,
        samples: npt.NDArray[np.int64],
        turns: npt.NDArray[np.int64],
        *,
        seed: int,
        pixels: int,
        flip: bool,
    ) -> Images:
        """A random crop of each sample, resized to ``pixels``, by (seed, turn, sample)."""
        return random_resized_crops(
            self.stored, samples, seed=seed, epoch=turns, size=pixels, flip=flip
        )


@dataclass(frozen=True)
class CroppedSplit:
    """One split; in place of ``data.store.Split``."""

    images: Crops
    labels: Labels

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class CroppedImages:
    """A dataset stored at full size; in place of ``data.store.PreparedImages``.

    Attributes:
        stored: the dataset.
        pixels, ratio: of the crops that tests and measures show.
    """

    stored: ShardedImages
    pixels: int
    ratio: float

    @property
    def index(self) -> Path:
        return self.stored.index

    @property
    def source(self) -> str:
        return self.stored.source

    @property
    def shape(self) -> tuple[int, int, int]:
        return (self.pixels, self.pixels, 3)

    @property
    def classes(self) -> tuple[str, ...]:
        return self.stored.classes

    @property
    def categories(self) -> Mapping[str, tuple[int, ...]]:
        return self.stored.categories

    @property
    def mean(self) -> tuple[float, ...]:
        return self.stored.mean

    @property
    def std(self) -> tuple[float, ...]:
        return self.stored.std

    def split(self, name: str) -> CroppedSplit:
        """One split.

        Raises:
            DataError: if there is no such split.
        """
        stored = self.stored.split(name)
        return CroppedSplit(Crops(stored, self.pixels, self.ratio), stored.labels)


def open_images(
    index: Path, pixels: int | None, ratio: float = 1.0
) -> PreparedImages | CroppedImages:
    """Prepared images, in whichever form they are stored.

    Args:
        index: the file ``dataset.json``.
        pixels, ratio: of the centre crops that images stored at full size are shown as; ``None``
            for images that all have one size.

    Raises:
        DataError: if the data are missing or damaged.
        SpecError: if ``pixels`` is given for images of one size, or not given for others.
    """
    if not _is_sharded(index):
        if pixels is not None:
            raise SpecError(f"test_pixels={pixels}: images of {index} have a size; leave it out")
        return PreparedImages.open(index)
    if pixels is None:
        raise SpecError(f"test_pixels: the images of {index} have many sizes; one is needed")
    return CroppedImages(ShardedImages.open(index), pixels, ratio)


def _is_sharded(index: Path) -> bool:
    try:
        return "shards" in json.loads(index.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False  # opening it says what is wrong
