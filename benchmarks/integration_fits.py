"""Fits of all integration windows of a network at once, beside ``scipy.optimize.curve_fit``.

36,864 windows (12 layers of 3072 units) over lags 0 … 20, drawn from the model with noise; scipy
fits a sample of them, one after the other, and its time is counted up to all of them. CPU seconds,
so that other work on the machine counts for little.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
from scipy.optimize import curve_fit

from toporepro.measure.window_fits import LOWER, UPPER, fit, window

UNITS, LAGS, SAMPLE = 12 * 3072, np.arange(21.0), 1000


def model(lags: np.ndarray, a: float, b: float, c: float) -> np.ndarray:
    return c * (lags + 1) ** -a + (1 - c) * np.exp(-b * lags)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", type=Path)
    out = parser.parse_args().json
    generator = np.random.default_rng(0)
    parameters = generator.uniform(0, 1, (3, UNITS)) * np.array([[4], [4], [1]])
    noise = generator.choice([0.005, 0.03, 0.1], (UNITS, 1)) * (LAGS > 0)
    windows = window(LAGS, *parameters) + noise * generator.normal(size=(UNITS, len(LAGS)))
    started = time.process_time()
    found = fit(windows)
    ours = time.process_time() - started
    squares = np.full(SAMPLE, np.nan)
    started = time.process_time()
    for unit in range(SAMPLE):
        try:
            best, _ = curve_fit(model, LAGS, windows[unit], p0=(1, 1, 0.5), bounds=(LOWER, UPPER))
        except RuntimeError:
            continue
        squares[unit] = ((model(LAGS, *best) - windows[unit]) ** 2).sum()
    theirs = (time.process_time() - started) * UNITS / SAMPLE
    tried = ~np.isnan(squares)
    no_worse = np.mean(found.squares[:SAMPLE][tried] <= squares[tried] * (1 + 1e-6))
    answer = {
        "windows": UNITS,
        "ours_cpu_seconds": round(ours, 2),
        "scipy_cpu_seconds": round(theirs, 1),
        "ratio": round(theirs / ours, 1),
        "no_worse_than_scipy": round(float(no_worse), 4),
        "scipy_did_not_converge": round(float(1 - tried.mean()), 4),
    }
    print(json.dumps(answer, indent=1))
    if out:
        out.write_text(json.dumps(answer))


if __name__ == "__main__":
    main()
