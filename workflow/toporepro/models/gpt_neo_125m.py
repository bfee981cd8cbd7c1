"""GPT-Neo-125M; TopoLoss on ``c_fc`` of every block."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from toporepro.models.decoder_flops import decoder_flops
from toporepro.models.inputs import TextInputs
from toporepro.spec import SpecError

if TYPE_CHECKING:
    from torch import nn

TASK = "language"


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of ``gpt_neo_125m``; the vocabulary is that of the data.

    Attributes:
        context: most tokens that the network takes at once: its number of positions.
        width: channels of a token.
        depth: number of blocks; every second one attends locally.
        heads: attention heads of a block; they divide the width.
        mlp: units of each MLP's hidden layer, laid out on the cortical sheet.
        window: tokens that a token of a local block attends to, itself included.
    """

    context: int = 2048
    width: int = 768
    depth: int = 12
    heads: int = 12
    mlp: int = 3072
    window: int = 256

    def __post_init__(self) -> None:
        for name in ("context", "width", "depth", "heads", "mlp", "window"):
            if getattr(self, name) < 1:
                raise SpecError(f"{name}={getattr(self, name)}: at least 1")
        if self.width % self.heads:
            raise SpecError(f"heads={self.heads}: a divisor of width={self.width} is needed")


def layers(options: Options) -> dict[str, int]:
    """Topographic layers and their numbers of units."""
    return {f"transformer.h.{block}.mlp.c_fc": options.mlp for block in range(options.depth)}


def flops(options: Options, inputs: TextInputs) -> int:
    """Operations of a forward pass of one sequence; a multiply-add is two."""
    return decoder_flops(
        context=min(inputs.context, options.context),
        width=options.width,
        depth=options.depth,
        mlp=options.mlp,
        vocabulary=inputs.vocabulary,
    )


def build(options: Options, inputs: TextInputs) -> nn.Module:
    """The untrained network; takes tokens n×t, gives logits n×t×vocabulary."""
    from toporepro.models.neo import GPTNeo

    return GPTNeo(
        vocabulary=inputs.vocabulary,
        context=options.context,
        width=options.width,
        depth=options.depth,
        heads=options.heads,
        units=options.mlp,
        window=options.window,
    )
