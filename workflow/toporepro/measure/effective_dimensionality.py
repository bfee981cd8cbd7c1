"""Effective dimensionality: the participation ratio (Σλ)² / Σλ² of the response covariance.

``effective_dimensionality`` takes the sample covariance. Sampling noise spreads its eigenvalues, so
with n stimuli it reads too low (it cannot exceed n − 1). ``effective_dimensionality_corrected``
divides unbiased estimates of (tr Σ)² and tr Σ² instead: Himeno & Yamada, "Estimations for some
functions of covariance matrix in high dimension under non-normality and its applications", Journal
of Multivariate Analysis 130:27–44 (2014); the closed form of the U-statistics of Chen, Zhang &
Zhong, Journal of the American Statistical Association 105:810–819 (2010), and unbiased for any
distribution with fourth moments. A ratio of unbiased estimates is consistent; its own bias is of
second order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from toporepro.measure.precision import TOKENS, Precision
from toporepro.measure.result import Floats, Result, per_layer

if TYPE_CHECKING:
    from toporepro.measure.network import Network

ON_SNAPSHOTS = True


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of ``effective_dimensionality``.

    Attributes:
        stimuli: split that is shown; left out, the one that the task is tested on.
        precision: of the forward pass.
        tokens: of text, consecutive ones whose mean response is one stimulus; 1 takes each alone.
    """

    stimuli: str | None = None
    precision: Precision = "float32"
    tokens: int = TOKENS


def measure(subject: Network, options: Options) -> Result:
    """Both estimates, per layer and averaged over layers."""
    statistics = subject.statistics(options.stimuli, options.precision, options.tokens)
    plain, corrected = {}, {}
    for layer, moments in statistics.moments.items():
        covariance = moments.covariance()
        plain[layer] = participation_ratio(covariance)
        corrected[layer] = corrected_ratio(covariance, moments.fourth_power(), moments.count)
    return Result(
        (
            *per_layer("effective_dimensionality", statistics.stimuli, plain),
            *per_layer("effective_dimensionality_corrected", statistics.stimuli, corrected),
        )
    )


def participation_ratio(covariance: Floats) -> float:
    """(tr C)² / tr C² of a covariance matrix; ``nan`` if nothing varies."""
    square = float(np.vdot(covariance, covariance))
    return float(np.trace(covariance) ** 2 / square) if square > 0 else float("nan")


def unbiased_traces(covariance: Floats, fourth: float, count: int) -> tuple[float, float]:
    """Unbiased estimates of (tr Σ)² and tr Σ² (Himeno & Yamada 2014, section 2).

    Args:
        covariance: of the sample, divided by the number of stimuli.
        fourth: Σ over stimuli of ‖x − mean‖⁴.
        count: stimuli, at least 4.
    """
    n = count
    trace = float(np.trace(covariance)) * n / (n - 1)
    square = float(np.vdot(covariance, covariance)) * (n / (n - 1)) ** 2
    quartic = n * fourth / (n - 1)
    factor = (n - 1) / (n * (n - 2) * (n - 3))
    of_trace = factor * (2 * square + (n * n - 3 * n + 1) * trace**2 - quartic)
    of_square = factor * ((n - 1) * (n - 2) * square + trace**2 - quartic)
    return of_trace, of_square


def corrected_ratio(covariance: Floats, fourth: float, count: int) -> float:
    """The participation ratio from unbiased estimates.

    Returns:
        ``nan`` with fewer than 4 stimuli, or if the estimate of tr Σ² is not positive.
    """
    if count < 4:
        return float("nan")
    of_trace, of_square = unbiased_traces(covariance, fourth, count)
    return of_trace / of_square if of_square > 0 else float("nan")
