"""Sheet arithmetic against brute force and against what torch's interpolation does."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from toporepro.topoloss import (
    check_sheet,
    down_size,
    sheet_shape,
)
from toporepro.topoloss.resample import axis_operators, pyramid


@given(st.integers(1, 4000))
def test_sheet_shape_is_the_squarest(n):
    h, w = sheet_shape(n)
    assert h * w == n
    assert h == max(d for d in range(1, n + 1) if n % d == 0 and d * d <= n)


@pytest.mark.parametrize(
    ("n", "shape"),
    [(64, (8, 8)), (512, (16, 32)), (3072, (48, 64)), (1000, (25, 40)), (13, (1, 13))],
)
def test_sheet_shapes_of_the_paper(n, shape):
    assert sheet_shape(n) == shape


@pytest.mark.parametrize("n", [0, -4])
def test_a_sheet_needs_units(n):
    with pytest.raises(ValueError, match=str(n)):
        sheet_shape(n)


@given(st.integers(1, 100), st.integers(1, 100), st.floats(0.4, 100), st.floats(0.4, 100))
def test_down_size_is_what_interpolate_gives(h, w, factor_h, factor_w):
    expected = down_size(h, w, factor_h, factor_w)
    image = torch.zeros(1, 1, h, w)
    factors = (1 / factor_h, 1 / factor_w)
    if 0 in expected:
        with pytest.raises(RuntimeError):
            functional.interpolate(image, scale_factor=factors, mode="bilinear")
    else:
        small = functional.interpolate(image, scale_factor=factors, mode="bilinear")
        assert tuple(small.shape[2:]) == expected


def test_down_size_takes_one_factor_for_both_axes():
    assert down_size(48, 64, 8) == (6, 8)
    assert down_size(16, 32, 3) == (5, 10)
    assert down_size(49, 98, 49) == (0, 1)  # 49 · (1/49) < 1 in double precision


def kinds(problems):
    return [(problem.kind, problem.fatal) for problem in problems]


def test_check_sheet_accepts_the_paper():
    for n, factor in [(64, 3), (128, 3), (256, 3), (512, 3), (2048, 3), (3072, 8), (256, 4)]:
        assert check_sheet(n, factor) == []


def test_check_sheet_finds_collapse_on_the_axis_that_collapses():
    (problem,) = check_sheet(32, 4, 4)  # 4×8, the layer that was seen to collapse
    assert (problem.kind, problem.fatal) == ("collapse", False)
    assert "factor_h = 4" in problem.message
    assert "factor_h ≤ 2" in problem.message
    assert kinds(check_sheet(32, 4, 8)) == [("collapse", False)] * 2
    assert check_sheet(32, 2, 4) == []


def test_check_sheet_finds_prime_widths():
    assert kinds(check_sheet(13, 1, 3)) == [("one_row", False)]
    assert kinds(check_sheet(13, 3)) == [("factor", True)]


@pytest.mark.parametrize("factor", [0, -1, float("nan"), float("inf"), 9])
def test_check_sheet_refuses_factors(factor):
    problems = check_sheet(64, factor)
    assert kinds(problems) == [("factor", True)] * 2
    assert "factor_h" in problems[0].message
    assert "factor_w" in problems[1].message


@given(st.integers(2, 64), st.floats(1, 20), st.sampled_from(["bilinear", "nearest"]))
def test_operators_have_few_nonzeros_and_keep_constants(size, factor, mode):
    if down_size(size, size, factor)[0] == 0:
        return
    for operator in axis_operators(size, factor, mode, torch.float64):
        assert (operator != 0).sum(1).max() <= 2  # per axis; four on the sheet
        torch.testing.assert_close(operator.sum(1), torch.ones(len(operator)).double())


@given(st.integers(1, 12), st.integers(1, 12), st.floats(0.5, 6), st.floats(0.5, 6))
def test_blocks_are_the_operator(h, w, factor_h, factor_w):
    """Blocks tile the output once, and together are the Kronecker product of the two axes."""
    if 0 in down_size(h, w, factor_h, factor_w):
        return
    dtype, device = torch.float64, torch.device("cpu")
    levels = pyramid(h, w, factor_h, factor_w, "bilinear", dtype, device)
    down_h, up_h = axis_operators(h, factor_h, "bilinear", dtype)
    down_w, up_w = axis_operators(w, factor_w, "bilinear", dtype)
    expected_down, expected_up = torch.kron(down_h, down_w), torch.kron(up_h, up_w)
    for blocks, expected in ((levels.down, expected_down), (levels.up, expected_up)):
        dense = torch.zeros_like(expected)
        covered = torch.zeros(len(expected))
        for block in blocks:
            dense[block.start : block.stop, block.source_start : block.source_stop] = block.matrix
            covered[block.start : block.stop] += 1
        assert (covered == 1).all()
        assert torch.equal(dense, expected)
    if levels.picks is not None:
        assert torch.equal(torch.eye(h * w, dtype=dtype)[levels.picks], expected_down)


def test_odd_whole_factors_only_pick():
    for factor in (1.0, 3.0, 5.0):
        assert (
            pyramid(15, 15, factor, factor, "bilinear", torch.float32, torch.device("cpu")).picks
            is not None
        )
    assert pyramid(16, 16, 2.0, 2.0, "bilinear", torch.float32, torch.device("cpu")).picks is None
