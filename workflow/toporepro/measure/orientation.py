"""Orientation selectivity of a network's first layer, as in the authors' demonstration notebook.

Stimuli: 180 images of 0 and 1, lines through the centre at 0 … 179°, shown without normalisation.
Drawn in whole pixels, only 54 of those of 28×28 are distinct: t is an index here, no test.

Continuity of the orientation map is our own addition; the paper has no such number.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from toporepro.measure.correlation import live_units
from toporepro.measure.result import Floats, Quantity, Result, Row, UnitValues
from toporepro.measure.sheet_pairs import queen_pairs
from toporepro.spec import SpecError, nearest

if TYPE_CHECKING:
    from toporepro.measure.subject import Subject

ON_SNAPSHOTS = True
TASK = "classification"
QUANTITIES = {
    "orientation_preferred": Quantity(
        label="Preferred orientation",
        unit="°",
        scale="angle",
        about="The angle of largest t. Units that answer all lines alike have none.",
    ),
    "orientation_t": Quantity(
        label="Orientation selectivity, ± 3°",
        unit="t",
        index="angle (°)",
        about="Lines within 3° of the angle against all others. An index, not a test.",
    ),
    "orientation_film": Quantity(
        label="Orientation selectivity, film",
        unit="t",
        index="angle (°)",
        about="Lines within 1° of the angle against all others. An index, not a test.",
    ),
}
ANGLES = tuple(range(180))
MAPS, MAP_TOLERANCE = (0, 45, 70, 90), 3
FILM, FILM_TOLERANCE = tuple(range(179)), 1


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of ``orientation``.

    Attributes:
        layer: the layer whose responses, before its rectifier, are taken; ``None``: the first
            topographic one.
    """

    layer: str | None = None


def measure(subject: Subject, options: Options) -> Result:
    """Maps of t at four angles, the film of t over angles, and the map's continuity.

    Quantities: ``orientation_t`` (index: 0, 45, 70, 90°, each ± 3°), ``orientation_preferred``
    (the angle of largest t of the film; ``nan`` for a unit that answers all lines alike) and, of
    the trained network alone, ``orientation_film`` (index: 0 … 178°, each ± 1°).

    Raises:
        SpecError: if there is no such topographic layer, or the network's images are not square.
    """
    layer = options.layer or subject.first_layer()
    if layer not in subject.layers:
        raise SpecError(f"orientation.layer={layer!r}; {nearest(layer, subject.layers)}")
    shape = subject.inputs
    if shape.height != shape.width:
        raise SpecError(f"orientation: images are {shape.height}×{shape.width}, not square")
    lines = np.stack([line_image(angle, shape.height) for angle in ANGLES])
    shown = np.repeat(lines[:, None], shape.channels, axis=1)
    responses = subject.responses(layer, shown)
    maps = np.stack([t_values(responses, a, MAP_TOLERANCE) for a in MAPS], axis=1)
    film = np.stack([t_values(responses, a, FILM_TOLERANCE) for a in FILM], axis=1)
    preferred = preferred_angles(responses, film)
    value = continuity(preferred, *subject.sheet(layer))
    units = [
        UnitValues(layer, "orientation_t", maps, MAPS),
        UnitValues(layer, "orientation_preferred", preferred),
    ]
    if subject.final:
        units.append(UnitValues(layer, "orientation_film", film, FILM))
    return Result((Row(layer, "lines", "orientation_continuity", value),), tuple(units))


def line_image(angle: float, size: int = 28) -> Floats:
    """A line of ones through the centre of a square of zeros; 0° is horizontal, 90° vertical.

    Two half-lines run from pixel (size // 2, size // 2) to end points size // 2 away, whose offsets
    are rounded towards zero; what falls outside is drawn on the border.

    Source: the authors' notebook ``topoloss-demo``.

    Args:
        angle: degrees, counted against the clock.
        size: height and width.

    Returns:
        (size, size), rows from top to bottom.
    """
    image = np.zeros((size, size))
    centre = reach = size // 2
    right = int(reach * math.cos(math.radians(angle)))
    up = int(reach * math.sin(math.radians(angle)))
    for sign in (1, -1):
        rows, columns = _offsets(-sign * up, sign * right)
        last = size - 1
        image[np.clip(centre + rows, 0, last), np.clip(centre + columns, 0, last)] = 1
    return image


def _offsets(down: int, right: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Pixels of Bresenham's line from (0, 0) to (down, right)."""
    tall, wide = abs(down), abs(right)
    rows, columns, error = [0], [0], wide - tall
    while (rows[-1], columns[-1]) != (down, right):
        twice = 2 * error
        sideways, along = twice > -tall, twice < wide
        error += (along and wide) - (sideways and tall)
        columns.append(columns[-1] + (sideways and int(np.sign(right))))
        rows.append(rows[-1] + (along and int(np.sign(down))))
    return np.array(rows), np.array(columns)


def t_values(responses: Floats, target: int, tolerance: int) -> Floats:
    """Pooled-variance t of the lines near an angle against all others, with population SDs.

    Angles do not wrap round: 178° is far from 0°.

    Args:
        responses: (180, units), to lines at 0 … 179°.
        target, tolerance: degrees.

    Returns:
        (units,); 0 for a unit that answers all lines alike; infinite for one that only tells the
        two groups apart.
    """
    near = np.abs(np.arange(len(responses)) - target) <= tolerance
    inside, outside = responses[near], responses[~near]
    n, m = len(inside), len(outside)
    pooled = ((n - 1) * inside.var(axis=0) + (m - 1) * outside.var(axis=0)) / (n + m - 2)
    difference = inside.mean(axis=0) - outside.mean(axis=0)
    result: Floats = np.zeros(responses.shape[1])
    with np.errstate(divide="ignore"):
        spread = np.sqrt(pooled * (1 / n + 1 / m))
        np.divide(difference, spread, out=result, where=_live(responses))
    return result


def preferred_angles(responses: Floats, film: Floats) -> Floats:
    """The film's angle of largest t of each unit; ``nan`` where all responses are alike."""
    return np.where(_live(responses), np.asarray(FILM)[film.argmax(axis=1)], np.nan)


def _live(responses: Floats) -> npt.NDArray[np.bool_]:
    return live_units(responses.mean(axis=0), responses.var(axis=0))


def continuity(preferred: Floats, height: int, width: int) -> float:
    """Likeness of neighbours' preferred angles, beyond that of any two units.

    The mean over pairs of neighbours (edges and corners) of cos 2(θ_i − θ_j), minus the same mean
    over all pairs, which is its expectation over shuffles of the units. 0: no order; towards 1:
    smooth.

    Args:
        preferred: (units,), degrees; ``nan`` units take part in no pair.

    Returns:
        ``nan`` if no two neighbours take part.
    """
    live = ~np.isnan(preferred)
    first, second = queen_pairs(height, width)
    both = live[first] & live[second]
    if not both.any():
        return float("nan")
    doubled = np.radians(2 * preferred)
    near = np.cos(doubled[first[both]] - doubled[second[both]]).mean()
    n = int(live.sum())
    resultant = abs(np.exp(1j * doubled[live]).sum())
    return float(near - (resultant**2 - n) / (n * (n - 1)))
