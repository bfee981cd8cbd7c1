"""Prepared text: long rows of token ids in few large files, read memory-mapped.

A folder holds, per split, shards ``{split}-{part:05d}.bin`` (ids one after the other, little-endian
uint16, or uint32 where a vocabulary needs it; every document ends with the end-of-text id), the
tokenizer's files (``data.tokenizer``), ``pairs.jsonl`` if the source has minimal pairs
(``data.pairs``), and the index ``dataset.json``, written last.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np
import numpy.typing as npt

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
from toporepro.data.pairs import PAIRS, Pair, write_pairs
from toporepro.data.tokenizer import Tokenizer
from toporepro.provenance import atomic, write_json

KIND = "text"
TRAINING = ("train", "validation")
Tokens = npt.NDArray[np.unsignedinteger[Any]]


@dataclass(frozen=True)
class TokenSplit:
    """One split. A process that it is sent to maps the files anew.

    Attributes:
        files: its shards, in order.
        counts: tokens in each.
        dtype: of the ids.
        documents: number of them.
    """

    files: tuple[Path, ...]
    counts: tuple[int, ...]
    dtype: str
    documents: int

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __getitem__(self, where: slice) -> Tokens:
        """Ids of a run of tokens, without copying if they lie in one shard; step 1 alone."""
        start, stop, step = where.indices(len(self))
        if step != 1:
            raise IndexError(f"a step of {step}: tokens are read in runs")
        pieces = []
        shard = int(np.searchsorted(self._ends, start, side="right"))
        while start < stop:
            first = self._ends[shard] - self.counts[shard]
            end = min(stop, self._ends[shard])
            if end > start:
                pieces.append(self._mapped[shard][start - first : end - first])
            start, shard = end, shard + 1
        if len(pieces) == 1:
            return pieces[0]
        empty: list[Tokens] = [np.empty(0, dtype=self.dtype)]
        joined: Tokens = np.concatenate(pieces or empty)
        return joined

    def __getstate__(self) -> dict[str, Any]:
        return {name: self.__dict__[name] for name in ("files", "counts", "dtype", "documents")}

    @cached_property
    def _ends(self) -> list[int]:
        return list(accumulate(self.counts))

    @cached_property
    def _mapped(self) -> list[Tokens]:
        empty: Tokens = np.empty(0, dtype=self.dtype)  # an empty file cannot be mapped
        return [
            np.memmap(file, dtype=self.dtype, mode="r", shape=(count,)) if count else empty
            for file, count in zip(self.files, self.counts, strict=True)
        ]


@dataclass(frozen=True)
class PreparedText(Prepared):
    """Prepared text, opened by ``PreparedText.open``; further fields as in ``Prepared``.

    Attributes:
        vocabulary: ids that the tokenizer gives are 0 to ``vocabulary`` − 1.
        end_of_text: the id that ends each document.
        splits: ``train``, ``validation`` and whatever else the source has.
    """

    vocabulary: int
    end_of_text: int
    splits: Mapping[str, TokenSplit]

    @classmethod
    def open(cls, index: Path) -> PreparedText:
        """Read an index and check that every file it names is there in its full size.

        Raises:
            DataError: if the index or a file is missing, damaged or of another size.
        """
        content = read_index(index)
        with reading(index, "prepared text"):
            if content["kind"] != KIND:
                raise ValueError(f"kind {content['kind']!r}")
            size = np.dtype(content["dtype"]).itemsize
            prepared = cls(
                **common(index, content),
                vocabulary=int(content["vocabulary"]),
                end_of_text=int(content["end_of_text"]),
                splits={
                    name: TokenSplit(
                        tuple(index.parent / shard for shard in split["shards"]),
                        tuple(int(count) for count in split["tokens"]),
                        str(content["dtype"]),
                        int(split["documents"]),
                    )
                    for name, split in content["splits"].items()
                },
            )
            for split in prepared.splits.values():
                for file, count in zip(split.files, split.counts, strict=True):
                    if prepared.files[file.name].bytes != count * size:
                        raise ValueError(f"{file.name} is not {count} tokens")
        if not set(TRAINING) <= set(prepared.splits):
            raise DataError(
                f"{index}: splits {sorted(prepared.splits)}; train and validation were expected; "
                f"{again(index.parent)}"
            )
        prepared.check_sizes()
        return prepared

    def split(self, name: str) -> TokenSplit:
        """The tokens of one split, whose files are hashed the first time.

        Raises:
            DataError: if there is no such split, or a file is damaged.
        """
        if name not in self.splits:
            raise DataError(f"{self.index}: no split {name!r}; there are {', '.join(self.splits)}")
        split = self.splits[name]
        self._hash_once(file.name for file in split.files)
        return split

    def tokenizer(self) -> Tokenizer:
        """What the text was encoded with.

        Raises:
            DataError: if its files are not right.
        """
        return self._tokenizer

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        return Tokenizer.open(self.index.parent)


def id_type(vocabulary: int) -> str:
    """The smallest type that holds all ids: little-endian uint16, or uint32."""
    return "<u2" if vocabulary <= 1 << 16 else "<u4"


class TokenWriter:
    """Writes one shard; used in a ``with`` statement, at whose end the file is complete.

    Attributes:
        tokens, documents: written so far.
        record: hash and size of the file, once it is complete.
    """

    def __init__(self, path: Path, tokenizer: Tokenizer) -> None:
        self.path, self.tokens, self.documents = path, 0, 0
        self._tokenizer = tokenizer
        self._dtype = np.dtype(id_type(tokenizer.vocabulary))
        self._end = np.array([tokenizer.end_of_text], dtype=self._dtype).tobytes()
        self._digest = hashlib.sha256()
        self._whole = atomic(path)
        self._file: IO[bytes]

    def __enter__(self) -> TokenWriter:
        self._file = self._whole.__enter__().open("wb")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()
        self._whole.__exit__(kind, error, trace)

    @property
    def record(self) -> FileRecord:
        return FileRecord(self._digest.hexdigest(), self.tokens * self._dtype.itemsize)

    def add(self, pieces: Iterable[str]) -> None:
        """Add one document, in one piece, or in pieces cut where no token is cut."""
        for piece in pieces:
            ids = self._tokenizer.encode_array(piece)
            self._write(ids.astype(self._dtype).tobytes(), len(ids))
        self._write(self._end, 1)
        self.documents += 1

    def _write(self, data: bytes, tokens: int) -> None:
        self._file.write(data)
        self._digest.update(data)
        self.tokens += tokens


class TextWriter:
    """Writes a folder of prepared text: every split with ``write_split``, then ``finish``.

    Args:
        folder: created if need be; a former index in it is taken away first, since it would
            vouch for files that are about to change.
        source, options, extra: as in ``Prepared``.
    """

    def __init__(
        self,
        folder: Path,
        *,
        source: str,
        options: Mapping[str, Any],
        tokenizer: Tokenizer,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        self.folder = folder
        self._tokenizer = tokenizer
        folder.mkdir(parents=True, exist_ok=True)
        (folder / INDEX).unlink(missing_ok=True)
        self._files = {name: FileRecord.of(folder / name) for name in tokenizer.save(folder)}
        self._splits: dict[str, dict[str, Any]] = {}
        self._about: dict[str, Any] = {"source": source, "options": options, "extra": extra or {}}

    def write_split(self, name: str, documents: Iterable[str]) -> None:
        """Encode and write one split; only one document is in memory at a time.

        Raises:
            DataError: on a name that is none, or there already.
        """
        if not name.isidentifier() or name in self._splits:
            raise DataError(f"{self.folder}: split {name!r}; a new name is needed")
        shard = shard_file(name, 0)
        with TokenWriter(self.folder / shard, self._tokenizer) as writer:
            for document in documents:
                writer.add([document])
        self._splits[name] = {
            "shards": [shard],
            "tokens": [writer.tokens],
            "documents": writer.documents,
        }
        self._files[shard] = writer.record

    def write_pairs(self, pairs: Iterable[Pair]) -> None:
        """Write minimal pairs beside the text."""
        write_pairs(self.folder / PAIRS, pairs)
        self._files[PAIRS] = FileRecord.of(self.folder / PAIRS)

    def finish(self) -> Path:
        """Write the index, last, and return its path.

        Raises:
            DataError: if a split of ``train`` and ``validation`` is missing or has no text.
        """
        for name in TRAINING:
            if not sum(self._splits.get(name, {"tokens": []})["tokens"]):
                raise DataError(f"{self.folder}: split {name!r} was not written, or has no text")
        index = self.folder / INDEX
        content = text_index(
            **self._about, tokenizer=self._tokenizer, splits=self._splits, files=self._files
        )
        write_json(index, content)
        return index


def text_index(
    *,
    source: str,
    options: Mapping[str, Any],
    tokenizer: Tokenizer,
    splits: Mapping[str, Mapping[str, Any]],
    files: Mapping[str, FileRecord],
    extra: Mapping[str, Any],
) -> dict[str, Any]:
    """The content of an index of text.

    Args:
        splits: name → ``shards`` (file names), ``tokens`` (in each) and ``documents``.
        files: all files of the folder, pairs included.
        source, options, extra: as in ``Prepared``.
    """
    return {
        "kind": KIND,
        "source": source,
        "options": dict(options),
        "vocabulary": tokenizer.vocabulary,
        "end_of_text": tokenizer.end_of_text,
        "dtype": id_type(tokenizer.vocabulary),
        "splits": dict(splits),
        "pairs": PAIRS if PAIRS in files else None,
        "files": {name: asdict(record) for name, record in files.items()},
        "extra": dict(extra),
    }


def shard_file(split: str, part: int) -> str:
    """The name of a shard."""
    return f"{split}-{part:05d}.bin"
