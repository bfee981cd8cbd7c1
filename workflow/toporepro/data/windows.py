"""Windows of text as a pure function of (seed, step): what makes resuming exact.

A split is cut into windows of ``context`` tokens that do not overlap; with each comes the token
after it, so that every token but the first is predicted once. An epoch is a permutation of all
windows, and batches run through epochs as those of images do (``data.loader``).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from toporepro.data.loader import ORDER, Shard, load, permutation
from toporepro.data.text_store import TokenSplit
from toporepro.spec import SpecError

if TYPE_CHECKING:
    from torch import Tensor

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Windows:
    """The batches of one training; ``windows[step]`` is this process's part of a step.

    Attributes:
        split: the tokens.
        context: tokens that the network sees at once.
        seed: of the order.
        batch: windows per step, over all processes and forward passes.

    Raises:
        SpecError: if the split is shorter than one window.
    """

    split: TokenSplit
    context: int
    seed: int
    batch: int
    shard: Shard = field(default_factory=Shard)

    def __post_init__(self) -> None:
        count_windows(self.split, self.context)

    def __len__(self) -> int:
        """Windows in an epoch."""
        return count_windows(self.split, self.context)

    def __getitem__(self, step: int) -> list[tuple[Ids]]:
        """Per forward pass, ids n×(context+1): what is seen is all but the last column, what is
        to be predicted all but the first."""
        windows = self.draw(step)
        return [
            (read_windows(self.split, self.context, windows[part]),)
            for part in self.shard.places(self.batch)
        ]

    def draw(self, step: int) -> Ids:
        """The window at every place of a step's batch, over all processes."""
        places = np.arange(step * self.batch, (step + 1) * self.batch)
        epochs, within = np.divmod(places, len(self))
        windows = np.empty_like(places)
        for epoch in np.unique(epochs):
            inside = epochs == epoch
            windows[inside] = _order(self.seed, int(epoch), len(self))[within[inside]]
        return windows


@lru_cache(maxsize=2)  # a batch spans two epochs at most, unless it is larger than one
def _order(seed: int, epoch: int, count: int) -> Ids:
    return permutation(seed, ORDER, epoch, count)


def count_windows(split: TokenSplit, context: int) -> int:
    """Number of windows of a split.

    Raises:
        SpecError: if there is none.
    """
    if context < 1:
        raise SpecError(f"context={context}: at least 1")
    if len(split) <= context:
        raise SpecError(
            f"context={context}: the split has {len(split)} tokens, no window and the one after it"
        )
    return (len(split) - 1) // context


def read_windows(split: TokenSplit, context: int, windows: npt.NDArray[np.integer[Any]]) -> Ids:
    """Ids n×(context+1) of windows, each with the token after it."""
    ids = np.empty((len(windows), context + 1), dtype=np.int64)
    for row, window in zip(ids, windows.tolist(), strict=True):
        row[:] = split[window * context : (window + 1) * context + 1]
    return ids


def windows_in_order(
    split: TokenSplit,
    context: int,
    at_once: int,
    *,
    workers: int = 0,
    pin: bool = False,
) -> Iterator[Tensor]:
    """All windows of a split, as they are tested: int64 n×(context+1), so many at once, in order.

    Tokens after the last whole window are left out.
    """
    number = -(-count_windows(split, context) // at_once)
    slices = _Slices(split, context, at_once)
    return load(slices, range(number), workers=workers, pin=pin)


@dataclass(frozen=True)
class _Slices:
    split: TokenSplit
    context: int
    at_once: int

    def __getitem__(self, index: int) -> Ids:
        first, count = index * self.at_once, count_windows(self.split, self.context)
        return read_windows(
            self.split, self.context, np.arange(first, min(first + self.at_once, count))
        )
