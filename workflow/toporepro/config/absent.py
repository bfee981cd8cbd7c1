"""Datasets whose files are the user's own and may be absent: what stands in, what is left out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from toporepro.config.options import options_of
from toporepro.config.schema import Family, Preset
from toporepro.config.validate import ConfigError
from toporepro.paths import Paths
from toporepro.plugins import find
from toporepro.spec import nearest, stimulus_datasets


def shown_to(preset: Preset, family: Family, root: Path) -> str:
    """The entry of ``data`` that a family is shown: its own, or the one that stands in for it."""
    stand_in = preset.data[family.data].instead
    use = stand_in is not None and family.checkpoints and _missing(preset, family.data, root)
    return stand_in if stand_in is not None and use else family.data


def lacking(preset: Preset, root: Path) -> dict[str, str]:
    """Optional datasets whose files are absent, and which are, in words."""
    found = {}
    for name, entry in preset.data.items():
        if entry.optional and (why := _missing(preset, name, root)) is not None:
            found[name] = why
    return found


def shown_by(
    preset: Preset, measures: Mapping[str, dict[str, Any]], root: Path
) -> dict[str, dict[str, Any] | None]:
    """Options of each measure with stimuli that are there; ``None`` for one that cannot be taken.

    In the place of an absent dataset comes its stand-in; an optional one is left out.
    """
    unable = _unable(measures, root)
    use = {
        name: entry.instead
        for name, entry in preset.data.items()
        if (entry.instead or entry.optional) and _missing(preset, name, root)
    }
    return {
        key: None if key in unable else _with(use, options) for key, options in measures.items()
    }


def _with(use: Mapping[str, str | None], options: dict[str, Any]) -> dict[str, Any] | None:
    if not any(name in use for name in stimulus_datasets(options)):
        return options
    named = options["stimuli"]
    kept = []
    for name in (named,) if isinstance(named, str) else named:
        dataset, slash, split = name.rpartition("/")
        shown = use.get(dataset, dataset) if slash else dataset
        if shown is not None:
            kept.append(f"{shown}{slash}{split}")
    if not kept:
        return None
    return {**options, "stimuli": kept[0] if isinstance(named, str) else tuple(dict.fromkeys(kept))}


def without(
    preset: Preset, measures: Mapping[str, Mapping[str, Any]], root: Path
) -> dict[str, str]:
    """What is not trained or measured because datasets, or what a measure needs, are absent."""
    found, gone = {}, lacking(preset, root)
    for family in preset.families.values():
        shown = shown_to(preset, family, root)
        if shown in gone:
            found[family.label] = gone[shown]
        if shown != family.data:
            why = _missing(preset, family.data, root)
            found[f"accuracy on {family.data}"] = f"{shown} stands in for it: {why}"
    taken = {name for family in preset.families.values() for name in family.measures}
    found |= {key: why for key, why in _unable(measures, root).items() if key in taken}
    for measure in measures:
        for name in stimulus_datasets(measures[measure]) if measure in taken else ():
            entry = preset.data.get(name)
            if entry is None or not (entry.instead or entry.optional):
                continue
            if (why := _missing(preset, name, root)) is not None:
                instead = f"{entry.instead} stands in for it: " if entry.instead else ""
                found[f"{measure} on {name}"] = instead + why
    return found


def _unable(measures: Mapping[str, Mapping[str, Any]], root: Path) -> dict[str, str]:
    """Measures that something of their own is absent for, and what."""
    found = {}
    for name, options in measures.items():
        module = find("measure", name)
        if hasattr(module, "missing"):
            why = module.missing(module.Options(**options), root)
            if why is not None:
                found[name] = _told(why, root)
    return found


def check_data(preset: Preset) -> None:
    """Raises ConfigError if a dataset that has a stand-in, or is optional, cannot be so."""
    for name, entry in preset.data.items():
        where = f"data.{name}.instead={entry.instead!r}"
        if entry.instead is not None and (
            entry.instead not in preset.data or entry.instead == name
        ):
            others = [other for other in preset.data if other != name]
            raise ConfigError(f"{where}: {nearest(entry.instead, others)}")
        for key, said in ((where, entry.instead), (f"data.{name}.optional", entry.optional)):
            if said and not hasattr(find("data", entry.source), "missing"):
                raise ConfigError(f"{key}: {entry.source} is never missing")


def _missing(preset: Preset, name: str, root: Path) -> str | None:
    """Which of the user's own files for a dataset are absent, in words."""
    entry = preset.data[name]
    plugin = find("data", entry.source)
    options = plugin.Options(**options_of("data", entry.source, entry.options, f"data.{name}"))
    missing: str | None = plugin.missing(options, root / Paths("").raw(entry.source))
    return None if missing is None else _told(missing, root)


def _told(why: str, root: Path) -> str:
    """A reason on one line; results do not depend on where the repository is."""
    return " ".join(why.split()).replace(f"{root}/", "")
