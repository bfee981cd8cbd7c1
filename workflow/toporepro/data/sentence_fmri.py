"""Sentence-level fMRI as a plain table: who read what, and how which region answered.

A person puts ``responses.csv`` (or ``.tsv``, ``.parquet``) into ``data/sentence_fmri``: a row for
each stimulus, participant and voxel, with the columns

* ``stimulus``: the sentence; ``participant``; ``roi``: the region; ``response``: a number;
* and, if they are there, ``voxel``: its name inside the region, without which a region is a single
  one; ``split``: ``train`` or ``test``, the same for all rows of a stimulus; ``ncsnr``: the voxel's
  noise-ceiling signal-to-noise ratio for one reading.

Rows that repeat stimulus, participant, roi and voxel are repeated readings; they are averaged, and
say how noisy a voxel is where ``ncsnr`` does not. Without either, there is no noise ceiling, and
correlations stay as they are. Public sets, such as those of Pereira et al. (2018) or Tuckute et al.
(2024), have to be brought into this form. ``docs/brain.md`` shows one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from toporepro.data.index import DataError
from toporepro.provenance import progress
from toporepro.spec import SpecError, nearest

if TYPE_CHECKING:
    import pyarrow as pa

    from toporepro.data.remote_file import RemoteFile

NAMES = ("responses.csv", "responses.tsv", "responses.parquet")
NEEDED = ("stimulus", "participant", "roi", "response")
OPTIONAL = ("voxel", "split", "ncsnr")
SPLITS = ("train", "test")
_NUMBERS = ("response", "ncsnr")
Voxel = tuple[str, str]  # region, name
Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Options:
    """How sentences are held out where the table does not say.

    Attributes:
        held_out: share of the sentences, those first in the order of their SHA-256.
    """

    held_out: float = 0.2

    def __post_init__(self) -> None:
        if not 0 < self.held_out < 1:
            raise SpecError(f"held_out={self.held_out}: between 0 and 1")


def raw_files(options: Options) -> tuple[RemoteFile, ...]:
    """Nothing is fetched."""
    return ()


def missing(options: Options, raw: Path) -> str | None:
    """What of the user's own files is absent, in words; ``None`` if all is there."""
    return None if _there(raw) else f"{raw / NAMES[0]} not found"


def local_files(options: Options, raw: Path) -> tuple[Path, ...]:
    """The table.

    Raises:
        DataError: if there is none, or several.
    """
    there = _there(raw)
    if len(there) != 1:
        found = ", ".join(path.name for path in there) or "none"
        raise DataError(
            f"{raw}: one table of responses is needed ({' or '.join(NAMES)}), {found} is there; "
            f"columns {', '.join(NEEDED)}, and if known {', '.join(OPTIONAL)}"
        )
    return (there[0],)


def _there(raw: Path) -> list[Path]:
    return [raw / name for name in NAMES if (raw / name).exists()]


def prepare(options: Options, raw: Path, out: Path) -> None:
    """Write the sentences and each participant's responses; the table is read once for each."""
    from toporepro.data.sentence_store import write_sentences

    (path,) = local_files(options, raw)
    table = _Table(path)
    splits = table.splits(options.held_out)
    out.mkdir(parents=True, exist_ok=True)
    regions = sorted({region for voxels in table.voxels.values() for region, _ in voxels})
    files: list[str] = []
    facts: dict[str, Any] = {}
    for name, voxels in sorted(table.voxels.items()):
        progress(f"{name}: {len(voxels)} voxels")
        files += _participant(out, table, name, sorted(voxels), regions, splits)
        facts[name] = {"voxels": {r: sum(r == of for of, _ in voxels) for r in regions}}
    write_sentences(
        out,
        source="sentence_fmri",
        options=asdict(options),
        splits=splits,
        files=files,
        extra={"brain": {"regions": regions, "participants": facts}},
    )


