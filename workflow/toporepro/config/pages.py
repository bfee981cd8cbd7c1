"""The spec of the page that shows maps of all networks, from the resolved configuration."""

from __future__ import annotations

from typing import Any

from toporepro.config.jobs import Model
from toporepro.config.resolve import Resolved
from toporepro.paths import prepared_name
from toporepro.spec import DataSpec

Images = tuple[dict[str, DataSpec], str]


def explorer_spec(resolved: Resolved) -> dict[str, Any]:
    """The spec of the job that writes the explorer."""
    preset = resolved.preset
    return {
        "preset": resolved.name,
        "about": preset.about,
        "families": resolved.families(preset.families),
        "models": [[model.family, model.tau, model.seed] for model in resolved.models],
        "palette": preset.style.palette,
        "megabytes": preset.explorer_megabytes,
        "shown": {
            name: {**{key: prepared_name(spec) for key, spec in images.items()}, "split": split}
            for name, (images, split) in images_shown(resolved).items()
        },
    }


def images_shown(resolved: Resolved) -> dict[str, Images]:
    """The prepared images that the page shows of a family: its own, and its best stimuli.

    Returns:
        family → datasets by their role, and the split of the best stimuli.
    """
    return {
        model.family: _images(model)
        for model in resolved.models
        if "best_stimuli" in model.measure.measures or model.train.architecture == "mlp"
    }


def _images(model: Model) -> Images:
    named = model.measure.measures.get("best_stimuli", {}).get("stimuli", "")
    dataset, _, split = named.rpartition("/")
    stimuli = model.measure.stimuli[dataset] if dataset else model.train.data
    return {"data": model.train.data, **({"stimuli": stimuli} if split else {})}, split
