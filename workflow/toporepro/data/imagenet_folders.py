"""ImageNet-1k as a tree of folders, ``train/<class>/*`` and ``val/<class>/*``, as torchvision's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from toporepro.data.raw import RawImage
from toporepro.data.store import DataError

_FOLDER = {"train": "train", "test": "val"}
_SUFFIXES = (".jpeg", ".jpg", ".png", ".bmp", ".webp", ".ppm", ".tif", ".tiff")


class Folders:
    """The tree below one folder; classes are numbered by the order of their names.

    Without ``training`` images ``val`` is enough.

    Raises:
        DataError: if there is no such tree, or the two splits have other classes.
    """

    def __init__(self, folder: Path, *, training: bool = True) -> None:
        self._folder = folder
        for name in ("train", "val") if training else ("val",):
            if not (folder / name).is_dir():
                raise DataError(
                    f"ImageNet-1k, form 'folders': no folder {folder / name}. Images are expected "
                    f"at {folder}/train/<class>/* and {folder}/val/<class>/*; a link to a folder "
                    "elsewhere will do."
                )
        self._classes = _classes(folder / ("train" if training else "val"))
        tests = _classes(folder / "val")
        if tests != self._classes or not tests:
            odd = sorted(set(tests) ^ set(self._classes))
            raise DataError(
                f"{folder}: {len(self._classes)} classes in train, {len(tests)} in val; "
                f"in one of them only: {', '.join(odd[:5])}. Validation images that lie flat have "
                "to be sorted into folders named by class."
            )

    def count(self, split: str) -> int:
        return sum(len(self._listed(split, name)) for name in self._classes)

    def units(self, split: str) -> tuple[str, ...]:
        return tuple(self._classes)

    def read(self, split: str, unit: str) -> Iterator[RawImage]:
        label = self._classes.index(unit)
        paths = self._listed(split, unit)
        if not paths:
            place = f"{_FOLDER[split]}/{unit}"
            yield RawImage(place, label, unit, b"", "a class without images")
        for path in paths:
            name = path.relative_to(self._folder).as_posix()
            if path.suffix.lower() not in _SUFFIXES:
                yield RawImage(name, label, unit, b"", "not an image, by its name")
                continue
            try:
                yield RawImage(name, label, unit, path.read_bytes())
            except OSError as error:
                yield RawImage(name, label, unit, b"", f"cannot be read ({error.strerror})")

    def _listed(self, split: str, name: str) -> list[Path]:
        found = (self._folder / _FOLDER[split] / name).iterdir()
        return sorted(path for path in found if not path.name.startswith("."))


def _classes(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
