"""The optimiser of a recipe."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from toporepro.spec import Recipe, SpecError


def make_optimizer(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Adam, AdamW or SGD with momentum, in their fused forms.

    One-dimensional parameters (norms, biases) are spared weight decay unless the recipe says so.

    Raises:
        SpecError: if the recipe is that of a network which is not trained.
    """
    if recipe.optimizer == "none":
        raise SpecError("optimizer='none': a network with a checkpoint is converted, not trained")
    decayed: list[nn.Parameter] = []
    spared: list[nn.Parameter] = []
    for parameter in network.parameters():
        whole = parameter.ndim > 1 or recipe.decay_norms_and_biases
        (decayed if whole else spared).append(parameter)
    groups: list[dict[str, Any]] = [
        {"params": decayed, "weight_decay": recipe.weight_decay},
        {"params": spared, "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=recipe.lr, momentum=recipe.momentum, fused=True)
    kind = torch.optim.Adam if recipe.optimizer == "adam" else torch.optim.AdamW
    return kind(groups, lr=recipe.lr, betas=recipe.betas, fused=True)
