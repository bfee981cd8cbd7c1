"""The optimiser of a recipe."""

from __future__ import annotations

import inspect
from typing import Any, TypeVar

import torch
from torch import nn

from toporepro.spec import Recipe, SpecError

_Kind = TypeVar("_Kind", bound=torch.optim.Optimizer)


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
        sgd = _eager(torch.optim.SGD)
        return sgd(groups, lr=recipe.lr, momentum=recipe.momentum, fused=True)
    kind = torch.optim.Adam if recipe.optimizer == "adam" else torch.optim.AdamW
    return _eager(kind)(groups, lr=recipe.lr, betas=recipe.betas, fused=True)


def _eager(kind: type[_Kind]) -> type[_Kind]:
    """The optimiser's own methods without what torch wraps around them for ``torch.compile``.

    Making, stepping and saving an optimiser import ``torch._dynamo`` and sympy through those
    wrappers, 1.5 s of every training, also where nothing is compiled; and a compiled loss leaves
    the optimiser outside. Methods that are not wrapped stay as they are. Hooks, and the profiler's
    names, are put around ``step`` by the class itself.
    """
    plain = {
        name: inspect.unwrap(getattr(kind, name))
        for name in ("add_param_group", "zero_grad", "state_dict", "load_state_dict")
    }
    step = torch.no_grad()(inspect.unwrap(kind.step))
    return type(kind.__name__, (kind,), {**plain, "step": step})
