"""Batches of images as a pure function of (seed, step): what makes resuming exact.

Training runs through a sequence of samples in which each epoch is a permutation of the training
split; batch ``k`` is places ``k·B`` to ``(k+1)·B`` of it, so every batch has the same size and a
batch may begin one epoch and end the last. Order and augmentation come from a counter-based hash of
(seed, stream, epoch, sample), so no state of a random generator has to be kept, and neither the
number of processes nor that of loader workers changes what is drawn. Under repeated augmentation,
where a sample comes several times in an epoch, each of its turns stands for an epoch of its own.
"""

from __future__ import annotations

import functools
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from toporepro.data.cropped import Crops
from toporepro.data.store import Images, Labels, Split
from toporepro.spec import Resolution, SpecError

if TYPE_CHECKING:
    from torch import Tensor

    from toporepro.data.mixing import Mixing

UInts = npt.NDArray[np.uint64]

# What a random number is for; streams of one seed are independent of each other.
ORDER, FLIP, SHIFT_ROWS, SHIFT_COLUMNS, LABELS, STEP, MIX, AUTO_AUGMENT = range(8)


def random_bits(seed: int, stream: int, epoch: npt.ArrayLike, sample: npt.ArrayLike) -> UInts:
    """64 random bits per (seed, stream, epoch, sample); epoch and sample broadcast.

    Each argument in turn is added to the state, which the finaliser of SplitMix64 (Steele, Lea &
    Flood 2014) then mixes: a function that no version of a library can change.
    """
    state = np.zeros((), dtype=np.uint64)
    with np.errstate(over="ignore"):  # arithmetic is modulo 2⁶⁴
        for part in (seed, stream, epoch, sample):
            state = _mix(state + np.asarray(part).astype(np.uint64))
    return np.asarray(state)


def _mix(state: UInts) -> UInts:
    state = state + np.uint64(0x9E3779B97F4A7C15)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))


def permutation(seed: int, stream: int, epoch: int, count: int) -> npt.NDArray[np.int64]:
    """A random order of ``count`` samples."""
    return np.argsort(random_bits(seed, stream, epoch, np.arange(count)), kind="stable")


@dataclass(frozen=True)
class Shard:
    """Which part of every batch is this process's.

    Attributes:
        rank, world: number of this process, and how many there are.
        accumulate: forward passes per batch. Pass ``m`` is the m-th run of the batch, shared out
            among the processes, so that it holds the same samples however many there are.
    """

    rank: int = 0
    world: int = 1
    accumulate: int = 1

    def places(self, batch: int) -> list[slice]:
        """Places in the batch, one slice per forward pass.

        Raises:
            SpecError: if the batch cannot be shared out evenly.
        """
        parts = self.world * self.accumulate
        if batch % parts:
            raise SpecError(
                f"recipe.batch={batch}: a multiple of {parts} is needed for {self.world} processes "
                f"and accumulate={self.accumulate}"
            )
        size = batch // parts
        starts = [(m * self.world + self.rank) * size for m in range(self.accumulate)]
        return [slice(start, start + size) for start in starts]


