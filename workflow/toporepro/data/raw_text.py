"""Raw text of a large dataset, in units that can be read independently of each other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Document:
    """One document.

    Attributes:
        name: where it comes from, for messages.
        pieces: its text, in pieces that are cut where no token is; can be gone through again.
            Going through them raises ``DataError`` where the text cannot be used.
        split: the split it belongs to; ``None`` where its own text settles that
            (``documents.in_validation``).
        fault: why it cannot be used, whatever its text is; empty otherwise.
    """

    name: str
    pieces: Iterable[str]
    split: str | None = None
    fault: str = ""


class RawText(Protocol):
    """A corpus as its makers, or the user's disk, have it."""

    def units(self) -> tuple[str, ...]:
        """What it consists of, in a fixed order."""

    def size(self, unit: str) -> int:
        """Bytes of a unit's text, about, as far as it is known without reading it."""

    def read(self, unit: str) -> Iterator[Document]:
        """The documents of one unit, in a fixed order."""
