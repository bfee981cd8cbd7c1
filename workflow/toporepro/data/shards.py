"""Images of many sizes in few large files: written part by part, read memory-mapped.

A folder holds, per part and split, a shard ``{split}-{part}.bin`` (the images' bytes, one after the
other: JPEGs of ``data.jpeg``, or raw pixels H×W×3), per split ``{split}_labels.npy`` (int64, N) and
``{split}_places.npy`` (int64, N×5: shard, offset, bytes, height, width), and an index
``dataset.json``, written last. It has what ``data.store`` writes, less ``shape`` and, since nothing
has one size, with ``shards`` in its place: split → file names in order; and ``format``, a number.
"""

from __future__ import annotations

import hashlib
import mmap
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Literal

import numpy as np
import numpy.typing as npt

from toporepro.data.index import again, read_index, reading
from toporepro.data.store import DataError, FileRecord, Images, Labels

FORMAT = 2  # of what a shard holds; 1 had no tables of blocks behind its JPEGs
Storage = Literal["jpeg", "raw"]
Places = npt.NDArray[np.int64]
SHARD, OFFSET, BYTES, HEIGHT, WIDTH = range(5)


@dataclass(frozen=True)
class ShardedImages:
    """A sharded dataset, opened by ``ShardedImages.open``; fields as in ``store.PreparedImages``.

    Attributes:
        storage: ``jpeg`` or ``raw``.
        shards: split → its shards' file names, in order.
        splits: split → number of images.
    """

    index: Path
    source: str
    options: Mapping[str, Any]
    storage: Storage
    classes: tuple[str, ...]
    categories: Mapping[str, tuple[int, ...]]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    shards: Mapping[str, tuple[str, ...]]
    splits: Mapping[str, int]
    files: Mapping[str, FileRecord]
    extra: Mapping[str, Any]

    @classmethod
    def open(cls, index: Path) -> ShardedImages:
        """Read an index and check that every file it names is there in its full size.

        Raises:
            DataError: if the index or a file is missing, damaged or of another size.
        """
        content = read_index(index)
        with reading(index, "sharded images"):
            shards = {name: tuple(files) for name, files in content["shards"].items()}
            if (found := content.get("format", 1)) != FORMAT:
                raise DataError(
                    f"{index}: images of format {found}, {FORMAT} expected; {again(index.parent)}"
                )
            opened = cls(
                index=index,
                source=str(content["source"]),
                options=dict(content["options"]),
                storage=content["storage"],
                classes=tuple(content["classes"]),
                categories={name: tuple(c) for name, c in content["categories"].items()},
                mean=tuple(content["mean"]),
                std=tuple(content["std"]),
                shards=shards,
                splits={name: int(split["count"]) for name, split in content["splits"].items()},
                files={name: FileRecord(**record) for name, record in content["files"].items()},
                extra=dict(content["extra"]),
            )
        for name, record in opened.files.items():
            record.check_size(index.parent / name)
        return opened

    def split(self, name: str) -> ShardedSplit:
        """One split.

        Raises:
            DataError: if there is none of that name, or its arrays are not what the index says.
        """
        if name not in self.splits:
            raise DataError(f"{self.index}: no split {name!r}; there are {', '.join(self.splits)}")
        folder = self.index.parent
        split = ShardedSplit(
            index=self.index,
            name=name,
            storage=self.storage,
            labels=_mapped(folder / labels_file(name)),
            places=_mapped(folder / places_file(name)),
            files=tuple(folder / file for file in self.shards[name]),
        )
        if split.labels.shape != (self.splits[name],) or split.places.shape != (
            self.splits[name],
            5,
        ):
            raise DataError(
                f"{self.index}: {self.splits[name]} images in {name}, labels of shape "
                f"{split.labels.shape} and places of shape {split.places.shape} found"
            )
        return split

    def verify(self) -> None:
        """Hash every file again.

        Raises:
            DataError: naming the first file whose size or SHA-256 is not the index's.
        """
        self._check(self.files)

    def verify_split(self, name: str) -> None:
        """Hash the files of one split, several at a time.

        Raises:
            DataError: if there is no such split; or naming a file that is damaged.
        """
        if name not in self.splits:
            raise DataError(f"{self.index}: no split {name!r}; there are {', '.join(self.splits)}")
        self._check((labels_file(name), places_file(name), *self.shards[name]))

    def _check(self, names: Iterable[str]) -> None:
        folder = self.index.parent
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda name: self.files[name].check(folder / name), names))


