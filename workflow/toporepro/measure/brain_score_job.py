"""One of our networks as Brain-Score's ``BrainModel``, scored: run in Brain-Score's environment.

    python -m toporepro.measure.brain_score_job REQUEST.json ANSWER.json

It needs ``brainscore_vision`` and ``safetensors`` beside torch, and of this project its networks
alone.
"""

from __future__ import annotations

import functools
import hashlib
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any


def brain_model(request: Mapping[str, Any]) -> Any:
    """The network as a ``BrainModel``: images resized to its size and normalised as in training,
    units of all its topographic layers on offer for every region.

    Args:
        request: ``weights``, the checkpoint; ``layers``; ``size``, height and width; ``mean`` and
            ``std`` per channel; ``visual_degrees``.
    """
    from brainscore_vision.model_helpers.activations.pytorch import (
        PytorchWrapper,
        load_preprocess_images,
    )
    from brainscore_vision.model_helpers.brain_transformation import ModelCommitment

    from toporepro import models

    weights = Path(request["weights"])
    # Brain-Score keeps activations by this name.
    identifier = f"toporepro-{hashlib.sha256(weights.read_bytes()).hexdigest()[:16]}"
    height, width = request["size"]
    assert height == width, "Brain-Score's wrapper shows square images"
    wrapper = PytorchWrapper(
        identifier=identifier,
        model=models.load(weights),
        preprocessing=functools.partial(
            load_preprocess_images,
            image_size=height,
            normalize_mean=request["mean"],
            normalize_std=request["std"],
        ),
    )
    wrapper.image_size = height
    return ModelCommitment(
        identifier=identifier,
        activations_model=wrapper,
        layers=list(request["layers"]),
        visual_degrees=request["visual_degrees"],
    )


def score(request: Mapping[str, Any], load_benchmark: Callable[[str], Any]) -> list[dict[str, Any]]:
    """Score a network on benchmarks.

    Args:
        request: as for :func:`brain_model`, and ``benchmarks``, by their identifiers.
        load_benchmark: Brain-Score's own.

    Returns:
        Of each benchmark: its region, the layer committed to, the score over its ceiling, and the
        score and the ceiling as they are (``None`` if it does not say).
    """
    model, found = brain_model(request), []
    for name in request["benchmarks"]:
        benchmark = load_benchmark(name)
        answer = benchmark(model)
        found.append(
            {
                "benchmark": name,
                "region": str(benchmark.region),
                "layer": str(model.layer_model.region_layer_map[benchmark.region]),
                "score": float(answer),
                "raw": _number(answer, "raw"),
                "ceiling": _number(answer, "ceiling"),
            }
        )
        print(f"{name}: {float(answer):.3f}", file=sys.stderr, flush=True)
    return found


def _number(answer: Any, name: str) -> float | None:
    value = answer.attrs.get(name)
    return None if value is None else float(value)


def main(asked: Path, answer: Path) -> None:
    """Read a request, write the answer."""
    from brainscore_vision import load_benchmark

    request = json.loads(asked.read_text(encoding="utf-8"))
    found = score(request, load_benchmark)
    answer.write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main(*(Path(argument) for argument in sys.argv[1:]))
