"""The index of a prepared dataset, written last, so that what it names is complete.

Every kind of dataset (images, text, pairs) has a ``dataset.json``: a JSON object with ``source``,
``options``, ``files`` (name → SHA-256 and size) and ``extra``, and what that kind adds.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from toporepro.provenance import DamagedError, intact, sha256

INDEX = "dataset.json"


class DataError(ValueError):
    """Data that is missing or wrong: names the file, what was expected, found, and what to do."""


@dataclass(frozen=True)
class FileRecord:
    """What the index knows of one file."""

    sha256: str
    bytes: int

    @classmethod
    def of(cls, path: Path) -> FileRecord:
        """Of a file that is there."""
        return cls(sha256(path), path.stat().st_size)

    def check(self, path: Path) -> None:
        """Compare a file with this.

        Raises:
            DataError: if its size or SHA-256 is another.
        """
        self.check_size(path)
        found = sha256(path)
        if found != self.sha256:
            raise DataError(
                f"{path}: SHA-256 {found} found, {self.sha256} expected; {again(path.parent)}"
            )

    def check_size(self, path: Path) -> None:
        """Compare a file's size alone.

        Raises:
            DataError: if it is missing or of another size.
        """
        try:
            found = path.stat().st_size
        except OSError as error:
            raise DataError(
                f"{path}: {self.bytes} bytes expected, {error.strerror}; {again(path.parent)}"
            ) from None
        if found != self.bytes:
            raise DataError(
                f"{path}: {found} bytes found, {self.bytes} expected; {again(path.parent)}"
            )


@dataclass(frozen=True)
class Prepared:
    """A prepared dataset of any kind: what all indexes tell.

    Attributes:
        index: the file ``dataset.json``.
        source, options: of the plugin that made it.
        files: SHA-256 and size of every file.
        extra: facts of this source alone.
    """

    index: Path
    source: str
    options: Mapping[str, Any]
    files: Mapping[str, FileRecord]
    extra: Mapping[str, Any]
    _hashed: set[str] = field(default_factory=set, compare=False, repr=False, kw_only=True)

    @classmethod
    def open(cls, index: Path) -> Prepared:
        """Read an index and check that every file it names is there in its full size.

        Raises:
            DataError: if the index or a file is missing, damaged or of another size.
        """
        content = read_index(index)
        with reading(index, "prepared data"):
            prepared = Prepared(**common(index, content))
        prepared.check_sizes()
        return prepared

    def verify(self) -> None:
        """Hash every file again.

        Raises:
            DataError: naming the first file whose size or SHA-256 is not the index's.
        """
        self._hash(self.files)

    def check_sizes(self) -> None:
        """Look at every file's size.

        Raises:
            DataError: naming the first file that is missing, of another size or elsewhere.
        """
        for name, record in self.files.items():
            record.check_size(self._path(name))

    def _hash_once(self, names: Iterable[str]) -> None:
        """Hash those of the files that have not been hashed yet."""
        names = set(names) - self._hashed
        self._hash(names)
        self._hashed.update(names)

    def _hash(self, names: Iterable[str]) -> None:
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda name: self.files[name].check(self._path(name)), sorted(names)))

    def _path(self, name: str) -> Path:
        if Path(name).name != name:
            raise DataError(f"{self.index}: names {name!r}, a file outside its folder")
        return self.index.parent / name


def read_index(index: Path) -> dict[str, Any]:
    """The content of an index of any kind.

    Raises:
        DataError: if it is missing, not a JSON object, or not what its manifest says.
    """
    try:
        content = json.loads(index.read_text(encoding="utf-8"))
    except OSError as error:
        what = os.strerror(error.errno or 0)
        raise DataError(f"{index}: {what}; {again(index.parent)}") from None
    except ValueError as error:
        raise DataError(f"{index}: not valid JSON ({error}); {again(index.parent)}") from None
    if not isinstance(content, dict):
        raise DataError(f"{index}: not an index of prepared data; {again(index.parent)}")
    try:
        intact(index)
    except DamagedError as error:
        raise DataError(str(error)) from None
    return content


def common(index: Path, content: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of ``Prepared``, out of an index."""
    return {
        "index": index,
        "source": str(content["source"]),
        "options": dict(content["options"]),
        "files": {name: FileRecord(**record) for name, record in content["files"].items()},
        "extra": dict(content["extra"]),
    }


@contextlib.contextmanager
def reading(index: Path, what: str) -> Iterator[None]:
    """Make a ``DataError`` of what an index of another form leads into.

    Args:
        what: the kind of data expected.
    """
    try:
        yield
    except DataError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(
            f"{index}: not an index of {what} ({type(error).__name__}: {error}); "
            f"{again(index.parent)}"
        ) from None


def again(folder: Path) -> str:
    """What to do about a dataset that is not right."""
    return f"remove the folder {folder} and prepare the data again"
