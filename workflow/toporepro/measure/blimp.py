"""Minimal pairs: how often a language network prefers the acceptable sentence (BLiMP and alike)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from toporepro.measure.precision import Precision
from toporepro.measure.result import Result, Row
from toporepro.spec import SpecError

if TYPE_CHECKING:
    from toporepro.measure.text_subject import TextSubject

ON_SNAPSHOTS = True
TASK = "language"


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of ``blimp``.

    Attributes:
        stimuli: sets of minimal pairs, ``dataset/pairs``.
        precision: of the forward pass.
        most: pairs of each paradigm that are shown at most, evenly spaced; ``None`` shows all.
        without_start: also score sentences that no end-of-text token precedes.
    """

    stimuli: tuple[str, ...] = ("blimp/pairs",)
    precision: Precision = "float32"
    most: int | None = None
    without_start: bool = True

    def __post_init__(self) -> None:
        if not self.stimuli:
            raise SpecError("stimuli: at least one set of minimal pairs")
        if self.most is not None and self.most < 1:
            raise SpecError(f"most={self.most}: at least 1, or null")


def measure(subject: TextSubject, options: Options) -> Result:
    """Rows ``pair_accuracy``, of each set.

    Over all pairs; per field and per paradigm after a dot, such as ``pair_accuracy.field.syntax``
    and ``pair_accuracy.paradigm.causative``; over all pairs without a start,
    ``pair_accuracy_without_start``. Chance is 0.5.

    Raises:
        DataError, SpecError: if there is no such set, or a sentence does not fit the network.
    """
    from toporepro.measure.pair_scores import decide, few_of_each

    rows = []
    for name in options.stimuli:
        pairs = few_of_each(subject.pairs(name), options.most)
        found = decide(subject, pairs, options.precision)
        rows.append(Row("", name, "pair_accuracy", found.accuracy))
        for kind, shares in (("field", found.by_field()), ("paradigm", found.by_paradigm())):
            rows += [
                Row("", name, f"pair_accuracy.{kind}.{group}", share)
                for group, share in shares.items()
            ]
        if options.without_start:
            bare = decide(subject, pairs, options.precision, start=False)
            rows.append(Row("", name, "pair_accuracy_without_start", bare.accuracy))
    return Result(tuple(rows))