def _participant(
    out: Path,
    table: _Table,
    name: str,
    voxels: list[Voxel],
    regions: list[str],
    splits: dict[str, list[str]],
) -> list[str]:
    from toporepro.data.brain_responses import ResponseFile, write_voxels

    sums = _Sums(voxels, [sentence for of in splits.values() for sentence in of])
    for batch in table.rows():
        sums.add(batch, name)
    shown, start = {}, 0
    for split, of in splits.items():
        count = sums.count[:, start : start + len(of)]
        rows = np.flatnonzero(count.any(axis=0))
        if not (count[:, rows] > 0).all():
            where = int(np.argmax((count[:, rows] == 0).any(axis=0)))
            raise DataError(
                f"{table.path}: {name} has responses of some voxels and not of others to "
                f"{of[rows[where]]!r}; every voxel has to answer to the same stimuli"
            )
        if not len(rows):
            raise DataError(f"{table.path}: {name} read no sentence of the split {split}")
        shown[split] = (rows, count[0, rows])
        with ResponseFile(out / f"{name}_{split}.npy", len(rows)) as file:
            file.write((sums.total[:, start + rows] / count[:, rows]).T)
        start += len(of)
    return write_voxels(
        out,
        name,
        members=np.array([[region == of for of, _ in voxels] for region in regions]),
        ncsnr=sums.ncsnr(),
        places=np.full((len(voxels), 3), np.nan),
        right=np.zeros(len(voxels), dtype=bool),
        maps={},
        shown=shown,
    )


