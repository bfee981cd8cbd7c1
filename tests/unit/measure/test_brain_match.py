"""Scores of brains against scipy, scikit-learn and brute force; ceilings and chance."""

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import pearsonr
from sklearn.linear_model import Ridge as SklearnRidge
from sklearn.model_selection import KFold

from toporepro.measure.brain_match import HeldOut, Scale, best_units, ceilings, one_to_one, standard
from toporepro.measure.encoding import Ridge

ALPHAS = (0.1, 1.0, 10.0, 100.0, 1000.0)


def world(stimuli: int, units: int, voxels: int = 7, seed: int = 0) -> tuple[Any, Any]:
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(stimuli, units)) @ generator.normal(size=(units, units))
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    weights = generator.normal(size=(units, voxels)) / np.arange(1, units + 1)[:, None]
    noise = generator.normal(size=(stimuli, voxels)) * np.linspace(0.1, 6, voxels)
    y = x @ weights + noise
    return x, y - y.mean(axis=0)


# Folds with more stimuli than units, which are reduced, and with fewer, which are not.
@pytest.mark.parametrize(("stimuli", "units"), [(100, 6), (40, 25), (103, 10)])
def test_ridge_equals_scikit_learn(stimuli: int, units: int) -> None:
    x, y = world(stimuli, units)
    folds = 5
    error = np.zeros((len(ALPHAS), y.shape[1]))
    # Ours are runs whose lengths differ by at most one; KFold's too, the longer ones first.
    edges = [stimuli * fold // folds for fold in range(folds + 1)]
    runs = [np.arange(a, b) for a, b in itertools.pairwise(edges)]
    if stimuli % folds == 0:
        assert [run.tolist() for run in runs] == [
            test.tolist() for _, test in KFold(folds).split(x)
        ]
    for row, alpha in enumerate(ALPHAS):
        for run in runs:
            train = np.setdiff1d(np.arange(stimuli), run)
            model = SklearnRidge(alpha=alpha, fit_intercept=False).fit(x[train], y[train])
            error[row] += ((y[run] - model.predict(x[run])) ** 2).sum(axis=0)
    best = error.argmin(axis=0)
    assert len(set(best)) > 1  # voxels differ in noise, so in penalty
    expected = np.stack(
        [
            SklearnRidge(alpha=ALPHAS[row], fit_intercept=False).fit(x, y[:, voxel]).coef_
            for voxel, row in enumerate(best)
        ],
        axis=1,
    )
    weights, r2 = Ridge(torch.from_numpy(x).float(), ALPHAS, folds).fit(torch.from_numpy(y).float())
    assert weights.numpy() == pytest.approx(expected, abs=2e-4)
    assert r2.numpy() == pytest.approx(1 - error.min(axis=0) / (y**2).sum(axis=0), abs=1e-4)


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1), st.sampled_from([(4, 4), (3, 5), (5, 3)]))
def test_the_assignment_equals_brute_force(seed: int, shape: tuple[int, int]) -> None:
    between = np.random.default_rng(seed).uniform(-1, 1, shape)
    units, voxels = one_to_one(torch.from_numpy(between))
    few, many = sorted(shape)
    assert len(units) == len(set(units)) == len(set(voxels)) == few
    wide = between if shape[0] == few else between.T
    best = max(
        sum(wide[i, j] for i, j in enumerate(chosen))
        for chosen in itertools.permutations(range(many), few)
    )
    assert between[units, voxels].sum() == pytest.approx(best)


