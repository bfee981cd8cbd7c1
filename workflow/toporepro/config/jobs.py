"""From a valid preset to the specs of its jobs: each network's training and measuring."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toporepro.config.absent import lacking, shown_by, shown_to
from toporepro.config.options import options_of
from toporepro.config.presets import NAME
from toporepro.config.schema import Family, Preset
from toporepro.config.validate import ConfigError, validate
from toporepro.models.family import check_sheets, topographic_layers
from toporepro.plugins import find
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
    nearest,
    stimulus_datasets,
)

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


def models_of(
    preset_name: str,
    preset: Preset,
    datasets: Mapping[str, DataSpec],
    measures: Mapping[str, dict[str, Any]],
    root: Path,
) -> Iterator[Model]:
    gone, to_show = lacking(preset, root), shown_by(preset, measures, root)
    for name, family in preset.families.items():
        where = f"families.{name}"
        if not NAME.fullmatch(name):
            raise ConfigError(f"{where}: a name of a-z, 0-9 and _ is needed")
        if family.data not in datasets:
            raise ConfigError(f"{where}.data={family.data!r}: {nearest(family.data, datasets)}")
        for measure in family.measures:
            if measure not in measures:
                raise ConfigError(f"{where}.measures: {measure!r}: {nearest(measure, measures)}")
        taus = _distinct(f"{where}.taus", [_tau(f"{where}.taus", tau) for tau in family.taus])
        seeds = _distinct(f"{where}.seeds", family.seeds)
        model = options_of("models", family.architecture, family.model, where)
        _check_tasks(where, family)
        checkpoints = _checkpoints(where, family, taus)
        recipe = _recipe(where, family, preset.snapshots)
        shown = shown_to(preset, family, root)
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
                try:
                    topographic_layers(train)
                    check_sheets(train)
                except SpecError as error:
                    raise ConfigError(f"{where}.{error}") from None
                if shown in gone:
                    continue
                chosen = {
                    key: options
                    for key in sorted(family.measures)
                    if (options := to_show[key]) is not None
                }
                if not chosen:
                    needed = {
                        of
                        for key in family.measures
                        for of in stimulus_datasets(measures[key]) or [key]
                    }
                    raise ConfigError(f"{where}.measures: none without {', '.join(sorted(needed))}")
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
    if family.control not in ("none", "untrained"):
        raise ConfigError(f"{where}.control: networks with `checkpoints` are no controls")
    lacking = [tau for tau in taus if tau not in found]
    if lacking:
        raise ConfigError(f"{place}: none for τ = {', '.join(lacking)} of `taus`")
    if any(found[tau].untrained != (family.control == "untrained") for tau in taus):
        raise ConfigError(f"{where}.control: `untrained` where all checkpoints are, and only there")
    return found


def _recipe(where: str, family: Family, snapshots: int) -> Recipe:
    content = {"snapshots": snapshots, **family.recipe}
    if family.checkpoints:
        content = {**dataclasses.asdict(NOT_TRAINED), **family.recipe}
    recipe: Recipe = validate(Recipe, content, f"{where}.recipe")
    if recipe.optimizer == "none" and not family.checkpoints:
        raise ConfigError(f"{where}.recipe.optimizer='none': only with `checkpoints`")
    return recipe


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


def _check_tasks(where: str, family: Family) -> None:
    task = find("models", family.architecture).TASK
    for measure in family.measures:
        of = getattr(find("measure", measure), "TASK", task)
        if of != task:
            raise ConfigError(
                f"{where}.measures: {measure!r}: of networks whose task is {of}, and that of "
                f"{family.architecture} is {task}"
            )
