"""A row of ``claims.csv`` computed anew from its ``data``, by other means than the package's."""

from __future__ import annotations

import itertools
import json
import math
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from scipy import stats

Row = Mapping[str, Any]
Found = dict[str, float | None]
ALPHA = 0.05


def check(row: Row) -> str | None:
    """Assert that a row's numbers follow from its data; the kind of its test, if it has numbers."""
    if row["effect"] is None:
        assert row["data"] == {}
        assert (row["p"], row["low"], row["high"], row["n"]) == (None, None, None, 0)
        return None
    found = {"p": None, "smallest_p": None, "low": None, "high": None, "statistic": None}
    found |= OF_KIND[row["test"]](row, json.loads(json.dumps(row["data"])))
    for key, value in found.items():
        exact = row[key] is None if value is None else row[key] == pytest.approx(value, rel=1e-6)
        assert exact, f"{row['id']}: {key} is {row[key]}, from its data {value}"
    return str(row["test"])


def _trend(row: Row, data: Any) -> Found:
    """Page's L and its exact P, through all orders of each block."""
    table = np.array(data["values"])
    sign = -1 if row["direction"] == "below" else 1
    ranks = stats.rankdata(sign * table, axis=1)
    places = np.arange(1, table.shape[1] + 1)
    sums: Counter[float] = Counter({0.0: 1})
    for block in ranks:
        sums = _added(sums, tuple(sorted(block)))
    reached = sum(n for total, n in sums.items() if total >= (ranks @ places).sum() - 1e-9)
    rho = [stats.spearmanr(places, block).statistic for block in sign * table]
    over_trainings = row["scope"] == "trainings"
    if over_trainings:
        assert row["seeds"] == len(table)
    return {
        "effect": sign * float(np.mean(rho)),
        "statistic": float((ranks @ places).sum()),
        "p": reached / sum(sums.values()),
        "smallest_p": math.factorial(table.shape[1]) ** -float(len(table)),
        "n": table.size if over_trainings else len(table),
        "agree": float(np.mean(np.array(rho) > 0)),
    }


def _added(sums: Counter[float], block: tuple[float, ...]) -> Counter[float]:
    """The sums with those of one more block: by the set of ranks placed, position by position."""
    placed: Counter[tuple[float, tuple[float, ...]]] = Counter({(0.0, block): 1})
    for place in range(1, len(block) + 1):
        step: Counter[tuple[float, tuple[float, ...]]] = Counter()
        for (total, left), ways in placed.items():
            for taken in range(len(left)):
                rest = left[:taken] + left[taken + 1 :]
                step[total + place * left[taken], rest] += ways
        placed = step
    added: Counter[float] = Counter()
    for (a, n), ((b, _), m) in itertools.product(sums.items(), placed.items()):
        added[a + b] += n * m
    return added


def _over_seeds(row: Row, data: Any) -> Found:
    return _t(row, np.array(data["values"]))


def _matched(row: Row, data: Any) -> Found:
    values = np.array([np.mean(changes) for changes in data["changes"]])
    return {**_t(row, values), "n": sum(map(len, data["changes"]))}


def _t(row: Row, values: np.ndarray) -> Found:
    below = row["direction"] == "below"
    found: Found = {
        "effect": values.mean(),
        "seeds": len(values),
        "n": len(values) * (2 if row["test"] == "change_from_baseline" else 1),
        "agree": float(np.mean(values < row["bound"] if below else values > row["bound"])),
    }
    if len(values) < 3:
        return found
    test = stats.ttest_1samp(values, row["bound"])
    interval = test.confidence_interval(0.95)
    ends = {"low": interval.low, "high": interval.high}
    return {**found, **ends, "p": test.pvalue, "smallest_p": 0.0}


def _similarity(row: Row, data: Any) -> Found:
    values, p = np.array(data["values"]), np.array(data["p"], dtype=float)
    agree = float(np.mean((values > row["bound"]) & (p <= ALPHA)))
    return {**_t(row, values), "agree": agree}


def _pooled(row: Row, data: Any) -> Found:
    r, p = stats.pearsonr(data["x"], data["y"])
    return {"effect": r, "statistic": r, "p": p, "n": len(data["x"])}


def _centred(row: Row, data: Any) -> Found:
    """Williams' test on residuals of a regression on families (Steiger 1980, eq. 7)."""
    names = sorted(set(data["family"]))
    dummies = np.array([[name == other for other in names] for name in data["family"]], float)
    columns = np.array([data[key] for key in ("dimensionality", "smoothness", "performance")])
    fitted = dummies @ np.linalg.lstsq(dummies, columns.T, rcond=None)[0]
    residuals = columns - fitted.T
    residuals *= np.sign(residuals @ residuals[0])[:, None]  # both correlations positive
    matrix = np.corrcoef(residuals)
    n = len(data["family"]) - len(names) + 1  # points less the means taken off, but one
    smooth, performance, between = matrix[0, 1], matrix[0, 2], matrix[1, 2]
    variance = 2 * (n - 1) / (n - 3) * np.linalg.det(matrix)
    variance += ((smooth + performance) / 2) ** 2 * (1 - between) ** 3
    t = (smooth - performance) * math.sqrt((n - 1) * (1 + between) / variance)
    return {
        "effect": smooth - performance,
        "statistic": t,
        "p": 2 * stats.t.sf(abs(t), n - 3),
        "n": len(data["family"]),
    }


