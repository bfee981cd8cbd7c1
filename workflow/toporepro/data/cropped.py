"""Images stored at full size (``data.shards``) as networks see them: crops, made when asked for."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt

from toporepro.data.crops import centre_crops, random_resized_crops
from toporepro.data.shards import ShardedImages, ShardedSplit, labels_file
from toporepro.data.store import Images, PreparedImages, Split, SplitRecord
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
class CroppedImages(PreparedImages):
    """A dataset stored at full size, as tests and measures are shown it.

    Attributes:
        stored: the dataset.
        ratio: of the centre crops, whose side is that of ``shape``.
    """

    stored: ShardedImages
    ratio: float

    def split(self, name: str) -> Split:
        """One split, whose images are ``Crops``; its files are hashed the first time.

        Raises:
            DataError: if there is no such split, or a file is damaged.
        """
        if name not in self._hashed:
            self.stored.verify_split(name)
            self._hashed.add(name)
        stored = self.stored.split(name)
        return Split(cast(Images, Crops(stored, self.shape[0], self.ratio)), stored.labels)

    def verify(self) -> None:
        """Hash every file again.

        Raises:
            DataError: naming the first file whose size or SHA-256 is not the index's.
        """
        self.stored.verify()


def open_images(index: Path, pixels: int | None, ratio: float = 1.0) -> PreparedImages:
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
    stored = ShardedImages.open(index)
    return CroppedImages(
        index=index,
        source=stored.source,
        options=stored.options,
        shape=(pixels, pixels, 3),
        classes=stored.classes,
        categories=stored.categories,
        mean=stored.mean,
        std=stored.std,
        splits={
            name: SplitRecord("", labels_file(name), count) for name, count in stored.splits.items()
        },
        files=stored.files,
        extra=stored.extra,
        stored=stored,
        ratio=ratio,
    )


def _is_sharded(index: Path) -> bool:
    try:
        return "shards" in json.loads(index.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False  # opening it says what is wrong
