"""Big and small, animate and inanimate things on white: four sets of 60 pictures.

Konkle & Caramazza, "Tripartite organization of the ventral stream by animacy and object size",
Journal of Neuroscience 33:10235 (2013). Nothing is fetched: put the folder ``AnimacySize`` of
https://konklab.fas.harvard.edu into ``data/konkle``.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from toporepro.data.extent import Extent
from toporepro.data.store import STIMULI, DataError
from toporepro.spec import SpecError, nearest

if TYPE_CHECKING:
    from toporepro.data.fetch import RemoteFile

FOLDERS = {
    "big_animate": "Big-Animate",
    "big_inanimate": "Big-Inanimate",
    "small_animate": "Small-Animate",
    "small_inanimate": "Small-Inanimate",
}
# Each picture is of two categories: none is held against all others, but small against big and
# animate against inanimate (option `contrasts` of the measure).
CATEGORIES = {
    "big": ("big_animate", "big_inanimate"),
    "small": ("small_animate", "small_inanimate"),
    "animate": ("big_animate", "small_animate"),
    "inanimate": ("big_inanimate", "small_inanimate"),
}
_SUFFIXES = {".jpg", ".jpeg", ".png"}


@dataclass(frozen=True, kw_only=True)
class Options:
    """How large the pictures are.

    Attributes:
        size: height and width in pixels, what the network takes; a picture that is not square is
            padded with white.
    """

    size: int = 224

    def __post_init__(self) -> None:
        if self.size < 8:
            raise SpecError(f"size={self.size}: at least 8")


def raw_files(options: Options) -> tuple[RemoteFile, ...]:
    """Nothing is fetched."""
    return ()


def prepared_bytes(options: Options) -> int:
    """Bytes that the prepared pictures take, about."""
    return extent(options).splits[STIMULI] * (3 * options.size**2 + 8)


def extent(options: Options) -> Extent:
    """How much it holds: 60 pictures of each class, as in the paper that made them."""
    return Extent(
        splits={STIMULI: 60 * len(FOLDERS)},
        shape=(options.size, options.size, 3),
        classes=len(FOLDERS),
        by_hand="put AnimacySize of https://konklab.fas.harvard.edu into data/konkle",
    )


def local_files(options: Options, raw: Path) -> tuple[Path, ...]:
    """The pictures that are read.

    Raises:
        DataError: as :func:`pictures`.
    """
    return tuple(path for paths in pictures(raw).values() for path in paths)


def pictures(raw: Path) -> dict[str, list[Path]]:
    """Class → its pictures by name.

    Raises:
        DataError: if a folder is missing or unknown, or holds other files than pictures.
    """
    root = raw / "AnimacySize"
    if not root.is_dir():
        raise DataError(
            f"{root}: not there; put the pictures of Konkle & Caramazza (2013) there, as "
            f"{root}/{{Big,Small}}-{{Animate,Inanimate}}/*, from https://konklab.fas.harvard.edu"
        )
    for path in sorted(root.iterdir()):
        if path.is_dir() and path.name not in FOLDERS.values():
            raise DataError(
                f"{path}: no folder of this set; {nearest(path.name, FOLDERS.values())}"
            )
    found = {}
    for name, folder in FOLDERS.items():
        if not (root / folder).is_dir():
            raise DataError(f"{root / folder}: not there; all four folders are needed")
        paths = sorted(p for p in (root / folder).iterdir() if not p.name.startswith("."))
        for path in paths:
            if path.suffix.lower() not in _SUFFIXES:
                raise DataError(f"{path}: a picture is expected ({', '.join(sorted(_SUFFIXES))})")
        if len(paths) < 2:
            raise DataError(f"{root / folder}: {len(paths)} pictures; at least 2 are needed")
        found[name] = paths
    return found


def prepare(options: Options, raw: Path, out: Path) -> None:
    """Write the split ``localizer``."""
    from toporepro.data.stimulus_pictures import write

    write(
        out,
        source="konkle",
        options=asdict(options),
        size=options.size,
        files=pictures(raw),
        categories=CATEGORIES,
    )
