"""How well units foretell voxels: one unit each, one to one, and what chance gives.

A score is the mean correlation over voxels between responses to held-out stimuli and what was
foretold of them, over the mean of the voxels' ceilings: the correlation that a perfect model would
have with responses so noisy. With NC = s² / (s² + m), where s is a voxel's signal-to-noise ratio
for one showing and m the mean of 1/repeats over the stimuli, the ceiling is √NC (Allen et al.,
Nature Neuroscience 25:116, 2022). The ratio of means, unlike the mean of ratios, does not blow up
voxels that are mostly noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from toporepro.measure.correlation import live_units
from toporepro.measure.result import Floats

_DRAWS = 64  # bootstrap samples at once
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Scale:
    """What takes units to mean 0 and SD 1 over some stimuli; those that do not vary there, to 0.

    Attributes:
        mean, factor: (units,), float64.
    """

    mean: Tensor
    factor: Tensor

    @classmethod
    def of(cls, units: Tensor) -> Scale:
        """units: (stimuli, units or voxels)."""
        exact = units.double()
        mean = exact.mean(dim=0)
        variance = exact.var(dim=0, correction=0)
        live = torch.from_numpy(live_units(mean.cpu().numpy(), variance.cpu().numpy())).to(
            mean.device
        )
        factor = torch.where(live, 1 / torch.where(live, variance, 1.0).sqrt(), 0.0)
        return cls(mean, factor)

    def __call__(self, units: Tensor) -> Tensor:
        scaled: Tensor = (units - self.mean) * self.factor
        return scaled.float()


def standard(units: Tensor) -> Tensor:
    """Columns with mean 0 and length 1; those that do not vary are 0."""
    scaled: Tensor = Scale.of(units)(units) / len(units) ** 0.5
    return scaled


def best_units(correlations: Tensor) -> Integers:
    """Each voxel's most correlated unit; correlations: (units, voxels)."""
    result: Integers = correlations.argmax(dim=0).cpu().numpy()
    return result


def one_to_one(correlations: Tensor) -> tuple[Integers, Integers]:
    """The assignment of units to voxels, one to one, with the largest sum of correlations.

    Kuhn and Munkres' problem, by scipy's modified Jonker–Volgenant algorithm. With more voxels than
    units, or fewer, the rest stay alone.

    Args:
        correlations: (units, voxels).

    Returns:
        Units and their voxels: two arrays of the smaller number.
    """
    from scipy.optimize import linear_sum_assignment

    units, voxels = linear_sum_assignment(correlations.cpu().numpy(), maximize=True)
    order = np.argsort(voxels)
    return units[order].astype(np.int64), voxels[order].astype(np.int64)


def ceilings(ncsnr: Floats, repeats: Integers) -> Floats:
    """The highest correlation to be had with mean responses over repeats, by voxel.

    Args:
        ncsnr: signal-to-noise ratio for one showing, (voxels,).
        repeats: of each stimulus, (stimuli,).
    """
    signal = np.square(ncsnr)
    result: Floats = np.sqrt(signal / (signal + (1 / repeats).mean()))
    return result


@dataclass(frozen=True)
class HeldOut:
    """Responses to held-out stimuli beside what was foretold: both (stimuli, voxels).

    Attributes:
        foretold, responses: of any scale.
        ceiling: of each voxel, (voxels,); ``nan`` where unknown.
    """

    foretold: Tensor
    responses: Tensor
    ceiling: Floats

    def raw(self) -> float:
        """Mean correlation over voxels."""
        both = standard(self.foretold) * standard(self.responses)
        return float(both.sum(dim=0).double().mean())

    def score(self) -> float:
        """The same over the mean ceiling; ``nan`` if a voxel's is unknown or none has a signal."""
        return self.raw() / self._ceiling

    @property
    def _ceiling(self) -> float:
        mean = float(np.mean(self.ceiling))
        return mean if mean > 0 else float("nan")

    def chance(self, permutations: int, seed: Sequence[int]) -> float:
        """P of the score with the stimuli of the responses permuted (one-sided, itself counted in).

        The sum over voxels of all permuted products is a sum of entries of one matrix: those of
        each stimulus' prediction with each stimulus' responses.
        """
        both = (standard(self.foretold) @ standard(self.responses).T).double().cpu().numpy()
        generator, rows = np.random.default_rng(seed), np.arange(len(both))
        observed = both.trace()
        null = [both[rows, generator.permutation(rows)].sum() for _ in range(permutations)]
        slack = 1e-6 * both.shape[0]
        return float((1 + np.sum(np.array(null) >= observed - slack)) / (1 + permutations))

    def interval(self, draws: int, seed: Sequence[int]) -> tuple[float, float]:
        """Ends of the score's 95 % bootstrap interval over stimuli (percentiles)."""
        generator, count = np.random.default_rng(seed), len(self.responses)
        x, y = standard(self.foretold), standard(self.responses)
        products = torch.cat([x * y, x.square(), y.square()], dim=1)
        scores = []
        for start in range(0, draws, _DRAWS):
            some = generator.integers(count, size=(min(_DRAWS, draws - start), count))
            times = np.stack([np.bincount(row, minlength=count) for row in some])
            # Means are near 0, so that single precision loses nothing in the differences.
            weight = torch.from_numpy(times / count).to(x)
            mean_x, mean_y = weight @ x, weight @ y
            both, of_x, of_y = (weight @ products).chunk(3, dim=1)
            spread = (of_x - mean_x.square()) * (of_y - mean_y.square())
            r = (both - mean_x * mean_y) / spread.clamp(min=1e-24).sqrt()
            scores.append(r.double().mean(dim=1).cpu().numpy())
        low, high = np.quantile(np.concatenate(scores) / self._ceiling, [0.025, 0.975])
        return float(low), float(high)
