"""Fits of many integration windows at once: θ(Δ) = c (Δ+1)^(−a) + (1−c) e^(−bΔ).

For given a and b the best c is known in closed form, so that a grid over both finds the basins of
every unit by a few matrix products; the deepest, and the start that the method's authors give, are
refined by Levenberg–Marquardt steps (Marquardt, Journal of the Society for Industrial and Applied
Mathematics 11:431, 1963), projected into the box, for all units together.

Source of the model and of the box: Skrill & Norman-Haignere, Advances in Neural Information
Processing Systems 36 (2023).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from toporepro.measure.result import Floats

LOWER: Floats = np.array([0.0, 0.0, 0.0])
UPPER: Floats = np.array([10.0, 10.0, 1.0])
_GRID = 10 * np.linspace(0, 1, 20) ** 2.5  # windows differ most where exponents are small
_START: Floats = np.array([1.0, 1.0, 0.5])
_BASINS = 3
_ROUGH, _FINE = 1e-3, 1e-11
_STEPS = 200
_AT_ONCE, _ON_GRID = 8192, 1024  # units
_TINY = 1e-30
_NOTHING = 1e-20  # of the sum of squares: a window that the model gives without noise


@dataclass(frozen=True)
class Fits:
    """Of every unit: parameters, sum of squared residuals, R²; ``nan`` where none was fitted."""

    a: Floats
    b: Floats
    c: Floats
    squares: Floats
    r2: Floats


def window(lags: Floats, a: Floats, b: Floats, c: Floats) -> Floats:
    """The model: (…, lags) for parameters (…,)."""
    power = (lags + 1) ** -a[..., None]
    exponential = np.exp(-b[..., None] * lags)
    result: Floats = c[..., None] * power + (1 - c[..., None]) * exponential
    return result


def fit(windows: Floats) -> Fits:
    """The best a, b ∈ [0, 10] and c ∈ [0, 1] of each unit, by least squares.

    Args:
        windows: (units, lags), at Δ = 0, 1, …; units with a value that is not finite are left out.
    """
    lags = np.arange(windows.shape[1], dtype=np.float64)
    found = np.full((len(windows), 4), np.nan)
    known = np.flatnonzero(np.isfinite(windows).all(axis=1))
    for start in range(0, len(known), _AT_ONCE):
        rows = known[start : start + _AT_ONCE]
        found[rows] = _fit(np.asarray(windows[rows], dtype=np.float64), lags)
    spread = ((windows - windows.mean(axis=1, keepdims=True)) ** 2).sum(axis=1)
    r2 = 1 - found[:, 3] / np.where(spread > 0, spread, np.nan)
    return Fits(found[:, 0], found[:, 1], found[:, 2], found[:, 3], r2)


def _fit(values: Floats, lags: Floats) -> Floats:
    """(units, 4): a, b, c and the sum of squares."""
    everyone = np.arange(len(values))
    units, starts = [everyone], [np.tile(_START, (len(values), 1))]
    for first in range(0, len(values), _ON_GRID):
        which, basins = _basins(values[first : first + _ON_GRID], lags)
        units.append(first + which)
        starts.append(basins)
    unit, parameters = np.concatenate(units), np.concatenate(starts)
    squares = _refine(parameters, values[unit], lags, _ROUGH)
    # Of each unit's basins the deepest; ``lexsort`` puts it first.
    order = np.lexsort((squares, unit))
    best = parameters[order[np.searchsorted(unit[order], everyone)]]
    squares = _refine(best, values, lags, _FINE)
    return np.column_stack([best, squares])


def _basins(values: Floats, lags: Floats) -> tuple[npt.NDArray[np.int64], Floats]:
    """The deepest local minima of each unit on the grid over a and b: units, and (minima, 3)."""
    values = values.astype(np.float32)  # starts need no more
    lags = lags.astype(np.float32)
    grid = _GRID.astype(np.float32)
    power, exponential = (lags + 1) ** -grid[:, None], np.exp(-grid[:, None] * lags)
    between = power @ exponential.T  # (a, b)
    of_power, of_exponential = (power**2).sum(axis=1), (exponential**2).sum(axis=1)
    length = of_power[:, None] - 2 * between + of_exponential
    to_power, to_exponential = values @ power.T, values @ exponential.T
    # With d = power − exponential and r = values − exponential, the best c is ⟨r, d⟩ / |d|².
    along = to_power[:, :, None] - to_exponential[:, None, :] - between + of_exponential
    c = np.clip(along / np.maximum(length, 1e-12), 0, 1)
    square = (values**2).sum(axis=1)[:, None, None] - 2 * to_exponential[:, None, :]
    squares = square + of_exponential - 2 * c * along + c**2 * length
    padded = np.pad(squares, ((0, 0), (1, 1), (1, 1)), constant_values=np.inf)
    size = len(_GRID)
    lowest = np.ones(squares.shape, dtype=bool)
    for down in range(3):
        for right in range(3):
            lowest &= squares <= padded[:, down : down + size, right : right + size]
    depths = np.where(lowest, squares, np.inf).reshape(len(values), -1)
    places = np.argpartition(depths, _BASINS, axis=1)[:, :_BASINS]
    units, which = np.nonzero(np.isfinite(np.take_along_axis(depths, places, axis=1)))
    places = places[units, which]
    first, second = np.divmod(places, size)
    weight = c.reshape(len(values), -1)[units, places].astype(np.float64)
    # Off the borders, where a gradient may vanish.
    starts = np.stack([_GRID[first] + 1e-3, _GRID[second] + 1e-3, weight], axis=1)
    return units, starts.clip(LOWER, UPPER)


def _refine(parameters: Floats, values: Floats, lags: Floats, enough: float) -> Floats:
    """Improve ``parameters`` (starts, 3) in place; returns their sums of squares.

    Steps are taken in a and b, with the best c for each (variable projection; Kaufman, BIT 15:49,
    1975): what c would take up is projected out of the slopes.

    Args:
        enough: a step that takes off no larger share of the sum of squares is a start's last.
    """
    logs = np.log1p(lags)
    damping = np.full(len(parameters), 1e-3)
    active: npt.NDArray[np.int64] = np.arange(len(parameters))
    at = _State(parameters[:, :2], values, lags, logs)
    parameters[:, 2], squares = at.c, at.squares.copy()
    for _ in range(_STEPS):
        gradient, curvature = at.slopes(lags, logs)
        own = parameters[active, :2]
        held = ((own <= LOWER[:2]) & (gradient <= 0)) | ((own >= UPPER[:2]) & (gradient >= 0))
        there = np.clip(
            own + _step(gradient, curvature, held, damping[active]), LOWER[:2], UPPER[:2]
        )
        after = _State(there, values[active], lags, logs)
        better = after.squares < at.squares
        rows = active[better]
        parameters[rows, :2], parameters[rows, 2] = there[better], after.c[better]
        squares[rows] = after.squares[better]
        gain = at.squares - after.squares
        settled = np.where(
            better, (gain <= enough * at.squares) & (damping[active] < 0.1), damping[active] > 1e4
        )
        settled |= (np.abs(there - own).max(axis=1) <= 1e-12) | (squares[active] <= _NOTHING)
        damping[active] *= np.where(better, 1 / 5, 4)
        at.take(after, better)
        at.keep(~settled)
        active = active[~settled]
        if not len(active):
            break
    return squares


class _State:
    """The fit of some starts: the parts of the model, the best c, residuals and their squares."""

    def __init__(self, exponents: Floats, values: Floats, lags: Floats, logs: Floats) -> None:
        self.power = np.exp(-exponents[:, :1] * logs)
        self.exponential = np.exp(-exponents[:, 1:] * lags)
        self.between = self.power - self.exponential
        rest = values - self.exponential
        self.length = _dot(self.between, self.between)
        self.c = np.clip(_dot(rest, self.between) / np.maximum(self.length, _TINY), 0, 1)
        self.residual = rest - self.c[:, None] * self.between
        self.squares = _dot(self.residual, self.residual)

    def slopes(self, lags: Floats, logs: Floats) -> tuple[Floats, tuple[Floats, Floats, Floats]]:
        """Half the fall of the squares with a and b, (starts, 2), and JᵀJ's aa, bb and ab."""
        of_a = -self.c[:, None] * self.power * logs
        of_b = (self.c[:, None] - 1) * self.exponential * lags
        gradient = np.stack([_dot(of_a, self.residual), _dot(of_b, self.residual)], axis=1)
        aa, bb, ab = _dot(of_a, of_a), _dot(of_b, of_b), _dot(of_a, of_b)
        along_a, along_b = _dot(of_a, self.between), _dot(of_b, self.between)
        # At a bound c stays, and takes nothing up.
        share = np.where((self.c > 0) & (self.c < 1), 1 / np.maximum(self.length, _TINY), 0)
        aa, bb = aa - share * along_a**2, bb - share * along_b**2
        return gradient, (np.maximum(aa, 0), np.maximum(bb, 0), ab - share * along_a * along_b)

    def take(self, other: _State, rows: npt.NDArray[np.bool_]) -> None:
        for name, values in vars(other).items():
            vars(self)[name][rows] = values[rows]

    def keep(self, rows: npt.NDArray[np.bool_]) -> None:
        for name, values in vars(self).items():
            vars(self)[name] = values[rows]


def _step(
    gradient: Floats,
    curvature: tuple[Floats, Floats, Floats],
    held: npt.NDArray[np.bool_],
    damping: Floats,
) -> Floats:
    """The damped step of each start, (starts, 2); 0 along what is held at its bound."""
    aa, bb, ab = curvature
    aa, bb = aa * (1 + damping) + 1e-14, bb * (1 + damping) + 1e-14
    first, second = gradient.T
    both = np.maximum(aa * bb - ab**2, _TINY)
    free = np.stack([(bb * first - ab * second) / both, (aa * second - ab * first) / both], axis=1)
    alone = gradient / np.stack([aa, bb], axis=1)
    step: Floats = np.where(held, 0, np.where(held.any(axis=1, keepdims=True), alone, free))
    return step


def _dot(first: Floats, second: Floats) -> Floats:
    result: Floats = np.einsum("nl,nl->n", first, second)
    return result
