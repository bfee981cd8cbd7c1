"""Bytes that a run fetches and keeps, by arithmetic on specs; weights are float32."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from toporepro.config import Model
from toporepro.cost.work import extent, inputs
from toporepro.models.family import topographic_layers
from toporepro.models.inputs import AnyInputs
from toporepro.plugins import find
from toporepro.spec import CheckpointSpec, DataSpec, TrainSpec, decode, encode

_STATES = 2  # of a training are kept, and one more is being written
_OPTIMIZER = {"sgd": 1, "adam": 2, "adamw": 2, "none": 0}  # numbers per weight


@dataclass(frozen=True)
class Dataset:
    """What one dataset takes, in bytes.

    Attributes:
        fetched: downloaded by the workflow.
        own: put there by a person, as far as its size is known.
        prepared: made of both; 0 where nobody knows before.
        by_hand: what a person has to do, in a sentence; "" if nothing.
        known: whether anything is known of its size.
    """

    fetched: float
    own: float
    prepared: float
    by_hand: str
    known: bool


def datasets(specs: Mapping[str, DataSpec], raw: Callable[[str], Path]) -> dict[str, Dataset]:
    """Of each dataset; a file that several are made of counts for the first.

    Args:
        raw: the folder of a source's files.
    """
    seen: set[tuple[str, str]] = set()
    return {name: _dataset(spec, raw(spec.source), seen) for name, spec in specs.items()}


def _dataset(spec: DataSpec, folder: Path, seen: set[tuple[str, str]]) -> Dataset:
    plugin = find("data", spec.source)
    options = decode(plugin.Options, spec.options)
    files = plugin.raw_files(options)
    listed = sum(file.bytes for file in files if (spec.source, file.name) not in seen)
    seen.update((spec.source, file.name) for file in files)
    held = extent(spec)
    raw = held.raw if held else 0
    if held:
        by_hand = held.by_hand
    else:
        by_hand = getattr(plugin, "missing", lambda *_: None)(options, folder) or ""
    return Dataset(
        fetched=listed if files else (0 if by_hand else raw),
        own=raw if by_hand else 0,
        prepared=plugin.prepared_bytes(options) if hasattr(plugin, "prepared_bytes") else 0,
        by_hand=by_hand,
        known=hasattr(plugin, "prepared_bytes"),
    )


def weights(spec: TrainSpec) -> float:
    """Bytes of a network's weights; buffers, such as batch-norm statistics, are left out."""
    return _weights(spec.architecture, encode(spec.model), inputs(spec))


@functools.cache
def _weights(architecture: str, options: str, taken: AnyInputs | None) -> float:
    from toporepro.compress.count import parameter_count  # which needs torch

    count = parameter_count(architecture, 0.0, options=json.loads(options), inputs=taken)
    return 4.0 * count


def units(spec: TrainSpec) -> int:
    """Topographic units of a network, whose maps and tables are kept."""
    return sum(topographic_layers(spec).values())


def network(spec: TrainSpec, one: float) -> tuple[float, float]:
    """Bytes that a network of ``one`` byte count takes in the end, and more of them meanwhile.

    Weights and snapshots, those again beside the state to resume from, and that state.
    """
    recipe = spec.recipe
    if spec.checkpoint is not None:
        return one, 0.0
    state = one * (1 + (recipe.average is not None) + _OPTIMIZER[recipe.optimizer])
    return one * (1 + 2 * recipe.snapshots) + _STATES * state, state


def checkpoints(models: Iterable[Model], sizes: Mapping[str, float]) -> float:
    """Bytes of published weights that are fetched, about: as many as of ours."""
    return sum(
        sizes[model.family]
        for model in models
        if isinstance(model.train.checkpoint, CheckpointSpec) and model.train.checkpoint.url
    )
