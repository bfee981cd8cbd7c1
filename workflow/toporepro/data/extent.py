"""How much a dataset holds, known from its options before any of it is there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Extent:
    """What ``extent(options)`` of a dataset's module gives.

    Attributes:
        splits: samples by split: images, tokens, or pairs of sentences (``pairs``).
        shape: height, width and channels of every image; height and width are 0 where images of
            many sizes are stored, of which each recipe makes its own.
        classes: kinds of images, or of tokens.
        raw: bytes of the files that they are made from; of those fetched, the module's
            ``raw_files`` know better.
        by_hand: what a person has to do before, in one sentence; "" if nothing.
    """

    splits: Mapping[str, int]
    shape: tuple[int, int, int]
    classes: int
    raw: int = 0
    by_hand: str = ""
