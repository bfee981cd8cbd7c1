"""How far selective units lie together: the largest cluster, Moran's I, and that of two maps."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from toporepro.measure.result import Floats
from toporepro.measure.sheet_pairs import queen_pairs

_FLAT = 1e-12


def largest_clusters(
    maps: npt.NDArray[np.floating], threshold: float, *, both_ends: bool = False
) -> npt.NDArray[np.int64]:
    """Units in the largest cluster above a threshold, per map; neighbours share an edge.

    (With corners, clusters span the sheet by chance as soon as two units in five pass: the site
    percolation threshold of that lattice is 0.41; with edges it is 0.59.)

    Args:
        maps: (…, height, width).
        both_ends: also clusters below minus the threshold; a cluster has one sign.

    Returns:
        (…,): 0 where no unit passes.
    """
    from scipy import ndimage

    planes = maps.reshape(-1, *maps.shape[-2:])
    within = np.zeros((3, 3, 3), dtype=bool)
    within[1] = ndimage.generate_binary_structure(2, 1)
    largest = np.zeros(len(planes), dtype=np.int64)
    for above in (planes > threshold, *([planes < -threshold] if both_ends else [])):
        labels, count = ndimage.label(above, structure=within)
        sizes = np.bincount(labels.ravel(), minlength=count + 1)
        sizes[0] = 0
        np.maximum(largest, sizes[labels].max(axis=(1, 2)), out=largest)
    return largest.reshape(maps.shape[:-2])


def morans_i(maps: Floats, height: int, width: int) -> Floats:
    """Moran's I of single maps (Moran, Biometrika 37:17, 1950): queen contiguity, weights 0 and 1.

    Args:
        maps: (maps, units).

    Returns:
        (maps,): −1 / (units − 1) is expected without order; ``nan`` for a map without contrast.
    """
    result: Floats = cross_morans_i(maps, height, width).diagonal().copy()
    return result


def cross_morans_i(maps: Floats, height: int, width: int) -> Floats:
    """Moran's I of pairs of maps: whether units next to those high in one are high in the other.

    The bivariate I (Wartenberg, Geographical Analysis 17:263, 1985), queen contiguity. No unit is
    its own neighbour, so that maps over the same units in any order come to about 0, however much
    they correlate: −r / (units − 1) is expected.

    Args:
        maps: (maps, units).

    Returns:
        (maps, maps), symmetric; ``nan`` with a map without contrast.
    """
    first, second = queen_pairs(height, width)
    centred = maps - maps.mean(axis=1, keepdims=True)
    spread = (centred**2).mean(axis=1)
    flat = spread <= _FLAT * (maps**2).mean(axis=1)
    scaled = centred / np.sqrt(np.where(flat, np.nan, spread))[:, None]
    one_way = scaled[:, first] @ scaled[:, second].T / len(first)
    result: Floats = (one_way + one_way.T) / 2
    return result


def layout_similarity(maps: Floats, height: int, width: int) -> Floats:
    """:func:`cross_morans_i` less its expectation over all orders of the units, −r / (units − 1).

    Returns:
        (maps, maps); 0 is expected of any two maps whose units lie at random.
    """
    result: Floats = cross_morans_i(maps, height, width) + np.corrcoef(maps) / (height * width - 1)
    return result
