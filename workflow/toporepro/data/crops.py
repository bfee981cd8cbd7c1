"""Crops of sharded images, as training and testing see them: bytes of one size.

A crop is cut out of the compressed image (``data.jpeg``), decoded, and resized with torch's
bilinear filter, widened when it shrinks so that nothing aliases (the filter of torchvision on
Pillow images, to within rounding). A crop at least twice as large as the output on both axes is
decoded at a half, a quarter or an eighth, whichever still leaves it no smaller than the output.
Images are stored at a reduced size, so that a small crop is enlarged from fewer pixels than the
original has.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from toporepro.data import jpeg
from toporepro.data.shards import HEIGHT, SHARD, WIDTH, ShardedSplit
from toporepro.data.store import DataError, Images

if TYPE_CHECKING:
    from toporepro.data.loader import UInts

SCALE = (0.08, 1.0)
RATIO = (3 / 4, 4 / 3)
_ATTEMPTS = 10
# Streams of random numbers of their own, far from those in ``data.loader``: four per attempt.
_FIRST_STREAM = 1000
# Images cut out before any is decoded, and decoded before any is resized: one kind of work at a
# time finds its code in the caches.
_TOGETHER = 32


def random_resized_crops(
    split: ShardedSplit,
    ids: npt.ArrayLike,
    *,
    seed: int,
    epoch: npt.ArrayLike,
    size: int,
    flip: bool = False,
) -> Images:
    """A random crop of each image, resized to a square.

    What is drawn for an image depends on (seed, epoch, its number), and on nothing else in a batch.

    Args:
        ids: numbers of images, B.
        epoch: of each, or one for all.
        size: side of the result in pixels.
        flip: also mirror half of them, as ``loader.random_flips`` draws it.

    Returns:
        uint8, B×size×size×3.

    Raises:
        DataError: if an image's bytes are damaged.
    """
    from toporepro.data.loader import random_flips

    ids = np.asarray(ids, dtype=np.int64)
    sides = split.places[ids, HEIGHT:]
    boxes = random_boxes(sides[:, 0], sides[:, 1], seed=seed, epoch=epoch, sample=ids)
    flips = np.broadcast_to(random_flips(seed, epoch, ids) if flip else False, ids.shape)
    return _crops(split, ids, boxes, size, flips)


def centre_crops(split: ShardedSplit, ids: npt.ArrayLike, *, size: int, ratio: float) -> Images:
    """The central square of each image, ``ratio`` times its shorter side, resized to ``size``.

    Returns:
        uint8, B×size×size×3.

    Raises:
        DataError: if an image's bytes are damaged, or the ratio is not above 0 and at most 1.
    """
    if not 0 < ratio <= 1:
        raise DataError(f"ratio={ratio}: above 0 and at most 1")
    ids = np.asarray(ids, dtype=np.int64)
    height, width = split.places[ids, HEIGHT], split.places[ids, WIDTH]
    side = np.maximum(np.rint(ratio * np.minimum(height, width)).astype(np.int64), 1)
    boxes = np.stack([(height - side) // 2, (width - side) // 2, side, side], axis=1)
    return _crops(split, ids, boxes, size, np.zeros(ids.shape, dtype=bool))


def random_boxes(
    height: npt.NDArray[np.int64],
    width: npt.NDArray[np.int64],
    *,
    seed: int,
    epoch: npt.ArrayLike,
    sample: npt.NDArray[np.int64],
) -> npt.NDArray[np.int64]:
    """Boxes N×4 (top, left, height, width) with the distribution of torchvision's crops.

    That is ``RandomResizedCrop.get_params``: a share of the area uniform over 0.08 to 1 and an
    aspect ratio log-uniform over 3/4 to 4/3, drawn up to ten times until the box fits; after that,
    the largest central box whose ratio is within bounds.
    """
    streams = np.arange(_ATTEMPTS * 4).reshape(_ATTEMPTS, 4, 1).swapaxes(0, 1) + _FIRST_STREAM
    size, shape, row, column = _uniform(seed, streams, epoch, sample)

    area = height * width * (SCALE[0] + (SCALE[1] - SCALE[0]) * size)
    low, high = math.log(RATIO[0]), math.log(RATIO[1])
    ratio = np.exp(low + (high - low) * shape)
    wide = np.rint(np.sqrt(area * ratio)).astype(np.int64)
    tall = np.rint(np.sqrt(area / ratio)).astype(np.int64)
    fits = (wide > 0) & (wide <= width) & (tall > 0) & (tall <= height)
    top = (row * (height - tall + 1)).astype(np.int64)
    left = (column * (width - wide + 1)).astype(np.int64)
    drawn = np.stack([top, left, tall, wide], axis=-1)
    chosen = drawn[np.argmax(fits, axis=0), np.arange(len(sample))]
    central = _central(height, width)
    return np.where(np.any(fits, axis=0)[:, np.newaxis], chosen, central)


def _uniform(
    seed: int, stream: npt.NDArray[np.int64], epoch: npt.ArrayLike, sample: npt.ArrayLike
) -> npt.NDArray[np.float64]:
    from toporepro.data.loader import random_bits

    bits: UInts = random_bits(seed, stream, epoch, sample)  # type: ignore[arg-type]
    return np.asarray((bits >> np.uint64(11)) * 2.0**-53)


def _central(height: npt.NDArray[np.int64], width: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    ratio = width / height
    wide = np.where(ratio > RATIO[1], np.rint(height * RATIO[1]).astype(np.int64), width)
    tall = np.where(ratio < RATIO[0], np.rint(width / RATIO[0]).astype(np.int64), height)
    return np.stack([(height - tall) // 2, (width - wide) // 2, tall, wide], axis=-1)


def _crops(
    split: ShardedSplit,
    ids: npt.NDArray[np.int64],
    boxes: npt.NDArray[np.int64],
    size: int,
    flips: npt.NDArray[np.bool_],
) -> Images:
    import torch

    split.announce(ids)
    made = np.empty((len(ids), size, size, 3), dtype=np.uint8)
    numbers, rectangles, mirrored = ids.tolist(), boxes.tolist(), flips.tolist()
    for first in range(0, len(numbers), _TOGETHER):
        places = range(first, min(first + _TOGETHER, len(numbers)))
        place = first
        try:
            cuts, pixels = [], []
            for place in places:
                cuts.append(_cut(split, numbers[place], rectangles[place], size))
            for place in places:
                pixels.append(cuts[place - first]())
        except DataError as error:
            shard = split.files[split.places[numbers[place], SHARD]]
            raise DataError(f"{shard}: image {numbers[place]} of {split.name}: {error}") from None
        with torch.inference_mode():  # calls to torch cost less where no gradient can be asked
            for place, cropped in zip(places, pixels, strict=True):
                _resize(cropped, made[place], mirrored[place])
    return made


def _cut(split: ShardedSplit, number: int, box: list[int], size: int) -> Callable[[], Images]:
    """Cut a box (top, left, height, width) out of an image; returns what gives its pixels.

    They are reduced if that costs no resolution.
    """
    top, left, height, width = box
    data = split.encoded(number)
    if split.storage == "raw":
        whole, whole_width = split.places[number, HEIGHT:].tolist()
        pixels: Images = np.frombuffer(data, dtype=np.uint8).reshape(whole, whole_width, 3)
        return lambda: pixels[top : top + height, left : left + width]
    scale = next(s for s in jpeg.SCALES if s == 1 or min(height, width) >= s * size)
    piece, row, column = jpeg.crop(data, jpeg.Box(top, left, top + height, left + width))
    top, left = round((top - row) / scale), round((left - column) / scale)
    height, width = round(height / scale), round(width / scale)
    return lambda: jpeg.decode(piece, scale)[top : top + height, left : left + width]


def _resize(pixels: Images, out: Images, flip: bool) -> None:
    """Resize H×W×3 into ``out``, a square of bytes, and mirror it."""
    import torch
    from torch.nn import functional

    # Torch has to see channels-last memory, by all strides, to take its fast kernel and to return
    # the same layout; numpy gives an axis of length 1 a stride of 0.
    image = torch.from_numpy(np.array(pixels)).unsqueeze(0).permute(0, 3, 1, 2)
    if image.shape[2:] != out.shape[:2]:
        image = functional.interpolate(image, out.shape[:2], mode="bilinear", antialias=True)
    if flip:
        image = torch.flip(image, (3,))
    torch.from_numpy(out).permute(2, 0, 1).copy_(image[0])
