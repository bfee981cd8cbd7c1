"""ResNet-18 against torchvision, BlurPool against scipy."""

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import nn

from toporepro.models import Inputs, mlp, resnet18
from toporepro.models.blurpool import BlurPoolConv2d, add_blurpool
from toporepro.models.vision import import_torchvision
from toporepro.spec import SpecError

import_torchvision()
import torchvision  # noqa: E402

IMAGENET = Inputs(channels=3, height=64, width=64, classes=1000)
SMALL = Inputs(channels=1, height=16, width=16, classes=5)


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_without_blurpool_it_is_torchvisions() -> None:
    torch.manual_seed(0)
    theirs = torchvision.models.resnet18()
    torch.manual_seed(0)
    ours = resnet18.build(resnet18.Options(blurpool=False), IMAGENET)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert all(
        torch.equal(a, b) for a, b in zip(ours.parameters(), theirs.parameters(), strict=True)
    )
    images = torch.randn(2, 3, 64, 64)
    assert torch.equal(ours(images), theirs(images))  # training mode
    assert torch.equal(ours.eval()(images), theirs.eval()(images))


def test_with_blurpool_it_keeps_torchvisions_parameters() -> None:
    ours = resnet18.build(resnet18.Options(), IMAGENET)
    theirs = torchvision.models.resnet18()
    assert parameters(ours) == parameters(theirs) == 11_689_512
    added = set(ours.state_dict()) - set(theirs.state_dict())
    strided = [f"layer{i}.0.{conv}" for i in (2, 3, 4) for conv in ("conv1", "downsample.0")]
    assert added == {f"{name}.{own}" for name in strided for own in ("conv.weight", "blur_filter")}


@pytest.mark.parametrize("width", [0.25, 0.125, 0.015625])
@pytest.mark.parametrize("blurpool", [True, False])
@pytest.mark.parametrize("stem", ["imagenet", "small"])
def test_layers_are_the_16_convolutions_of_the_blocks(
    width: float, blurpool: bool, stem: str
) -> None:
    options = resnet18.Options(width=width, blurpool=blurpool, stem=stem)  # type: ignore[arg-type]
    network = resnet18.build(options, SMALL)
    convolutions = {
        name: module.out_channels
        for name, module in network.named_modules()
        if isinstance(module, nn.Conv2d) and ".conv" in name
    }
    assert resnet18.layers(options) == {
        name: units for name, units in convolutions.items() if "downsample" not in name
    }
    assert len(resnet18.layers(options)) == 16
    assert network(torch.randn(2, 1, 16, 16)).shape == (2, 5)


def test_the_small_stem_keeps_resolution() -> None:
    network = resnet18.build(resnet18.Options(width=0.125, stem="small"), SMALL)
    seen: list[torch.Size] = []
    network.get_submodule("layer1").register_forward_hook(lambda m, i, o: seen.append(o.shape))
    network(torch.randn(2, 1, 16, 16))
    assert seen == [(2, 8, 16, 16)]


@pytest.mark.parametrize("width", [0, -1, 0.3])
def test_widths_that_cannot_be(width: float) -> None:
    with pytest.raises(SpecError, match="must be whole numbers above 0"):
        resnet18.Options(width=width)


def test_a_stem_that_cannot_be() -> None:
    with pytest.raises(SpecError, match="'imagenet' or 'small'"):
        resnet18.Options(stem="large")  # type: ignore[arg-type]


def test_blurpool_equals_scipy() -> None:
    conv = nn.Conv2d(16, 2, 3, stride=2, padding=1, bias=False)
    image = torch.randn(1, 16, 9, 7)
    kernel = np.outer([1, 2, 1], [1, 2, 1]) / 16
    blurred = [ndimage.convolve(plane, kernel, mode="constant") for plane in image[0].numpy()]
    expected = conv(torch.tensor(np.array(blurred))[None])
    torch.testing.assert_close(BlurPoolConv2d(conv)(image), expected)


def test_blurpool_wraps_strided_convolutions_of_enough_channels_and_fires_hooks() -> None:
    network = nn.Sequential(
        nn.Conv2d(8, 16, 3, stride=2),
        nn.Sequential(nn.Conv2d(16, 16, 3, stride=(1, 2)), nn.Conv2d(16, 16, 3)),
    )
    add_blurpool(network, 16)
    assert isinstance(network[0], nn.Conv2d)
    inner = network[1][0]
    assert isinstance(inner, BlurPoolConv2d)
    assert isinstance(network[1][1], nn.Conv2d)
    fired: list[int] = []
    inner.conv.register_forward_hook(lambda m, i, o: fired.append(1))
    network(torch.randn(1, 8, 16, 16))
    assert fired == [1]
    assert "1.0.blur_filter" in network.state_dict()
    assert not any("blur" in name for name, _ in network.named_parameters())


def test_mlp_is_784_256_10_without_biases() -> None:
    inputs = Inputs(channels=1, height=28, width=28, classes=10)
    network = mlp.build(mlp.Options(), inputs)
    assert {n: tuple(p.shape) for n, p in network.named_parameters()} == {
        "fc1.weight": (256, 784),
        "fc2.weight": (10, 256),
    }
    assert mlp.layers(mlp.Options(hidden=64)) == {"fc1": 64}
    image = torch.randn(1, 1, 28, 28)
    hidden = network.get_parameter("fc1.weight") @ image.flatten()
    expected = network.get_parameter("fc2.weight") @ hidden.clamp(min=0)
    torch.testing.assert_close(network(image)[0], expected)


def test_mlp_without_units_cannot_be() -> None:
    with pytest.raises(SpecError, match="hidden=0: at least 1"):
        mlp.Options(hidden=0)
