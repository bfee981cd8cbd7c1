"""TopoLoss: brain-like topography for the units of any PyTorch layer. Needs torch alone.

::

    from toporepro.topoloss import LaplacianPyramid, TopoLoss

    topo_loss = TopoLoss([LaplacianPyramid.from_layer(model, model.fc, factor_h=8, factor_w=8)])
    loss = task_loss + topo_loss.compute(model)
"""

from toporepro.sheet import SheetProblem, check_sheet, down_size, sheet_shape

from .core import TopoLoss
from .errors import SheetWarning, TopoLossError
from .layers import unit_weights
from .pyramid import (
    LaplacianPyramid,
    LaplacianPyramidOnBias,
    LaplacianPyramidOnInput,
    laplacian_pyramid_loss,
    laplacian_pyramid_loss_on_bias,
)
from .scheduler import ChainedTauScheduler, TauScheduler

__all__ = [
    "ChainedTauScheduler",
    "LaplacianPyramid",
    "LaplacianPyramidOnBias",
    "LaplacianPyramidOnInput",
    "SheetProblem",
    "SheetWarning",
    "TauScheduler",
    "TopoLoss",
    "TopoLossError",
    "check_sheet",
    "down_size",
    "laplacian_pyramid_loss",
    "laplacian_pyramid_loss_on_bias",
    "sheet_shape",
    "unit_weights",
]
