"""Characters: three strokes-drawn signs in a row, from one of four scripts."""

from __future__ import annotations

import numpy as np

from toporepro.data import world_colours as colours
from toporepro.data.world_canvas import Canvas, Frame, limb
from toporepro.data.world_draws import Array, Draws

CLASSES = ("word", "number", "runes", "arithmetic")

# Strokes as pairs of points on a grid 2 wide and 4 high: "0024" goes from (0, 0) to (2, 4).
_SCRIPTS = {
    "word": (
        "0410 1024 0323", "0004 0020 0424 0222 2022 2224", "2000 0004 0424",
        "0004 0424 0020 0202 0222", "0004 0020 0212", "0004 2024 0222", "1014", "0004 0424",
        "0004 0012 1220 2024", "0004 0024 2420", "0004 2024 0020 0424", "0004 0020 2022 0222",
        "0004 0020 2022 0222 0224", "0020 1014", "0004 0424 2024", "0014 1420", "0024 0420",
        "0020 2004 0424",
    ),
    "number": (
        "0020 2024 2404 0400", "1014 0110", "0020 2022 2202 0204 0424", "0020 2024 0424 0222",
        "0002 0222 2024", "2000 0002 0222 2224 2404", "2000 0004 0424 2422 0222", "0020 2014",
        "0020 2024 2404 0400 0222", "0222 0002 0020 2024 2404",
    ),
    "runes": (
        "0004 0021 0223", "0004 0022", "0004 0022 0224", "0004 2024 0023", "1014 0210 1022",
        "0004 2024 0224 2204", "1014 0123", "1014 0321", "0004 0012 1220 2024", "0022 2204",
        "1014 0110 1021 0314 1423", "0004 0011 1102",
    ),
    "arithmetic": (
        "0222 1113", "0222", "0121 0323", "0123 0321", "0420", "0122 2203", "2102 0223",
        "0121 0323 0420", "0020 0012 1204 0424", "0313 1310 1020",
    ),
}  # fmt: skip
_SIGNS = 3


def draw(canvas: Canvas, frame: Frame, draws: Draws, name: str, behind: Array) -> None:
    """Three signs per image, lighter or darker than the mean colour ``behind`` them."""
    ink = colours.paint(draws, "characters.ink")
    wanted = np.where(colours.luminance(behind) > 0.5, np.float32(0.12), np.float32(0.88))
    ink = wanted + np.float32(0.35) * (ink - colours.luminance(ink))
    thick = draws.between("characters.thick", 0.07, 0.12)
    wide, tall = (
        draws.between("characters.wide", 0.2, 0.26),
        draws.between("characters.tall", 0.4, 0.7),
    )
    apart = wide * 2 + draws.between("characters.apart", 0.2, 0.28)
    strokes = strokes_of(name)
    for place in range(_SIGNS):
        chosen = strokes[draws.choice(f"characters.{place}", len(strokes))]
        middle = (place - 1) * apart
        shape: Array | None = None
        for number in range(chosen.shape[1]):
            x, y, x2, y2 = (chosen[:, number, i, None, None] for i in range(4))
            start = (middle + (x - 1) * wide, (y / 2 - 1) * tall)
            end = (middle + (x2 - 1) * wide, (y2 / 2 - 1) * tall)
            stroke = limb(frame, start, end, thick)
            shape = stroke if shape is None else np.minimum(shape, stroke)
        assert shape is not None
        canvas.paint(frame, shape, ink)


def strokes_of(script: str) -> Array:
    """Strokes of a script, signs×strokes×(x, y, x2, y2); the last repeated to equal length."""
    signs = [[[float(c) for c in pair] for pair in sign.split()] for sign in _SCRIPTS[script]]
    longest = max(map(len, signs))
    return np.array([s + s[-1:] * (longest - len(s)) for s in signs], dtype=np.float32)
