"""Web text and encyclopaedias as Parquet files with a column ``text``: the hub's, or one's own.

Three datasets of the Hugging Face Hub are known by name; what of them is not in ``data/<name>`` is
fetched when a part needs it. Any other name stands for Parquet files that somebody put there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from toporepro.data.documents import check_share
from toporepro.data.extent import Extent
from toporepro.spec import SpecError

if TYPE_CHECKING:
    from toporepro.data.hub import HubFolder
    from toporepro.data.raw_text import Document
    from toporepro.data.remote_file import RemoteFile

SCATTERED = "scatter_text"
COLUMN = "text"
_ROWS = 256
_PACKED = 1.6  # bytes of text per byte of its Parquet file, about


@dataclass(frozen=True)
class Corpus:
    """A dataset of the hub.

    Attributes:
        dataset, path: its repository, and the folder there.
        names: how its files are named, by their number.
        files: number of them.
        raw, tokens: bytes of all files, and GPT-2's tokens in them, about.
    """

    dataset: str
    path: str
    names: str
    files: int
    raw: float
    tokens: float


CORPORA = {
    "fineweb_edu": Corpus(
        "HuggingFaceFW/fineweb-edu", "sample/10BT", "{:03d}_00000.parquet", 14, 28.5e9, 9.95e9
    ),
    "wikipedia": Corpus(
        "wikimedia/wikipedia",
        "20231101.en",
        "train-{:05d}-of-00041.parquet",
        41,
        11.7e9,
        4.6e9,
    ),
    "openwebtext": Corpus(
        "Skylion007/openwebtext", "plain_text", "train-{:05d}-of-00080.parquet", 80, 24.2e9, 9.04e9
    ),
}


@dataclass(frozen=True, kw_only=True)
class Options:
    """Which text, and how it becomes tokens.

    Attributes:
        dataset: ``fineweb_edu`` (sample 10BT), ``wikipedia`` (20231101.en) or ``openwebtext``, from
            the hub or put into a folder of that name below ``data``; or the name of another folder
            there, with Parquet files that have a column ``text``.
        files: of the dataset's files the first so many; null for all.
        tokenizer: ``gpt2``: GPT-2's byte-level BPE, fetched, or put into ``data/gpt2_bpe`` as
            ``encoder.json`` and ``vocab.bpe``; ``trained``: one learnt from the training text.
        vocabulary: ids of a tokenizer that is learnt, at least 257.
        validation: share of the documents that are the validation split; which ones, their own text
            decides.
        shards: parts that the files are shared out among; one job, one file of tokens each.
    """

    dataset: str = "fineweb_edu"
    files: int | None = None
    tokenizer: Literal["gpt2", "trained"] = "gpt2"
    vocabulary: int = 50257
    validation: float = 0.001
    shards: int = 14

    def __post_init__(self) -> None:
        check_share(self.validation)
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", self.dataset):
            raise SpecError(f"dataset={self.dataset!r}: {', '.join(CORPORA)}, or a folder's name")
        most = CORPORA[self.dataset].files if self.dataset in CORPORA else None
        if self.files is not None and (self.files < 1 or (most and self.files > most)):
            raise SpecError(f"files={self.files}: 1 to {most or 'as many as there are'}, or null")
        if self.vocabulary < 257:
            raise SpecError(f"vocabulary={self.vocabulary}: at least 257")
        if not 1 <= self.shards <= 1000:
            raise SpecError(f"shards={self.shards}: from 1 to 1000")


def parts(options: Options) -> int:
    """Jobs that the preparation is cut into."""
    return options.shards


def raw_files(options: Options) -> tuple[RemoteFile, ...]:
    """None before it is known what the hub has: parts fetch theirs."""
    return ()


def prepared_bytes(options: Options) -> int:
    """Bytes that the tokens of a dataset of the hub take, about; 0 of another."""
    return 2 * sum(extent(options).splits.values())


def extent(options: Options) -> Extent:
    """How much a dataset of the hub holds, in GPT-2's tokens; nothing is known of another."""
    corpus = CORPORA.get(options.dataset)
    share = (options.files or corpus.files) / corpus.files if corpus else 0.0
    tokens = round(corpus.tokens * share) if corpus else 0
    validation = round(tokens * options.validation)
    return Extent(
        splits={"train": tokens - validation, "validation": validation},
        shape=(0, 0, 0),
        classes=options.vocabulary,
        raw=round(corpus.raw * share) if corpus else 0,
        by_hand="" if corpus else f"put Parquet files into data/{options.dataset}",
    )


def listed(options: Options, raw: Path) -> dict[str, int] | None:
    """Names and sizes of a person's own files; a dataset of the hub is always the same ones."""
    if options.dataset in CORPORA:
        return None
    found = sorted(raw.with_name(options.dataset).glob("*.parquet"))[: options.files]
    return {path.name: path.stat().st_size for path in found}


