"""Sheet down-sampling against ``torch.nn.functional.interpolate`` on the whole sheet."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from toporepro.compress.sampling import sampling, small_shape
from toporepro.sheet import sheet_shape
from toporepro.spec import SpecError


def published(vectors: torch.Tensor, sparsity: float, by: str) -> torch.Tensor:
    """Down and up again, as two calls of ``interpolate``."""
    height, width = sheet_shape(len(vectors))
    image = vectors.reshape(height, width, -1).permute(2, 0, 1)[None]
    keep = math.sqrt(1 - sparsity)
    if by == "factor":
        small = functional.interpolate(image, scale_factor=keep, mode="bilinear")
    else:
        size = (math.floor(height * keep), math.floor(width * keep))
        small = functional.interpolate(image, size=size, mode="bilinear")
    whole = functional.interpolate(small, size=(height, width), mode="bilinear")
    return whole[0].permute(1, 2, 0).reshape(len(vectors), -1)


@pytest.mark.parametrize(("sparsity", "shape"), [(0.2, (42, 57)), (0.5, (33, 45)), (0.8, (21, 28))])
def test_sizes_of_the_paper(sparsity: float, shape: tuple[int, int]) -> None:
    assert small_shape(48, 64, sparsity) == shape
    assert sampling(3072, sparsity).small == shape
    assert sampling(3072, sparsity).kept == math.prod(shape)


@settings(max_examples=60)
@given(
    units=st.sampled_from([12, 48, 64, 90, 128, 512]),
    sparsity=st.floats(0.01, 0.9),
    by=st.sampled_from(["factor", "size"]),
    seed=st.integers(0, 1000),
)
def test_equals_interpolate(units: int, sparsity: float, by: str, seed: int) -> None:
    if min(sheet_shape(units)) * math.sqrt(1 - sparsity) < 1:
        return
    vectors = torch.randn(units, 5, generator=torch.Generator().manual_seed(seed)).double()
    operators = sampling(units, sparsity, by)
    found = operators.expand(operators.shrink(vectors))
    torch.testing.assert_close(found, published(vectors, sparsity, by), rtol=1e-9, atol=1e-9)


def test_the_two_conventions_differ() -> None:
    vectors = torch.randn(3072, 2, generator=torch.Generator().manual_seed(0))
    shrunk = [sampling(3072, 0.5, by).shrink(vectors) for by in ("factor", "size")]
    assert (shrunk[0] - shrunk[1]).abs().max() > 0.05


def test_nothing_taken_away_changes_nothing() -> None:
    vectors = torch.randn(48, 3, generator=torch.Generator().manual_seed(0))
    operators = sampling(48, 0.0)
    assert torch.equal(operators.expand(operators.shrink(vectors)), vectors)
    assert operators.kept == 48


@pytest.mark.parametrize("sparsity", [-0.1, 1.0, float("nan")])
def test_sparsities_that_cannot_be(sparsity: float) -> None:
    with pytest.raises(SpecError, match="sparsity"):
        small_shape(48, 64, sparsity)


def test_a_sheet_of_which_nothing_is_left() -> None:
    with pytest.raises(SpecError, match="nothing of a sheet of 2×3"):
        sampling(6, 0.9)