def _signs(row: Row, data: Any) -> Found:
    differences = np.array(data["differences"])
    signs = np.array(list(itertools.product((-1, 1), repeat=len(differences))))
    sums = signs @ (differences - row["bound"])
    observed = (differences - row["bound"]).sum()
    p = float(np.mean(sums >= observed - 1e-12 * len(differences)))
    smallest = 0.5 ** len(differences)
    few = smallest > ALPHA
    found: Found = {
        "effect": differences.mean(),
        "statistic": differences.mean(),
        "p": p,
        "smallest_p": smallest,
        "n": len(differences),
        "agree": float((differences > row["bound"]).all() if few else p <= ALPHA),
    }
    if len(differences) >= 3:
        interval = stats.ttest_1samp(differences, 0).confidence_interval(0.95)
        found |= {"low": interval.low, "high": interval.high}
    return found


def _permuted(row: Row, data: Any) -> Found:
    each, p = np.array(data["each"]), max(reached / drawn for reached, drawn in data["nulls"])
    return {
        "effect": each.mean(),
        "statistic": each.mean(),
        "p": p,
        "smallest_p": max(1 / drawn for _, drawn in data["nulls"]),
        "n": len(each) * (2 if row["test"] == "layout_follows_swap" else 1),
        "agree": float(np.mean(each > row["bound"])) * (p <= ALPHA),
    }


def _paradigms(row: Row, data: Any) -> Found:
    """The percentile bootstrap once more, with the generator that `seeds` names."""
    ends = []
    for whole, left, seed in zip(data["whole"], data["left"], data["seeds"], strict=True):
        drops, generator = np.subtract(whole, left), np.random.default_rng(seed)
        drawn = [drops[generator.integers(len(drops), size=len(drops))] for _ in range(10_000)]
        ends.append(np.percentile(np.mean(drawn, axis=1), [2.5, 97.5]))
    low, high = np.mean(ends, axis=0)
    agree = float(np.mean([end < row["bound"] for end, _ in ends]))
    n = min(map(len, data["whole"]))
    return {"effect": low, "low": low, "high": high, "n": n, "seeds": len(ends), "agree": agree}


def _losses(row: Row, data: Any) -> Found:
    rise, theirs = (np.diff(data[key], axis=1)[:, 0] for key in ("topographic", "baseline"))
    ratios = rise / theirs
    agree = float(np.mean(ratios < row["bound"]))
    return {"effect": ratios.mean(), "n": 2 * len(ratios), "seeds": len(ratios), "agree": agree}


def _controls(row: Row, data: Any) -> Found:
    margins = [loss - data["own"] for loss in data["controls"].values()]
    agree = float(np.mean([margin > row["bound"] for margin in margins]))
    return {"effect": min(margins), "n": 1 + len(margins), "agree": agree}


def _middle(row: Row, data: Any) -> Found:
    more = np.subtract(data["middle"], data["early"])
    agree = float(np.mean(more > row["bound"]))
    return {"effect": more.mean(), "n": len(more), "agree": agree}


def _above(row: Row, data: Any) -> Found:
    axes = zip(data["accuracy"], data["smoothness"], strict=True)
    a, s = data["competitor"]
    above = [accuracy > a and smooth > s for accuracy, smooth in axes]
    return {"effect": np.mean(above), "n": len(above), "agree": float(any(above))}


def _interpolated(row: Row, data: Any) -> Found:
    own, at = data["competitor"]
    margins = [
        np.interp(at, smooth, accuracy) - own
        for smooth, accuracy in data["curves"].values()
        if min(smooth) <= at <= max(smooth)
    ]
    agree = float(np.mean([margin > row["bound"] for margin in margins]))
    n = sum(len(smooth) for smooth, _ in data["curves"].values())
    return {"effect": min(margins), "n": n, "agree": agree}


def _smoother(row: Row, data: Any) -> Found:
    share = np.mean(np.array(data["smoothness"]) > data["competitor"])
    agree = float(share > row["bound"])
    return {"effect": share, "n": len(data["smoothness"]), "agree": agree}


OF_KIND: dict[str, Callable[[Row, Any], Found]] = {
    "trend_over_tau": _trend,
    "trend_over_steps": _trend,
    "change_from_baseline": _over_seeds,
    "control_ratio": _over_seeds,
    "quiet_ratio": _over_seeds,
    "performance_matched": _matched,
    "similarity_of_maps": _similarity,
    "pooled_correlation": _pooled,
    "centred_comparison": _centred,
    "brain_against_baseline": _signs,
    "brain_against_untrained": _signs,
    "maps_follow_representation": _permuted,
    "layout_follows_swap": _permuted,
    "drop_over_paradigms": _paradigms,
    "loss_increase": _losses,
    "against_controls": _controls,
    "middle_over_early": _middle,
    "above_competitor": _above,
    "matched_smoothness": _interpolated,
    "smoother_than": _smoother,
}
