"""The official archives of ILSVRC 2012: a tar of a thousand tars, a flat tar, and the devkit."""

from __future__ import annotations

import functools
import io
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path

from toporepro.data.archives import Limits, read_members
from toporepro.data.raw import RawImage
from toporepro.data.store import DataError

TRAIN = "ILSVRC2012_img_train.tar"
TEST = "ILSVRC2012_img_val.tar"
DEVKIT = "ILSVRC2012_devkit_t12.tar.gz"
_WHAT = {
    TRAIN: "Training images (Task 1 & 2), 138 GB",
    TEST: "Validation images (all tasks), 6.3 GB",
    DEVKIT: "Development kit (Task 1 & 2), 2.5 MB",
}
_META = "ILSVRC2012_devkit_t12/data/meta.mat"
_TRUTH = "ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt"
_DEVKIT_LIMITS = Limits(members=200, member_bytes=64 << 20, total_bytes=128 << 20)
_TEST_UNIT = 500
_LARGEST = 256 << 20


class Tars:
    """The three archives in one folder; without ``training`` images, two of them.

    Raises:
        DataError: if one is missing, with what to do, or is not what its name says.
    """

    def __init__(self, folder: Path, *, training: bool = True) -> None:
        wanted = [name for name in _WHAT if training or name != TRAIN]
        missing = [name for name in wanted if not (folder / name).is_file()]
        if missing:
            raise DataError(absent(folder, missing))
        self._folder = folder
        self._images_of, numbers, truth = _read_devkit(folder / DEVKIT)
        self._wnids = sorted(self._images_of)
        self._labels = [self._wnids.index(numbers[number]) for number in truth]

    def count(self, split: str) -> int:
        return sum(self._images_of.values()) if split == "train" else len(self._labels)

    def units(self, split: str) -> tuple[str, ...]:
        if split == "train":
            return tuple(self._wnids)
        return tuple(str(start) for start in range(0, len(self._labels), _TEST_UNIT))

    def read(self, split: str, unit: str) -> Iterator[RawImage]:
        yield from self._class(unit) if split == "train" else self._tests(int(unit))

    def _class(self, wnid: str) -> Iterator[RawImage]:
        label, found = self._wnids.index(wnid), 0
        where = f"{TRAIN}: {wnid}.tar"
        member = self._train.get(f"{wnid}.tar")
        if member is None:
            yield RawImage(where, label, wnid, b"", "missing from the archive")
            return
        path = self._folder / TRAIN
        with path.open("rb") as file:
            window = _Window(file, member.offset_data, member.size)
            try:
                with tarfile.open(fileobj=window, mode="r:") as tar:
                    for image in tar:
                        found += 1
                        right = re.fullmatch(rf"{wnid}_\d+\.JPEG", image.name)
                        yield _image(tar, image, f"{where}: {image.name}", label, wnid, bool(right))
            except (tarfile.TarError, EOFError, OSError) as error:
                yield RawImage(where, label, wnid, b"", f"a damaged archive ({error})")
        if found != self._images_of[wnid]:
            fault = f"{found} images found, {self._images_of[wnid]} expected"
            yield RawImage(where, label, wnid, b"", fault)

    def _tests(self, start: int) -> Iterator[RawImage]:
        path = self._folder / TEST
        with tarfile.open(path, "r:") as tar:
            for number in range(start, min(start + _TEST_UNIT, len(self._labels))):
                name, label = _test_name(number), self._labels[number]
                member, where = self._tests_by_name.get(name), f"{TEST}: {name}"
                if member is None:
                    yield RawImage(where, label, self._wnids[label], b"", "missing")
                    continue
                yield _image(tar, member, where, label, self._wnids[label], True)
        if start == 0:
            known = {_test_name(number) for number in range(len(self._labels))}
            for name in sorted(set(self._tests_by_name) - known):
                yield RawImage(f"{TEST}: {name}", 0, self._wnids[0], b"", "a file without a label")

    @functools.cached_property
    def _train(self) -> dict[str, tarfile.TarInfo]:
        members = _members(self._folder / TRAIN)
        unknown = set(members) - {f"{wnid}.tar" for wnid in self._wnids}
        if unknown:
            raise DataError(
                f"{self._folder / TRAIN}: {len(unknown)} members of which {DEVKIT} knows nothing: "
                f"{', '.join(sorted(unknown)[:5])}"
            )
        return members

    @functools.cached_property
    def _tests_by_name(self) -> dict[str, tarfile.TarInfo]:
        return _members(self._folder / TEST)


