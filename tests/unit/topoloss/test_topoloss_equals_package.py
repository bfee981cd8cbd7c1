"""Loss and gradient equal the published package ``topoloss`` 0.0.2 (the independent oracle)."""

import pytest
import topoloss as published
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from topoloss.losses.laplacian_pyramid import (
    laplacian_pyramid_loss as published_sheet_loss,
)
from topoloss.losses.laplacian_pyramid import (
    laplacian_pyramid_loss_on_bias as published_bias_loss,
)
from torch import nn
from torch.nn import functional

from toporepro import topoloss

pytestmark = pytest.mark.filterwarnings("ignore::toporepro.topoloss.SheetWarning")


def factor_for(draw, size):
    """A factor that the sheet allows: whole, fractional, or the whole axis."""
    whole = st.integers(1, size)
    return draw(st.one_of(whole, st.floats(1.0, size, allow_nan=False), st.just(float(size))))


@st.composite
def sheets(draw, min_width=2):
    h = draw(st.integers(min_width, 14))
    w = draw(st.integers(min_width, 18))
    fh, fw = factor_for(draw, h), factor_for(draw, w)
    if 0 in topoloss.down_size(h, w, fh, fw):  # 1/φ rounded down: the package has no loss there
        fh = fw = 1.0
    return h, w, fh, fw, draw(st.integers(0, 2**31))


def down_and_up(sheet, factor_h, factor_w, mode):
    image = sheet.permute(2, 0, 1)[None]
    small = functional.interpolate(image, scale_factor=(1 / factor_h, 1 / factor_w), mode=mode)
    return functional.interpolate(small, size=sheet.shape[:2], mode=mode)[0].permute(1, 2, 0)


def assert_same(ours, theirs, our_grad, their_grad, vectors, gathered=1.0):
    """Equal to 1e-5, relative to the largest entry: single entries may cancel to nothing.

    The gradient is a difference of terms of size 1/(n·|C|) and 1/(n·|C'|), given by ``vectors``;
    where they cancel, their rounding is left, ``gathered`` times in the units that are sampled.
    """
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-5, abs=1e-6)
    rounding = 1e-6 * gathered / (len(vectors) / 2 * vectors.norm(dim=1).min().item())
    tolerance = 1e-5 * their_grad.abs().max().item() + rounding
    torch.testing.assert_close(our_grad, their_grad, rtol=1e-5, atol=tolerance)


@settings(max_examples=150)
@given(sheets(), st.sampled_from([9, 27]), st.sampled_from(["bilinear", "nearest"]))
def test_sheet_loss_and_gradient(sheet, incoming, interpolation):
    h, w, fh, fw, seed = sheet
    values = torch.randn(h, w, incoming, generator=torch.Generator().manual_seed(seed))
    mine, other = values.clone().requires_grad_(), values.clone().requires_grad_()
    # The package compares factor_h with e and factor_w with h before it goes to work.
    assume(fh <= incoming and fw <= h)
    arguments = {"factor_h": fh, "factor_w": fw, "interpolation": interpolation}
    ours = topoloss.laplacian_pyramid_loss(mine, **arguments)
    theirs = published_sheet_loss(other, **arguments)
    ours.backward()
    theirs.backward()
    smooth = down_and_up(values, fh, fw, interpolation)
    vectors = torch.cat((values, smooth)).reshape(2 * h * w, -1)
    assert_same(ours, theirs, mine.grad, other.grad, vectors)


@pytest.mark.parametrize("interpolation", ["nearest-exact", "area", "bicubic"])
@pytest.mark.parametrize("factor", [1.5, 2, 3, 4.3])
def test_other_interpolations(interpolation, factor):
    values = torch.randn(9, 12, 20)
    mine, other = values.clone().requires_grad_(), values.clone().requires_grad_()
    ours = topoloss.laplacian_pyramid_loss(mine, factor, factor, interpolation)
    theirs = published_sheet_loss(other, factor, factor, interpolation)
    ours.backward()
    theirs.backward()
    vectors = torch.cat((values, down_and_up(values, factor, factor, interpolation)))
    assert_same(ours, theirs, mine.grad, other.grad, vectors.reshape(-1, 20))


