"""Schedules of τ: the strength of the topographic loss over the steps of a training."""

import json
import math
from pathlib import Path
from typing import Any, Self

from .core import TopoLoss
from .errors import TopoLossError

MODES = ("linear", "cosine_decay")


class TauScheduler:
    """Moves the scale of every loss from ``start_value`` to ``end_value`` in ``num_steps`` steps.

    ``step()`` sets the scale for the step that follows: the first call sets ``start_value``. After
    ``num_steps`` the value stays at ``end_value``. Losses that are only watched (``scale=None``)
    stay so. (In the published package the cosine rises again after the end, and watched losses
    start to train.)

    Args:
        mode: ``"linear"``, or ``"cosine_decay"``, half a cosine period downwards.
        verbose: print each change.

    Raises:
        TopoLossError: unknown mode, ``num_steps`` below one, or a cosine that does not decay.
    """

    def __init__(
        self,
        topo_loss: TopoLoss,
        start_value: float,
        end_value: float,
        num_steps: int,
        mode: str = "linear",
        verbose: bool = False,
    ) -> None:
        if mode not in MODES:
            raise TopoLossError(f"mode {mode!r} is not one of {', '.join(MODES)}")
        if num_steps < 1:
            raise TopoLossError(f"num_steps must be at least 1, got {num_steps}")
        if mode == "cosine_decay" and end_value >= start_value:
            raise TopoLossError(
                f"cosine_decay needs end_value < start_value, got {start_value} → {end_value}"
            )
        self.topo_loss = topo_loss
        self.start_value = start_value
        self.end_value = end_value
        self.num_steps = num_steps
        self.mode = mode
        self.verbose = verbose
        self.current_step = 0

    def compute_value(self, current_step: int) -> float:
        """τ at a step, counted from 0."""
        if current_step >= self.num_steps:
            return self.end_value
        done = current_step / self.num_steps
        if self.mode == "cosine_decay":
            done = (1 - math.cos(math.pi * done)) / 2
        return self.start_value + (self.end_value - self.start_value) * done

    def get_current_tau(self) -> float:
        """The value that the next ``step()`` will set."""
        return self.compute_value(self.current_step)

    def step(self, current_step: int | None = None) -> None:
        """Set the scale for ``current_step`` (default: one after the last) and count the step."""
        at = self.current_step if current_step is None else current_step
        self.current_step += 1
        value = self.compute_value(at)
        for loss in self.topo_loss.losses:
            if loss.scale is None:
                continue
            if self.verbose:
                print(f"{loss.layer_name}: τ {loss.scale:.4f} → {value:.4f} at step {at}")
            loss.scale = value

    def save_json(self, filename: str | Path) -> None:
        """Write the schedule and the steps done."""
        _write(filename, self._fields())

    @classmethod
    def from_json(cls, filename: str | Path, topo_loss: TopoLoss, verbose: bool = False) -> Self:
        """Read what :meth:`save_json` wrote; files without a step count start at step 0."""
        return cls._from_fields(_read(filename), topo_loss, verbose)

    def _fields(self) -> dict[str, Any]:
        names = ("start_value", "end_value", "num_steps", "mode", "current_step")
        return {name: getattr(self, name) for name in names}

    @classmethod
    def _from_fields(cls, fields: Any, topo_loss: TopoLoss, verbose: bool) -> Self:
        try:
            fields = dict(fields)
            current_step = int(fields.pop("current_step", 0))
            scheduler = cls(topo_loss, **fields, verbose=verbose)
        except (TypeError, ValueError) as error:
            raise TopoLossError(f"{fields!r} is not a schedule of τ: {error}") from error
        scheduler.current_step = current_step
        return scheduler


class ChainedTauScheduler:
    """Runs schedules one after the other, each for its own ``num_steps``.

    After the last, τ stays at the last ``end_value``.

    Raises:
        TopoLossError: ``schedulers`` is empty.
    """

    def __init__(self, schedulers: list[TauScheduler]) -> None:
        if not schedulers:
            raise TopoLossError("ChainedTauScheduler needs at least one scheduler")
        self.schedulers = schedulers
        self.current_step = sum(scheduler.current_step for scheduler in schedulers)

    def get_current_tau(self) -> float:
        """The value that the next ``step()`` will set."""
        scheduler, step = self._at(self.current_step)
        return scheduler.compute_value(step)

    def step(self) -> None:
        """Set the scale for the next step and count it."""
        scheduler, step = self._at(self.current_step)
        scheduler.step(step)
        self.current_step += 1

    def save_json(self, filename: str | Path) -> None:
        """Write the schedules and the steps done of each."""
        _write(filename, [scheduler._fields() for scheduler in self.schedulers])

    @classmethod
    def from_json(cls, filename: str | Path, topo_loss: TopoLoss, verbose: bool = False) -> Self:
        """Read what :meth:`save_json` wrote."""
        return cls([TauScheduler._from_fields(f, topo_loss, verbose) for f in _read(filename)])

    def _at(self, step: int) -> tuple[TauScheduler, int]:
        for scheduler in self.schedulers:
            if step < scheduler.num_steps:
                return scheduler, step
            step -= scheduler.num_steps
        return self.schedulers[-1], self.schedulers[-1].num_steps + step


def _write(filename: str | Path, data: Any) -> None:
    Path(filename).write_text(json.dumps(data, indent=4) + "\n", encoding="utf-8")


def _read(filename: str | Path) -> Any:
    return json.loads(Path(filename).read_text(encoding="utf-8"))
