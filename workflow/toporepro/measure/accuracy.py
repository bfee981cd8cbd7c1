"""Accuracy and loss of a classifier."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from toporepro.measure.precision import Precision
from toporepro.measure.result import Result, Row

if TYPE_CHECKING:
    from toporepro.measure.subject import Subject

ON_SNAPSHOTS = True
TASK = "classification"


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of ``accuracy``.

    Attributes:
        stimuli: split whose images are shown.
        precision: of the forward pass.
    """

    stimuli: str = "test"
    precision: Precision = "float32"


def measure(subject: Subject, options: Options) -> Result:
    """Share of images classified rightly, and mean cross-entropy in nats.

    Against the data's own labels, also where a control was trained on random ones.
    """
    statistics = subject.statistics(options.stimuli, options.precision)
    return Result(
        tuple(
            Row("", options.stimuli, metric, statistics.scores[metric])
            for metric in ("accuracy", "loss")
        )
    )
