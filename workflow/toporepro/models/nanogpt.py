"""GPT-2 as in nanoGPT: 124M parameters without biases; TopoLoss on ``c_fc`` of every block."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from toporepro.models.decoder_flops import decoder_flops
from toporepro.models.inputs import TextInputs
from toporepro.spec import SpecError

if TYPE_CHECKING:
    from torch import nn

TASK = "language"
_MULTIPLE = 64  # of rows of the embedding, which GPUs like
_APPROXIMATE = {"gelu": "none", "gelu_new": "tanh"}


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of ``nanogpt``; the vocabulary is that of the data.

    Attributes:
        context: most tokens that the network takes at once: its number of positions.
        width: channels of a token.
        depth: number of blocks.
        heads: attention heads of a block; they divide the width.
        mlp: units of each MLP's hidden layer, laid out on the cortical sheet.
        bias: whether linear layers and normalisations have biases, as OpenAI's GPT-2 has.
        activation: as ``transformers`` names it: ``gelu`` is exact, as in nanoGPT and the authors'
            networks; ``gelu_new`` the approximation of OpenAI's GPT-2.
    """

    context: int = 1024
    width: int = 768
    depth: int = 12
    heads: int = 12
    mlp: int = 3072
    bias: bool = False
    activation: Literal["gelu", "gelu_new"] = "gelu"

    def __post_init__(self) -> None:
        for name in ("context", "width", "depth", "heads", "mlp"):
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
        vocabulary=_padded(inputs),
    )


def build(options: Options, inputs: TextInputs) -> nn.Module:
    """The untrained network; takes tokens n×t, gives logits n×t×V.

    V is the vocabulary padded to a multiple of 64.
    """
    from toporepro.models.gpt import GPT

    return GPT(
        vocabulary=_padded(inputs),
        context=options.context,
        width=options.width,
        depth=options.depth,
        heads=options.heads,
        units=options.mlp,
        bias=options.bias,
        approximate=_APPROXIMATE[options.activation],
    )


def _padded(inputs: TextInputs) -> int:
    return -(-inputs.vocabulary // _MULTIPLE) * _MULTIPLE
