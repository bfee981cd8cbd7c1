"""fLoc: the functional localizer's pictures of ten categories, and scrambled ones.

Stigliani, Weiner & Grill-Spector, "Temporal processing capacity in high-level visual cortex is
domain specific", Journal of Neuroscience 35:12412 (2015). Nothing is fetched: put the folder
``stimuli`` of https://github.com/VPNL/fLoc into ``data/floc``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from toporepro.data.stimulus_pictures import PictureOptions, PictureSet
from toporepro.data.store import DataError
from toporepro.spec import SpecError, nearest

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
class Options(PictureOptions):
    """Which of the pictures, and how large.

    Attributes:
        size: height and width in pixels.
        images: the first so many pictures of each category, by number; there are up to 144.
    """

    images: int = MOST

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 2 <= self.images <= MOST:
            raise SpecError(f"images={self.images}: 2 to {MOST}")


def _find(options: Options, root: Path) -> dict[str, list[Path]]:
    """``scrambled`` only where it is there; it is of no category."""
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


_SET = PictureSet[Options](
    source="floc",
    name="fLoc's pictures",
    folder="stimuli",
    layout="<category>/<category>-<n>.jpg",
    origin="https://github.com/VPNL/fLoc",
    categories=CATEGORIES,
    classes=len(NEEDED),
    count=lambda options: options.images,
    find=_find,
)
raw_files, local_files, missing = _SET.raw_files, _SET.local_files, _SET.missing
extent, prepared_bytes, prepare = _SET.extent, _SET.prepared_bytes, _SET.prepare
