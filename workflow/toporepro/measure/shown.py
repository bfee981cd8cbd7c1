"""What a network is shown: its own data and other stimuli, opened as its task has them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toporepro.data.cropped import open_images
from toporepro.data.pairs import PreparedPairs
from toporepro.data.sentence_store import PreparedSentences, is_sentences
from toporepro.data.store import PreparedImages
from toporepro.data.text_store import PreparedText
from toporepro.data.windows import count_windows
from toporepro.measure.network import Network
from toporepro.measure.subject import Subject
from toporepro.measure.text_subject import TextSubject
from toporepro.models.family import family, text_inputs
from toporepro.spec import TrainSpec


@dataclass(frozen=True)
class Images:
    """Images, for networks that classify them."""

    data: PreparedImages
    stimuli: Mapping[str, PreparedImages]
    of_what = "images"
    code = "measure.subject"

    def load(self, checkpoint: Path, **how: Any) -> Network:
        """A checkpoint, ready to be measured; see ``Subject.load``."""
        return Subject.load(checkpoint, self.data, stimuli=self.stimuli, **how)

    def counts(self) -> dict[str, int]:
        """How many images each split has."""
        return {name: split.count for name, split in self.data.splits.items()}


@dataclass(frozen=True)
class Text:
    """Text, minimal pairs and sentences, for language networks.

    Attributes:
        context: tokens of a window.
    """

    data: PreparedText
    stimuli: Mapping[str, PreparedPairs | PreparedSentences]
    context: int
    of_what = "windows"
    code = "measure.text_subject"

    def load(self, checkpoint: Path, **how: Any) -> Network:
        """A checkpoint, ready to be measured; see ``TextSubject.load``."""
        return TextSubject.load(checkpoint, self.data, stimuli=self.stimuli, **how)

    def counts(self) -> dict[str, int]:
        """How many windows each split has."""
        return {
            name: count_windows(split, self.context)
            for name, split in self.data.splits.items()
            if len(split) > self.context
        }


def open_shown(spec: TrainSpec, data: Path, stimuli: Mapping[str, Path]) -> Images | Text:
    """What a network is shown.

    Args:
        data: index of its prepared data.
        stimuli: indexes of other prepared data, by name.

    Raises:
        DataError: if data are missing, damaged, or of another kind.
    """
    if family(spec.architecture).TASK == "language":
        text = PreparedText.open(data)
        sets = {
            name: PreparedSentences.open(path) if is_sentences(path) else PreparedPairs.open(path)
            for name, path in stimuli.items()
        }
        return Text(text, sets, text_inputs(spec, text.vocabulary).context)
    recipe = spec.recipe
    images = open_images(data, recipe.test_pixels, recipe.test_ratio)
    return Images(images, {name: PreparedImages.open(path) for name, path in stimuli.items()})
