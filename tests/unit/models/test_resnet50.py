"""ResNet-50 against torchvision."""

import pytest
import torch
from torch import nn

from toporepro.models import Inputs, resnet50
from toporepro.models.vision import import_torchvision
from toporepro.spec import SpecError

import_torchvision()
import torchvision  # noqa: E402

SMALL = Inputs(channels=1, height=32, width=32, classes=5)
CLASSES = 7


def test_without_blurpool_it_is_torchvisions() -> None:
    torch.manual_seed(0)
    theirs = torchvision.models.resnet50(num_classes=CLASSES)
    torch.manual_seed(0)
    inputs = Inputs(channels=3, height=64, width=64, classes=CLASSES)
    ours = resnet50.build(resnet50.Options(blurpool=False), inputs)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert all(
        torch.equal(a, b) for a, b in zip(ours.parameters(), theirs.parameters(), strict=True)
    )
    images = torch.randn(2, 3, 64, 64)
    assert torch.equal(ours.eval()(images), theirs.eval()(images))


def test_with_blurpool_it_keeps_torchvisions_parameters() -> None:
    with torch.device("meta"):
        theirs = torchvision.models.resnet50()
        inputs = Inputs(channels=3, height=224, width=224, classes=1000)
        ours = resnet50.build(resnet50.Options(), inputs)
    count = sum(parameter.numel() for parameter in ours.parameters())
    assert count == sum(p.numel() for p in theirs.parameters()) == 25_557_032
    added = set(ours.state_dict()) - set(theirs.state_dict())
    strided = [f"layer{i}.0.{conv}" for i in (2, 3, 4) for conv in ("conv2", "downsample.0")]
    assert added == {f"{name}.{own}" for name in strided for own in ("conv.weight", "blur_filter")}


@pytest.mark.parametrize("width", [0.25, 0.0625])
@pytest.mark.parametrize("blurpool", [True, False])
@pytest.mark.parametrize("stem", ["imagenet", "small"])
def test_layers_are_the_48_convolutions_of_the_blocks(
    width: float, blurpool: bool, stem: str
) -> None:
    options = resnet50.Options(width=width, blurpool=blurpool, stem=stem)  # type: ignore[arg-type]
    network = resnet50.build(options, SMALL)
    convolutions = {
        name: module.out_channels
        for name, module in network.named_modules()
        if isinstance(module, nn.Conv2d) and ".conv" in name and "downsample" not in name
    }
    assert resnet50.layers(options) == convolutions
    assert list(resnet50.layers(options)) == list(convolutions)
    assert len(convolutions) == 48
    assert network(torch.randn(2, 1, 32, 32)).shape == (2, 5)


def test_widths_that_cannot_be() -> None:
    with pytest.raises(SpecError, match="must be whole numbers above 0"):
        resnet50.Options(width=0.3)
