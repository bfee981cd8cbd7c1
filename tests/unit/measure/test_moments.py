"""Streamed moments against the same moments of the whole array."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from toporepro.measure.moments import Moments

CPU = torch.device("cpu")


def streamed(data: np.ndarray, sizes: list[int]) -> Moments:
    moments = Moments(data.shape[1], CPU)
    for part in np.split(data, np.cumsum(sizes)[:-1]):
        moments.update(torch.from_numpy(part))
    return moments


@settings(max_examples=40)
@given(
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=6),
    units=st.integers(1, 7),
    offset=st.floats(-1e5, 1e5),
    seed=st.integers(0, 2**20),
)
def test_equals_the_moments_of_the_whole_array(
    sizes: list[int], units: int, offset: float, seed: int
) -> None:
    data = offset + np.random.default_rng(seed).normal(size=(sum(sizes), units))
    moments = streamed(data, sizes)
    centred = data - data.mean(axis=0)
    assert moments.count == len(data)
    np.testing.assert_allclose(moments.mean, data.mean(axis=0), rtol=1e-12)
    expected = np.cov(data, rowvar=False, bias=True).reshape(units, units)
    np.testing.assert_allclose(moments.covariance(), expected, atol=1e-9)
    fourth = (centred**2).sum(axis=1) @ (centred**2).sum(axis=1)
    assert moments.fourth_power() == pytest.approx(fourth, rel=1e-8, abs=1e-8)


def test_more_units_than_a_panel_holds() -> None:
    data = np.random.default_rng(0).normal(size=(1860, 1100)) @ np.diag(np.linspace(0.1, 3, 1100))
    moments = streamed(data, [7, 700, 40, 500, 600, 13])
    np.testing.assert_allclose(
        moments.covariance(), np.cov(data, rowvar=False, bias=True), atol=1e-12
    )
    centred = data - data.mean(axis=0)
    fourth = ((centred**2).sum(axis=1) ** 2).sum()
    assert moments.fourth_power() == pytest.approx(fourth, rel=1e-12)


def test_a_mean_far_from_zero_cancels_nothing() -> None:
    noise = np.random.default_rng(1).normal(size=(500, 3))
    far, near = streamed(1e8 + noise, [100] * 5), streamed(noise, [100] * 5)
    np.testing.assert_allclose(far.covariance(), near.covariance(), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("value", [0.0, 0.1, -3.7e12, 1e-30])
def test_a_constant_unit_has_variance_zero_exactly(value: float) -> None:
    data = np.random.default_rng(2).normal(size=(100, 2)).astype(np.float32)
    data[:, 1] = value
    covariance = streamed(data, [33, 33, 34]).covariance()
    assert covariance[1, 1] == 0.0
    assert covariance[0, 1] == 0.0


def test_single_precision_responses_lose_no_more_than_their_own_rounding() -> None:
    data = (50 + np.random.default_rng(5).normal(size=(900, 40))).astype(np.float32)
    found = streamed(data, [300] * 3)
    exact = streamed(data.astype(np.float64), [300] * 3)
    scale = np.abs(exact.covariance()).max()
    np.testing.assert_allclose(found.covariance(), exact.covariance(), atol=1e-6 * scale)
    assert found.fourth_power() == pytest.approx(exact.fourth_power(), rel=1e-6)


def test_does_not_touch_the_batch_it_is_given() -> None:
    batch = torch.ones(3, 2, dtype=torch.float64)
    Moments(2, CPU).update(batch)
    assert torch.equal(batch, torch.ones(3, 2, dtype=torch.float64))


def test_asking_in_between_changes_nothing() -> None:
    data = 3 + np.random.default_rng(6).normal(size=(90, 4))
    moments = Moments(4, CPU)
    for part in np.split(data, 3):
        moments.update(torch.from_numpy(part))
        assert moments.mean.shape == (4,)
    np.testing.assert_allclose(
        moments.covariance(), np.cov(data, rowvar=False, bias=True), atol=1e-12
    )


def test_memory_is_independent_of_the_number_of_stimuli() -> None:
    def held(stimuli: int) -> int:
        moments = Moments(5, CPU)
        for _ in range(0, stimuli, 100):
            moments.update(torch.ones(100, 5))
        found = [*vars(moments).values(), *moments._panels, *moments._pending]
        return sum(v.element_size() * v.numel() for v in found if isinstance(v, torch.Tensor))

    assert held(60_000) == held(600)
