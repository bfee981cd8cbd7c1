"""Every kind of layer, and what is said when a layer does not fit."""

import pytest
import torch
from torch import nn
from torch.nn.parallel import DataParallel

from toporepro.topoloss import (
    LaplacianPyramid,
    LaplacianPyramidOnBias,
    LaplacianPyramidOnInput,
    SheetWarning,
    TopoLoss,
    TopoLossError,
    laplacian_pyramid_loss,
    sheet_shape,
    unit_weights,
)


def loss_of(layer, kind=LaplacianPyramid, factor=2.0, strict=True, **fields):
    model = nn.Sequential(layer)
    return TopoLoss([kind("0", factor, factor, **fields)], strict).compute(model)


def reference(matrix, factor=2.0):
    """The bare function on the sheet of a (units × incoming) matrix."""
    return laplacian_pyramid_loss(matrix.reshape(*sheet_shape(len(matrix)), -1), factor, factor)


@pytest.mark.parametrize(
    "layer",
    [
        nn.Linear(5, 36),
        nn.Conv1d(4, 24, 3),
        nn.Conv2d(4, 24, 3),
        nn.Conv3d(2, 24, 3),
        nn.Conv2d(8, 24, 3, groups=4),
    ],
)
def test_units_are_the_first_axis(layer):
    matrix = layer.weight.detach().flatten(1)
    assert torch.equal(unit_weights(layer), matrix)
    assert loss_of(layer).item() == pytest.approx(reference(matrix).item(), rel=1e-6)


def test_transformers_conv1d_is_transposed():
    from transformers.pytorch_utils import Conv1D

    layer = Conv1D(48, 16)  # 48 units out, 16 in
    linear = nn.Linear(16, 48)
    linear.weight.data = layer.weight.detach().T.contiguous()
    assert torch.equal(unit_weights(layer), linear.weight)
    for kind in (LaplacianPyramid, LaplacianPyramidOnInput):
        ours, theirs = loss_of(layer, kind), loss_of(linear, kind)
        assert ours.item() == pytest.approx(theirs.item(), rel=1e-6)
        layer.zero_grad()
        linear.zero_grad()
        ours.backward()
        theirs.backward()
        torch.testing.assert_close(layer.weight.grad.T, linear.weight.grad)
        assert layer.weight.grad.stride() == layer.weight.stride()


def test_own_class_called_conv1d_is_not_taken_for_transformers():
    class Conv1D(nn.Linear):
        """Stores (out, in) and has no ``nf``."""

    layer = Conv1D(5, 36)
    assert torch.equal(unit_weights(layer), layer.weight)


def test_recurrent_weights_by_name():
    layer = nn.RNN(7, 36)
    loss = loss_of(layer, custom_weight_attribute_name="weight_hh_l0")
    assert loss.item() == pytest.approx(reference(layer.weight_hh_l0.detach()).item(), rel=1e-6)
    loss.backward()
    assert layer.weight_hh_l0.grad.abs().max() > 0
    assert layer.weight_ih_l0.grad is None
    bias = loss_of(layer, LaplacianPyramidOnBias, custom_weight_attribute_name="bias_ih_l0")
    bias.backward()
    assert layer.bias_ih_l0.grad.abs().max() > 0
    assert layer.bias_hh_l0.grad is None


def test_loss_on_input_is_the_loss_of_the_transposed_weight():
    layer = nn.Linear(36, 5)
    expected = reference(layer.weight.detach().T)
    assert loss_of(layer, LaplacianPyramidOnInput).item() == pytest.approx(
        expected.item(), rel=1e-6
    )


def test_bias_is_one_vector():
    layer = nn.Linear(3, 36)
    layer.bias.data = torch.ones(36)
    assert abs(loss_of(layer, LaplacianPyramidOnBias).item()) < 1e-6
    # A checkerboard averages to nothing in every 2×2 cell: no direction, cosine 0.
    sign = (-1.0) ** (torch.arange(6)[:, None] + torch.arange(6))
    layer.bias.data = sign.flatten()
    assert loss_of(layer, LaplacianPyramidOnBias).item() == pytest.approx(1.0)


def test_strict_refuses_other_layers_and_lax_takes_their_first_axis():
    layer = nn.Embedding(36, 4)
    with pytest.raises(TopoLossError, match=r"Embedding.*Linear, Conv1d"):
        loss_of(layer)
    expected = reference(layer.weight.detach())
    assert loss_of(layer, strict=False).item() == pytest.approx(expected.item(), rel=1e-6)
    with pytest.raises(TopoLossError, match="Embedding"):
        TopoLoss([LaplacianPyramid("0", 2, 2)]).check_layer_type(layer)


def nested():
    return nn.ModuleDict({"layer1": nn.Sequential(nn.Linear(4, 36)), "head": nn.Linear(36, 16)})


def test_unknown_layer_gives_nearest_names():
    with pytest.raises(TopoLossError, match=r"'layer1\.1'.*nearest names: 'layer1\.0'"):
        TopoLoss([LaplacianPyramid("layer1.1", 2, 2)]).compute(nested())
    with pytest.raises(TopoLossError, match=r"its layers are: 'layer1', 'layer1\.0', 'head'"):
        TopoLoss([LaplacianPyramid("qqq", 2, 2)]).compute(nested())