def test_best_units_and_constant_ones() -> None:
    generator = np.random.default_rng(0)
    units, voxels = generator.normal(size=(50, 6)), generator.normal(size=(50, 4))
    units[:, 2] = 3.0
    x, y = torch.from_numpy(units).float(), torch.from_numpy(voxels).float()
    between = (standard(x).T @ standard(y)).numpy()
    for voxel in range(4):
        r = [0.0 if u == 2 else pearsonr(units[:, u], voxels[:, voxel]).statistic for u in range(6)]
        assert between[:, voxel] == pytest.approx(r, abs=1e-6)
        assert best_units(torch.from_numpy(between))[voxel] == int(np.argmax(r))
    other = Scale.of(x)(x + 1)
    assert (other[:, 2] == 0).all()
    assert other[:, 0].numpy() == pytest.approx((units[:, 0] + 1 - units[:, 0].mean())
                                                / units[:, 0].std(), abs=1e-5)  # fmt: skip


def test_a_perfect_model_reaches_the_ceiling_and_no_more() -> None:
    generator = np.random.default_rng(1)
    snr, repeats = generator.uniform(0.3, 2, 400), np.array([1, 2, 3] * 200)
    signal = generator.normal(size=(600, 400))
    noise = generator.normal(size=(600, 400)) / snr / np.sqrt(repeats)[:, None]
    top = ceilings(snr, repeats)
    assert ((top > 0) & (top < 1)).all()
    held = HeldOut(torch.from_numpy(signal), torch.from_numpy(signal + noise), top)
    assert held.score() == pytest.approx(1, abs=0.01)
    assert held.raw() == pytest.approx(float(top.mean()), abs=0.01)
    # Where all stimuli are shown as often, it is the manual's s² / (s² + 1/n).
    assert ceilings(snr, np.full(9, 3)) == pytest.approx(np.sqrt(snr**2 / (snr**2 + 1 / 3)))


def test_without_ceilings_there_is_no_score() -> None:
    values = torch.randn(20, 3, generator=torch.Generator().manual_seed(0))
    assert np.isnan(HeldOut(values, values, np.array([0.5, np.nan, 0.5])).score())
    assert np.isnan(HeldOut(values, values, np.zeros(3)).score())
    assert HeldOut(values, values, np.zeros(3)).raw() == pytest.approx(1)


def held_out(seed: int, related: float, stimuli: int = 30, voxels: int = 5) -> HeldOut:
    generator = np.random.default_rng(seed)
    foretold, noise = generator.normal(size=(2, stimuli, voxels))
    responses = related * foretold + noise
    return HeldOut(torch.from_numpy(foretold), torch.from_numpy(responses), np.full(voxels, 0.8))


def mean_r(x: np.ndarray, y: np.ndarray) -> float:
    return float(np.mean([pearsonr(a, b).statistic for a, b in zip(x.T, y.T, strict=True)]))


def test_chance_equals_permuting_by_hand() -> None:
    held = held_out(3, 0.1)
    x, y = held.foretold.numpy(), held.responses.numpy()
    generator, observed = np.random.default_rng((5, 6)), mean_r(x, y)
    null = [mean_r(x, y[generator.permutation(30)]) for _ in range(99)]
    expected = (1 + sum(value >= observed for value in null)) / 100
    assert held.chance(99, (5, 6)) == pytest.approx(expected)
    assert 0.02 < expected < 0.5  # neither end
    assert held.raw() == pytest.approx(observed, abs=1e-6)


def test_chance_is_right_under_the_null_and_small_for_an_effect() -> None:
    null = np.array([held_out(seed, 0.0).chance(99, (seed,)) for seed in range(200)])
    assert 0.01 <= (null <= 0.05).mean() <= 0.11
    assert 0.4 < null.mean() < 0.6
    assert held_out(0, 1.0).chance(99, (0,)) == 0.01


def test_the_interval_equals_resampling_by_hand() -> None:
    held = held_out(4, 1.0)
    x, y = held.foretold.numpy(), held.responses.numpy()
    some = np.random.default_rng((7,)).integers(30, size=(50, 30))
    scores = [mean_r(x[rows], y[rows]) / 0.8 for rows in some]
    expected = np.quantile(scores, [0.025, 0.975])
    assert held.interval(50, (7,)) == pytest.approx(tuple(expected), abs=1e-6)
    low, high = held.interval(500, (7,))
    assert low < held.score() < high
