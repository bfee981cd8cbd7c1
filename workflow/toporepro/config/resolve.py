"""From YAML to the complete spec of every job: presets, overrides, inheritance, plugins' options.

Everything is resolved once, when the workflow is parsed. A preset is a complete YAML file; the
user's ``config/config.yaml`` names one and holds differences per preset.
"""

from __future__ import annotations

import dataclasses
import json
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toporepro.config.absent import check_data, without
from toporepro.config.jobs import Model, models_of
from toporepro.config.options import options_of
from toporepro.config.presets import differences, inherit, merge, preset_names, read_preset
from toporepro.config.schema import Gpus, Machine, Preset, User
from toporepro.config.validate import ConfigError, validate
from toporepro.paths import Paths
from toporepro.plugins import find, names
from toporepro.spec import DataSpec, canonical_tau, encode, flatten, nearest


@dataclass(frozen=True, kw_only=True)
class Resolved:
    """Everything that the workflow reads.

    Of the datasets, those that some model is shown; of the preset's families, those whose data is
    there (see ``optional``).
    """

    name: str
    preset: Preset
    machine: Machine
    paths: Paths
    datasets: Mapping[str, DataSpec]
    models: tuple[Model, ...]
    differences: tuple[str, ...]
    absent: Mapping[str, str]

    def model(self, family: str, tau: str, seed: int | str) -> Model:
        """The model of these wildcards.

        Raises:
            KeyError: if the preset has no such model.
        """
        wanted = (family, tau, int(seed))
        for model in self.models:
            if (model.family, model.tau, model.seed) == wanted:
                return model
        raise KeyError(f"preset {self.name} has no {family} with tau={tau}, seed={seed}")

    def shown(self, name: str) -> tuple[str, ...]:
        """The families that figure ``name`` shows."""
        chosen = self.preset.figures[name].families
        if chosen is not None:
            return tuple(key for key in chosen if key in self.preset.families)
        task = getattr(find("figures", name), "TASK", None)
        return tuple(
            key
            for key, family in self.preset.families.items()
            if task in (None, find("models", family.architecture).TASK)
        )

    def figure_spec(self, name: str) -> dict[str, Any]:
        """The spec of the job that draws figure ``name``."""
        return {
            "preset": self.name,
            "families": self.families(self.shown(name)),
            "style": dataclasses.asdict(self.preset.style),
            "absent": dict(self.absent),
            "images": self.preset.images,
        }

    def claims_spec(self, claims: Mapping[str, Any]) -> dict[str, Any]:
        """The spec of the job that judges ``claims``, the content of config/paper/claims.yaml."""
        families = self.families(self.preset.families)
        return {"preset": self.name, "families": families, **claims}

    def _shown_source(self, family: str) -> str:
        """The data source of a family's images, whichever of its two it is shown."""
        return next(model.train.data.source for model in self.models if model.family == family)

    def families(self, shown: typing.Iterable[str]) -> dict[str, dict[str, Any]]:
        """What figures and claims need to know of families, which they show in this order."""
        described = {}
        for place, name in enumerate(shown):
            family = self.preset.families[name]
            described[name] = {
                "place": place,
                "label": family.label,
                "architecture": family.architecture,
                "task": find("models", family.architecture).TASK,
                "dataset": self._shown_source(name),
                "control": family.control,
                "control_of": family.like if family.control != "none" else None,
                "measures": list(family.measures),
                "claimed": family.claimed,
                "taus": [canonical_tau(tau) for tau in sorted(family.taus)],
                "seeds": sorted(family.seeds),
            }
        return described


def resolve(config: Mapping[str, Any], root: Path = Path()) -> Resolved:
    """The complete, validated configuration.

    Args:
        config: the content of the user's config file, command-line differences merged in.
        root: the repository; paths of presets are relative to it.

    Raises:
        ConfigError: naming each wrong key, its value and what is allowed.
    """
    user = validate(User, config, "")
    raw, name = read_preset(user.preset, root)
    for other in user.overrides:
        if other != name and not (root / "config" / "presets" / f"{other}.yaml").exists():
            raise ConfigError(
                f"overrides.{other}: no such preset; {nearest(other, preset_names(root))}"
            )
    overrides = user.overrides.get(name, {})
    merged = merge(raw, overrides)
    merged["families"] = inherit(merged.get("families"), "families")
    preset = validate(Preset, merged, "")
    before = merge(raw, {})
    before["families"] = inherit(before.get("families"), "families")
    paths = Paths(name)
    datasets = {
        key: DataSpec(
            source=entry.source,
            options=options_of("data", entry.source, entry.options, f"data.{key}"),
        )
        for key, entry in preset.data.items()
    }
    measures = {
        key: options_of("measure", key, options, f"measures.{key}")
        for key, options in preset.measures.items()
    }
    check_data(preset)
    models = tuple(models_of(name, preset, datasets, measures, root))
    _check_figures(preset)
    _check_gpus(user.machine.gpus, name, models)
    present = {model.family for model in models}
    kept = {key: family for key, family in preset.families.items() if key in present}
    absent = {**preset.absent, **without(preset, measures, root)}
    if not kept:
        reasons = "; ".join(f"{what}: {why}" for what, why in absent.items())
        raise ConfigError(f"families: the data of all of them is absent ({reasons})")
    return Resolved(
        name=name,
        preset=dataclasses.replace(preset, families=kept),
        machine=user.machine,
        paths=paths,
        datasets={
            key: spec
            for key, spec in datasets.items()
            if any(spec in (m.train.data, *m.measure.stimuli.values()) for m in models)
        },
        models=models,
        differences=tuple(differences(before, merged)),
        absent=absent,
    )


def _check_figures(preset: Preset) -> None:
    known = names("figures")
    for name, figure in preset.figures.items():
        if name not in known:
            raise ConfigError(f"figures.{name}: no such figure; {nearest(name, known)}")
        for family in figure.families or ():
            if family not in preset.families:
                raise ConfigError(
                    f"figures.{name}.families: {family!r}: {nearest(family, preset.families)}"
                )


def _check_gpus(gpus: Gpus, preset: str, models: tuple[Model, ...]) -> None:
    """Whether every training of the preset can be shared out among the GPUs it is given."""
    recipes = {model.family: model.train.recipe for model in models}
    for family, count in gpus.training.get(preset, {}).items():
        where = f"machine.gpus.training.{preset}.{family}"
        if family not in recipes:
            raise ConfigError(f"{where}: no such family; {nearest(family, recipes)}")
        passes = recipes[family].batch // recipes[family].accumulate
        if passes % count:
            raise ConfigError(
                f"{where}={count}: a divisor of {passes} is needed, the batch of a forward pass"
            )
        if count > gpus.per_node and count % gpus.per_node:
            raise ConfigError(f"{where}={count}: above per_node={gpus.per_node}, a multiple of it")


def tracked(spec: object) -> dict[str, str]:
    """A spec as flat ``key → "key=value"``: what Snakemake compares, and shows, field by field."""
    return {key: f"{key}={value}" for key, value in flatten(json.loads(encode(spec)))}
