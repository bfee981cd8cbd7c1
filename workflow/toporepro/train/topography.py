"""TopoLoss of a spec."""

from __future__ import annotations

from toporepro.models.family import layers
from toporepro.spec import TrainSpec
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
