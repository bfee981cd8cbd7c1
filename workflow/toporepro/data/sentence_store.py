"""Prepared sentences: stimuli of a reader's brain, kept as text, since every network has tokens of
its own.

A folder holds ``sentences.json`` (split → sentences) and the index ``dataset.json``, written last;
the responses lie beside (``data.brain_responses``).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from toporepro.data.index import (
    INDEX,
    DataError,
    FileRecord,
    Prepared,
    again,
    common,
    read_index,
    reading,
)
from toporepro.provenance import write_json

KIND = "sentences"
SENTENCES = "sentences.json"


@dataclass(frozen=True)
class PreparedSentences(Prepared):
    """A dataset of sentences, opened by ``PreparedSentences.open``."""

    @classmethod
    def open(cls, index: Path) -> PreparedSentences:
        """Read an index and check that every file it names is there in its full size.

        Raises:
            DataError: if the index or a file is missing, damaged or of another size.
        """
        content = read_index(index)
        with reading(index, "sentences"):
            if content["kind"] != KIND:
                raise ValueError(f"kind {content['kind']!r}")
            prepared = cls(**common(index, content))
        prepared.check_sizes()
        return prepared

    def split(self, name: str) -> tuple[str, ...]:
        """The sentences of one split.

        Raises:
            DataError: if there is no such split, or the file is damaged.
        """
        self._hash_once([SENTENCES])
        path = self.index.parent / SENTENCES
        try:
            splits = json.loads(path.read_text(encoding="utf-8"))
            return tuple(splits[name])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{path}: no split {name!r} ({type(error).__name__}: {error}); "
                f"{again(self.index.parent)}"
            ) from None


def is_sentences(index: Path) -> bool:
    """Whether an index is one of sentences.

    Raises:
        DataError: if it is no index.
    """
    return read_index(index).get("kind") == KIND


def write_sentences(
    folder: Path,
    *,
    source: str,
    options: Mapping[str, Any],
    splits: Mapping[str, Sequence[str]],
    files: Iterable[str],
    extra: Mapping[str, Any],
) -> Path:
    """Write the sentences, then the index, which names further ``files`` of the folder too."""
    write_json(folder / SENTENCES, {name: list(of) for name, of in splits.items()})
    records = {name: asdict(FileRecord.of(folder / name)) for name in (SENTENCES, *files)}
    content = {
        "kind": KIND,
        "source": source,
        "options": dict(options),
        "files": records,
        "extra": dict(extra),
    }
    write_json(folder / INDEX, content)
    return folder / INDEX
