"""The three losses on one layer: on its output units, on its input units, on its biases."""

import warnings
from dataclasses import dataclass
from functools import lru_cache
from typing import Self

import torch
from torch import Tensor, nn

from toporepro.sheet import check_factors, sheet_shape

from . import layers
from .errors import SheetWarning, TopoLossError
from .foreach import UnitWeights, sheet_losses
from .kernel import EPS, compute_dtype, full_precision
from .resample import axis_operators

INTERPOLATIONS = ("bilinear", "nearest", "nearest-exact", "area", "bicubic")
"""Modes of ``torch.nn.functional.interpolate`` that act on each axis separately and linearly."""


def laplacian_pyramid_loss(
    cortical_sheet: Tensor, factor_w: float, factor_h: float, interpolation: str = "bilinear"
) -> Tensor:
    """Topographic loss of a sheet of units: 1 − mean over units of cos(C_i, C'_i).

    C' is the sheet shrunk by the factors and brought back to its size. 0 means that the sheet
    holds no detail finer than the factors; values lie in [0, 2]. Down-sampling does not
    anti-alias: a bilinear factor of 3 reads rows 1, 4, 7, … only.

    Half-precision sheets are computed in float32, also under autocast. Units or smoothed units
    shorter than 1e-8 count as cosine 0 and receive no gradient, where the published package gives
    one of order 1e8.

    Args:
        cortical_sheet: (h, w, e), the e incoming weights of the unit in each place.
        factor_w, factor_h: how much to shrink the width and the height; positive, at most w, h.
        interpolation: one of :data:`INTERPOLATIONS`.

    Returns:
        A scalar, differentiable once.

    Raises:
        TopoLossError: wrong shape, type, factor or interpolation.

    Source: Deb, Deb & Ratan Murty (ICLR 2025), section 3.1 and equation 1; package ``topoloss``
    0.0.2, ``losses/laplacian_pyramid.py``.
    """
    h, w = _checked_shape(cortical_sheet, 3, "(h, w, e)")
    _check("cortical sheet", h, w, factor_h, factor_w, interpolation)
    units = cortical_sheet.reshape(h * w, -1)
    entry = UnitWeights(units, 0, (h, w), factor_h, factor_w, interpolation)
    return sheet_losses([entry]).squeeze(0)


def laplacian_pyramid_loss_on_bias(
    cortical_sheet: Tensor, factor_w: float, factor_h: float, interpolation: str = "bilinear"
) -> Tensor:
    """Topographic loss of one number per unit: 1 − cos(b, b') of the sheet taken as one vector.

    Args:
        cortical_sheet: (h, w). The other arguments, the result and the errors are those of
            :func:`laplacian_pyramid_loss`.
    """
    h, w = _checked_shape(cortical_sheet, 2, "(h, w)")
    _check("cortical sheet", h, w, factor_h, factor_w, interpolation)
    with full_precision(cortical_sheet.device):
        sheet = cortical_sheet.to(compute_dtype(cortical_sheet.dtype))
        along_h, along_w = (
            (up @ down).to(sheet.device)
            for down, up in (
                axis_operators(h, factor_h, interpolation, sheet.dtype),
                axis_operators(w, factor_w, interpolation, sheet.dtype),
            )
        )
        smooth = along_h @ sheet @ along_w.T
        return 1 - (_direction(sheet) * _direction(smooth)).sum()


def _direction(values: Tensor) -> Tensor:
    # The inner choice keeps the gradient of the branch not taken finite.
    squares = values.square().sum()
    directed = squares > EPS**2
    norm = torch.where(directed, squares, 1.0).sqrt()
    return torch.where(directed, values / norm, 0.0)


@dataclass
class PyramidLoss:
    """What all losses on one layer have in common.

    Args:
        layer_name: name of the layer in the model, such as ``"layer4.1.conv2"``.
        factor_h, factor_w: how much to shrink the sheet's height and width (φ).
        interpolation: one of :data:`INTERPOLATIONS`.
        scale: the weight τ of this loss, or ``None`` to watch it without training on it.
        custom_weight_attribute_name: which tensor of the layer to take instead of the usual one,
            such as ``"weight_hh_l0"`` of an RNN; its first axis must be the units.
    """

    layer_name: str
    factor_h: float
    factor_w: float
    interpolation: str = "bilinear"
    scale: float | None = 1.0
    custom_weight_attribute_name: str | None = None

    @classmethod
    def from_layer(
        cls,
        model: nn.Module,
        layer: nn.Module,
        factor_h: float,
        factor_w: float,
        scale: float | None = 1.0,
        interpolation: str = "bilinear",
        custom_weight_attribute_name: str | None = None,
    ) -> Self:
        """The loss on ``layer``, which must be a module of ``model`` (else: TopoLossError)."""
        return cls(
            layer_name=layers.layer_name(model, layer),
            factor_h=factor_h,
            factor_w=factor_w,
            interpolation=interpolation,
            scale=scale,
            custom_weight_attribute_name=custom_weight_attribute_name,
        )

    def tensor(self, layer: nn.Module) -> Tensor:
        """The parameter of ``layer`` on which this loss acts."""
        raise NotImplementedError

    def entry(self, layer: nn.Module) -> UnitWeights | Tensor:
        """What :func:`~.foreach.sheet_losses` needs: the weights, or the unscaled loss itself.

        Raises:
            TopoLossError: the layer has no such tensor, or its sheet does not allow the factors.
        """
        raise NotImplementedError

    def _sheet(self, units: int) -> tuple[int, int]:
        h, w = sheet_shape(units)
        label = f"layer {self.layer_name!r} ({units} units, sheet {h}×{w})"
        _check(label, h, w, self.factor_h, self.factor_w, self.interpolation)
        return h, w

    def _units(self, weight: Tensor, unit_dim: int) -> UnitWeights:
        shape = self._sheet(weight.shape[unit_dim])
        return UnitWeights(
            weight, unit_dim, shape, self.factor_h, self.factor_w, self.interpolation
        )


