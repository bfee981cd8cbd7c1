"""Fits of integration windows against ``scipy.optimize.curve_fit``, one unit at a time."""

import numpy as np
import pytest
from scipy.optimize import curve_fit

from toporepro.measure.window_fits import LOWER, UPPER, fit, window

LAGS = np.arange(21.0)


def model(lags: np.ndarray, a: float, b: float, c: float) -> np.ndarray:
    return c * (lags + 1) ** -a + (1 - c) * np.exp(-b * lags)


def drawn(units: int, noise: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    parameters = generator.uniform(0, 1, (units, 3)) * [3, 3, 1]
    windows = np.stack([model(LAGS, *row) for row in parameters])
    return windows + noise * generator.normal(size=windows.shape) * (LAGS > 0), parameters


@pytest.mark.parametrize("noise", [0.003, 0.03, 0.2])
def test_no_worse_than_scipy(noise: float) -> None:
    windows, _ = drawn(120, noise)
    found = fit(windows)
    worse = []
    for values, squares in zip(windows, found.squares, strict=True):
        try:
            best, _ = curve_fit(model, LAGS, values, p0=(1, 1, 0.5), bounds=(LOWER, UPPER))
        except RuntimeError:  # no convergence in as many calls as scipy allows
            continue
        theirs = ((model(LAGS, *best) - values) ** 2).sum()
        worse.append(squares > theirs * (1 + 1e-6))
    assert len(worse) > 110
    assert np.mean(worse) <= 0.01


def test_sums_of_squares_and_r2_are_those_of_the_parameters() -> None:
    windows, _ = drawn(50, 0.05)
    found = fit(windows)
    fitted = window(LAGS, found.a, found.b, found.c)
    squares = ((windows - fitted) ** 2).sum(axis=1)
    np.testing.assert_allclose(found.squares, squares, rtol=1e-9)
    spread = windows.var(axis=1) * len(LAGS)
    np.testing.assert_allclose(found.r2, 1 - squares / spread, rtol=1e-9)


def test_parameters_are_found_again() -> None:
    windows, parameters = drawn(200, 0.0)
    found = fit(windows)
    # Where both parts are there and unlike each other, no other parameters give the window.
    a, b, c = parameters.T
    clear = (c > 0.2) & (c < 0.8) & (np.abs(np.log(2) * a - b) > 0.5) & (b > 0.3)
    assert clear.sum() > 50
    np.testing.assert_allclose(np.stack([found.a, found.b, found.c])[:, clear], parameters[clear].T,
                               atol=0.02)  # fmt: skip
    assert found.squares.max() < 1e-5


def test_pure_windows_lie_at_the_bounds_of_c() -> None:
    slow, fast = (LAGS + 1) ** -0.4, np.exp(-0.4 * LAGS)
    found = fit(np.stack([slow, fast]))
    np.testing.assert_allclose(found.c, [1, 0], atol=1e-3)
    assert found.a[0] == pytest.approx(0.4, abs=1e-3)
    assert found.b[1] == pytest.approx(0.4, abs=1e-3)


def test_the_box_is_kept() -> None:
    generator = np.random.default_rng(3)
    found = fit(generator.normal(size=(300, 21)))
    for values, low, high in zip((found.a, found.b, found.c), LOWER, UPPER, strict=True):
        assert values.min() >= low
        assert values.max() <= high


def test_units_without_a_window_are_left_out() -> None:
    windows, _ = drawn(3, 0.01)
    windows[1, 4] = np.nan
    found = fit(windows)
    assert np.isnan([found.a[1], found.b[1], found.c[1], found.r2[1]]).all()
    assert np.isfinite(found.a[[0, 2]]).all()


def test_the_order_of_units_does_not_matter() -> None:
    windows, _ = drawn(1500, 0.05)
    order = np.random.default_rng(1).permutation(len(windows))
    np.testing.assert_allclose(fit(windows).squares[order], fit(windows[order]).squares, rtol=1e-6)
