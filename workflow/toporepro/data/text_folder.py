"""Plain text that a person puts into a folder: books, articles, one file a document."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from toporepro.data.documents import check_share
from toporepro.spec import SpecError

if TYPE_CHECKING:
    from toporepro.data.raw_text import Document
    from toporepro.data.remote_file import RemoteFile

SCATTERED = "scatter_text"
_NAMED = {
    "valid.txt": "validation",
    "val.txt": "validation",
    "validation.txt": "validation",
    "test.txt": "test",
}


@dataclass(frozen=True, kw_only=True)
class Options:
    """Where the text lies, and how it becomes tokens.

    A folder has files ``*.txt`` in UTF-8, also in folders below. With a file ``valid.txt`` beside
    them, and ``test.txt`` if there is one, all others are the training split (such as a
    ``train.txt``); without it, a share of the documents is the validation split.

    Attributes:
        folder: its name, below ``data``.
        tokenizer: ``trained``: a byte-level BPE learnt from the training text; ``gpt2``: GPT-2's,
            fetched, or put into ``data/gpt2_bpe`` as ``encoder.json`` and ``vocab.bpe``.
        vocabulary: ids of a tokenizer that is learnt, at least 257.
        validation: share of the documents that are the validation split, where no file is.
        shards: parts that the files are shared out among; one job, one file of tokens each.
    """

    folder: str = "text"
    tokenizer: Literal["trained", "gpt2"] = "trained"
    vocabulary: int = 4096
    validation: float = 0.02
    shards: int = 1

    def __post_init__(self) -> None:
        check_share(self.validation)
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", self.folder):
            raise SpecError(f"folder={self.folder!r}: the name of a folder below `data` is needed")
        if self.vocabulary < 257:
            raise SpecError(f"vocabulary={self.vocabulary}: at least 257")
        if not 1 <= self.shards <= 1000:
            raise SpecError(f"shards={self.shards}: from 1 to 1000")


def parts(options: Options) -> int:
    """Jobs that the preparation is cut into."""
    return options.shards


def raw_files(options: Options) -> tuple[RemoteFile, ...]:
    """None: the text is the user's own."""
    return ()


def missing(options: Options, raw: Path) -> str | None:
    """What of the user's own files is absent, in words; ``None`` if there is any text."""
    there = listed(options, raw)
    return None if there else f"no text files (*.txt) in {raw.with_name(options.folder)}"


def listed(options: Options, raw: Path) -> dict[str, int]:
    """The text files, by their paths below the folder, and their sizes in bytes."""
    folder = raw.with_name(options.folder)
    found = (path for path in folder.rglob("*.txt") if not path.name.startswith("."))
    return {
        path.relative_to(folder).as_posix(): path.stat().st_size
        for path in sorted(found)
        if path.is_file()
    }


def open_raw(options: Options, raw: Path) -> Folder:
    """The text files of ``data/<folder>``.

    Raises:
        DataError: if there are none, with what to do.
    """
    return Folder(raw.with_name(options.folder), listed(options, raw))


class Folder:
    """The text files of one folder (name → size in bytes), each a unit and a document.

    Raises:
        DataError: if there are none, with what to do.
    """

    def __init__(self, folder: Path, sizes: dict[str, int]) -> None:
        from toporepro.data.index import DataError

        self._folder, self._sizes = folder, sizes
        if not sizes:
            raise DataError(
                f"{folder}: no text files (*.txt) there. Put plain text in UTF-8 there, a file for "
                "each book or article; or train.txt and valid.txt, and test.txt if you like. "
                "A link to a folder elsewhere will do."
            )
        self._explicit = any(_NAMED.get(name) == "validation" for name in sizes)

    def units(self) -> tuple[str, ...]:
        return tuple(self._sizes)

    def size(self, unit: str) -> int:
        return self._sizes[unit]

    def read(self, unit: str) -> Iterator[Document]:
        from toporepro.data.raw_text import Document
        from toporepro.data.text_files import TextFile

        split = _NAMED.get(unit, "train" if self._explicit else None)
        yield Document(unit, TextFile(self._folder / unit), split)
