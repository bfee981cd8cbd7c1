"""From YAML to the complete spec of every job: presets, overrides, inheritance, plugins' options.

Everything is resolved once, when the workflow is parsed. A preset is a complete YAML file; the
user's ``config/config.yaml`` names one and holds differences per preset.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import json
import re
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from toporepro.config.schema import Family, Machine, Preset, User
from toporepro.config.validate import ConfigError, validate
from toporepro.paths import Paths
from toporepro.plugins import find, names
from toporepro.sheet import check_sheet
from toporepro.spec import (
    NOT_TRAINED,
    CheckpointSpec,
    DataSpec,
    MeasureSpec,
    Recipe,
    SpecError,
    TopoSpec,
    TrainSpec,
    canonical_tau,
    encode,
    flatten,
    nearest,
    stimulus_datasets,
)

_NAME = re.compile(r"[a-z][a-z0-9_]*")
# What a recipe may say of networks that are not trained here.
_SHOWING = ("test_pixels", "test_ratio", "test_flip", "channels_last")


@dataclass(frozen=True, kw_only=True)
class Model:
    """One network of the preset, with the specs of its two jobs."""

    family: str
    tau: str
    seed: int
    train: TrainSpec
    measure: MeasureSpec


@dataclass(frozen=True, kw_only=True)
class Resolved:
    """Everything that the workflow reads; of the datasets, those that some model is shown."""

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
        return tuple(self.preset.families) if chosen is None else chosen

    def _shown_source(self, family: str) -> str:
        """The data source of a family's images, whichever of its two it is shown."""
        return next(model.train.data.source for model in self.models if model.family == family)

    def families(self, shown: typing.Iterable[str]) -> dict[str, dict[str, Any]]:
        """What figures and claims need to know of families."""
        described = {}
        for name in shown:
            family = self.preset.families[name]
            described[name] = {
                "label": family.label,
                "architecture": family.architecture,
                "dataset": self._shown_source(name),
                "control": family.control,
                "control_of": family.like if family.control != "none" else None,
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
    raw, name = _read_preset(user.preset, root)
    for other in user.overrides:
        if other != name and not (root / "config" / "presets" / f"{other}.yaml").exists():
            raise ConfigError(
                f"overrides.{other}: no such preset; {nearest(other, _presets(root))}"
            )
    overrides = user.overrides.get(name, {})
    merged = _merge(raw, overrides)
    merged["families"] = _inherit(merged.get("families"), "families")
    preset = validate(Preset, merged, "")
    before = _merge(raw, {})
    before["families"] = _inherit(before.get("families"), "families")
    paths = Paths(name)
    datasets = {
        key: DataSpec(
            source=entry.source,
            options=_options("data", entry.source, entry.options, f"data.{key}"),
        )
        for key, entry in preset.data.items()
    }
    measures = {
        key: _options("measure", key, options, f"measures.{key}")
        for key, options in preset.measures.items()
    }
    _check_stand_ins(preset)
    models = tuple(_models(name, preset, datasets, measures, root))
    _check_figures(preset)
    return Resolved(
        name=name,
        preset=preset,
        machine=user.machine,
        paths=paths,
        datasets={
            key: spec
            for key, spec in datasets.items()
            if any(spec in (m.train.data, *m.measure.stimuli.values()) for m in models)
        },
        models=models,
        differences=tuple(_differences(before, merged)),
        absent={**preset.absent, **_stand_ins(preset, root)},
    )


def _read_preset(preset: str, root: Path) -> tuple[dict[str, Any], str]:
    path = root / preset if preset.endswith((".yaml", ".yml")) else None
    if path is None:
        path = root / "config" / "presets" / f"{preset}.yaml"
        if not path.exists():
            raise ConfigError(
                f"preset={preset!r}: no such preset; {nearest(preset, _presets(root))}"
            )
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"preset file {path}: {' '.join(str(error).split())}") from None
    if not isinstance(raw, dict):
        raise ConfigError(f"preset file {path}: a mapping is needed")
    if not _NAME.fullmatch(path.stem):
        raise ConfigError(f"preset file {path}: a name of a-z, 0-9 and _ is needed")
    return raw, path.stem


def _presets(root: Path) -> list[str]:
    return sorted(path.stem for path in (root / "config" / "presets").glob("*.yaml"))


def _merge(base: Any, change: Any) -> Any:
    if isinstance(base, dict) and isinstance(change, Mapping):
        merged = dict(base)
        for key, value in change.items():
            merged[key] = _merge(base.get(key), value)
        return merged
    return copy.deepcopy(change)