@dataclass(frozen=True, kw_only=True)
class Batches:
    """The batches of one training; ``batches[step]`` is this process's part of a step.

    Attributes:
        split: images (uint8, N×H×W×C), or images of any size that are cropped on the way.
        labels: what to learn, of all N; the split's own, except in a control.
        seed, batch, flip, shift, resolution, repeats: as in the spec and its recipe. What a shift
            moves in from outside repeats the image's edge.
        retouch: a last change of images (uint8, n×H×W×C), by 64 random bits for each.
        mixing: MixUp and CutMix. A pass then holds, in front of its own images, the partners of
            the first ones: image ``i`` is the partner of image ``i + repeats``.
    """

    split: Split
    labels: Labels
    seed: int
    batch: int
    shard: Shard = Shard()
    flip: bool = False
    shift: int = 0
    resolution: tuple[Resolution, ...] = ()
    repeats: int = 1
    retouch: Callable[[Images, UInts], Images] | None = None
    mixing: Mixing | None = None

    def __getitem__(self, step: int) -> list[tuple[npt.NDArray[Any], ...]]:
        """Images and labels per forward pass; with mixing, also the mix's weights and share."""
        turns, samples = self.draw(step)
        passes: list[tuple[npt.NDArray[Any], ...]] = []
        for part in self.shard.places(self.batch):
            places = np.arange(part.start - (self.repeats if self.mixing else 0), part.stop)
            places %= self.batch
            chosen = samples[places]
            images = self._images(chosen, turns[places], self.pixels(step))
            content: tuple[npt.NDArray[Any], ...] = (images, self.labels[chosen])
            if self.mixing:
                mix = self.mixing.draw(self.seed, step, images.shape[1], images.shape[2])
                content += (mix.weights, mix.share)
            passes.append(content)
        return passes

    def pixels(self, step: int) -> int | None:
        """Side of the images of a step; ``None``: as they are."""
        epoch = step * self.batch / len(self.split)
        sides = [entry.pixels for entry in self.resolution if entry.from_epoch <= epoch]
        return sides[-1] if sides else None

    def _images(
        self, samples: npt.NDArray[np.int64], turns: npt.NDArray[np.int64], pixels: int | None
    ) -> Images:
        stored, flips = self.split.images, None
        if isinstance(stored, Crops):
            assert pixels is not None
            images = stored.at_random(samples, turns, seed=self.seed, pixels=pixels, flip=self.flip)
        else:
            images = resize(stored[samples], pixels)
            flips = random_flips(self.seed, turns, samples) if self.flip else None
        images = augment(
            images,
            flips,
            random_shifts(self.seed, turns, samples, self.shift) if self.shift else None,
        )
        if self.retouch is None:
            return images
        return self.retouch(images, random_bits(self.seed, AUTO_AUGMENT, turns, samples))

    def draw(self, step: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Turn and sample of every place in a step's batch, over all processes.

        The turn, ``epoch · repeats + repetition``, tells the times that a sample is seen apart.
        """
        places = np.arange(step * self.batch, (step + 1) * self.batch)
        epochs = places // len(self.split)
        within, repetitions = np.divmod(places % len(self.split), self.repeats)
        samples = np.empty_like(places)
        for epoch in np.unique(epochs):
            inside = epochs == epoch
            samples[inside] = self._order(int(epoch))[within[inside]]
        return epochs * self.repeats + repetitions, samples

    def _order(self, epoch: int) -> npt.NDArray[np.int64]:
        return _order(self.seed, epoch, len(self.split))


@functools.lru_cache(maxsize=2)  # a batch spans two epochs at most, unless it is larger than one
def _order(seed: int, epoch: int, count: int) -> npt.NDArray[np.int64]:
    return permutation(seed, ORDER, epoch, count)


def random_flips(seed: int, epoch: npt.ArrayLike, sample: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Which samples are flipped in an epoch: each with probability one half."""
    return (random_bits(seed, FLIP, epoch, sample) >> np.uint64(63)).astype(bool)


def random_shifts(
    seed: int, epoch: npt.ArrayLike, sample: npt.ArrayLike, largest: int
) -> npt.NDArray[np.int64]:
    """Shifts N×2 in rows and columns, each uniform over −largest … largest pixels."""
    width = np.uint64(2 * largest + 1)
    drawn = [random_bits(seed, s, epoch, sample) % width for s in (SHIFT_ROWS, SHIFT_COLUMNS)]
    return np.stack(drawn, axis=-1).astype(np.int64) - largest


def augment(
    images: Images,
    flips: npt.NDArray[np.bool_] | None,
    shifts: npt.NDArray[np.int64] | None,
) -> Images:
    """Flip images (N×H×W×C) left to right, then move them by ``shifts`` rows and columns."""
    if shifts is None:
        if flips is not None:
            images = np.array(images)
            images[flips] = images[flips, :, ::-1]
        return images
    count, height, width, _ = images.shape
    rows = np.clip(np.arange(height) - shifts[:, :1], 0, height - 1)
    columns = np.clip(np.arange(width) - shifts[:, 1:], 0, width - 1)
    if flips is not None:
        columns = np.where(flips[:, None], width - 1 - columns, columns)
    numbers = np.arange(count)[:, None, None]
    moved: Images = images[numbers, rows[:, :, None], columns[:, None, :]]
    return moved


def resize(images: Images, pixels: int | None) -> Images:
    """Images (n×H×W×C) resized to squares of so many pixels, smoothed where they shrink."""
    if pixels is None or images.shape[1:3] == (pixels, pixels):
        return images
    import torch
    from torch.nn import functional

    planes = torch.from_numpy(np.array(images)).permute(0, 3, 1, 2)
    resized = functional.interpolate(planes, (pixels, pixels), mode="bilinear", antialias=True)
    return np.ascontiguousarray(resized.permute(0, 2, 3, 1).numpy())


class Numbered(Protocol):
    """Batches that can be asked for by number, each of them arrays in lists and tuples."""

    def __getitem__(self, number: int, /) -> Any: ...


def in_order(
    split: Split, at_once: int, *, workers: int = 0, pin: bool = False
) -> Iterator[tuple[Tensor, Tensor]]:
    """All images and labels of a split, as they are tested: so many at once, in order."""
    numbers = range(-(-len(split) // at_once))
    return load(_Slices(split, at_once), numbers, workers=workers, pin=pin)


@dataclass(frozen=True)
class _Slices:
    split: Split
    at_once: int

    def __getitem__(self, index: int) -> tuple[Images, Labels]:
        chosen = slice(index * self.at_once, (index + 1) * self.at_once)
        return np.array(self.split.images[chosen]), np.array(self.split.labels[chosen])


def load(source: Numbered, numbers: range, *, workers: int = 0, pin: bool = False) -> Iterator[Any]:
    """Batches by their numbers, in order, with tensors in place of arrays.

    Of ``Batches``, per step a list of forward passes: images uint8 n×H×W×C, labels int64 n, and
    what mixing adds.

    Args:
        workers: processes that load ahead; 0 loads in this one. They change no batch.
        pin: load into page-locked memory, from which copies to a GPU overlap with its work.
    """
    import torch
    from torch.utils.data import DataLoader

    loader: DataLoader[Any] = DataLoader(
        source,  # type: ignore[arg-type]  # a sequence by number is all that it asks for
        sampler=numbers,
        batch_size=None,
        num_workers=workers,
        pin_memory=pin,
        generator=torch.Generator(),  # else each iterator would draw from torch's global one
        worker_init_fn=_ignore_signals,
    )
    return iter(loader)


def _ignore_signals(_: int) -> None:
    """Ctrl-C and SIGTERM reach the whole process group; the training process ends its workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def as_input(images: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Network input (float32, n×C×H×W, normalised, channels-last in memory) of uint8 n×H×W×C."""
    import torch

    # Row by row: arithmetic over three channels at a time would be five times slower on a CPU.
    count, height, width, channels = images.shape
    means = (torch.tensor(mean, device=images.device) * 255).repeat(width)
    scale = (1 / (torch.tensor(std, device=images.device) * 255)).repeat(width)
    rows = images.to(torch.float32, copy=True).reshape(count, height, width * channels)
    return rows.sub_(means).mul_(scale).view(images.shape).permute(0, 3, 1, 2)
