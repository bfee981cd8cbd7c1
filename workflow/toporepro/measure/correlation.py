"""Correlations between units, and the rule for units that have none."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from toporepro.measure.result import Floats

# Below this share of its mean, a unit's spread is the rounding of float32 responses, not an answer.
_NOISE = 1e-6


def live_units(mean: Floats, variance: Floats) -> npt.NDArray[np.bool_]:
    """Which units answer different stimuli differently.

    The others are constant: a correlation with them is undefined, so that they take part in no
    pair, and shuffles leave them where they are.
    """
    live: npt.NDArray[np.bool_] = variance > _NOISE**2 * (mean**2 + variance)
    return live


def correlations(mean: Floats, covariance: Floats) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Pearson correlations of all pairs of units.

    Args:
        mean: (units,).
        covariance: (units, units); overwritten.

    Returns:
        The correlations, with rows and columns of constant units 0, and which units are live.
    """
    variance = covariance.diagonal().copy()
    live = live_units(mean, variance)
    scale = np.zeros(len(mean))
    scale[live] = 1 / np.sqrt(variance[live])
    covariance *= scale[:, None]
    covariance *= scale
    return covariance, live


def standardised(profiles: Floats) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Each unit's profile with mean 0 and population SD 1; constant ones 0, and which are not."""
    mean, spread = profiles.mean(axis=1), profiles.std(axis=1)
    live = live_units(mean, spread**2)
    scale = np.zeros(len(mean))
    scale[live] = 1 / spread[live]
    return (profiles - mean[:, None]) * scale[:, None], live
