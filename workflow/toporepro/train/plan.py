"""The arithmetic of a training: how many steps, at which lr and τ, what happens when."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

from toporepro.spec import Recipe, Schedule, SpecError, TopoSpec

_ROWS = 100
_EVALUATIONS = 80
_EVALUATIONS_OF_STEPS = 20  # where a training is so many steps and not epochs


def multiplier(schedule: Schedule, step: int, steps: int, epoch_steps: float) -> float:
    """The value of a schedule at a step, counted from 0.

    Args:
        steps: of the whole training; at the last one, ``steps − 1``, the schedule is at its end.
        epoch_steps: steps in an epoch.
    """
    warmup = schedule.warmup_steps or schedule.warmup_epochs * epoch_steps
    if step < warmup:
        return schedule.start + (1 - schedule.start) * step / warmup
    if schedule.kind == "constant":
        return 1.0
    rest = steps - 1 - warmup
    done = (step - warmup) / rest if rest > 0 else 1.0
    if schedule.kind == "cosine":
        done = (1 - math.cos(math.pi * done)) / 2
    return 1 + (schedule.end - 1) * done


@dataclass(frozen=True)
class Plan:
    """When what happens; step ``s`` means: after ``s`` updates of the weights."""

    recipe: Recipe
    topo: TopoSpec
    samples: int

    @property
    def steps(self) -> int:
        """Updates in all; every one of a full batch."""
        recipe = self.recipe
        return recipe.steps or max(1, round(recipe.epochs * self.samples / recipe.batch))

    def epoch(self, step: int) -> float:
        """Epochs seen after so many steps."""
        return step * self.recipe.batch / self.samples

    def lr(self, step: int) -> float:
        """Learning rate of the update that follows ``step``."""
        return self.recipe.lr * self._multiplier(self.recipe.lr_schedule, step)

    def tau(self, step: int) -> float:
        """Weight of the topographic term in the update that follows ``step``."""
        return self.topo.tau * self._multiplier(self.topo.schedule, step)

    def _multiplier(self, schedule: Schedule, step: int) -> float:
        return multiplier(schedule, step, self.steps, self.samples / self.recipe.batch)

    @functools.cached_property
    def snapshots(self) -> tuple[int, ...]:
        """Steps whose networks are kept: 0, then log-spaced, never the last.

        Raises:
            SpecError: if there are fewer steps than snapshots.
        """
        count, steps = self.recipe.snapshots, self.steps
        if count > steps:
            raise SpecError(f"recipe.snapshots={count}: at most {steps}, the number of steps")
        kept = [0]
        for index in range(1, count):
            wanted = round(steps ** (index / count))
            kept.append(min(max(wanted, kept[-1] + 1), steps - (count - index)))
        return tuple(kept)

    @functools.cached_property
    def evaluations(self) -> frozenset[int]:
        """Steps with a test: snapshots, the end, and ends of epochs, every few if they are many.

        A training of so many steps has evenly spaced ones in place of ends of epochs.
        """
        if self.recipe.steps:
            count = _EVALUATIONS_OF_STEPS
            spaced = {round(index * self.steps / count) for index in range(1, count + 1)}
            return frozenset(self.snapshots) | spaced | {self.steps}
        every = math.ceil(self.recipe.epochs / _EVALUATIONS)
        ends = (
            math.ceil(epoch * self.samples / self.recipe.batch)
            for epoch in range(every, math.floor(self.recipe.epochs) + 1, every)
        )
        return frozenset(self.snapshots) | {s for s in ends if s < self.steps} | {self.steps}

    @functools.cached_property
    def rows(self) -> frozenset[int]:
        """Steps with a row in the history: the evaluations, and evenly spaced ones."""
        regular = {round(index * self.steps / _ROWS) for index in range(_ROWS + 1)}
        return self.evaluations | regular
