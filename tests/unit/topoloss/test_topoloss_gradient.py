"""Gradients against finite differences, closed forms, and what they must leave unchanged."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck
from torch.nn import functional

from toporepro.topoloss import laplacian_pyramid_loss, laplacian_pyramid_loss_on_bias
from toporepro.topoloss.function import sheet_loss

pytestmark = pytest.mark.filterwarnings("ignore::toporepro.topoloss.SheetWarning")


def autograd_loss(sheet, factor_w, factor_h, mode):
    """The definition, word for word, differentiated by autograd."""
    image = sheet.permute(2, 0, 1)[None]
    small = functional.interpolate(image, scale_factor=(1 / factor_h, 1 / factor_w), mode=mode)
    smooth = functional.interpolate(small, size=sheet.shape[:2], mode=mode)[0].permute(1, 2, 0)
    unit, smooth_unit = (x / x.norm(dim=2, keepdim=True) for x in (sheet, smooth))
    return 1 - (unit * smooth_unit).sum(2).mean()


@pytest.mark.parametrize("mode", ["bilinear", "nearest"])
@pytest.mark.parametrize("factors", [(3.0, 3.0), (2.0, 4.0), (1.7, 2.6), (1.0, 5.0), (0.7, 1.0)])
def test_gradcheck(mode, factors):
    sheet = torch.randn(5, 8, 3, dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda x: laplacian_pyramid_loss(x, *factors, mode), (sheet,))


def test_gradcheck_of_transposed_weights():
    weight = torch.randn(3, 24, dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda x: sheet_loss(x, 1, (4, 6), 2.0, 3.0, "bilinear"), (weight,))


def test_gradcheck_of_biases():
    sheet = torch.randn(4, 6, dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda x: laplacian_pyramid_loss_on_bias(x, 2.5, 2.0), (sheet,))


@settings(max_examples=60)
@given(
    st.integers(2, 12),
    st.integers(2, 12),
    st.integers(2, 6),
    st.floats(1, 2),
    st.floats(1, 2),
    st.sampled_from(["bilinear", "nearest"]),
    st.integers(0, 2**31),
)
def test_double_precision_equals_autograd(h, w, incoming, factor_h, factor_w, mode, seed):
    values = torch.randn(
        h, w, incoming, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)
    )
    mine, other = values.clone().requires_grad_(), values.clone().requires_grad_()
    ours = laplacian_pyramid_loss(mine, factor_w, factor_h, mode)
    theirs = autograd_loss(other, factor_w, factor_h, mode)
    (ours * 7).backward()
    (theirs * 7).backward()
    assert ours.item() == pytest.approx(theirs.item(), abs=1e-12)
    # Near-opposite neighbours make |C'| small and its direction ill-conditioned.
    scale = other.grad.abs().max().item()
    torch.testing.assert_close(mine.grad, other.grad, rtol=1e-7, atol=1e-8 * scale + 1e-12)


@settings(max_examples=30)
@given(st.integers(0, 2**31), st.floats(1e-3, 1e3))
def test_gradient_is_orthogonal_to_every_unit_scale(seed, scale):
    """The loss does not change when all weights are scaled, so <gradient, weights> = 0."""
    generator = torch.Generator().manual_seed(seed)
    sheet = torch.randn(6, 8, 5, dtype=torch.float64, generator=generator)
    weights = (sheet * scale).requires_grad_()
    loss = laplacian_pyramid_loss(weights, 2, 3)
    loss.backward()
    assert loss.item() == pytest.approx(laplacian_pyramid_loss(sheet, 2, 3).item(), abs=1e-10)
    assert (weights.grad * weights).sum().abs() < 1e-10
    assert weights.grad.abs().max() > 1e-7 / scale


def test_a_constant_sheet_costs_nothing():
    sheet = torch.randn(7).expand(8, 8, 7).clone().requires_grad_()
    loss = laplacian_pyramid_loss(sheet, 3, 3)
    loss.backward()
    assert abs(loss.item()) < 1e-6
    assert sheet.grad.abs().max() < 1e-6


def test_factor_three_samples_points():
    """Rows and columns 1, 4, 7 alone decide about C' (no anti-aliasing)."""
    sheet = torch.randn(9, 9, 4)
    changed = sheet + 1
    changed[1::3, 1::3] = sheet[1::3, 1::3]
    kept = sheet[1::3, 1::3].permute(2, 0, 1)[None]
    smooth = functional.interpolate(kept, size=(9, 9), mode="bilinear")[0].permute(1, 2, 0)
    for values in (sheet, changed):
        expected = 1 - functional.cosine_similarity(values, smooth, dim=2).mean()
        assert laplacian_pyramid_loss(values, 3, 3).item() == pytest.approx(expected.item(), 1e-5)


def test_checkerboard_has_the_largest_loss():
    """By nearest, each unit is compared with one corner of its 2×2 cell: half are opposite."""
    sign = (-1.0) ** (torch.arange(8)[:, None] + torch.arange(8))
    sheet = sign[:, :, None] * torch.randn(5)
    assert laplacian_pyramid_loss(sheet, 2, 2, "nearest").item() == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("where", [(0, 0), (1, 1), (4, 7)])
@pytest.mark.parametrize("mode", ["bilinear", "nearest"])
def test_a_zero_unit_has_a_finite_gradient(where, mode):
    sheet = torch.randn(9, 9, 4)
    sheet[where] = 0
    sheet.requires_grad_()
    loss = laplacian_pyramid_loss(sheet, 3, 3, mode)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(sheet.grad).all()
    assert 0 < sheet.grad.abs().max() < 10


def test_all_zero_weights_count_as_cosine_zero():
    sheet = torch.zeros(6, 6, 3, requires_grad=True)
    bias = torch.zeros(6, 6, requires_grad=True)
    loss = laplacian_pyramid_loss(sheet, 2, 2)
    bias_loss = laplacian_pyramid_loss_on_bias(bias, 2, 2)
    (loss + bias_loss).backward()
    assert (loss.item(), bias_loss.item()) == (1, 1)
    assert not sheet.grad.any()
    assert not bias.grad.any()


def test_nearly_opposite_neighbours_keep_single_precision():
    """Where C' is a thousandth of its neighbours, |C'| must not lose half its digits."""
    generator = torch.Generator().manual_seed(0)
    sheet = torch.randn(1, 5, 8, generator=generator)
    sheet[0, 1] = sheet[0, 0]
    sheet[0, 3:] = -sheet[0, 0] + 1e-3 * sheet[0, 4]  # the middle unit's C' is their mean
    sheet[0, 2] = sheet[0, 3] + sheet[0, 0]
    single = laplacian_pyramid_loss(sheet, 2.5, 1).item()
    double = laplacian_pyramid_loss(sheet.double(), 2.5, 1).item()
    assert single == pytest.approx(double, abs=1e-4)


def test_differentiating_twice_is_refused():
    sheet = torch.randn(4, 4, 3, requires_grad=True)
    (grad,) = torch.autograd.grad(laplacian_pyramid_loss(sheet, 2, 2), sheet, create_graph=True)
    with pytest.raises(NotImplementedError, match="once only"):
        (grad.sum() + sheet.sum()).backward()
