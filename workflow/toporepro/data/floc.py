"""fLoc: the functional localizer's pictures of ten categories, and scrambled ones.

Stigliani, Weiner & Grill-Spector, "Temporal processing capacity in high-level visual cortex is
domain specific", Journal of Neuroscience 35:12412 (2015). Nothing is fetched: put the folder
``stimuli`` of https://github.com/VPNL/fLoc into ``data/floc``.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from toporepro.data.extent import Extent
from toporepro.data.store import STIMULI, DataError
from toporepro.spec import SpecError, nearest

if TYPE_CHECKING:
    from toporepro.data.fetch import RemoteFile

CATEGORIES = {
    "faces": ("adult", "child"),
    "bodies": ("body", "limb"),
    "scenes": ("house", "corridor"),
    "objects": ("car", "instrument"),
    "characters": ("word", "number"),
}
NEEDED = tuple(name for names in CATEGORIES.values() for name in names)
OPTIONAL = ("scrambled",)
MOST = 144
_NAMED = re.compile(r"([a-z]+)-([0-9]+)\.jpg")


@dataclass(frozen=True, kw_only=True)
class Options:
    """Which of the pictures, and how large.

    Attributes:
        size: height and width in pixels, what the network takes.
        images: the first so many pictures of each category, by number; there are up to 144.
    """

    size: int = 224
    images: int = MOST

    def __post_init__(self) -> None:
        if self.size < 8:
            raise SpecError(f"size={self.size}: at least 8")
        if not 2 <= self.images <= MOST:
            raise SpecError(f"images={self.images}: 2 to {MOST}")


def raw_files(options: Options) -> tuple[RemoteFile, ...]:
    """Nothing is fetched."""
    return ()


def prepared_bytes(options: Options) -> int:
    """Bytes that the prepared pictures take, about."""
    return extent(options).splits[STIMULI] * (3 * options.size**2 + 8)


def extent(options: Options) -> Extent:
    """How much it holds, all categories but ``scrambled``."""
    return Extent(
        splits={STIMULI: options.images * len(NEEDED)},
        shape=(options.size, options.size, 3),
        classes=len(NEEDED),
        by_hand="put the folder `stimuli` of https://github.com/VPNL/fLoc into data/floc",
    )


def missing(options: Options, raw: Path) -> str | None:
    """What of the user's own files is absent, in words; ``None`` if the folder is there."""
    root = raw / "stimuli"
    return None if root.is_dir() else f"{root} not found"


def local_files(options: Options, raw: Path) -> tuple[Path, ...]:
    """The pictures that are read.

    Raises:
        DataError: as :func:`pictures`.
    """
    return tuple(path for paths in pictures(options, raw).values() for path in paths)


def pictures(options: Options, raw: Path) -> dict[str, list[Path]]:
    """Category → its pictures by number; ``scrambled`` only where it is there.

    Raises:
        DataError: if the folder or a category is missing, one is unknown, or a file has a name of
            another kind.
    """
    root = raw / "stimuli"
    if not root.is_dir():
        raise DataError(
            f"{root}: not there; put fLoc's pictures there, as "
            f"{root}/<category>/<category>-<n>.jpg, from the folder `stimuli` of "
            "https://github.com/VPNL/fLoc"
        )
    there = sorted(path.name for path in root.iterdir() if path.is_dir())
    for name in there:
        if name not in (*NEEDED, *OPTIONAL):
            raise DataError(
                f"{root / name}: no category of fLoc; {nearest(name, (*NEEDED, *OPTIONAL))}"
            )
    missing = [name for name in NEEDED if name not in there]
    if missing:
        raise DataError(f"{root}: no folder for {', '.join(missing)}; all but scrambled are needed")
    found = {}
    for name in (*NEEDED, *(name for name in OPTIONAL if name in there)):
        numbered = {}
        for path in (root / name).iterdir():
            match = _NAMED.fullmatch(path.name)
            if path.name.startswith("."):
                continue
            if not match or match[1] != name:
                raise DataError(f"{path}: `{name}-<n>.jpg` is expected")
            numbered[int(match[2])] = path
        if len(numbered) < 2:
            raise DataError(f"{root / name}: {len(numbered)} pictures; at least 2 are needed")
        found[name] = [numbered[n] for n in sorted(numbered)][: options.images]
    return found


def prepare(options: Options, raw: Path, out: Path) -> None:
    """Write the split ``localizer``; its categories leave ``scrambled`` out."""
    from toporepro.data.stimulus_pictures import write

    write(
        out,
        source="floc",
        options=asdict(options),
        size=options.size,
        files=pictures(options, raw),
        categories=CATEGORIES,
    )
