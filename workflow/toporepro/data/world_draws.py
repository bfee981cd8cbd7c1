"""Random numbers of the image world: each a pure function of (seed, split, image, name).

No generator carries state, so that neither the order in which images are made, nor the size of a
chunk, nor a parameter added later changes any other number.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]  # float32 wherever it is as large as an image

HELD_OUT_SPLIT = "localizer"
EIGHTHS = 8
HELD_OUT = (2, 5)  # symmetric about the middle, so that held-out images are of the average kind too

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX = (
    (np.uint64(30), np.uint64(0xBF58476D1CE4E5B9)),
    (np.uint64(27), np.uint64(0x94D049BB133111EB)),
)
_LAST = np.uint64(31)
_NORMAL = np.float32(np.sqrt(3.0) / 65536)  # the sum of four uniform 16-bit numbers to variance 1
_NORMAL_MEAN = np.float32(2 * 65535)


class Draws:
    """Named random parameters of a batch of images.

    Continuous parameters (``between``) have a range cut into eighths. Eighths 2 and 5 belong to the
    localizer alone; train and test never draw from them. Hues and directions are cut into quarters
    first, so that held-out ones still go round the whole circle. Kinds (``kind``) are held out by
    name.

    Attributes:
        fractions: for each continuous parameter drawn, each image's place in its range, in [0, 1).
        kinds: for each discrete parameter with held-out values, the value of each image.
    """

    def __init__(self, seed: int, split: str, index: NDArray[np.int64]) -> None:
        """Parameters of the images ``index`` (n) of a split."""
        self.seed, self.split = seed, split
        self.index = index.astype(np.uint64)
        self.fractions: dict[str, NDArray[np.float64]] = {}
        self.kinds: dict[str, NDArray[np.int64]] = {}

    def __len__(self) -> int:
        return len(self.index)

    def between(self, name: str, low: float, high: float, parts: int = 1) -> Array:
        """A number in [low, high) for each image, shape n×1×1, from the split's own eighths.

        With ``parts`` the range is first cut into so many equal parts, then each into eighths.
        """
        uniform = self._uniform(name) * parts
        part = np.floor(uniform)
        uniform -= part
        free = EIGHTHS - len(HELD_OUT)
        if self.split == HELD_OUT_SPLIT:
            place = uniform * len(HELD_OUT)
            which = place.astype(np.int64)
            fraction = (np.asarray(HELD_OUT)[which] + place - which) / EIGHTHS
        else:
            fraction = uniform * free
            for held in HELD_OUT:
                fraction += fraction >= held
            fraction /= EIGHTHS
        fraction = (part + fraction) / parts
        self.fractions[name] = fraction
        return _per_image(low + (high - low) * fraction)

    def kind(self, name: str, usual: int, held_out: int) -> NDArray[np.int64]:
        """One of ``usual`` kinds, numbered from 0; for the localizer one of ``held_out`` more."""
        uniform = self._uniform(name)
        if self.split == HELD_OUT_SPLIT:
            chosen = usual + (uniform * held_out).astype(np.int64)
        else:
            chosen = (uniform * usual).astype(np.int64)
        self.kinds[name] = chosen
        return chosen

    def choice(self, name: str, count: int) -> NDArray[np.int64]:
        """One of 0 … count−1 for each image (n), in every split alike."""
        return (self._uniform(name) * count).astype(np.int64)

    def happens(self, name: str, probability: float) -> Array:
        """1 with a probability and 0 otherwise, shape n×1×1, in every split alike."""
        return _per_image(self._uniform(name) < probability)

    def sign(self, name: str) -> Array:
        """−1 or 1 with equal probability, shape n×1×1, in every split alike."""
        return 2 * self.happens(name, 0.5) - 1

    def normal(self, name: str, count: int) -> Array:
        """Bell-shaped noise of variance 1 (a sum of four uniform numbers), n×count."""
        place = np.arange(count, dtype=np.uint64) * _GOLDEN
        bits = _mix(self._bits(name)[:, None] + place)
        quarters = bits.view(np.uint16).reshape(len(self), count, 4)
        total = quarters[..., 0].astype(np.uint32)
        for part in range(1, 4):
            total += quarters[..., part]
        return (total.astype(np.float32) - _NORMAL_MEAN) * _NORMAL

    def _bits(self, name: str) -> NDArray[np.uint64]:
        text = f"{self.seed}/{self.split}/{name}".encode()
        key = int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")
        return _mix(np.uint64(key) + self.index * _GOLDEN)

    def _uniform(self, name: str) -> NDArray[np.float64]:
        return (self._bits(name) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _mix(bits: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Finaliser of SplitMix64 (Steele, Lea and Flood 2014): a bijection that scatters 64 bits."""
    for shift, factor in _MIX:
        bits = (bits ^ (bits >> shift)) * factor
    mixed: NDArray[np.uint64] = bits ^ (bits >> _LAST)
    return mixed


def _per_image(values: NDArray[np.generic]) -> Array:
    return values.astype(np.float32)[:, None, None]
