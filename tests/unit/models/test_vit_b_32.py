"""ViT-B/32 against torchvision."""

from typing import Any

import pytest
import torch
from torch import nn

from toporepro.models import Inputs, vit_b_32
from toporepro.models.vision import import_torchvision
from toporepro.spec import SpecError

import_torchvision()
import torchvision  # noqa: E402

NARROW = {"patch": 4, "width": 24, "depth": 2, "heads": 3, "mlp": 48}


def test_it_has_torchvisions_parameters() -> None:
    with torch.device("meta"):
        theirs = torchvision.models.vit_b_32()
        inputs = Inputs(channels=3, height=224, width=224, classes=1000)
        ours = vit_b_32.build(vit_b_32.Options(), inputs)
    assert {n: p.shape for n, p in ours.named_parameters()} == {
        n: p.shape for n, p in theirs.named_parameters()
    }
    assert sum(parameter.numel() for parameter in ours.parameters()) == 88_224_232


def test_narrow_variants_are_torchvisions_of_that_size() -> None:
    torch.manual_seed(0)
    theirs = torchvision.models.VisionTransformer(
        image_size=16,
        patch_size=4,
        num_layers=2,
        num_heads=3,
        hidden_dim=24,
        mlp_dim=48,
        num_classes=5,
    )
    torch.manual_seed(0)
    inputs = Inputs(channels=3, height=16, width=16, classes=5)
    ours = vit_b_32.build(vit_b_32.Options(**NARROW), inputs)
    for name, parameter in theirs.named_parameters():
        assert torch.equal(ours.get_parameter(name), parameter), name
    for network in (ours, theirs):
        torch.manual_seed(1)
        nn.init.normal_(network.get_parameter("heads.head.weight"))  # torchvision's starts at 0
    images = torch.randn(2, 3, 16, 16)
    logits = ours.eval()(images)
    assert torch.equal(logits, theirs.eval()(images))
    assert logits.std() > 0.1


def test_layers_are_the_first_linear_of_each_mlp() -> None:
    options = vit_b_32.Options(**NARROW)
    network = vit_b_32.build(options, Inputs(channels=3, height=8, width=8, classes=5))
    wide = {
        name: module.out_features
        for name, module in network.named_modules()
        if isinstance(module, nn.Linear) and module.in_features == 24 and module.out_features == 48
    }
    assert vit_b_32.layers(options) == wide
    assert list(vit_b_32.layers(vit_b_32.Options()).values()) == [3072] * 12


def test_grey_images_have_a_first_layer_of_one_channel() -> None:
    network = vit_b_32.build(
        vit_b_32.Options(**NARROW), Inputs(channels=1, height=8, width=8, classes=5)
    )
    assert network.get_parameter("conv_proj.weight").shape == (24, 1, 4, 4)
    assert float(network.get_parameter("conv_proj.weight").std()) == pytest.approx(1 / 4, rel=0.2)
    assert network(torch.randn(2, 1, 8, 8)).shape == (2, 5)


@pytest.mark.parametrize(("height", "width"), [(8, 12), (10, 10)])
def test_images_that_are_no_square_of_patches(height: int, width: int) -> None:
    with pytest.raises(SpecError, match=r"patch=4: images of .*square ones of a multiple"):
        vit_b_32.build(
            vit_b_32.Options(**NARROW), Inputs(channels=3, height=height, width=width, classes=5)
        )


@pytest.mark.parametrize(
    ("options", "words"),
    [({"heads": 5}, "heads=5: a divisor of width=768"), ({"depth": 0}, "depth=0: at least 1")],
)
def test_options_that_cannot_be(options: dict[str, Any], words: str) -> None:
    with pytest.raises(SpecError, match=words):
        vit_b_32.Options(**options)
