"""Up-sampling by torch's interpolation against the operator that it must be, rounding included."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from toporepro.topoloss import down_size, kernel
from toporepro.topoloss.resample import axis_operators, pyramid
from toporepro.topoloss.whole_sheet import WholeSheet

CPU = torch.device("cpu")
UNEQUAL = [0.0, 1e-12, 1.0]


def matrix(rows: int, columns: int, seed: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    """Normal numbers, rows of which are as they are, tiny or zero."""
    generator = torch.Generator().manual_seed(seed)
    scales = torch.tensor(UNEQUAL)[torch.randint(3, (rows, 1), generator=generator)]
    return (torch.randn(rows, columns, generator=generator) * scales).to(dtype)


@settings(max_examples=60)
@given(
    st.integers(1, 30), st.integers(1, 30), st.floats(1, 6), st.floats(1, 6), st.integers(0, 2**31)
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_it_is_the_operator_even_where_neighbours_are_nothing(
    dtype, h, w, factor_h, factor_w, seed
):
    if 0 in down_size(h, w, factor_h, factor_w):
        return
    up_h = axis_operators(h, factor_h, "bilinear", dtype)[1]
    up_w = axis_operators(w, factor_w, "bilinear", dtype)[1]
    dense, sheet = torch.kron(up_h, up_w).double(), WholeSheet(up_h, up_w)
    small = matrix(dense.shape[1], 3, seed, dtype)
    up, expected = sheet.expand(small).clone().double(), dense @ small.double()
    length = expected.norm(dim=1, keepdim=True)
    # As exact as single precision for each unit by itself, however short it is.
    assert ((up - expected).abs() <= 3e-4 * length).all()
    slope = matrix(h * w, 3, seed + 1, dtype)
    expected = dense.T @ slope.double()
    result = sheet.contract(slope.clone(), small).double()
    error = 1e-4 if dtype == torch.float32 else 1e-11
    torch.testing.assert_close(result, expected, rtol=error, atol=error)


def gradient(levels, weight):
    loss, stats = kernel.forward(weight, 0, levels)
    return loss, kernel.backward(torch.ones(()), weight, stats, 0, levels)


@pytest.mark.parametrize("shape", [(48, 64), (24, 24), (16, 16), (16, 32)])
@pytest.mark.parametrize("dead", ["none", "one sample", "every second", "a patch"])
def test_whole_sheets_and_blocks_agree(shape, dead):
    levels = pyramid(*shape, 3.0, 3.0, "bilinear", torch.float32, CPU)
    assert levels.bands(torch.empty(levels.small_units, 6)) == (levels.whole,)
    weight = torch.randn(*shape, 6, generator=torch.Generator().manual_seed(0))
    if dead == "one sample":
        weight[1, 1] = 0
    if dead == "every second":
        weight[1::6, 1::3] = 0
    if dead == "a patch":
        weight[3:15, 3:15] *= 1e-7
    weight = weight.flatten(0, 1)
    loss, slope = gradient(levels, weight)
    expected_loss, expected = gradient(replace(levels, whole=None), weight)
    assert loss.item() == pytest.approx(expected_loss.item(), abs=1e-6)
    scale = expected.norm(dim=1, keepdim=True).clamp_min(1e-3 / len(weight))
    assert ((slope - expected).abs() / scale).max() < 1e-4


def test_threads_do_not_share_memory():
    levels = pyramid(48, 64, 3.0, 3.0, "bilinear", torch.float32, CPU)
    weights = [torch.randn(3072, 40 + 8 * i) for i in range(12)]
    alone = [gradient(levels, weight) for weight in weights]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda weight: gradient(levels, weight), weights))
    for (loss, slope), (other_loss, other_slope) in zip(alone, together, strict=True):
        assert torch.equal(loss, other_loss)
        assert torch.equal(slope, other_slope)


def test_evaluating_in_inference_mode_first_hinders_no_training():
    levels = pyramid(48, 64, 3.0, 3.0, "bilinear", torch.float32, CPU)
    weight = torch.randn(3072, 8)

    def first_in_inference_mode():
        with torch.inference_mode():
            kernel.forward(weight, 0, levels)
        return gradient(levels, weight)

    with ThreadPoolExecutor(1) as pool:  # a thread of its own has no memory yet
        loss, slope = pool.submit(first_in_inference_mode).result()
    expected_loss, expected = gradient(levels, weight)
    assert torch.equal(loss, expected_loss)
    assert torch.equal(slope, expected)
