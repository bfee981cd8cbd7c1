"""A language network under measurement, and what it answers to which text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from toporepro import models
from toporepro.data.pairs import Pair, PreparedPairs
from toporepro.data.sentence_store import PreparedSentences
from toporepro.data.text_store import PreparedText
from toporepro.data.windows import count_windows, read_windows
from toporepro.measure.moments import Moments
from toporepro.measure.network import Network, SetStatistics
from toporepro.measure.precision import Precision
from toporepro.measure.responses import per_token, stream
from toporepro.models.family import topographic_layers
from toporepro.models.inputs import TextInputs
from toporepro.provenance import progress
from toporepro.spec import SpecError, nearest

# Numbers of a forward pass that are held at once: logits, and the responses of all layers. And its
# tokens: a small network's answers to more of them leave a CPU's caches.
_AT_ONCE = {"cpu": 1 << 24, "cuda": 1 << 28}
_TOKENS_AT_ONCE = {"cpu": 1 << 12, "cuda": 1 << 20}
# Tokens of a split that are read at most, as the task's own evaluation does.
_MOST_TOKENS = 10 * 2**20

Ids = npt.NDArray[np.int64]


@dataclass(kw_only=True)
class TextSubject(Network):
    """A checkpoint of a language network, ready to be measured.

    Attributes:
        inputs: its vocabulary, and how many tokens it takes at once.
        text: the prepared text that it is shown.
        stimuli: minimal pairs, and sentences with responses of brains, by the name that a measure's
            ``stimuli`` gives their dataset.
    """

    inputs: TextInputs
    text: PreparedText
    stimuli: Mapping[str, PreparedPairs | PreparedSentences] = field(default_factory=dict)

    @classmethod
    def load(
        cls,
        checkpoint: Path,
        text: PreparedText,
        *,
        seed: int,
        final: bool,
        device: str,
        limit: int | None = None,
        stimuli: Mapping[str, PreparedPairs | PreparedSentences] | None = None,
    ) -> TextSubject:
        """Load a checkpoint.

        Raises:
            CheckpointError: if the file is no usable checkpoint.
            SpecError: if a layer of its spec is not one of its architecture's, or the text has
                another vocabulary than it was built for.
        """
        metadata = models.read_metadata(checkpoint)
        inputs = metadata.inputs
        if not isinstance(inputs, TextInputs) or inputs.vocabulary != text.vocabulary:
            raise SpecError(
                f"{checkpoint}: built for {inputs}, but {text.index} is text of a vocabulary of "
                f"{text.vocabulary}"
            )
        return cls(
            module=models.load(checkpoint).to(device),
            spec=metadata.spec,
            inputs=inputs,
            text=text,
            step=metadata.step,
            seed=seed,
            final=final,
            device=torch.device(device),
            layers=topographic_layers(metadata.spec),
            limit=limit,
            stimuli=stimuli or {},
        )

    @property
    def tested(self) -> str:
        return "validation"

    def windows(self, stimuli: str, limit: int | None = None) -> Ids:
        """Numbers of the windows of a split that are shown.

        Raises:
            DataError: if the text has no such split.
            SpecError: if the split is shorter than the network's context.
        """
        count = count_windows(self.text.split(stimuli), self.inputs.context)
        return self.chosen(min(count, max(1, _MOST_TOKENS // self.inputs.context)), limit)

    def scores(
        self, stimuli: str, precision: Precision, limit: int | None = None
    ) -> dict[str, float]:
        loss = tokens = 0.0
        for targets, _, logits in self._answers(stimuli, precision, [], limit):
            loss += self._loss(logits, targets)
            tokens += targets.numel()
        return {"loss": loss / tokens}

    def _pass(self, stimuli: str, precision: Precision, tokens: int) -> SetStatistics:
        moments = {layer: Moments(units, self.device) for layer, units in self.layers.items()}
        loss, count = 0.0, 0
        for targets, found, logits in self._answers(stimuli, precision, list(self.layers)):
            for layer, responses in found.items():
                moments[layer].update(stretches(responses, tokens))
            loss += self._loss(logits, targets)
            count += targets.numel()
        return SetStatistics(stimuli, moments, {}, {"loss": loss / count})

    def _answers(
        self, stimuli: str, precision: Precision, layers: Sequence[str], limit: int | None = None
    ) -> Iterator[tuple[Tensor, dict[str, Tensor], Tensor]]:
        """Next tokens n×t, responses n×t×units and logits, batch by batch."""
        split, chosen = self.text.split(stimuli), self.windows(stimuli, limit)
        context = self.inputs.context
        progress(f"  {len(chosen)} {stimuli} windows through {len(layers) or 'no'} layers")
        step = self.at_once(context, layers)
        batches = [
            torch.from_numpy(read_windows(split, context, chosen[start : start + step]))
            for start in range(0, len(chosen), step)
        ]
        answers = self.stream((ids[:, :-1] for ids in batches), layers, precision)
        for ids, (found, logits) in zip(batches, answers, strict=True):
            yield ids[:, 1:].to(self.device), found, logits

    def stream(
        self, batches: Iterable[Tensor], layers: Sequence[str], precision: Precision
    ) -> Iterator[tuple[dict[str, Tensor], Tensor]]:
        """Responses n×t×units by layer, and logits n×t×vocabulary, of batches of ids n×t."""
        inputs = (ids.to(self.device) for ids in batches)
        for found, logits in stream(self.module, layers, inputs, precision, reduce=per_token):
            yield found, logits[..., : self.inputs.vocabulary]

    def at_once(self, length: int, layers: Sequence[str] = ()) -> int:
        """How many sequences of a length a forward pass takes."""
        per_token = self.inputs.vocabulary + sum(self.layers[layer] for layer in layers)
        kind = self.device.type
        tokens = min(_TOKENS_AT_ONCE[kind], _AT_ONCE[kind] // per_token)
        return max(1, tokens // length)

    def pairs(self, name: str) -> tuple[Pair, ...]:
        """The minimal pairs that a measure's ``stimuli`` names: ``dataset/pairs``.

        Raises:
            DataError: if they are not what their index says.
            SpecError: if there is no such set of pairs.
        """
        dataset, _, split = name.rpartition("/")
        found = self.stimuli.get(dataset)
        if not isinstance(found, PreparedPairs) or split != "pairs":
            known = [f"{known}/pairs" for known in self.stimuli]
            raise SpecError(f"stimuli={name!r}: not given; {nearest(name, known)}")
        return found.pairs()

    @staticmethod
    def _loss(logits: Tensor, targets: Tensor) -> float:
        """Sum over tokens, in nats."""
        flat = logits.flatten(0, 1)
        return float(functional.cross_entropy(flat, targets.flatten(), reduction="sum").double())


def stretches(responses: Tensor, tokens: int) -> Tensor:
    """Means over stretches of consecutive tokens: (n, t, units) → (n · ⌊t / tokens⌋, units).

    What is left at the end of a sequence is not used; one shorter than ``tokens`` is one stretch.
    """
    available, units = responses.shape[1:]
    length = min(tokens, available)
    whole = responses[:, : available // length * length]
    return whole.reshape(-1, length, units).mean(dim=1)
