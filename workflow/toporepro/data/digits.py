"""scikit-learn's handwritten digits: 1,797 real 8×8 images that come with the library.

They are the test set of the UCI "Optical Recognition of Handwritten Digits" data (Alpaydin and
Kaynak, 1998), written by 13 people, in order of their writing.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from toporepro.data.extent import Extent
from toporepro.data.remote_file import RemoteFile
from toporepro.data.store import ImageWriter

_SIDE = 28
_TEST_PER_CLASS = 36


@dataclass(frozen=True, kw_only=True)
class Options:
    """No options: the images are resized to 28×28×1 and normalised to [−1, 1].

    Of every class the last 36 images are the test split (360), so that it holds other people's
    handwriting than most of the training split (1,437).
    """


def raw_files(options: Options) -> tuple[RemoteFile, ...]:
    """Nothing to fetch."""
    return ()


def prepared_bytes(options: Options) -> int:
    """Bytes that the prepared images take, about."""
    return 1797 * (_SIDE * _SIDE + 8)


def extent(options: Options) -> Extent:
    """How much it holds."""
    splits = {"train": 1437, "test": 10 * _TEST_PER_CLASS}
    return Extent(splits=splits, shape=(_SIDE, _SIDE, 1), classes=10)


def prepare(options: Options, raw: Path, out: Path) -> None:
    """Write the splits; ``raw`` is not read."""
    from PIL import Image
    from sklearn.datasets import load_digits

    digits = load_digits()
    # Grey levels run from 0 to 16. Pillow resizes bytes in integer arithmetic: everywhere alike.
    small = np.rint(digits.images * (255 / 16)).astype(np.uint8)
    images = np.stack(
        [
            np.asarray(Image.fromarray(image).resize((_SIDE, _SIDE), Image.Resampling.BICUBIC))
            for image in small
        ]
    )[..., None]
    labels = digits.target.astype(np.int64)
    test = np.zeros(len(labels), dtype=bool)
    for digit in range(10):
        test[np.flatnonzero(labels == digit)[-_TEST_PER_CLASS:]] = True
    writer = ImageWriter(
        out,
        source="digits",
        options={},
        shape=(_SIDE, _SIDE, 1),
        classes=[str(digit) for digit in range(10)],
        mean=[0.5],
        std=[0.5],
    )
    for split, chosen in (("train", ~test), ("test", test)):
        writer.write_split(split, int(chosen.sum()), [(images[chosen], labels[chosen])])
    writer.finish()
