"""Effective dimensionality against closed forms, U-statistics and known covariances."""

import itertools
import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import PCA

from toporepro.measure.effective_dimensionality import (
    corrected_ratio,
    participation_ratio,
    unbiased_traces,
)
from toporepro.measure.result import Floats


def parts(data: Floats) -> tuple[Floats, float, int]:
    centred = data - data.mean(axis=0)
    covariance = centred.T @ centred / len(data)
    return covariance, float(((centred**2).sum(axis=1) ** 2).sum()), len(data)


def test_equals_the_ratio_of_pca_eigenvalues() -> None:
    data = np.random.default_rng(0).normal(size=(40, 7)) * np.arange(1, 8)
    eigenvalues = PCA().fit(data).explained_variance_
    expected = eigenvalues.sum() ** 2 / (eigenvalues**2).sum()
    assert participation_ratio(parts(data)[0]) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("rank", [1, 3, 10])
def test_equal_variance_along_k_axes_gives_k(rank: int) -> None:
    covariance = np.diag([2.5] * rank + [0.0] * 4)
    assert participation_ratio(covariance) == pytest.approx(rank)


@settings(max_examples=40)
@given(
    units=st.integers(2, 8),
    rank=st.integers(1, 8),
    scale=st.floats(1e-3, 1e3),
    seed=st.integers(0, 2**20),
)
def test_between_one_and_the_rank_and_blind_to_rotation_and_scale(
    units: int, rank: int, scale: float, seed: int
) -> None:
    generator = np.random.default_rng(seed)
    data = generator.normal(size=(30, rank)) @ generator.normal(size=(rank, units))
    rotation = scipy.stats.ortho_group.rvs(units, random_state=generator)
    turned = scale * data @ rotation
    plain = participation_ratio(parts(data)[0])
    assert 1 - 1e-9 <= plain <= min(rank, units) + 1e-9
    assert participation_ratio(parts(turned)[0]) == pytest.approx(plain, rel=1e-9)
    assert corrected_ratio(*parts(turned)) == pytest.approx(corrected_ratio(*parts(data)), rel=1e-8)


def test_corrected_traces_are_the_u_statistics() -> None:
    """Averages over all ordered quadruples of different stimuli of the two unbiased kernels."""
    data = np.random.default_rng(1).exponential(size=(7, 3)) + 5
    squared, crossed = [], []
    for a, b, c, d in itertools.permutations(range(7), 4):
        first, second = data[a] - data[b], data[c] - data[d]
        squared.append((first @ first) * (second @ second) / 4)
        crossed.append((first @ second) ** 2 / 4)
    of_trace, of_square = unbiased_traces(*parts(data))
    assert of_trace == pytest.approx(np.mean(squared), rel=1e-9)
    assert of_square == pytest.approx(np.mean(crossed), rel=1e-9)


@pytest.mark.parametrize("law", ["gaussian", "exponential"])
def test_corrected_hits_the_truth_where_the_plain_one_reads_low(law: str) -> None:
    units, count, draws = 60, 40, 400
    scales = np.linspace(0.5, 1.5, units)
    generator = np.random.default_rng(2)
    mixing = scipy.stats.ortho_group.rvs(units, random_state=generator)
    plain, traces, corrected = [], [], []
    for _ in range(draws):
        noise = (
            generator.normal(size=(count, units))
            if law == "gaussian"
            else generator.exponential(size=(count, units))
        )
        found = parts((noise * scales) @ mixing)
        plain.append(participation_ratio(found[0]))
        traces.append(unbiased_traces(*found))
        corrected.append(corrected_ratio(*found))
    variances = scales**2
    true = np.array([variances.sum() ** 2, (variances**2).sum()])
    means, errors = np.mean(traces, axis=0), scipy.stats.sem(traces, axis=0)
    assert (np.abs(means - true) < 4 * errors).all()
    truth = true[0] / true[1]
    assert np.mean(corrected) == pytest.approx(truth, rel=0.02)
    assert np.mean(plain) < 0.6 * truth


def test_undefined_where_nothing_varies_or_too_few_stimuli() -> None:
    assert math.isnan(participation_ratio(np.zeros((3, 3))))
    assert math.isnan(corrected_ratio(*parts(np.ones((9, 3)))))
    assert math.isnan(corrected_ratio(*parts(np.random.default_rng(3).normal(size=(3, 2)))))