def _inherit(families: Any, where: str) -> Any:
    if not isinstance(families, dict):
        return families
    done: dict[str, Any] = {}

    def full(name: str, chain: tuple[str, ...]) -> Any:
        if name in chain:
            raise ConfigError(f"{where}.{chain[0]}.like: {' → '.join((*chain, name))} is a circle")
        if name not in done:
            entry = families[name]
            base = entry.get("like") if isinstance(entry, Mapping) else None
            if base is not None:
                if base not in families:
                    raise ConfigError(
                        f"{where}.{name}.like={base!r}: no such family; "
                        f"{nearest(str(base), [key for key in families if key != name])}"
                    )
                entry = _merge(full(base, (*chain, name)), entry)
            done[name] = entry
        return done[name]

    return {name: full(name, ()) for name in families}


def _options(room: str, name: str, options: Mapping[str, Any], where: str) -> dict[str, Any]:
    chooser, nested = {
        "data": (".source", ".options"),
        "models": (".architecture", ".model"),
        "measure": ("", ""),
    }[room]
    key = where + chooser
    try:
        module = find(room, name)
    except SpecError as error:
        raise ConfigError(f"{key}={name!r}: {error}") from None
    return dataclasses.asdict(validate(module.Options, dict(options), where + nested))


def _models(
    preset_name: str,
    preset: Preset,
    datasets: Mapping[str, DataSpec],
    measures: Mapping[str, dict[str, Any]],
    root: Path,
) -> Iterator[Model]:
    for name, family in preset.families.items():
        where = f"families.{name}"
        if not _NAME.fullmatch(name):
            raise ConfigError(f"{where}: a name of a-z, 0-9 and _ is needed")
        if family.data not in datasets:
            raise ConfigError(f"{where}.data={family.data!r}: {nearest(family.data, datasets)}")
        for measure in family.measures:
            if measure not in measures:
                raise ConfigError(f"{where}.measures: {measure!r}: {nearest(measure, measures)}")
        taus = _distinct(f"{where}.taus", [_tau(f"{where}.taus", tau) for tau in family.taus])
        seeds = _distinct(f"{where}.seeds", family.seeds)
        model = _options("models", family.architecture, family.model, where)
        checkpoints = _checkpoints(where, family, taus)
        recipe = _recipe(where, family, preset.snapshots)
        _check_sheets(where, family, model)
        shown = _shown_data(preset, family, root)
        data = datasets[shown]
        if shown != family.data:  # what stands in has its own size
            recipe = dataclasses.replace(recipe, test_pixels=None)
        for tau in taus:
            for seed in seeds:
                train = TrainSpec(
                    architecture=family.architecture,
                    model=model,
                    data=data,
                    topo=_topo(where, family, tau),
                    recipe=recipe,
                    seed=seed,
                    control=family.control,
                    checkpoint=checkpoints.get(tau),
                )
                chosen = {key: measures[key] for key in sorted(family.measures)}
                measure_spec = MeasureSpec(
                    preset=preset_name,
                    family=name,
                    tau=tau,
                    seed=seed,
                    threads=preset.measure_threads,
                    measures=chosen,
                    images=preset.images,
                    stimuli=_stimuli(chosen, datasets),
                )
                yield Model(family=name, tau=tau, seed=seed, train=train, measure=measure_spec)


def _stimuli(
    measures: Mapping[str, Mapping[str, Any]], datasets: Mapping[str, DataSpec]
) -> dict[str, DataSpec]:
    found = {}
    for key, options in measures.items():
        for name in stimulus_datasets(options):
            if name not in datasets:
                raise ConfigError(
                    f"measures.{key}.stimuli: no dataset {name!r}; {nearest(name, datasets)}"
                )
            found[name] = datasets[name]
    return found


def _checkpoints(where: str, family: Family, taus: tuple[str, ...]) -> dict[str, CheckpointSpec]:
    """The family's checkpoints by canonical τ: none at all, or one for each τ."""
    if not family.checkpoints:
        return {}
    place = f"{where}.checkpoints"
    found = {_tau(place, tau): entry for tau, entry in family.checkpoints.items()}
    trained = [key for key in family.recipe if key not in _SHOWING]
    if trained:
        raise ConfigError(
            f"{where}.recipe.{trained[0]}: networks with `checkpoints` are not trained; "
            f"their recipe says how images are shown: {', '.join(_SHOWING)}"
        )
    if family.control != "none":
        raise ConfigError(f"{where}.control: networks with `checkpoints` are no controls")
    lacking = [tau for tau in taus if tau not in found]
    if lacking:
        raise ConfigError(f"{place}: none for τ = {', '.join(lacking)} of `taus`")
    return found


