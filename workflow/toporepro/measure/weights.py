"""Weights on the cortical sheet: their TopoLoss, their principal components, themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from toporepro.measure.result import Floats, Quantity, Result, UnitValues, per_layer

if TYPE_CHECKING:
    from toporepro.measure.network import Network

ON_SNAPSHOTS = True
QUANTITIES = {
    "weight_pc": Quantity(
        label="Principal components of the weights",
        index="component",
        about="Each unit's score, scaled to −1 … 1. The sign of a component is arbitrary.",
    ),
    "weight": Quantity(
        label="Weights of every unit",
        index="pixel",
        about="What a unit wants to see: its incoming weights as an image, at its place.",
    ),
}
COMPONENTS = 3


@dataclass(frozen=True, kw_only=True)
class Options:
    """``weights`` has no options."""


def measure(subject: Network, options: Options) -> Result:
    """TopoLoss (φ and interpolation of the training's spec, without τ) and maps of the weights.

    Rows ``topo_loss``, per layer and averaged over layers. Quantities: ``weight_pc`` (index 0 … 2,
    in −1 … 1, see ``principal_components``); of a trained network's layers that see the image
    itself, ``weight`` (index: pixel, row by row, channel after channel).
    """
    import torch

    from toporepro.topoloss import laplacian_pyramid_loss, unit_weights

    topo, losses, units = subject.spec.topo, {}, []
    pixels = subject.pixels
    for layer in subject.layers:
        module = subject.module.get_submodule(layer)
        weights = unit_weights(module).detach().double().cpu()
        vectors: Floats = weights.numpy()
        losses[layer] = float(
            laplacian_pyramid_loss(
                cortical_sheet=weights.reshape(*subject.sheet(layer), -1),
                factor_h=topo.phi,
                factor_w=topo.phi,
                interpolation=topo.interpolation,
            )
        )
        units.append(UnitValues(layer, "weight_pc", principal_components(vectors)))
        sees_image = isinstance(module, torch.nn.Linear) and vectors.shape[1] == pixels
        if subject.final and sees_image:
            units.append(UnitValues(layer, "weight", vectors))
    return Result(tuple(per_layer("topo_loss", "", losses)), tuple(units))


def principal_components(vectors: Floats) -> Floats:
    """Scores of the units on the first three principal components of their weight vectors.

    Each component is scaled so that its largest score is 1 in size, and turned so that the unit it
    belongs to has a positive one: the first such unit where several tie.

    Args:
        vectors: (units, weights).

    Returns:
        (units, 3), in −1 … 1; 0 where the vectors span fewer dimensions.
    """
    import torch

    centred = torch.from_numpy(vectors - vectors.mean(axis=0))
    wide = centred.shape[1] > centred.shape[0]  # the smaller of the two Gram matrices will do
    variance, axes = torch.linalg.eigh(centred @ centred.T if wide else centred.T @ centred)
    scores: Floats = np.zeros((len(vectors), COMPONENTS))
    for number in range(min(COMPONENTS, len(variance))):
        axis = axes[:, -1 - number]
        if variance[-1 - number] > 1e-12 * max(float(variance[-1]), 1e-200):
            column = (axis if wide else centred @ axis).numpy()
            scores[:, number] = column / column[np.abs(column).argmax()]
    return scores
