"""Ways to compress the topographic layers of a network, and what each is a control for.

* ``sheet``: down-sampling of the cortical sheet, coordinates by the given factor; ``sheet_size``:
  by the ratio of sizes.
* ``l1``: the smallest weights of every layer set to 0 (unstructured magnitude pruning);
  ``l1_global``: the smallest of all layers together.
* ``sheet_sorted``, a control: units are laid out anew by similarity, then ``sheet``; whether a
  sheet that was never trained to be smooth does as well once neighbours are alike.
* ``knock_out``, a control: all incoming weights 0, whatever the sparsity; whether the layers matter
  at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, cast, get_args

import torch
from torch import Tensor, nn
from torch.nn.utils import prune

from toporepro.compress.arrange import sheet_order
from toporepro.compress.sampling import By, sampling
from toporepro.spec import SpecError, nearest

Method = Literal["sheet", "sheet_size", "l1", "l1_global", "sheet_sorted", "knock_out"]
METHODS: tuple[Method, ...] = get_args(Method)


def similar_order(vectors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """For ``sheet_sorted``: the unit at each place of every layer's new sheet."""
    return {
        name: torch.from_numpy(sheet_order(values.double().cpu().numpy())).to(values.device)
        for name, values in vectors.items()
    }


def compressed(
    vectors: Mapping[str, Tensor],
    method: str,
    sparsity: float,
    order: Mapping[str, Tensor] | None = None,
) -> dict[str, Tensor]:
    """What takes the place of the layers' weights.

    Args:
        vectors: layer → (units, incoming).
        method: one of ``METHODS``.
        sparsity: share taken away, in [0, 1); at 0 the weights come back as they are.
        order: what :func:`similar_order` gave, which takes long; left out, it is found anew.

    Raises:
        SpecError: if there is no such method, or the sparsity leaves nothing of a sheet.
    """
    if method not in METHODS:
        raise SpecError(f"method={method!r}; {nearest(method, METHODS)}")
    if method == "knock_out":
        return {name: torch.zeros_like(values) for name, values in vectors.items()}
    if sparsity == 0:
        return dict(vectors)
    if method in ("l1", "l1_global"):
        return _pruned(vectors, sparsity, together=method == "l1_global")
    if method == "sheet_sorted":
        order = order or similar_order(vectors)
        return {name: _sorted(values, sparsity, order[name]) for name, values in vectors.items()}
    by: By = "size" if method == "sheet_size" else "factor"
    return {name: _resampled(values, sparsity, by) for name, values in vectors.items()}


def remaining(units: int, incoming: int, method: str, sparsity: float) -> int:
    """How many weights of a layer are left to be stored.

    Pruned weights count as gone, although their places must be stored too.
    """
    if method == "knock_out":
        return 0
    if method in ("l1", "l1_global"):
        return units * incoming - round(sparsity * units * incoming)
    return sampling(units, sparsity).kept * incoming


def _resampled(values: Tensor, sparsity: float, by: By) -> Tensor:
    operators = sampling(len(values), sparsity, by)
    return operators.expand(operators.shrink(values))


def _sorted(values: Tensor, sparsity: float, order: Tensor) -> Tensor:
    """Down-sampled in the order of similarity; each unit back where it was."""
    result = torch.empty_like(values)
    result[order] = _resampled(values[order], sparsity, "factor")
    return result


def _pruned(vectors: Mapping[str, Tensor], sparsity: float, *, together: bool) -> dict[str, Tensor]:
    holders = {}
    for name, values in vectors.items():
        holders[name] = nn.Module()
        holders[name].register_parameter("weight", nn.Parameter(values.clone()))
    if together:
        parameters = [(holder, "weight") for holder in holders.values()]
        prune.global_unstructured(parameters, pruning_method=prune.L1Unstructured, amount=sparsity)
    else:
        for holder in holders.values():
            prune.l1_unstructured(holder, "weight", amount=sparsity)  # type: ignore[no-untyped-call]
    return {name: cast(Tensor, holder.weight).detach() for name, holder in holders.items()}
