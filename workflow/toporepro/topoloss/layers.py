"""Layers of a model: finding them by name, naming them, and reading their units."""

import difflib
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from .errors import TopoLossError

_SUPPORTED = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


def find_layer(model: nn.Module, name: str) -> nn.Module:
    """The sub-module of ``model`` called ``name`` (``""`` is the model itself).

    Names are those of the model inside any ``DataParallel``, ``DistributedDataParallel`` or
    ``torch.compile`` wrapper; a wrapper's own prefix is accepted too.

    Raises:
        TopoLossError: there is no such module; the nearest names are given.
    """
    for root in (model, _unwrapped(model)):
        found: object = root
        for part in name.split(".") if name else ():
            found = getattr(found, part, None)
        if isinstance(found, nn.Module):
            return found
    names = [known for known, _ in _unwrapped(model).named_modules() if known]
    raise TopoLossError(f"the model has no layer {name!r}; {_nearest(name, names)}")


def layer_name(model: nn.Module, layer: nn.Module) -> str:
    """The name of ``layer`` in ``model``, without the prefix of any wrapper.

    Raises:
        TopoLossError: ``layer`` is not part of ``model``.
    """
    names: dict[nn.Module, str] = {m: name for name, m in _unwrapped(model).named_modules()}
    if layer in names:
        return names[layer]
    raise TopoLossError(
        f"the layer {type(layer).__name__} is not a part of the model {type(model).__name__}"
    )


def check_layer_type(layer: nn.Module, name: str) -> None:
    """Refuse layers whose ``weight`` need not be a set of units along its first axis.

    Raises:
        TopoLossError: the layer is neither Linear, Conv1d, Conv2d, Conv3d nor transformers' Conv1D.
    """
    if not (isinstance(layer, _SUPPORTED) or _is_transposed(layer)):
        raise TopoLossError(
            f"layer {name!r} is a {type(layer).__name__}; allowed: Linear, Conv1d, Conv2d, Conv3d "
            f"and transformers' Conv1D, or any weight named by custom_weight_attribute_name, or "
            f"strict_layer_type=False"
        )


def parameter_of(layer: nn.Module, name: str, attribute: str) -> Tensor:
    """The floating-point tensor ``attribute`` of the layer called ``name``.

    Raises:
        TopoLossError: the layer has no such tensor (``bias=False`` included); those that it has
            are given.
    """
    value = getattr(layer, attribute, None)
    if isinstance(value, Tensor) and value.is_floating_point():
        return value
    tensors = [f"{key} {tuple(p.shape)}" for key, p in layer.named_parameters(recurse=False)]
    raise TopoLossError(
        f"layer {name!r} ({type(layer).__name__}) has no {attribute}; "
        f"it has: {', '.join(tensors) or 'no parameters of its own'}"
    )


def weight_and_unit_dim(layer: nn.Module, name: str, attribute: str | None) -> tuple[Tensor, int]:
    """A layer's weights, and the axis along which its output units lie.

    Raises:
        TopoLossError: there is no such weight, or it has fewer than two dimensions.
    """
    weight = parameter_of(layer, name, attribute or "weight")
    if weight.ndim < 2:
        raise TopoLossError(
            f"layer {name!r}: {attribute or 'weight'} has shape {tuple(weight.shape)}; allowed: at "
            f"least two dimensions, units × incoming"
        )
    return weight, 1 if attribute in (None, "weight") and _is_transposed(layer) else 0


def unit_weights(layer: nn.Module, attribute: str | None = None) -> Tensor:
    """Weights of ``layer`` as (units × incoming): one row per output unit, in sheet order.

    Linear and convolutional weights (out, …) are flattened behind their first axis; transformers'
    ``Conv1D`` stores (in, out) and is transposed. A differentiable view wherever the memory allows
    one.

    Raises:
        TopoLossError: the layer has no such weight, or it has fewer than two dimensions.
    """
    weight, unit_dim = weight_and_unit_dim(layer, type(layer).__name__, attribute)
    return weight.T if unit_dim else weight.flatten(1)


def _is_transposed(layer: nn.Module) -> bool:
    # Recognised by name and shape, because importing transformers takes seconds.
    return (
        any(cls.__name__ == "Conv1D" for cls in type(layer).__mro__)
        and isinstance(weight := getattr(layer, "weight", None), Tensor)
        and weight.ndim == 2
        and weight.shape[1] == getattr(layer, "nf", None)
    )


def _unwrapped(model: nn.Module) -> nn.Module:
    while True:
        if isinstance(model, nn.DataParallel | nn.parallel.DistributedDataParallel):
            model = model.module
        elif isinstance(inner := getattr(model, "_orig_mod", None), nn.Module):
            model = inner
        else:
            return model


def _nearest(name: str, names: Iterable[str]) -> str:
    names = list(names)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    if near:
        return "nearest names: " + ", ".join(map(repr, near))
    shown = ", ".join(map(repr, names[:10])) + (", …" if len(names) > 10 else "")
    return f"its layers are: {shown or 'none'}"


def count_not_finite(tensor: Tensor) -> int:
    return int(torch.isfinite(tensor).logical_not_().sum())