def open_raw(options: Options, raw: Path) -> ParquetFiles:
    """The files of ``data/<dataset>``, or of the hub.

    Raises:
        DataError: if there are none and it is no dataset of the hub; with what to do.
    """
    return ParquetFiles(options, raw.with_name(options.dataset))


class ParquetFiles:
    """Parquet files in a folder, each a unit, each row a document; read by row group.

    Raises:
        DataError: if there are none, and it is no dataset of the hub; with what to do.
    """

    def __init__(self, options: Options, folder: Path) -> None:
        from toporepro.data.index import DataError

        corpus = CORPORA.get(options.dataset)
        self._folder, self._hub = folder, None
        if corpus:
            count = options.files or corpus.files
            self._names = [corpus.names.format(number) for number in range(count)]
            if not all((folder / name).exists() for name in self._names):
                self._hub = _hub(corpus, folder)
                absent = set(self._names) - set(self._hub.listing())
                if absent:
                    raise DataError(
                        f"{corpus.dataset}: the hub has no {', '.join(sorted(absent)[:3])} in "
                        f"{corpus.path}; {self._hub.advice}"
                    )
            return
        self._names = list(listed(options, folder) or ())
        if not self._names:
            raise DataError(
                f"{folder}: no Parquet files (*.parquet) there. Put files with a column `{COLUMN}` "
                f"there, or choose one of {', '.join(CORPORA)}."
            )

    def units(self) -> tuple[str, ...]:
        return tuple(self._names)

    def size(self, unit: str) -> int:
        """Bytes of text by the file's own account, or about, if it is not here yet."""
        import pyarrow
        from pyarrow import parquet

        path = self._folder / unit
        if not path.exists() and self._hub:
            return int(self._hub.listing()[unit] * _PACKED)
        try:
            meta = parquet.read_metadata(path)
            groups = [meta.row_group(number) for number in range(meta.num_row_groups)]
            return sum(
                column.total_uncompressed_size
                for group in groups
                for column in map(group.column, range(group.num_columns))
                if column.path_in_schema == COLUMN
            )
        except (pyarrow.ArrowException, OSError):
            return path.stat().st_size  # reading it says what is wrong

    def read(self, unit: str) -> Iterator[Document]:
        import pyarrow
        from pyarrow import parquet

        from toporepro.data.raw_text import Document

        path = self._hub.fetch(unit) if self._hub else self._folder / unit
        row = 0
        try:
            # A buffer, so that a row group's column is not read as a whole.
            with parquet.ParquetFile(
                path, buffer_size=1 << 20, pre_buffer=False, page_checksum_verification=True
            ) as file:
                wrong = _wrong(file.schema_arrow)
                if wrong:
                    yield Document(str(path), (), fault=wrong)
                    return
                for group in range(file.num_row_groups):
                    for batch in file.iter_batches(
                        _ROWS, row_groups=[group], columns=[COLUMN], use_threads=False
                    ):
                        for value in batch.column(0):
                            yield _document(f"{path}: row {row}", value)
                            row += 1
        except (pyarrow.ArrowException, OSError) as error:
            yield Document(f"{path}: row {row}", (), fault=f"a damaged file ({error})")


def _document(name: str, value: object) -> Document:
    from toporepro.data.raw_text import Document

    try:
        text = value.as_py()  # type: ignore[attr-defined]
    except UnicodeDecodeError as error:
        return Document(name, (), fault=f"byte {error.start} is not UTF-8 ({error.reason})")
    if text is None:
        return Document(name, (), fault=f"null in column `{COLUMN}`")
    return Document(name, (text,))


def _wrong(schema: object) -> str:
    """What keeps a file of this schema from being text; empty if nothing does."""
    import pyarrow

    assert isinstance(schema, pyarrow.Schema)
    columns = ", ".join(f"{field.name} ({field.type})" for field in schema)
    if COLUMN not in schema.names:
        return f"no column `{COLUMN}`; there are: {columns}"
    kind = schema.field(COLUMN).type
    if not (pyarrow.types.is_string(kind) or pyarrow.types.is_large_string(kind)):
        return f"column `{COLUMN}` is of {kind}, not of strings; there are: {columns}"
    return ""


def _hub(corpus: Corpus, folder: Path) -> HubFolder:
    from toporepro.data.hub import HubFolder

    advice = (
        f"get the files of {corpus.path} at https://huggingface.co/datasets/{corpus.dataset} "
        f"elsewhere and put them into {folder} (with HF_TOKEN, if they should need a login)"
    )
    return HubFolder(
        corpus.dataset, corpus.path, folder, lambda name: name.endswith(".parquet"), advice
    )
