"""TopoLoss of a spec."""

from __future__ import annotations

from toporepro.models.family import layers
from toporepro.sheet import check_sheet
from toporepro.spec import SpecError, TrainSpec
from toporepro.topoloss import LaplacianPyramid, TopoLoss


def make_topo_loss(spec: TrainSpec) -> TopoLoss:
    """The loss on a spec's topographic layers, not scaled by τ, which the loop's schedule gives."""
    topo = spec.topo
    return TopoLoss(
        losses=[
            LaplacianPyramid(
                layer_name=name,
                factor_h=topo.phi,
                factor_w=topo.phi,
                interpolation=topo.interpolation,
            )
            for name in topo.layers or layers(spec)
        ]
    )


def check_sheets(spec: TrainSpec) -> None:
    """Refuse factors under which a sheet collapses, unless the spec allows it.

    Raises:
        SpecError: naming the layer and what is allowed.
    """
    units = layers(spec)
    for name in spec.topo.layers or units:
        for problem in check_sheet(units[name], spec.topo.phi) if name in units else ():
            if problem.fatal or not spec.topo.allow_collapse:
                raise SpecError(f"topo.phi={spec.topo.phi:g}: layer {name}: {problem.message}")
