"""A network of images under measurement, and what it answers to which stimuli."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from toporepro import models
from toporepro.data.loader import as_input
from toporepro.data.store import PreparedImages, Split
from toporepro.measure.moments import Moments
from toporepro.measure.network import Network, SetStatistics
from toporepro.measure.precision import Precision
from toporepro.measure.responses import stream
from toporepro.measure.result import Floats
from toporepro.models import Inputs, family
from toporepro.provenance import progress
from toporepro.spec import SpecError, nearest

# Images a forward pass: a CPU's caches want few, a GPU many.
_AT_ONCE = {"cpu": 64, "cuda": 512}


@dataclass(kw_only=True)
class Subject(Network):
    """A checkpoint of a network of images, ready to be measured.

    Attributes:
        inputs: the shape of its images and the number of classes.
        images: the prepared data that it is shown.
        labelled: whether the data's labels are the network's own classes.
        stimuli: other prepared images, by the name that a measure's ``stimuli`` gives them.
    """

    inputs: Inputs
    images: PreparedImages
    labelled: bool = True
    stimuli: Mapping[str, PreparedImages] = field(default_factory=dict)

    @classmethod
    def load(
        cls,
        checkpoint: Path,
        images: PreparedImages,
        *,
        seed: int,
        final: bool,
        device: str,
        limit: int | None = None,
        stimuli: Mapping[str, PreparedImages] | None = None,
    ) -> Subject:
        """Load a checkpoint.

        A network that was trained elsewhere may be shown images of classes that it does not know,
        which are then stimuli without labels, and of another size if it takes any.

        Raises:
            CheckpointError: if the file is no usable checkpoint.
            SpecError: if a layer of its spec is not one of its architecture's, or the images are
                not of the shape or the classes it was built for.
        """
        metadata = models.read_metadata(checkpoint)
        height, width, channels = images.shape
        shown = Inputs(channels=channels, height=height, width=width, classes=len(images.classes))
        built_for = inputs = metadata.inputs
        if not isinstance(built_for, Inputs) or not isinstance(inputs, Inputs):
            raise SpecError(f"{checkpoint}: built for {built_for}, but the data is {shown}")
        labelled = shown.classes == built_for.classes
        if metadata.spec.checkpoint is not None:
            inputs = dataclasses.replace(inputs, classes=shown.classes)
            if not getattr(family.family(metadata.spec.architecture), "FIXED_SIZE", False):
                inputs = dataclasses.replace(inputs, height=height, width=width)
        if shown != inputs:
            raise SpecError(f"{checkpoint}: built for {built_for}, but the data is {shown}")
        module = models.load(checkpoint).to(device)
        if metadata.spec.recipe.channels_last:
            module = module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return cls(
            module=module,
            spec=metadata.spec,
            inputs=dataclasses.replace(inputs, classes=built_for.classes),
            images=images,
            step=metadata.step,
            seed=seed,
            final=final,
            device=torch.device(device),
            layers=family.topographic_layers(metadata.spec),
            limit=limit,
            labelled=labelled,
            stimuli=stimuli or {},
        )

    @property
    def pixels(self) -> int:
        return self.inputs.channels * self.inputs.height * self.inputs.width

    @property
    def tested(self) -> str:
        return "test"

    def responses(self, layer: str, inputs: Floats, precision: Precision = "float32") -> Floats:
        """Responses of one layer to a few stimuli, given just as the network takes them.

        Args:
            layer: a topographic layer.
            inputs: (stimuli, channels, height, width).

        Returns:
            (stimuli, units), as float64.
        """
        tensors = torch.split(torch.from_numpy(inputs.astype(np.float32)), self._at_once)
        on_device = (tensor.to(self.device) for tensor in tensors)
        found = [answer[layer] for answer, _ in stream(self.module, [layer], on_device, precision)]
        result: Floats = torch.cat(found).cpu().double().numpy()
        return result

    def stimulus_set(self, name: str) -> tuple[PreparedImages, Split]:
        """The images that a measure's ``stimuli`` names: ``split``, or ``dataset/split``.

        Raises:
            DataError: if the data has no such split.
            SpecError: if the dataset was not given, or its images do not fit the network; another
                size than that of its data fits one that takes any.
        """
        dataset, _, split = name.rpartition("/")
        if dataset and dataset not in self.stimuli:
            raise SpecError(f"stimuli={name!r}: not given; {nearest(dataset, self.stimuli)}")
        images = self.stimuli[dataset] if dataset else self.images
        wanted = (self.inputs.height, self.inputs.width, self.inputs.channels)
        fixed = getattr(family.family(self.spec.architecture), "FIXED_SIZE", False)
        if (images.shape != wanted) if fixed else (images.shape[2] != wanted[2]):
            raise SpecError(
                f"stimuli={name!r}: images of {images.shape} (height, width, channels), but the "
                f"network takes {wanted}; `size: {wanted[0]}` is an option of the dataset"
            )
        return images, images.split(split)

    def layer_responses(
        self, layers: Sequence[str], images: npt.NDArray[np.uint8], precision: Precision
    ) -> dict[str, npt.NDArray[np.float32]]:
        """Responses of some layers to images, normalised as in training.

        Args:
            images: (stimuli, height, width, channels).

        Returns:
            layer → (stimuli, units).
        """
        batches = self._inputs(images, np.arange(len(images)))
        found = [answer for answer, _ in stream(self.module, layers, batches, precision)]
        return {
            layer: torch.cat([answer[layer] for answer in found]).cpu().numpy() for layer in layers
        }

    def batches(self, stimuli: str) -> Iterator[Tensor]:
        """The images of a stimulus set as the network takes them, in batches, on its device.

        Raises:
            DataError, SpecError: as ``stimulus_set`` does.
        """
        _, split = self.stimulus_set(stimuli)
        return self._inputs(split.images, self.chosen(len(split)))

    def scores(
        self, stimuli: str, precision: Precision, limit: int | None = None
    ) -> dict[str, float]:
        tally = _Tally(self.labelled)
        for target, _, outputs in self._answers(stimuli, precision, [], limit):
            tally.add(outputs, target)
        return tally.scores()

    def _pass(self, stimuli: str, precision: Precision, tokens: int) -> SetStatistics:
        moments = {layer: Moments(units, self.device) for layer, units in self.layers.items()}
        classes, tally = len(self.images.classes), _Tally(self.labelled)
        counts = torch.zeros(classes, dtype=torch.int64, device=self.device)
        sums = {
            layer: torch.zeros(classes, units, dtype=torch.float64, device=self.device)
            for layer, units in self.layers.items()
        }
        for target, found, outputs in self._answers(stimuli, precision, list(self.layers)):
            for layer, responses in found.items():
                moments[layer].update(responses)
                sums[layer].index_add_(0, target, responses.double())
            counts += torch.bincount(target, minlength=classes)
            tally.add(outputs, target)
        here = counts > 0
        profiles: dict[str, Floats] = {
            layer: (total[here] / counts[here, None]).T.cpu().numpy()
            for layer, total in sums.items()
        }
        return SetStatistics(stimuli, moments, profiles, tally.scores())

    def _answers(
        self, stimuli: str, precision: Precision, layers: Sequence[str], limit: int | None = None
    ) -> Iterator[tuple[Tensor, dict[str, Tensor], Tensor]]:
        """Labels, responses and outputs, batch by batch.

        Outputs are means over an image and its mirror image where the recipe tests so
        (``test_flip``); responses are to the image itself.
        """
        split = self.images.split(stimuli)
        chosen = self.chosen(len(split), limit)
        labels = torch.from_numpy(np.array(split.labels[chosen])).to(self.device)
        progress(f"  {len(labels)} {stimuli} images through {len(layers) or 'no'} layers")
        batches, targets = self._inputs(split.images, chosen), torch.split(labels, self._at_once)
        mirrored: Iterator[tuple[object, Tensor | None]] = itertools.repeat(
            (None, None), len(targets)
        )
        if self.spec.recipe.test_flip:
            batches, again = itertools.tee(batches)
            mirrored = stream(self.module, [], (pixels.flip(3) for pixels in again), precision)
        answers = stream(self.module, layers, batches, precision)
        for target, (found, outputs), (_, mirror) in zip(targets, answers, mirrored, strict=True):
            yield target, found, outputs if mirror is None else (outputs + mirror) / 2

    def _inputs(
        self, images: npt.NDArray[np.uint8], chosen: npt.NDArray[np.int64]
    ) -> Iterator[Tensor]:
        """Batches of a split, normalised as in training: (pixel / 255 − mean) / std."""
        made = self.spec.checkpoint
        mean, std = (made or self.images).mean, (made or self.images).std
        for start in range(0, len(chosen), self._at_once):
            some = torch.from_numpy(np.array(images[chosen[start : start + self._at_once]]))
            pixels = as_input(some.to(self.device), mean, std)
            yield pixels if self.spec.recipe.channels_last else pixels.contiguous()

    @property
    def _at_once(self) -> int:
        return _AT_ONCE[self.device.type]


@dataclass
class _Tally:
    """Right answers and loss over a set; without labels of the network's own, neither is known."""

    labelled: bool
    count: int = 0
    right: float = 0.0
    loss: float = 0.0

    def add(self, outputs: Tensor, target: Tensor) -> None:
        self.count += len(target)
        if self.labelled:
            self.right += float((outputs.argmax(dim=1) == target).sum())
            self.loss += float(functional.cross_entropy(outputs.double(), target, reduction="sum"))

    def scores(self) -> dict[str, float]:
        """Share of images whose largest output is their label's; mean cross-entropy in nats."""
        if not self.labelled:
            return {"accuracy": math.nan, "loss": math.nan}
        return {"accuracy": self.right / self.count, "loss": self.loss / self.count}