@dataclass
class LaplacianPyramid(PyramidLoss):
    """Makes the output units of a layer topographic: each unit is its incoming weights."""

    def tensor(self, layer: nn.Module) -> Tensor:
        return layers.weight_and_unit_dim(
            layer, self.layer_name, self.custom_weight_attribute_name
        )[0]

    def entry(self, layer: nn.Module) -> UnitWeights:
        weight, unit_dim = layers.weight_and_unit_dim(
            layer, self.layer_name, self.custom_weight_attribute_name
        )
        return self._units(weight, unit_dim)


@dataclass
class LaplacianPyramidOnInput(PyramidLoss):
    """Makes the input units of a layer topographic: each unit is its outgoing weights.

    For weights with two dimensions only.
    """

    def tensor(self, layer: nn.Module) -> Tensor:
        return layers.weight_and_unit_dim(
            layer, self.layer_name, self.custom_weight_attribute_name
        )[0]

    def entry(self, layer: nn.Module) -> UnitWeights:
        weight, unit_dim = layers.weight_and_unit_dim(
            layer, self.layer_name, self.custom_weight_attribute_name
        )
        if weight.ndim != 2:
            raise TopoLossError(
                f"layer {self.layer_name!r}: a loss on the input side needs a weight with two "
                f"dimensions, got shape {tuple(weight.shape)}"
            )
        return self._units(weight, 1 - unit_dim)


@dataclass
class LaplacianPyramidOnBias(PyramidLoss):
    """Makes the biases of a layer topographic, as one vector over the sheet."""

    @classmethod
    def from_layer(
        cls,
        model: nn.Module,
        layer: nn.Module,
        factor_h: float,
        factor_w: float,
        scale: float | None = 1.0,
        interpolation: str = "bilinear",
        custom_weight_attribute_name: str | None = None,
    ) -> Self:
        """As for the other losses, and the layer must have a bias (else: TopoLossError)."""
        loss = super().from_layer(
            model, layer, factor_h, factor_w, scale, interpolation, custom_weight_attribute_name
        )
        loss.tensor(layer)
        return loss

    def tensor(self, layer: nn.Module) -> Tensor:
        attribute = self.custom_weight_attribute_name or "bias"
        bias = layers.parameter_of(layer, self.layer_name, attribute)
        if bias.ndim != 1:
            raise TopoLossError(
                f"layer {self.layer_name!r}: {attribute} has shape {tuple(bias.shape)}; allowed: "
                f"one number per unit"
            )
        return bias

    def entry(self, layer: nn.Module) -> Tensor:
        bias = self.tensor(layer)
        h, w = self._sheet(bias.numel())
        return laplacian_pyramid_loss_on_bias(
            bias.reshape(h, w), self.factor_w, self.factor_h, self.interpolation
        )


def _checked_shape(sheet: Tensor, ndim: int, expected: str) -> tuple[int, int]:
    if sheet.ndim != ndim or 0 in sheet.shape or not sheet.is_floating_point():
        raise TopoLossError(
            f"a cortical sheet must be a non-empty floating-point tensor of shape {expected}, got "
            f"{sheet.dtype} {tuple(sheet.shape)}"
        )
    return sheet.shape[0], sheet.shape[1]


def _check(label: str, h: int, w: int, factor_h: float, factor_w: float, mode: str) -> None:
    """Raise what is fatal and warn of the rest."""
    if torch.compiler.is_compiling():
        return
    if mode not in INTERPOLATIONS:
        raise TopoLossError(
            f"{label}: interpolation {mode!r} is not one of {', '.join(INTERPOLATIONS)}"
        )
    problems = _problems(h, w, factor_h, factor_w)
    if fatal := [problem.message for problem in problems if problem.fatal]:
        raise TopoLossError(f"{label}: {'; '.join(fatal)}")
    for problem in problems:
        warnings.warn(f"{label}: {problem.message}", SheetWarning, stacklevel=2)


_problems = lru_cache(maxsize=1024)(check_factors)
