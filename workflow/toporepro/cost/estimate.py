"""Seconds of single jobs: operations over speed, and what every job spends besides."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from toporepro.config import Model, Resolved
from toporepro.cost import work
from toporepro.cost.rates import Measured, Rate, core_rate, gpu_rate, read_benchmarks

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"
# Seconds of a core: a job's process loads its libraries and opens its data in about so many.
START = 6.0


@dataclass(frozen=True)
class Estimate:
    """What one job takes.

    Attributes:
        seconds: of wall time; ``None`` where its arithmetic is not known.
        gpus: cards held meanwhile.
        cores: CPU cores held meanwhile.
        rate: what the seconds rest on.
    """

    seconds: float | None
    gpus: int
    cores: int
    rate: Rate


class Estimator:
    """Estimates of one configuration's jobs.

    Args:
        card: what a job on a GPU is given, a name of ``rates.CARDS``.
        here: whether there are GPUs where the workflow runs.
    """

    def __init__(
        self,
        resolved: Resolved,
        *,
        card: str,
        here: bool,
        measured: tuple[Measured, ...] | None = None,
    ) -> None:
        self.resolved, self.card, self.here = resolved, card, here
        self.measured = read_benchmarks(BENCHMARKS) if measured is None else measured

    def train(self, model: Model) -> Estimate:
        """Of a training."""
        return self._of(model, work.training_operations(model.train), training=True)

    def measure(self, model: Model) -> Estimate:
        """Of all measures of one network."""
        return self._of(model, work.measuring_operations(model), training=False)

    def gpus(self, model: Model, *, training: bool) -> int:
        """Cards of a job; 0 where it computes on a CPU."""
        gpus = self.resolved.machine.gpus
        if not (self.here if gpus.use is None else gpus.use):
            return 0
        taken = gpus.training.get(self.resolved.name, {})
        return taken.get(model.family, 1) if training else 1

    def cores(self, model: Model, *, training: bool) -> int:
        """Cores of a job: those that compute, and those that load data beside them."""
        workers = self.resolved.machine.loader_workers if training else 0
        gpus = self.gpus(model, training=training)
        if gpus:
            return gpus * (workers + 2)
        return (model.train.recipe.threads if training else model.measure.threads) + workers

    def _of(self, model: Model, operations: float | None, *, training: bool) -> Estimate:
        gpus = self.gpus(model, training=training)
        architecture = model.train.architecture
        if gpus:
            rate, lanes = gpu_rate(architecture, self.card, self.measured), gpus
        else:
            lanes = model.train.recipe.threads if training else model.measure.threads
            rate = core_rate(architecture, self.measured)
        seconds = None if operations is None else START + operations / (rate.per_second * lanes)
        return Estimate(seconds, gpus, self.cores(model, training=training), rate)
