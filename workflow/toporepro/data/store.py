"""Prepared images: what every dataset becomes, and the one form that training and measuring read.

A folder holds, per split, ``{split}_images.npy`` (uint8, N×H×W×C, C-contiguous) and
``{split}_labels.npy`` (int64), and an index ``dataset.json`` that is written last: where the index
is, all it names is complete. Arrays are written in chunks and read memory-mapped, so that memory
does not grow with the number of images.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from toporepro.data.index import INDEX as INDEX
from toporepro.data.index import DataError as DataError
from toporepro.data.index import FileRecord as FileRecord
from toporepro.data.index import Prepared, again, common, read_index, reading
from toporepro.provenance import atomic, sha256, write_json

STIMULI = "localizer"  # the one split of a dataset that nothing is trained on
_CHUNK_BYTES = 16 << 20

Images = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True)
class SplitRecord:
    """The two files of a split and its number of images."""

    images: str
    labels: str
    count: int


@dataclass(frozen=True)
class Split:
    """One split, memory-mapped and read-only.

    Attributes:
        images: uint8, N×H×W×C.
        labels: int64, N; indices into the dataset's ``classes``.
    """

    images: Images
    labels: Labels

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class PreparedImages(Prepared):
    """Prepared images, opened by ``PreparedImages.open``; further fields as in ``Prepared``.

    Attributes:
        shape: height, width and channels of every image.
        classes: names, in the order of the labels.
        categories: super-classes: name → indices of its classes; may be empty.
        mean, std: per channel, of pixel values in 0..1; what inputs are normalised with.
        splits: ``train``, ``test`` and whatever else the source makes; of a set of stimuli
            ``localizer`` alone.
    """

    shape: tuple[int, int, int]
    classes: tuple[str, ...]
    categories: Mapping[str, tuple[int, ...]]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    splits: Mapping[str, SplitRecord]

    @classmethod
    def open(cls, index: Path) -> PreparedImages:
        """Read an index and check that every file it names is there in its full size.

        Raises:
            DataError: if the index or a file is missing, damaged or of another size.
        """
        content = read_index(index)
        with reading(index, "prepared images"):
            height, width, channels = (int(side) for side in content["shape"])
            prepared = cls(
                **common(index, content),
                shape=(height, width, channels),
                classes=tuple(content["classes"]),
                categories={name: tuple(c) for name, c in content["categories"].items()},
                mean=tuple(float(value) for value in content["mean"]),
                std=tuple(float(value) for value in content["std"]),
                splits={name: SplitRecord(**split) for name, split in content["splits"].items()},
            )
        named = {n for split in prepared.splits.values() for n in (split.images, split.labels)}
        if not _complete(prepared.splits) or not named <= set(prepared.files):
            raise DataError(
                f"{index}: splits {sorted(prepared.splits)} with files {sorted(prepared.files)}; "
                f"train and test (or {STIMULI} alone) with all their files were expected; "
                f"{again(index.parent)}"
            )
        prepared.check_sizes()
        return prepared

    def split(self, name: str) -> Split:
        """Memory-map one split, whose files are hashed the first time.

        Raises:
            DataError: if there is no such split, or its arrays are not what the index says.
        """
        if name not in self.splits:
            raise DataError(f"{self.index}: no split {name!r}; there are {', '.join(self.splits)}")
        record = self.splits[name]
        images = self._map(record.images, np.dtype(np.uint8), (record.count, *self.shape))
        labels = self._map(record.labels, np.dtype(np.int64), (record.count,))
        self._hash_once((record.images, record.labels))
        return Split(images, labels)

    def _map(self, name: str, dtype: np.dtype[Any], shape: tuple[int, ...]) -> npt.NDArray[Any]:
        path = self.index.parent / name
        try:
            array: npt.NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise DataError(
                f"{path}: not a readable array ({error}); {again(self.index.parent)}"
            ) from None
        if array.dtype != dtype or array.shape != shape or not array.flags.c_contiguous:
            raise DataError(
                f"{path}: {array.dtype} {array.shape} found, {dtype} {shape} expected; "
                f"{again(self.index.parent)}"
            )
        return array


class ImageWriter:
    """Writes a folder of prepared images: every split with ``write_split``, then ``finish``.

    Args:
        folder: created if need be; a former index in it is taken away first, since it would
            vouch for files that are about to change.
        source, options, shape, classes, mean, std, categories, extra: as in ``PreparedImages``.

    Raises:
        DataError: on a shape, class list or normalisation that cannot be.
    """

    def __init__(
        self,
        folder: Path,
        *,
        source: str,
        options: Mapping[str, Any],
        shape: tuple[int, int, int],
        classes: Sequence[str],
        mean: Sequence[float],
        std: Sequence[float],
        categories: Mapping[str, Sequence[int]] | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        if len(shape) != 3 or min(shape) < 1:
            raise DataError(f"{folder}: shape {shape}; height, width, channels ≥ 1 are needed")
        if not classes or len(set(classes)) != len(classes):
            raise DataError(f"{folder}: classes {list(classes)}; different names are needed")
        _check_normalisation(folder, shape[2], mean, std)
        for name, members in (categories or {}).items():
            if not all(0 <= member < len(classes) for member in members):
                raise DataError(
                    f"{folder}: category {name!r} = {list(members)}; indices of "
                    f"{len(classes)} classes are needed"
                )
        self.folder = folder
        self._shape = shape
        self._classes = len(classes)
        self._splits: dict[str, dict[str, Any]] = {}
        self._files: dict[str, dict[str, Any]] = {}
        self._content: dict[str, Any] = {
            "source": source,
            "options": dict(options),
            "shape": list(shape),
            "classes": list(classes),
            "categories": {name: list(c) for name, c in (categories or {}).items()},
            "mean": [float(value) for value in mean],
            "std": [float(value) for value in std],
            "extra": dict(extra or {}),
        }
        folder.mkdir(parents=True, exist_ok=True)
        (folder / INDEX).unlink(missing_ok=True)

    def write_split(
        self,
        name: str,
        count: int,
        chunks: Iterable[tuple[npt.NDArray[Any], npt.ArrayLike]],
    ) -> None:
        """Write one split from chunks; only one chunk is in memory at a time.

        Args:
            name: ``train``, ``test`` or another identifier.
            count: number of images over all chunks.
            chunks: pairs of images (uint8, n×H×W×C) and labels (integers, n).

        Raises:
            DataError: on images or labels of another kind, or another number of them.
        """
        if not name.isidentifier() or name in self._splits or count < 1:
            raise DataError(f"{self.folder}: split {name!r} of {count} images; a new name, ≥ 1")
        images, labels = f"{name}_images.npy", f"{name}_labels.npy"
        kept: list[Labels] = []
        with atomic(self.folder / images) as temporary:
            with temporary.open("wb") as file:
                header = {"descr": "|u1", "fortran_order": False, "shape": (count, *self._shape)}
                np.lib.format.write_array_header_1_0(file, header)
                for chunk, numbers in chunks:
                    kept.append(self._check_chunk(name, chunk, numbers))
                    file.write(np.ascontiguousarray(chunk).data)
            found = sum(map(len, kept))
            if found != count:
                raise DataError(
                    f"{self.folder / images}: {found} images written, {count} announced"
                )
        with atomic(self.folder / labels) as temporary:
            np.save(temporary, np.concatenate(kept))
        self._splits[name] = {"images": images, "labels": labels, "count": count}
        for file_name in (images, labels):
            path = self.folder / file_name
            self._files[file_name] = {"sha256": sha256(path), "bytes": path.stat().st_size}

    def attach(self, names: Sequence[str], **facts: Any) -> None:
        """Enter further files, which are in the folder already, and facts among the ``extra``."""
        for name in names:
            path = self.folder / name
            self._files[name] = {"sha256": sha256(path), "bytes": path.stat().st_size}
        self._content["extra"].update(facts)

    def set_normalisation(self, mean: Sequence[float], std: Sequence[float]) -> None:
        """Replace mean and std, where they are known only once the training split is written."""
        _check_normalisation(self.folder, self._shape[2], mean, std)
        self._content["mean"] = [float(value) for value in mean]
        self._content["std"] = [float(value) for value in std]

    def finish(self) -> Path:
        """Write the index, last, and return its path.

        Raises:
            DataError: if ``train`` or ``test`` was not written, and not ``localizer`` alone.
        """
        if not _complete(self._splits):
            missing = {"train", "test"} - set(self._splits)
            raise DataError(f"{self.folder}: split {sorted(missing)} was not written")
        index = self.folder / INDEX
        write_json(index, {**self._content, "splits": self._splits, "files": self._files})
        return index

    def _check_chunk(self, name: str, images: npt.NDArray[Any], labels: npt.ArrayLike) -> Labels:
        numbers = np.asarray(labels)
        if images.dtype != np.uint8 or images.shape[1:] != self._shape:
            raise DataError(
                f"{self.folder}: split {name!r}: images {images.dtype} {images.shape}; "
                f"uint8 (n, {', '.join(map(str, self._shape))}) is needed"
            )
        if numbers.dtype.kind not in "iu" or numbers.shape != images.shape[:1]:
            raise DataError(
                f"{self.folder}: split {name!r}: labels {numbers.dtype} {numbers.shape}; "
                f"{len(images)} integers are needed"
            )
        if numbers.size and not (numbers.min() >= 0 and numbers.max() < self._classes):
            raise DataError(
                f"{self.folder}: split {name!r}: labels from {numbers.min()} to "
                f"{numbers.max()}; 0 to {self._classes - 1} are allowed"
            )
        return numbers.astype(np.int64)


def _complete(splits: Iterable[str]) -> bool:
    return {"train", "test"} <= set(splits) or set(splits) == {STIMULI}


def in_chunks(
    images: npt.NDArray[Any], labels: npt.NDArray[Any]
) -> Iterator[tuple[npt.NDArray[Any], npt.NDArray[Any]]]:
    """Cut arrays (also memory-mapped ones) into chunks for ``write_split``."""
    step = max(1, _CHUNK_BYTES // max(1, images[:1].nbytes))
    for start in range(0, len(images), step):
        yield images[start : start + step], labels[start : start + step]


def channel_statistics(images: npt.NDArray[Any]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation per channel of uint8 images (N×H×W×C), as values in 0..1.

    Sums are integers, so the result depends on no order; a constant channel gets std 1.
    """
    channels = images.shape[-1]
    total, squares = [0] * channels, [0] * channels
    for chunk, _ in in_chunks(images, np.zeros(len(images), dtype=np.int64)):
        for channel in range(channels):
            histogram = np.bincount(chunk[..., channel].ravel(), minlength=256)
            levels = np.arange(256, dtype=np.int64)
            total[channel] += int(histogram @ levels)
            squares[channel] += int(histogram @ levels**2)
    n = images[..., 0].size
    mean = tuple(value / n / 255 for value in total)
    variance = [(n * s - t * t) / (n * n) for s, t in zip(squares, total, strict=True)]
    return mean, tuple(math.sqrt(value) / 255 if value > 0 else 1.0 for value in variance)


def _check_normalisation(
    folder: Path, channels: int, mean: Sequence[float], std: Sequence[float]
) -> None:
    finite = all(math.isfinite(value) for value in (*mean, *std))
    if not len(mean) == len(std) == channels or not finite or min(std) <= 0:
        raise DataError(
            f"{folder}: mean {list(mean)}, std {list(std)}; {channels} finite values each, "
            "std above 0, are needed"
        )