def absent(folder: Path, missing: list[str]) -> str:
    """What to do about missing archives."""
    wanted = "\n".join(f"  {name}: {_WHAT[name]} → {folder / name}" for name in missing)
    return (
        f"ImageNet-1k: {', '.join(missing)} not found in {folder}.\n"
        "Its terms have to be accepted by a person: log in at https://image-net.org/download.php, "
        f"open 'ILSVRC 2012', download, and put here, packed as they are:\n{wanted}\n"
        "Or set the dataset's option form: 'folders' takes images at "
        f"{folder}/train/<class>/* and {folder}/val/<class>/*, 'huggingface' the gated copy with "
        "the token in HF_TOKEN."
    )


def _read_devkit(path: Path) -> tuple[dict[str, int], dict[int, str], list[int]]:
    """Images per class by WordNet id, WordNet ids by the devkit's numbers, and the test labels."""
    from scipy.io import loadmat

    files = dict(
        read_members(path, wanted=lambda name: name in (_META, _TRUTH), limits=_DEVKIT_LIMITS)
    )
    for name in (_META, _TRUTH):
        if name not in files:
            raise DataError(f"{path}: {name} is not in it; download it again")
    try:
        synsets = loadmat(io.BytesIO(files[_META]), squeeze_me=True)["synsets"]
        # Inner nodes of the hierarchy stand in the same table; they have children.
        leaves = [entry for entry in synsets if int(entry["num_children"]) == 0]
        numbers = {int(entry["ILSVRC2012_ID"]): str(entry["WNID"]) for entry in leaves}
        images = {str(entry["WNID"]): int(entry["num_train_images"]) for entry in leaves}
        truth = [int(line) for line in files[_TRUTH].split()]
    except Exception as error:  # whatever a damaged file leads the reader into
        raise DataError(f"{path}: {type(error).__name__}: {error}; download it again") from None
    strange = set(truth) - set(numbers)
    if strange or len(images) != len(numbers) or not truth:
        raise DataError(f"{path}: labels {sorted(strange)[:5]} are of no class; download it again")
    return images, numbers, truth


def _members(path: Path) -> dict[str, tarfile.TarInfo]:
    """Regular files of a tar by name, from its headers alone."""
    try:
        with tarfile.open(path, "r:") as tar:
            found = [member for member in tar if not member.isdir()]
    except (tarfile.TarError, EOFError, OSError) as error:
        raise DataError(f"{path}: a damaged archive ({error}); download it again") from None
    odd = [member.name for member in found if not member.isreg()]
    if odd or len({member.name for member in found}) != len(found):
        raise DataError(f"{path}: members that are links, or names that come twice; {odd[:5]}")
    return {member.name: member for member in found}


def _image(
    tar: tarfile.TarFile,
    member: tarfile.TarInfo,
    where: str,
    label: int,
    wnid: str,
    known: bool,
) -> RawImage:
    if not member.isreg() or not known or member.size > _LARGEST:
        return RawImage(where, label, wnid, b"", "not an image file of this class")
    opened = tar.extractfile(member)
    assert opened is not None
    try:
        data = opened.read()
    except (tarfile.TarError, OSError) as error:
        return RawImage(where, label, wnid, b"", f"cannot be read ({error})")
    short = "" if len(data) == member.size else "cut short"
    return RawImage(where, label, wnid, data, short)


def _test_name(number: int) -> str:
    return f"ILSVRC2012_val_{number + 1:08d}.JPEG"


class _Window(io.RawIOBase):
    """A stretch of a file as a file in itself."""

    def __init__(self, file: io.BufferedReader, start: int, size: int) -> None:
        self._file, self._start, self._size, self._at = file, start, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def read(self, size: int = -1) -> bytes:
        left = max(self._size - self._at, 0)
        self._file.seek(self._start + self._at)
        data = self._file.read(left if size < 0 else min(size, left))
        self._at += len(data)
        return data
