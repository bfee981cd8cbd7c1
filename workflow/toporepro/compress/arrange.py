"""Laying units out on a sheet so that neighbours are alike, after training.

Linear assignment sorting (Barthel, Hezel, Jung & Schall, "Improved evaluation and generation of
grid layouts using distance preservation quality and linear assignment sorting", Computer Graphics
Forum 42:261, 2023): the laid-out vectors are blurred, and all units are assigned anew to the places
whose blurred vector is nearest, at blurs that shrink step by step.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from toporepro.sheet import sheet_shape

_SHRINK = 0.6
_LAST = 0.7  # units: a narrower blur reads no neighbours


def sheet_order(vectors: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """The unit that lies at each place of the sheet, so that neighbours are alike.

    Args:
        vectors: (units, incoming).

    Returns:
        (units,): a permutation.
    """
    from scipy import ndimage, optimize

    height, width = sheet_shape(len(vectors))
    centred = vectors - vectors.mean(axis=0)
    order = _by_components(centred, height, width)
    blur = max(height, width) / 4
    while blur >= _LAST:
        laid = centred[order].reshape(height, width, -1)
        blurred = ndimage.gaussian_filter(laid, (blur, blur, 0), mode="nearest")
        # |v − m|² less what no assignment changes.
        likeness = blurred.reshape(len(vectors), -1) @ centred.T
        _, order = optimize.linear_sum_assignment(likeness, maximize=True)
        blur *= _SHRINK
    return order.astype(np.int64)


def _by_components(
    centred: npt.NDArray[np.float64], height: int, width: int
) -> npt.NDArray[np.int64]:
    """A first layout: columns in order of the first component, rows within them of the second."""
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    # The sign of a component is the library's choice: its largest loading is made positive.
    axes = axes * np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(axis=1)])[:, None]
    scores = centred @ axes[:2].T
    along = np.argsort(scores[:, 0], kind="stable").reshape(width, height)
    across = scores[along, 1] if scores.shape[1] > 1 else np.zeros(along.shape)
    laid = np.take_along_axis(along, np.argsort(across, axis=1, kind="stable"), axis=1)
    return np.ascontiguousarray(laid.T).ravel()