def _recipe(where: str, family: Family, snapshots: int) -> Recipe:
    content = {"snapshots": snapshots, **family.recipe}
    if family.checkpoints:
        content = {**dataclasses.asdict(NOT_TRAINED), **family.recipe}
    recipe: Recipe = validate(Recipe, content, f"{where}.recipe")
    if recipe.optimizer == "none" and not family.checkpoints:
        raise ConfigError(f"{where}.recipe.optimizer='none': only with `checkpoints`")
    return recipe


def _shown_data(preset: Preset, family: Family, root: Path) -> str:
    """The entry of ``data`` that a family is shown: its own, or the one that stands in for it."""
    stand_in = preset.data[family.data].instead
    use = stand_in is not None and family.checkpoints and _missing(preset, family.data, root)
    return stand_in if stand_in is not None and use else family.data


def _missing(preset: Preset, name: str, root: Path) -> str | None:
    """Which of the user's own files for a dataset are absent, in words."""
    entry = preset.data[name]
    plugin = find("data", entry.source)
    options = plugin.Options(**_options("data", entry.source, entry.options, f"data.{name}"))
    missing: str | None = plugin.missing(options, root / Paths("").raw(entry.source))
    return missing


def _stand_ins(preset: Preset, root: Path) -> dict[str, str]:
    """What cannot be had because a dataset stands in for another, and why."""
    found = {}
    for family in preset.families.values():
        shown = _shown_data(preset, family, root)
        if shown != family.data:
            why = " ".join((_missing(preset, family.data, root) or "").split())
            why = why.replace(f"{root}/", "")  # results do not depend on where the repository is
            found[f"accuracy on {family.data}"] = f"{shown} stands in for it: {why}"
    return found


def _tau(where: str, tau: float) -> str:
    try:
        return canonical_tau(tau)
    except SpecError as error:
        raise ConfigError(f"{where}: {error}") from None


def _distinct(where: str, values: typing.Sequence[Any]) -> tuple[Any, ...]:
    for index, value in enumerate(values):
        if value in values[:index]:
            raise ConfigError(f"{where}: {value} stands there twice")
    return tuple(values)


def _topo(where: str, family: Family, tau: str) -> TopoSpec:
    try:
        return TopoSpec(
            tau=float(tau),
            phi=family.phi,
            layers=family.layers,
            interpolation=family.interpolation,
            schedule=family.tau_schedule,
            allow_collapse=family.allow_collapse,
        )
    except SpecError as error:
        raise ConfigError(f"{where}: {error}") from None


def _check_sheets(where: str, family: Family, model: Mapping[str, Any]) -> None:
    module = find("models", family.architecture)
    layers: dict[str, int] = module.layers(module.Options(**model))
    for layer in family.layers or layers:
        if layer not in layers:
            raise ConfigError(f"{where}.layers: {layer!r}: {nearest(layer, layers)}")
        for problem in check_sheet(layers[layer], family.phi):
            if problem.fatal or not family.allow_collapse:
                raise ConfigError(f"{where}.phi={family.phi:g}: layer {layer}: {problem.message}")


def _check_stand_ins(preset: Preset) -> None:
    for name, entry in preset.data.items():
        where = f"data.{name}.instead={entry.instead!r}"
        if entry.instead is None:
            continue
        if entry.instead not in preset.data or entry.instead == name:
            others = [other for other in preset.data if other != name]
            raise ConfigError(f"{where}: {nearest(entry.instead, others)}")
        if not hasattr(find("data", entry.source), "missing"):
            raise ConfigError(f"{where}: {entry.source} is never missing")


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


def _differences(before: Any, after: Any) -> Iterator[str]:
    old, new = dict(flatten(_numbers(before))), dict(flatten(_numbers(after)))
    for key in sorted({*old, *new}):
        if old.get(key) != new.get(key):
            yield f"{key}: {old.get(key, '(absent)')} → {new.get(key, '(absent)')}"


def _numbers(value: Any) -> Any:
    """Text that is a number as that number, as validation reads it: the command line gives text."""
    if isinstance(value, Mapping):
        return {key: _numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_numbers(item) for item in value]
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            return json.loads(value) if value.strip("-").isdecimal() else float(value)
    return value


def tracked(spec: object) -> dict[str, str]:
    """A spec as flat ``key → "key=value"``: what Snakemake compares, and shows, field by field."""
    return {key: f"{key}={value}" for key, value in flatten(json.loads(encode(spec)))}
