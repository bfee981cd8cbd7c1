"""Big and small, animate and inanimate things on white: four sets of 60 pictures.

Konkle & Caramazza, "Tripartite organization of the ventral stream by animacy and object size",
Journal of Neuroscience 33:10235 (2013). Nothing is fetched: put the folder ``AnimacySize`` of
https://konklab.fas.harvard.edu into ``data/konkle``.
"""

from __future__ import annotations

from pathlib import Path

from toporepro.data.stimulus_pictures import PictureOptions, PictureSet
from toporepro.data.store import DataError
from toporepro.spec import nearest

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
Options = PictureOptions


def _find(options: Options, root: Path) -> dict[str, list[Path]]:
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


_SET = PictureSet[Options](
    source="konkle",
    name="the pictures of Konkle & Caramazza (2013)",
    folder="AnimacySize",
    layout="{Big,Small}-{Animate,Inanimate}/*",
    origin="https://konklab.fas.harvard.edu",
    categories=CATEGORIES,
    classes=len(FOLDERS),
    count=lambda _: 60,
    find=_find,
)
raw_files, local_files, missing = _SET.raw_files, _SET.local_files, _SET.missing
extent, prepared_bytes, prepare = _SET.extent, _SET.prepared_bytes, _SET.prepare
