"""Minimal pairs: two sentences that differ in one thing, which makes one of them ungrammatical.

They are kept, and read, in the form of BLiMP (Warstadt et al., 2020): a JSON object per line.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from toporepro.data.index import (
    INDEX,
    DataError,
    FileRecord,
    Prepared,
    common,
    read_index,
    reading,
)
from toporepro.provenance import write_json, write_text

KIND = "pairs"
PAIRS = "pairs.jsonl"


@dataclass(frozen=True)
class Pair:
    """One minimal pair; a few of BLiMP's are the same sentence twice, which no model tells apart.

    Attributes:
        good, bad: the acceptable and the unacceptable sentence.
        paradigm: its set of pairs (BLiMP's ``UID``).
        field: of linguistics, such as ``syntax``.
        phenomenon: what paradigms are about (BLiMP's ``linguistics_term``).
    """

    good: str
    bad: str
    paradigm: str
    field: str
    phenomenon: str

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not isinstance(value, str) or not value.strip():
                raise ValueError(f"{_KEYS[name]} is {value!r}; a text is needed")


_KEYS = {
    "good": "sentence_good",
    "bad": "sentence_bad",
    "paradigm": "UID",
    "field": "field",
    "phenomenon": "linguistics_term",
}


@dataclass(frozen=True)
class PreparedPairs(Prepared):
    """A dataset with minimal pairs, with or without text; opened by ``PreparedPairs.open``."""

    @classmethod
    def open(cls, index: Path) -> PreparedPairs:
        """Read an index and check that every file it names is there in its full size.

        Raises:
            DataError: if the index or a file is missing, damaged or of another size, or if the
                dataset has no pairs.
        """
        content = read_index(index)
        with reading(index, "data with minimal pairs"):
            prepared = cls(**common(index, content))
        if PAIRS not in prepared.files:
            raise DataError(f"{index}: {prepared.source} has no minimal pairs")
        prepared.check_sizes()
        return prepared

    def pairs(self) -> tuple[Pair, ...]:
        """All pairs, in the order of the file.

        Raises:
            DataError: naming file and line of what is no pair.
        """
        return self._pairs

    @cached_property
    def _pairs(self) -> tuple[Pair, ...]:
        return tuple(read_pairs(self.index.parent / PAIRS))


def read_pairs(path: Path) -> Iterator[Pair]:
    """Pairs from a file in BLiMP's form.

    Raises:
        DataError: naming file and line of what is no pair.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from None
    yield from parse_pairs(content, str(path))


def parse_pairs(content: bytes, where: str) -> Iterator[Pair]:
    """Pairs from the bytes of such a file, which errors call ``where``."""
    for number, line in enumerate(content.removesuffix(b"\n").split(b"\n"), start=1):
        try:
            entry = json.loads(line)
            if not isinstance(entry, dict):
                raise TypeError("a JSON object is needed")
            missing = [key for key in _KEYS.values() if key not in entry]
            if missing:
                raise ValueError(f"no {', '.join(missing)}")
            pair = Pair(**{name: entry[key] for name, key in _KEYS.items()})
        except (ValueError, TypeError, RecursionError) as error:
            raise DataError(f"{where}, line {number}: not a minimal pair: {error}") from None
        yield pair


def write_pairs(path: Path, pairs: Iterable[Pair]) -> None:
    """Write pairs, numbered within their paradigms."""
    numbers: dict[str, int] = {}
    lines = []
    for pair in pairs:
        number = numbers.setdefault(pair.paradigm, 0)
        numbers[pair.paradigm] += 1
        entry = {_KEYS[name]: value for name, value in vars(pair).items()}
        lines.append(json.dumps({**entry, "pairID": str(number)}, ensure_ascii=False) + "\n")
    write_text(path, "".join(lines))


def write_prepared(
    folder: Path,
    *,
    source: str,
    options: Mapping[str, Any],
    pairs: Iterable[Pair],
    extra: Mapping[str, Any] | None = None,
) -> Path:
    """Write a folder of minimal pairs without text, the index last, and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / INDEX).unlink(missing_ok=True)
    write_pairs(folder / PAIRS, pairs)
    index = folder / INDEX
    content = {
        "kind": KIND,
        "source": source,
        "options": dict(options),
        "pairs": PAIRS,
        "files": {PAIRS: asdict(FileRecord.of(folder / PAIRS))},
        "extra": dict(extra or {}),
    }
    write_json(index, content)
    return index
