"""Telling which token comes next: cross-entropy over the vocabulary of prepared text."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from toporepro.data.loader import LABELS, Shard, load, permutation
from toporepro.data.text_store import PreparedText
from toporepro.data.windows import Windows, count_windows, read_windows, windows_in_order
from toporepro.models.family import build, family, text_inputs
from toporepro.models.inputs import TextInputs
from toporepro.spec import Recipe, SpecError, TrainSpec, decode
from toporepro.tasks.task import Batch, Loss, Score, Work

# Validation reads so many tokens at most, as llm.c and the NanoGPT speedrun do; and so many logits
# are held at once.
_EVALUATED = 10 * 2**20
_LOGITS = {"cpu": 2**25, "cuda": 2**30}
_OF_IMAGES = (
    "label_smoothing", "channels_last", "flip", "shift", "resolution", "test_pixels", "test_flip",
    "auto_augment", "mixup", "cutmix", "repeats",
)  # fmt: skip

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Language:
    """The task of one spec on one text; see ``toporepro.tasks.task``.

    A sample is a window of as many tokens as the network's context. The loss is the mean over
    tokens, in nats; logits that pad the vocabulary are left out of the softmax.

    Controls: with ``random_labels`` what follows a window's tokens is what follows those of another
    window, once permuted by the seed, so that tokens keep their frequencies and nothing but these
    and memorising helps; validation text stays true. ``topoloss_only`` runs the forward passes and
    reports the loss, but learns nothing from it.
    """

    spec: TrainSpec
    data: PreparedText
    inputs: TextInputs

    @property
    def samples(self) -> int:
        return count_windows(self.data.split("train"), self.inputs.context)

    @property
    def work(self) -> Work:
        plugin: Any = family(self.spec.architecture)
        flops = plugin.flops(decode(plugin.Options, self.spec.model), self.inputs)
        # The backward pass multiplies twice for each product of the forward pass.
        return Work("tokens", self.inputs.context, 3.0 * flops)

    def build(self) -> nn.Module:
        return build(self.spec, self.inputs).train()

    def batches(
        self, steps: range, shard: Shard, *, workers: int, pin: bool
    ) -> Iterator[Sequence[Batch]]:
        windows = Windows(
            split=self.data.split("train"),
            context=self.inputs.context,
            seed=self.spec.seed,
            batch=self.spec.recipe.batch,
            shard=shard,
        )
        source = _Misled(windows) if self.spec.control == "random_labels" else windows
        return load(source, steps, workers=workers, pin=pin)

    def loss(self, network: nn.Module, batch: Batch) -> Loss:
        seen, shown = batch[0], batch[-1]  # one and the same, except in a control
        with torch.set_grad_enabled(self.spec.control != "topoloss_only"):
            logits = network(seen[:, :-1])
            value = self._cross_entropy(logits, shown[:, 1:], "mean")
        return Loss(value)

    def evaluate(self, network: nn.Module, device: torch.device, *, workers: int = 0) -> Score:
        split, context = self.data.split("validation"), self.inputs.context
        total = torch.zeros((), dtype=torch.float64, device=device)
        tokens = 0
        at_once = max(1, _LOGITS[device.type] // (self.inputs.vocabulary * context))
        windows = windows_in_order(split, context, at_once, workers=workers)
        low = self.spec.recipe.precision == "bfloat16"
        network.eval()
        with torch.no_grad(), torch.autocast(device.type, torch.bfloat16, low):
            for found in itertools.islice(windows, max(1, _EVALUATED // (at_once * context))):
                ids = found.to(device)
                total += self._cross_entropy(network(ids[:, :-1]), ids[:, 1:], "sum")
                tokens += ids[:, 1:].numel()
        network.train()
        return Score(float(total) / tokens)

    def _cross_entropy(self, logits: Tensor, targets: Tensor, reduction: str) -> Tensor:
        real = logits[..., : self.inputs.vocabulary].float()
        return functional.cross_entropy(real.flatten(0, 1), targets.flatten(), reduction=reduction)


@dataclass(frozen=True)
class _Misled:
    """Batches in which each window comes with another one, whose continuations are its targets."""

    windows: Windows

    def __getitem__(self, step: int) -> list[tuple[Ids, Ids]]:
        windows = self.windows
        chosen = windows.draw(step)
        others = _partners(windows.seed, len(windows))[chosen]
        parts = windows.shard.places(windows.batch)
        return [(self._read(chosen[part]), self._read(others[part])) for part in parts]

    def _read(self, numbers: Ids) -> Ids:
        return read_windows(self.windows.split, self.windows.context, numbers)


@functools.lru_cache(maxsize=1)
def _partners(seed: int, count: int) -> Ids:
    return permutation(seed, LABELS, 0, count)


def open_task(spec: TrainSpec, data: Path) -> Language:
    """The task on the prepared text whose index is ``data``.

    Raises:
        DataError: if the data are missing, damaged, or no text.
        SpecError: if the text is shorter than the network's context, or the recipe asks for what
            only images have.
    """
    defaults = {item.name: item.default for item in fields(Recipe) if item.default is not MISSING}
    for name in _OF_IMAGES:
        value = getattr(spec.recipe, name)
        if value != defaults[name]:
            raise SpecError(f"recipe.{name}={value!r}: language has no such thing; leave it out")
    text = PreparedText.open(data)
    inputs = text_inputs(spec, text.vocabulary)
    for split in ("train", "validation"):
        count_windows(text.split(split), inputs.context)
    return Language(spec, text, inputs)
