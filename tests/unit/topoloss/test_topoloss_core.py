"""The loss of a model: means, scales, watched layers, storage, and the usage example."""

import subprocess
import sys

import pytest
import torch
from torch import nn

from toporepro.topoloss import (
    LaplacianPyramid,
    LaplacianPyramidOnBias,
    LaplacianPyramidOnInput,
    TopoLoss,
    TopoLossError,
)


def model():
    torch.manual_seed(1)
    return nn.ModuleDict({"a": nn.Linear(36, 64), "b": nn.Conv2d(3, 36, 3)})


def single(net, loss):
    return TopoLoss([loss]).compute(net, do_scaling=False).item()


A, B = LaplacianPyramid("a", 2, 2, scale=3.0), LaplacianPyramid("b", 3, 3, scale=0.5)
WATCHED = LaplacianPyramid("b", 2, 2, scale=None)


def test_compute_is_the_mean_of_scaled_losses():
    net = model()
    expected = (3 * single(net, A) + 0.5 * single(net, B)) / 2
    assert TopoLoss([A, B]).compute(net).item() == pytest.approx(expected, rel=1e-6)
    unscaled = (single(net, A) + single(net, B)) / 2
    assert TopoLoss([A, B]).compute(net, do_scaling=False).item() == pytest.approx(unscaled, 1e-6)


def test_watched_losses_leave_the_mean_and_the_gradient():
    net = model()
    topo = TopoLoss([A, WATCHED])
    loss = topo.compute(net)
    assert loss.item() == pytest.approx(3 * single(net, A), rel=1e-6)
    loss.backward()
    assert net["b"].weight.grad is None
    assert list(topo.compute(net, reduce_mean=False)) == ["a"]
    watched = topo.get_layerwise_topo_losses(net, do_scaling=False)
    assert watched["b"].item() == pytest.approx(single(net, WATCHED))


def test_only_watched_losses_add_nothing():
    net = model()
    task = net["a"].weight.sum()
    total = task + TopoLoss([WATCHED]).compute(net)
    total.backward()
    assert total.item() == task.item()
    assert torch.equal(net["a"].weight.grad, torch.ones(64, 36))


def test_two_losses_on_one_layer_both_count():
    net = model()
    losses = [
        LaplacianPyramid("a", 2, 2),
        LaplacianPyramidOnBias("a", 2, 2),
        LaplacianPyramidOnInput("a", 3, 3),
        LaplacianPyramid("b", 3, 3),
    ]
    values = TopoLoss(losses).compute(net, reduce_mean=False)
    assert list(values) == ["a", "a#2", "a#3", "b"]
    expected = [single(net, loss) for loss in losses]
    assert len(set(expected)) == 4
    assert [value.item() for value in values.values()] == pytest.approx(expected, rel=1e-6)
    assert TopoLoss(losses).compute(net).item() == pytest.approx(sum(expected) / 4, rel=1e-6)


def test_scale_zero_counts_in_the_mean():
    net = model()
    zero = LaplacianPyramid("b", 3, 3, scale=0.0)
    assert TopoLoss([A, zero]).compute(net).item() == pytest.approx(1.5 * single(net, A), 1e-6)


def test_logging_dictionary():
    net = model()
    logged = TopoLoss([A, WATCHED]).get_wandb_logging_dict(net)
    assert logged["a"] == pytest.approx(single(net, A))
    assert logged["mean"] == pytest.approx((single(net, A) + single(net, WATCHED)) / 2)
    assert net["a"].weight.grad is None


def test_json_round_trip(tmp_path):
    losses = [
        LaplacianPyramid("a", 2.5, 3.0, "nearest", 0.25),
        LaplacianPyramidOnBias("a", 2.0, 2.0, scale=None),
        LaplacianPyramidOnInput("rnn", 2, 4, custom_weight_attribute_name="weight_hh_l0"),
    ]
    TopoLoss(losses).save_json(tmp_path / "losses.json")
    again = TopoLoss.from_json(tmp_path / "losses.json", strict_layer_type=False)
    assert again.losses == losses
    assert again.strict_layer_type is False
    assert losses[0].__dict__.keys() == again.losses[0].__dict__.keys()


@pytest.mark.parametrize(
    "text",
    [
        '[{"name": "Laplacian", "layer_name": "a", "factor_h": 2, "factor_w": 2}]',
        '[{"name": "LaplacianPyramid", "layer": "a", "factor_h": 2, "factor_w": 2}]',
        '[{"layer_name": "a", "factor_h": 2, "factor_w": 2}]',
        "[3]",
        "3",
    ],
)
def test_json_that_is_not_a_list_of_losses(tmp_path, text):
    (tmp_path / "bad.json").write_text(text)
    with pytest.raises(TopoLossError, match=r"bad\.json.*allowed names: LaplacianPyramid, "):
        TopoLoss.from_json(tmp_path / "bad.json")


def test_no_losses_is_an_error():
    with pytest.raises(TopoLossError, match="at least one"):
        TopoLoss([])


def test_the_usage_example_of_the_paper():
    """ResNet-18's ``fc`` as published, but for the import line and the downloaded weights."""
    model = resnet18()

    topo_loss = TopoLoss(
        losses=[
            LaplacianPyramid.from_layer(
                model=model,
                layer=model.fc,
                factor_h=8.0,
                factor_w=8.0,
                scale=1.0,
            ),
        ],
    )
    loss = topo_loss.compute(model=model)
    loss.backward()
    loss_dict = topo_loss.compute(model=model, reduce_mean=False)

    assert 0.5 < loss.item() < 1
    assert list(loss_dict) == ["fc"]
    assert loss_dict["fc"].item() == loss.item()
    assert [name for name, p in model.named_parameters() if p.grad is not None] == ["fc.weight"]


def resnet18():
    if not hasattr(torch.ops.torchvision, "nms"):
        # A torchvision built for another torch cannot load its operators; the models need none.
        library = torch.library.Library("torchvision", "DEF")
        for operator in ("nms", "qnms"):
            library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        LIBRARIES.append(library)
    from torchvision import models

    return models.resnet18()


LIBRARIES = []  # a library that is collected takes its operators with it


def test_needs_torch_alone():
    code = """
import sys
import torch
before = set(sys.modules)
import toporepro.topoloss
new = {name.split(".")[0] for name in set(sys.modules) - before}
print(sorted(new - set(sys.stdlib_module_names) - {"torch"}))
print(sorted(n for n in sys.modules if n.startswith("toporepro.") and "topoloss" not in n))
"""
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert result.stdout.splitlines() == ["['toporepro']", "['toporepro.sheet']"]