@settings(max_examples=50)
@given(sheets(), st.sampled_from(["bilinear", "nearest"]))
def test_bias_loss_and_gradient(sheet, interpolation):
    h, w, fh, fw, seed = sheet
    values = torch.randn(h, w, generator=torch.Generator().manual_seed(seed))
    mine, other = values.clone().requires_grad_(), values.clone().requires_grad_()
    ours = topoloss.laplacian_pyramid_loss_on_bias(mine, fw, fh, interpolation)
    theirs = published_bias_loss(other, fw, fh, interpolation)
    ours.backward()
    theirs.backward()
    smooth = down_and_up(values[:, :, None], fh, fw, interpolation)[:, :, 0]
    vectors = torch.stack((values.flatten(), smooth.flatten()))
    assert_same(ours, theirs, mine.grad, other.grad, vectors, gathered=fh * fw)


def model():
    torch.manual_seed(0)
    return nn.ModuleDict(
        {
            "linear": nn.Linear(48, 60),
            "conv": nn.Conv2d(6, 64, 3),
            "grouped": nn.Conv2d(8, 32, 3, groups=2),
            "pointwise": nn.Conv2d(24, 36, 1),
        }
    )


LOSSES = [
    ("LaplacianPyramid", "linear", 2.5, 3.0, "bilinear", 1.0),
    ("LaplacianPyramid", "conv", 3.0, 3.0, "bilinear", 0.5),
    ("LaplacianPyramid", "grouped", 2.0, 4.0, "nearest", 2.0),
    ("LaplacianPyramid", "pointwise", 1.5, 1.0, "bilinear", 5.0),
    ("LaplacianPyramidOnInput", "linear", 3.0, 2.0, "bilinear", 3.0),
    ("LaplacianPyramidOnBias", "linear", 2.0, 2.0, "nearest", 4.0),
]


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("do_scaling", [True, False])
def test_every_loss_and_layer_type(loss, do_scaling):
    kind, *fields = loss
    results = []
    for package in (topoloss, published):
        net = model()
        topo = package.TopoLoss(losses=[getattr(package, kind)(*fields)])
        value = topo.compute(net, do_scaling=do_scaling)
        value.backward()
        results.append((value, {name: p.grad for name, p in net.named_parameters()}))
    (ours, our_grads), (theirs, their_grads) = results
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-5)
    touched = [name for name, grad in their_grads.items() if grad is not None]
    assert len(touched) == 1
    for name, grad in their_grads.items():
        if grad is None:
            assert our_grads[name] is None
        else:
            torch.testing.assert_close(
                our_grads[name], grad, rtol=1e-5, atol=1e-5 * grad.abs().max().item()
            )


def test_several_layers_and_training_follow_the_package():
    """Twenty steps of gradient descent end with the same weights."""
    ends = []
    for package in (topoloss, published):
        net = model()
        topo = package.TopoLoss(
            losses=[
                package.LaplacianPyramid.from_layer(net, net["conv"], 3, 3, scale=2.0),
                package.LaplacianPyramid.from_layer(net, net["linear"], 2, 2.5, scale=None),
                package.LaplacianPyramid.from_layer(net, net["pointwise"], 2, 2, scale=1.0),
            ]
        )
        optimizer = torch.optim.SGD(net.parameters(), lr=1.0)
        start = topo.compute(net).item()
        for _ in range(20):
            optimizer.zero_grad()
            topo.compute(net).backward()
            optimizer.step()
        assert topo.compute(net).item() < 0.9 * start
        ends.append(net.state_dict())
    torch.testing.assert_close(ends[0], ends[1], rtol=1e-4, atol=1e-6)


def test_json_is_exchanged_with_the_package(tmp_path):
    fields = ("linear", 2.0, 3.0, "nearest", 0.25)
    published.TopoLoss([published.LaplacianPyramid(*fields)]).save_json(tmp_path / "theirs.json")
    (loss,) = topoloss.TopoLoss.from_json(tmp_path / "theirs.json").losses
    assert loss == topoloss.LaplacianPyramid(*fields)
