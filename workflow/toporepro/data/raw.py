"""Raw images of a large dataset, in units that can be read independently of each other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

SPLITS = ("train", "test")


@dataclass(frozen=True)
class RawImage:
    """One image file.

    Attributes:
        name: where it comes from, for messages.
        label: number of its class.
        class_name: name of its class.
        data: the file's bytes.
        fault: why it cannot be used, whatever its bytes are; empty otherwise.
    """

    name: str
    label: int
    class_name: str
    data: bytes
    fault: str = ""


class RawImages(Protocol):
    """A dataset's images as its makers, or the user's disk, have them."""

    def count(self, split: str) -> int:
        """Number of images in a split, as far as it is known without reading them, else 0."""

    def units(self, split: str) -> tuple[str, ...]:
        """What a split consists of, in a fixed order."""

    def read(self, split: str, unit: str) -> Iterator[RawImage]:
        """The images of one unit, in a fixed order; faults are yielded, not raised."""


def share(units: tuple[str, ...], part: int, parts: int) -> tuple[str, ...]:
    """The units of one part: runs of nearly equal length that together are all units."""
    return units[len(units) * part // parts : len(units) * (part + 1) // parts]
