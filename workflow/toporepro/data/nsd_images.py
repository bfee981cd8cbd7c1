"""NSD's images, resized as they are read; and whether the brain was shown them in this order.

``imgBrick`` holds the images in one order and the design names them by their place, so that nothing
would tell a brick in another order. But early visual cortex follows luminance and contrast, place
by place: if no such feature of the images foretells its responses, they are not the images shown.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from toporepro.data.store import DataError, Images

GRID = 4  # luminance and contrast are taken in so many rows and columns
SHUFFLES = 200
_LEAST = 40  # images for a verdict
_ALPHA = 0.01
Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


class Pictures:
    """The images of ``nsd_stimuli.hdf5``, and the luminance and contrast of those that were read.

    Raises:
        DataError: if the file is damaged, or holds something else.
    """

    def __init__(self, path: Path, size: int) -> None:
        import h5py

        self.path, self._size = path, size
        try:
            self._file = h5py.File(path, "r")
        except OSError as error:
            raise DataError(
                f"{path}: not an HDF5 file that can be read ({error}); cut short? Get it anew"
            ) from None
        self._brick: Any = self._file.get("imgBrick")
        kind = None if self._brick is None else (self._brick.dtype, self._brick.shape[3:])
        if kind != (np.uint8, (3,)):
            raise DataError(f"{path}: no `imgBrick` of uint8 images × height × width × 3")
        self._looks = np.full((len(self._brick), 2 * GRID**2), np.nan, dtype=np.float32)

    def __len__(self) -> int:
        return len(self._looks)

    def read(self, numbers: Integers) -> Images:
        """Some images by ascending numbers from 0, (images, size, size, 3).

        Raises:
            DataError: if one is not there.
        """
        from PIL import Image

        if numbers[-1] >= len(self):
            raise DataError(
                f"{self.path}: {len(self)} images, but nsd_expdesign.mat names number "
                f"{numbers[-1] + 1}; get it anew"
            )
        try:
            pixels: Images = self._brick[numbers]
        except OSError as error:
            raise DataError(
                f"{self.path}: cannot be read to its end ({error}); get it anew"
            ) from None
        if pixels.shape[1:3] != (self._size, self._size):
            side = (self._size, self._size)
            pixels = np.stack(
                [
                    np.asarray(Image.fromarray(one).resize(side, Image.Resampling.BICUBIC))
                    for one in pixels
                ]
            )
        self._looks[numbers] = looks(pixels)
        return pixels

    def check(self, name: str, numbers: Integers, responses: Floats) -> None:
        """Whether luminance and contrast foretell the responses of early visual cortex.

        Of every voxel the most correlated feature in every other image is correlated with it in
        the remaining ones; shuffling these says what chance gives.

        Args:
            name: of the subject, for the message.
            numbers: of the images, which were read.
            responses: to them, (images, voxels).

        Raises:
            DataError: if they do not.
        """
        if len(numbers) < _LEAST or not responses.shape[1]:
            return
        features = self._looks[numbers].astype(np.float64)
        choosing, judging = slice(0, None, 2), slice(1, None, 2)
        r = _standard(features[choosing]).T @ _standard(responses[choosing])
        best = np.abs(r).argmax(axis=0)
        sign = np.sign(r[best, np.arange(len(best))])
        # Of every two images, one's features with the other's responses, over all voxels.
        both = (_standard(features[judging])[:, best] * sign) @ _standard(responses[judging]).T
        observed, generator = float(both.trace()), np.random.default_rng(0)
        rows = np.arange(len(both))
        null = [float(both[rows, generator.permutation(rows)].sum()) for _ in range(SHUFFLES)]
        p = (1 + sum(value >= observed for value in null)) / (1 + SHUFFLES)
        if p > _ALPHA:
            raise DataError(
                f"{self.path}: neither luminance nor contrast of its images foretells the early "
                f"visual cortex of {name} (P = {p:.2g} with images shuffled): they are in another "
                "order than nsd_expdesign.mat says, or the betas are another subject's"
            )


def looks(pixels: Images) -> npt.NDArray[np.float32]:
    """Mean and standard deviation of grey in each cell of the grid, (images, 2·GRID²)."""
    grey = pixels.mean(axis=3, dtype=np.float32)
    cut = [np.array_split(rows, GRID, axis=2) for rows in np.array_split(grey, GRID, axis=1)]
    cells = [cell for row in cut for cell in row]
    means = [cell.mean(axis=(1, 2)) for cell in cells]
    return np.stack([*means, *(cell.std(axis=(1, 2)) for cell in cells)], axis=1)


def _standard(values: Floats) -> Floats:
    """Columns of mean 0 and length 1; constant ones are 0."""
    centred = values - values.mean(axis=0)
    length = np.sqrt((centred**2).sum(axis=0))
    result: Floats = centred / np.where(length > 0, length, 1)
    return result
