"""Loss of a language network on text that it was not trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from toporepro.measure.precision import Precision
from toporepro.measure.result import Result, Row

if TYPE_CHECKING:
    from toporepro.measure.text_subject import TextSubject

ON_SNAPSHOTS = True
TASK = "language"


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of ``loss``.

    Attributes:
        stimuli: split whose text is shown, in windows as long as the network's context.
        precision: of the forward pass.
    """

    stimuli: str = "validation"
    precision: Precision = "float32"


def measure(subject: TextSubject, options: Options) -> Result:
    """Mean cross-entropy of the next token, in nats; every token but a split's first counts once.

    Of a control that was trained on misleading continuations, too: the text's own.
    """
    statistics = subject.statistics(options.stimuli, options.precision)
    return Result((Row("", options.stimuli, "loss", statistics.scores["loss"]),))