@dataclass(frozen=True)
class ShardedSplit:
    """One split. A process that it is sent to maps the files anew.

    Attributes:
        labels: int64, N.
        places: int64, N×5; the columns are ``SHARD, OFFSET, BYTES, HEIGHT, WIDTH``.
        files: the shards.
    """

    index: Path
    name: str
    storage: Storage
    labels: Labels
    places: Places
    files: tuple[Path, ...]

    @property
    def count(self) -> int:
        """Number of images."""
        return len(self.labels)

    def __len__(self) -> int:
        return self.count

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopened, (self.index, self.name)

    def encoded(self, number: int) -> memoryview:
        """The bytes of an image, not copied: a JPEG, or raw pixels."""
        shard, offset, size = self.places[number, :HEIGHT].tolist()
        return memoryview(self._maps[shard])[offset : offset + size]

    def image(self, number: int) -> Images:
        """An image as it is stored, H×W×3.

        Raises:
            DataError: if its bytes are damaged.
        """
        from toporepro.data import jpeg

        data = self.encoded(number)
        if self.storage == "jpeg":
            return jpeg.decode(data)
        height, width = self.places[number, HEIGHT:].tolist()
        return np.frombuffer(data, dtype=np.uint8).reshape(height, width, 3)

    def announce(self, numbers: npt.ArrayLike) -> None:
        """Tell the system which images will be read soon, so that disks work while others decode.

        Has no effect but on speed.
        """
        if not hasattr(mmap, "MADV_WILLNEED"):
            return
        for shard, offset, size in self.places[np.asarray(numbers), :HEIGHT].tolist():
            start = offset - offset % mmap.PAGESIZE
            self._maps[shard].madvise(mmap.MADV_WILLNEED, start, offset + size - start)

    @cached_property
    def _maps(self) -> list[mmap.mmap]:
        maps = []
        for path in self.files:
            with path.open("rb") as file:
                if path.stat().st_size:
                    maps.append(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
                else:
                    maps.append(mmap.mmap(-1, 1))  # an empty file cannot be mapped
        return maps


def _reopened(index: Path, name: str) -> ShardedSplit:
    return ShardedImages.open(index).split(name)


class ShardWriter:
    """Writes one shard, one image after the other; a context manager around a temporary file.

    Args:
        path: the file.
        storage, quality: how images are stored.
    """

    def __init__(self, path: Path, storage: Storage, quality: int) -> None:
        self._path, self._storage, self._quality = path, storage, quality
        self._digest = hashlib.sha256()
        self._offset = 0
        self._rows: list[tuple[int, int, int, int, int]] = []

    def __enter__(self) -> ShardWriter:
        self._file: IO[bytes] = self._path.open("wb")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def add(self, image: Images, label: int) -> None:
        """Append one image, H×W×3."""
        from toporepro.data import jpeg

        height, width, _ = image.shape
        raw = self._storage == "raw"
        data = image.tobytes() if raw else jpeg.encode(image, self._quality)
        self._file.write(data)
        self._digest.update(data)
        self._rows.append((label, self._offset, len(data), height, width))
        self._offset += len(data)

    @property
    def count(self) -> int:
        """Images so far."""
        return len(self._rows)

    @property
    def record(self) -> FileRecord:
        """Hash and size of what has been written."""
        return FileRecord(sha256=self._digest.hexdigest(), bytes=self._offset)

    def rows(self) -> Places:
        """Per image: label, offset, bytes, height, width."""
        return np.array(self._rows, dtype=np.int64).reshape(-1, 5)


def join(parts: Iterable[Places]) -> tuple[Labels, Places]:
    """Labels and places of a split from its shards' rows (``ShardWriter.rows``), in order."""
    joined = []
    for number, rows in enumerate(parts):
        places = rows.copy()
        places[:, 0] = number
        joined.append((rows[:, 0], places))
    return np.concatenate([labels for labels, _ in joined]), np.concatenate([p for _, p in joined])


def shard_file(split: str, part: int) -> str:
    """The name of a part's shard of a split."""
    return f"{split}-{part:05d}.bin"


def labels_file(split: str) -> str:
    """The name of a split's labels."""
    return f"{split}_labels.npy"


def places_file(split: str) -> str:
    """The name of a split's table of places."""
    return f"{split}_places.npy"


def _mapped(path: Path) -> npt.NDArray[Any]:
    try:
        array: npt.NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not a readable array ({error}); prepare the data again") from None
    if array.dtype != np.int64:
        raise DataError(f"{path}: {array.dtype} found, int64 expected; prepare the data again")
    return np.asarray(array)  # still mapped; indexing numpy's class of mapped arrays takes longer