class _Table:
    """The user's table: read in batches, and what it holds.

    Attributes:
        voxels: participant → their voxels.

    Raises:
        DataError: if a column is missing or unknown, a value is none, or a stimulus in two splits.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.voxels: dict[str, set[Voxel]] = {}
        self._split: dict[str, str | None] = {}
        for batch in self.rows():
            for sentence, split in {(s, v) for s, v in zip(batch["stimulus"], batch["split"],
                                                           strict=True)}:  # fmt: skip
                if self._split.setdefault(sentence, split) != split:
                    raise DataError(f"{path}: {sentence!r} is in two splits")
            for name, *voxel in set(
                zip(batch["participant"], batch["roi"], batch["voxel"], strict=True)
            ):
                self.voxels.setdefault(name, set()).add((voxel[0], voxel[1]))
        if not self._split:
            raise DataError(f"{path}: no rows")
        for name in self.voxels:
            if not name.replace("-", "").replace("_", "").isalnum():
                raise DataError(
                    f"{path}: participant {name!r}; letters, digits, - and _ are needed"
                )
        for region in {region for of in self.voxels.values() for region, _ in of}:
            if "." in region:
                raise DataError(f"{path}: roi {region!r}; a name without a dot is needed")

    def splits(self, held_out: float) -> dict[str, list[str]]:
        """The sentences of each split, in the order of their SHA-256."""
        said = set(self._split.values())
        sentences = sorted(self._split, key=lambda s: hashlib.sha256(s.encode()).digest())
        if said == {None}:
            cut = max(1, round(held_out * len(sentences)))
            found = {"train": sentences[cut:], "test": sentences[:cut]}
        elif said == set(SPLITS):
            found = {name: [s for s in sentences if self._split[s] == name] for name in SPLITS}
        else:
            raise DataError(
                f"{self.path}: splits {sorted(map(str, said))}; `train` and `test` are needed, in "
                "every row, or no column `split`"
            )
        if len(found["train"]) < 2:
            raise DataError(f"{self.path}: {len(sentences)} sentences are too few")
        return found

    def rows(self) -> Iterator[dict[str, Any]]:
        """Batches of rows: column → its values; absent optional columns hold ``None`` or ''."""
        try:
            for batch in self._batches():
                yield self._checked(batch)
        except (OSError, ValueError) as error:  # pyarrow's errors are these
            if isinstance(error, DataError):
                raise
            raise DataError(f"{self.path}: not a table that can be read ({error})") from None

    def _batches(self) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa
        from pyarrow import csv, parquet

        if self.path.suffix == ".parquet":
            yield from parquet.ParquetFile(self.path).iter_batches()
            return
        kinds = {name: pa.string() for name in (*NEEDED, *OPTIONAL)}
        kinds |= {name: pa.float64() for name in _NUMBERS}
        yield from csv.open_csv(
            self.path,
            parse_options=csv.ParseOptions(
                delimiter="\t" if self.path.suffix == ".tsv" else ",", newlines_in_values=True
            ),
            convert_options=csv.ConvertOptions(column_types=kinds, strings_can_be_null=False),
        )

    def _checked(self, batch: pa.RecordBatch) -> dict[str, Any]:
        names = batch.schema.names
        for name in names:
            if name not in (*NEEDED, *OPTIONAL):
                known = nearest(name, (*NEEDED, *OPTIONAL))
                raise DataError(f"{self.path}: unknown column {name!r}; {known}")
        lacking = [name for name in NEEDED if name not in names]
        if lacking:
            raise DataError(f"{self.path}: no column {', '.join(lacking)}; there are "
                            f"{', '.join(names)}")  # fmt: skip
        found: dict[str, Any] = {}
        for name in (*NEEDED, *OPTIONAL):
            if name not in names:
                blank = None if name == "split" else np.nan if name == "ncsnr" else ""
                found[name] = [blank] * batch.num_rows
            elif name in _NUMBERS:
                found[name] = batch.column(name).to_numpy(zero_copy_only=False).astype(np.float64)
            else:
                found[name] = [str(value).strip() for value in batch.column(name).to_pylist()]
        if not np.isfinite(found["response"]).all():
            row = int(np.argmin(np.isfinite(found["response"])))
            raise DataError(
                f"{self.path}: no response of {found['participant'][row]} to "
                f"{found['stimulus'][row]!r}; leave the row out"
            )
        if "" in found["stimulus"]:
            raise DataError(f"{self.path}: a row without a stimulus")
        return found


class _Sums:
    """Responses of one participant, summed over repeats: voxels × sentences."""

    def __init__(self, voxels: list[Voxel], sentences: list[str]) -> None:
        self._voxel = {voxel: place for place, voxel in enumerate(voxels)}
        self._sentence = {sentence: place for place, sentence in enumerate(sentences)}
        shape = len(voxels), len(sentences)
        self.count: Integers = np.zeros(shape, dtype=np.int64)
        self.total, self._squares = np.zeros(shape), np.zeros(shape)
        self._given = np.full(len(voxels), np.nan)

    def add(self, batch: dict[str, Any], participant: str) -> None:
        mine = [row for row, name in enumerate(batch["participant"]) if name == participant]
        voxels = [self._voxel[batch["roi"][row], batch["voxel"][row]] for row in mine]
        sentences = [self._sentence[batch["stimulus"][row]] for row in mine]
        values = np.asarray(batch["response"])[mine]
        np.add.at(self.count, (voxels, sentences), 1)
        np.add.at(self.total, (voxels, sentences), values)
        np.add.at(self._squares, (voxels, sentences), values**2)
        self._given[voxels] = np.asarray(batch["ncsnr"], dtype=np.float64)[mine]

    def ncsnr(self) -> Floats:
        """As given; else from repeats: √((variance of all − that of repeats) / that of repeats)."""
        shown = self.count > 0
        within = self._squares - np.where(shown, self.total**2 / np.maximum(self.count, 1), 0)
        freedom = np.maximum(self.count - 1, 0).sum(axis=1)
        known = freedom > 0
        noise = within.sum(axis=1) / np.where(known, freedom, 1)
        number = self.count.sum(axis=1)
        mean = self.total.sum(axis=1) / number
        variance = self._squares.sum(axis=1) / number - mean**2
        ratio = np.clip(variance - noise, 0, None) / np.where(noise > 0, noise, np.nan)
        estimated = np.where(known, np.sqrt(ratio), np.nan)
        result: Floats = np.where(np.isfinite(self._given), self._given, estimated)
        return result
