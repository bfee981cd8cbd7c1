"""How well the units of a language network foretell readers' brains, region by region.

The measure ``brain``, of sentences: the same rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from toporepro.measure import brain

if TYPE_CHECKING:
    from toporepro.measure.result import Result
    from toporepro.measure.text_subject import TextSubject

TASK = "language"
ON_SNAPSHOTS = True


@dataclass(frozen=True, kw_only=True)
class Options(brain.Options):
    """Options of ``brain_sentences``: those of ``brain``, sentences in place of images.

    Attributes:
        stimuli: ``dataset/test`` of sentences with responses of brains; fitted to their ``train``.
    """

    stimuli: tuple[str, ...] = ("sentence_fmri/test",)


def measure(subject: TextSubject, options: Options) -> Result:
    """As ``brain.measure``."""
    return brain.measure(subject, options)