def test_names_reach_through_wrappers():
    model = nested()
    wrapped = DataParallel(model)
    loss = LaplacianPyramid.from_layer(wrapped, model["layer1"][0], 2, 2)
    assert loss.layer_name == "layer1.0"
    plain = TopoLoss([loss]).compute(model)
    prefixed = TopoLoss([LaplacianPyramid("module.layer1.0", 2, 2)])
    assert torch.equal(TopoLoss([loss]).compute(wrapped), plain)
    assert torch.equal(prefixed.compute(wrapped), plain)
    compiled = torch.compile(model, backend="eager")
    assert torch.equal(TopoLoss([loss]).compute(compiled), plain)
    assert LaplacianPyramid.from_layer(compiled, model["head"], 2, 2).layer_name == "head"


def test_the_model_may_be_the_layer():
    layer = nn.Linear(4, 36)
    loss = LaplacianPyramid.from_layer(layer, layer, 2, 2)
    assert loss.layer_name == ""
    assert TopoLoss([loss]).compute(layer).item() == pytest.approx(
        reference(layer.weight.detach()).item(), rel=1e-6
    )


def test_a_layer_of_another_model_is_refused():
    with pytest.raises(TopoLossError, match="not a part"):
        LaplacianPyramid.from_layer(nested(), nn.Linear(4, 36), 2, 2)


def test_factor_larger_than_the_sheet():
    layer = nn.Linear(4, 512)  # 16×32
    with pytest.raises(TopoLossError, match=r"'0' \(512 units, sheet 16×32\).*factor_h ≤ 16"):
        loss_of(layer, factor=20.0)
    message = r"factor_w = 33 is larger.*32 units along w; allowed: 0 < factor_w ≤ 32"
    with pytest.raises(TopoLossError, match=message):
        TopoLoss([LaplacianPyramid("0", 4.0, 33.0)]).compute(nn.Sequential(layer))
    assert loss_of(nn.Linear(2, 512), factor=3.0).item() > 0  # the package refuses: 3 > e = 2


def test_missing_weights_and_biases():
    with pytest.raises(
        TopoLossError, match=r"'0' \(Linear\) has no bias; it has: weight \(36, 4\)"
    ):
        loss_of(nn.Linear(4, 36, bias=False), LaplacianPyramidOnBias)
    layer = nn.Linear(4, 36, bias=False)
    with pytest.raises(TopoLossError, match="no bias"):
        LaplacianPyramidOnBias.from_layer(nn.Sequential(layer), layer, 2, 2)
    with pytest.raises(TopoLossError, match=r"'0' \(ReLU\) has no weight"):
        loss_of(nn.ReLU(), strict=False)
    with pytest.raises(TopoLossError, match=r"shape \(36,\).*two dimensions"):
        loss_of(nn.BatchNorm1d(36), strict=False)
    with pytest.raises(TopoLossError, match=r"weight_xx"):
        loss_of(nn.Linear(4, 36), custom_weight_attribute_name="weight_xx")
    with pytest.raises(TopoLossError, match=r"two dimensions.*\(16, 4, 3, 3\)"):
        loss_of(nn.Conv2d(4, 16, 3), LaplacianPyramidOnInput)
    with pytest.raises(TopoLossError, match="one number per unit"):
        loss_of(nn.Linear(4, 36), LaplacianPyramidOnBias, custom_weight_attribute_name="weight")


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("place", [(0, 0), (7, 1), (35, 3)])
def test_weights_that_are_not_finite(bad, place):
    layer = nn.Linear(4, 36)
    layer.weight.data[place] = bad
    with pytest.raises(TopoLossError, match=r"'0'.* 1 of the 144 weights \(shape \(36, 4\)\)"):
        loss_of(layer, factor=3.0)


def test_poor_sheets_warn_and_good_ones_do_not(recwarn):
    with pytest.warns(SheetWarning, match="'0' .13 units, sheet 1×13.*one row"):
        TopoLoss([LaplacianPyramid("0", 1, 3)]).compute(nn.Sequential(nn.Linear(4, 13)))
    for _ in range(2):  # at every call: what is shown once is the caller's filter to decide
        with pytest.warns(SheetWarning, match="sheet 4×8.*pulled to one vector"):
            loss_of(nn.Linear(4, 32), factor=4.0)
    recwarn.clear()
    loss_of(nn.Linear(4, 36))
    assert not recwarn


@pytest.mark.parametrize(
    "sheet", [torch.ones(4, 4), torch.ones(4, 4, 0), torch.ones(4, 4, 2, dtype=torch.int64)]
)
def test_sheets_of_the_wrong_kind(sheet):
    with pytest.raises(TopoLossError, match=r"shape \(h, w, e\), got"):
        laplacian_pyramid_loss(sheet, 2, 2)


def test_unknown_interpolation():
    with pytest.raises(TopoLossError, match=r"'linear' is not one of bilinear, nearest"):
        laplacian_pyramid_loss(torch.ones(4, 4, 2), 2, 2, "linear")
