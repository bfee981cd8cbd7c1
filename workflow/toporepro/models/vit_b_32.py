"""ViT-B/32 as in torchvision; TopoLoss on the first linear layer of each block's MLP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from toporepro.models.inputs import Inputs
from toporepro.spec import SpecError

if TYPE_CHECKING:
    from torch import nn

TASK = "classification"
FIXED_SIZE = True  # one learnt position per patch: images of another size do not fit


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of ``vit_b_32``; the image's size is that of the data.

    Attributes:
        patch: side of a patch, in pixels.
        width: channels of a token.
        depth: number of blocks.
        heads: attention heads of a block; they divide the width.
        mlp: units of each MLP's hidden layer, laid out on the cortical sheet.
    """

    patch: int = 32
    width: int = 768
    depth: int = 12
    heads: int = 12
    mlp: int = 3072

    def __post_init__(self) -> None:
        for name in ("patch", "width", "depth", "heads", "mlp"):
            if getattr(self, name) < 1:
                raise SpecError(f"{name}={getattr(self, name)}: at least 1")
        if self.width % self.heads:
            raise SpecError(f"heads={self.heads}: a divisor of width={self.width} is needed")


def layers(options: Options) -> dict[str, int]:
    """Topographic layers and their numbers of units."""
    return {
        f"encoder.layers.encoder_layer_{block}.mlp.0": options.mlp for block in range(options.depth)
    }


def flops(options: Options, inputs: Inputs) -> int:
    """Operations of a forward pass of one image; a multiply-add is two."""
    patches = inputs.height * inputs.width // options.patch**2
    tokens = patches + 1
    block = 4 * options.width**2 + 2 * options.width * options.mlp + 2 * tokens * options.width
    embedding = patches * inputs.channels * options.patch**2 * options.width
    return 2 * (embedding + options.depth * tokens * block + options.width * inputs.classes)


def build(options: Options, inputs: Inputs) -> nn.Module:
    """The untrained network; takes images N×C×H×W, gives logits N×classes.

    Raises:
        SpecError: if the images are not square, or not whole patches.
    """
    from toporepro.models.vision import import_torchvision

    if inputs.height != inputs.width or inputs.height % options.patch:
        raise SpecError(
            f"patch={options.patch}: images of {inputs.height}×{inputs.width} pixels; square ones "
            "of a multiple of patch are needed"
        )
    import_torchvision()
    from torch import nn
    from torchvision.models import VisionTransformer

    network: nn.Module = VisionTransformer(
        image_size=inputs.height,
        patch_size=options.patch,
        num_layers=options.depth,
        num_heads=options.heads,
        hidden_dim=options.width,
        mlp_dim=options.mlp,
        num_classes=inputs.classes,
    )
    if inputs.channels != 3:  # torchvision knows of colour images alone
        first = nn.Conv2d(inputs.channels, options.width, options.patch, stride=options.patch)
        nn.init.trunc_normal_(first.weight, std=(inputs.channels * options.patch**2) ** -0.5)
        nn.init.zeros_(first.bias)  # type: ignore[arg-type]
        network.conv_proj = first
    return network
