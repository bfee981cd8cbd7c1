"""Networks of torchvision's by name."""

from pathlib import Path

import published_files as files
import pytest
import torch
from test_published import converted, spec_of

from toporepro.models import external
from toporepro.models.family import layers
from toporepro.models.inputs import Inputs
from toporepro.spec import SpecError

INPUTS = Inputs(channels=3, height=32, width=32, classes=12)


def test_somebodys_checkpoint_of_any_architecture(tmp_path: Path) -> None:
    theirs = files.source("squeezenet1_1", 12, blurpool=False)
    measured = {"features.3.squeeze": 16, "features.3.expand1x1": 64}
    spec = spec_of("external", model={"network": "squeezenet1_1", "layers": measured})
    ours = converted(spec, theirs.state_dict(), tmp_path)
    images = torch.randn(2, 3, 32, 32)
    with torch.inference_mode():
        torch.testing.assert_close(ours(images), theirs(images))
    assert layers(spec) == measured


def test_blurpool(tmp_path: Path) -> None:
    theirs = files.source("resnet18", 12, blurpool=True)
    options = {
        "network": "resnet18",
        "layers": {"layer2.0.conv1.conv": 128},
        "blurpool": True,
    }
    ours = converted(spec_of("external", model=options), theirs.state_dict(), tmp_path)
    images = torch.randn(2, 3, 32, 32)
    with torch.inference_mode():
        torch.testing.assert_close(ours(images), theirs(images))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"network": "resnet81", "layers": {"conv1": 64}}, "did you mean resnet"),
        ({"network": "resnet18", "layers": {"conv2": 64}}, "resnet18 has no 'conv2'; did you mean"),
        ({"network": "resnet18", "layers": {"conv1": 32}}, "layers.conv1=32: resnet18 has 64"),
        ({"network": "resnet18", "layers": {}}, "at least one layer"),
        ({"network": "resnet18", "layers": {"conv1": 0}}, "number of output units is needed"),
    ],
)
def test_what_cannot_be(options: dict[str, object], says: str) -> None:
    with pytest.raises(SpecError, match=says):
        external.build(external.Options(**options), INPUTS)  # type: ignore[arg-type]


def test_three_channels_are_needed() -> None:
    options = external.Options(network="resnet18", layers={"conv1": 64})
    with pytest.raises(SpecError, match="takes 3 channels, not 1"):
        external.build(options, Inputs(channels=1, height=32, width=32, classes=2))
