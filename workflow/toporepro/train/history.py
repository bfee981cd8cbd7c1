"""The history of a training as a table, on screen, and for TensorBoard."""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from toporepro.provenance import progress
from toporepro.tasks.task import Score, Work

COLUMNS = (
    "step", "epoch", "lr", "tau", "loss", "topo_loss", "train_accuracy", "test_loss",
    "test_accuracy",
)  # fmt: skip
_LINE_EVERY = 5.0

Row = dict[str, float | None]


@dataclass
class History:
    """Rows so far, and sums since the last; nothing in it depends on the clock.

    ``loss`` and ``train_accuracy`` are means over the steps since the last row, as they were met in
    training; ``topo_loss`` is the mean over layers, without τ, at the row's weights; ``lr`` and
    ``tau`` are those of the update before (of the first one, at step 0). Accuracies stay empty
    where the task counts no right answers: language is judged by its loss, lower is better.
    """

    rows: list[Row] = field(default_factory=list)
    steps: int = 0
    loss: float = 0.0
    accuracy: float = 0.0

    def add(self, loss: float, accuracy: float) -> None:
        """Count one step; ``nan`` stands for no accuracy."""
        self.steps += 1
        self.loss += loss
        self.accuracy += accuracy

    def close_row(
        self, *, step: int, epoch: float, lr: float, tau: float, topo: float, test: Score | None
    ) -> Row:
        """Append a row over the steps counted, and begin the next."""
        accuracy = self.accuracy / self.steps if self.steps else math.nan
        row: Row = {
            "step": step,
            "epoch": epoch,
            "lr": lr,
            "tau": tau,
            "loss": self.loss / self.steps if self.steps else None,
            "topo_loss": topo,
            "train_accuracy": None if math.isnan(accuracy) else accuracy,
            "test_loss": test.loss if test else None,
            "test_accuracy": test.accuracy if test else None,
        }
        self.rows.append(row)
        self.steps, self.loss, self.accuracy = 0, 0.0, 0.0
        return row

    def csv(self) -> str:
        """The table, one line per row; values with nine digits, nothing where there is none."""
        lines = [",".join(COLUMNS)]
        for row in self.rows:
            values = (row[name] for name in COLUMNS)
            lines.append(",".join("" if value is None else f"{value:.9g}" for value in values))
        return "\n".join(lines) + "\n"

    def state(self) -> dict[str, Any]:
        """For the resume state; ``History(**state)`` is the same history again."""
        return asdict(self)

    def latest(self, column: str) -> float | None:
        """The last known value of a column."""
        known = (row[column] for row in reversed(self.rows))
        return next((value for value in known if value is not None), None)


class Reporter:
    """Prints a line of progress every few seconds, and always the last.

    Args:
        steps: of the whole training.
        first: at which this attempt starts.
        batch: samples of a step.
        work: what a sample is.
        peak: floating-point operations a second that the devices are made for; 0 if unknown. The
            share of them that the training comes to, MFU, counts those of the network alone.
    """

    def __init__(
        self, *, steps: int, first: int, batch: int, work: Work, peak: float = 0.0
    ) -> None:
        self._steps, self._first, self._batch = steps, first, batch
        self._work, self._peak = work, peak
        self._started = self._printed = time.monotonic()

    def __call__(self, step: int, loss: float, accuracy: float, history: History) -> None:
        now = time.monotonic()
        if now - self._printed < _LINE_EVERY and step < self._steps:
            return
        self._printed = now
        rate = (step - self._first) / max(now - self._started, 1e-9)
        samples = rate * self._batch
        mfu = samples * self._work.flops / self._peak if self._peak else 0
        parts = [
            f"step {step:,}/{self._steps:,}",
            f"{samples * self._work.per_sample:,.0f} {self._work.unit}/s",
            *([f"MFU {mfu:.1%}"] if mfu else []),
            f"loss {loss:.4g}",
            f"topo loss {history.latest('topo_loss') or 0:.4g}",
            f"test loss {history.latest('test_loss') or 0:.4g}"
            if math.isnan(accuracy)
            else f"accuracy {accuracy:.3f} (test {history.latest('test_accuracy') or 0:.3f})",
            f"{duration((self._steps - step) / rate)} left",
        ]
        progress("  ".join(parts))


class Events:
    """Rows as TensorBoard events; the library is loaded only if they are wanted."""

    def __init__(self, folder: Path, first: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(folder), purge_step=first)

    def __call__(self, row: Row) -> None:
        for name, value in row.items():
            if value is not None and name != "step":
                self._writer.add_scalar(name, value, int(row["step"] or 0))

    def close(self) -> None:
        self._writer.close()


def duration(seconds: float) -> str:
    """``0:07``, ``12:03``, ``1:02:03``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
