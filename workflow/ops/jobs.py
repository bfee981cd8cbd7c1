"""The jobs of a preset by their manifests, and whether their results are what they would be now."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import yaml

from toporepro.code import module_hashes, stage_modules
from toporepro.codec import encode, flatten
from toporepro.config import resolve
from toporepro.config.pages import explorer_spec
from toporepro.config.resolve import Resolved
from toporepro.config.validate import ConfigError
from toporepro.data.scatter import plugins as prepare_modules
from toporepro.figures.run import needs
from toporepro.paths import manifest, prepared_name
from toporepro.provenance import DamagedError, read_sealed, sha256
from toporepro.report.explorer import looks
from toporepro.tasks import modules as training_modules

digest = functools.lru_cache(maxsize=None)(sha256)


@dataclass(frozen=True)
class Job:
    """One job, as the configuration and the code now describe it.

    Attributes:
        name: in words.
        record: its manifest.
        spec: as JSON reads it back; ``None`` where the manifest's own says nothing more.
        modules: hash of each module that it runs.
        outputs: what it makes, the manifest aside.
        family: of the network that it trains or measures.
        looks: files besides modules that it is made of, by name and SHA-256.
    """

    name: str
    record: Path
    spec: Mapping[str, Any] | None
    modules: Mapping[str, str]
    outputs: tuple[Path, ...]
    family: str | None = None
    looks: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Finding:
    """What is wrong with the results of a job: ``missing``, ``stale`` or ``tampered``."""

    job: Job
    kind: str
    why: str


@dataclass(frozen=True)
class Made:
    """A manifest as it lies there, in the results or in the record that git keeps."""

    content: Mapping[str, Any]

    @classmethod
    def read(cls, path: Path) -> Made | None:
        """``None`` if there is none.

        Raises:
            DamagedError: if it is not as it was written.
        """
        try:
            return cls(read_sealed(path))
        except FileNotFoundError:
            return None


def configured(preset: str) -> Resolved:
    """The configuration of a preset, with the user's differences from it.

    Raises:
        ConfigError: if there is no such preset, or one of the two files cannot be used.
    """
    return resolve({**mapping(Path("config/config.yaml")), "preset": preset})


def mapping(path: Path) -> dict[str, Any]:
    """What a YAML file holds.

    Raises:
        ConfigError: if that is no mapping.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: a mapping is needed")
    return content


def jobs_of(resolved: Resolved) -> list[Job]:
    """All jobs with a manifest, upstream ones first."""
    return [*_data(resolved), *_networks(resolved), *_derived(resolved)]


def _data(resolved: Resolved) -> Iterator[Job]:
    for spec in resolved.datasets.values():
        index = resolved.paths.prepared(spec)
        yield Job(
            name=f"data {prepared_name(spec)}",
            record=manifest(index),
            spec=_plain(spec),
            modules=_hashes("prepare", *prepare_modules(spec)),
            outputs=(index,),
        )


def _networks(resolved: Resolved) -> Iterator[Job]:
    for model in resolved.models:
        paths = resolved.paths.model(model.family, model.tau, model.seed)
        train, named = model.train, f"{model.family} τ={model.tau} seed={model.seed}"
        count = train.recipe.snapshots
        converted = train.checkpoint is not None
        plugins = [f"models.{train.architecture}"] if converted else []
        yield Job(
            name=f"network {named}",
            record=manifest(paths.weights),
            spec=_plain(train),
            modules=_hashes(
                "convert" if converted else "train",
                *(plugins or training_modules(train.architecture)),
            ),
            outputs=(paths.weights, paths.history, *map(paths.snapshot, range(count))),
            family=model.family,
        )
        measures = [f"measure.{name}" for name in sorted(model.measure.measures)]
        yield Job(
            name=f"measures of {named}",
            record=manifest(paths.measures),
            spec=_plain(model.measure),
            modules=_hashes("measure", *measures, f"models.{train.architecture}"),
            outputs=(paths.measures, paths.units),
            family=model.family,
        )


def _derived(resolved: Resolved) -> Iterator[Job]:
    paths = resolved.paths
    tables = tuple(paths.table(name) for name in ("measures", "curves", "history", "missing"))
    # Its spec lists the networks, which are among its inputs, and what is absent.
    yield Job("tables", manifest(tables[0]), None, _hashes("tables"), tables)
    for name in resolved.preset.figures:
        spec = resolved.figure_spec(name)
        suffixes = needs(name, spec).suffixes
        yield Job(
            name=f"figure {name}",
            record=manifest(paths.figure(name, "png")),
            spec=_plain(spec),
            modules=_hashes("figure", f"figures.{name}"),
            outputs=tuple(paths.figure(name, suffix) for suffix in suffixes),
        )
    claims = yaml.safe_load(Path("config/paper/claims.yaml").read_text(encoding="utf-8"))
    yield Job(
        name="claims",
        record=manifest(paths.claims),
        spec=_plain(resolved.claims_spec(claims)),
        modules=_hashes("claims"),
        outputs=(paths.claims, paths.claims.with_suffix(".md"), paths.summary),
    )
    page = paths.explorer
    yield Job(
        name="explorer",
        record=manifest(page),
        spec=_plain(explorer_spec(resolved)),
        modules=_hashes("explorer"),
        outputs=(page,),
        looks=looks(),
    )
    if "definitions" in resolved.preset.measures:
        made = (paths.table("calibration"), paths.table("calibration_residuals"))
        yield Job("calibration", manifest(made[0]), None, _hashes("calibrate"), made)


def stale(job: Job, made: Made) -> str:
    """What in the spec or the code is not what the manifest says; "" if nothing is."""
    reasons = []
    if job.spec is not None:
        now, then = dict(flatten(job.spec)), dict(flatten(made.content["spec"]))
        for key in sorted(now.keys() | then.keys()):
            if now.get(key) != then.get(key):
                reasons.append(f"{key}: {then.get(key, 'none')} → {now.get(key, 'none')}")
    before = made.content["modules"]
    changed = {name for name in job.modules if before.get(name) != job.modules[name]}
    changed |= before.keys() - job.modules.keys()
    if changed:
        reasons.append(f"code of {', '.join(sorted(changed))}")
    if made.content.get("looks", {}) != job.looks:
        reasons.append("looks of the page")
    more = f"; and {len(reasons) - 4} more" if len(reasons) > 4 else ""
    return "; ".join(reasons[:4]) + more


def findings(job: Job) -> list[Finding]:
    """What is wrong with a job's results where they lie."""
    try:
        made = Made.read(job.record)
    except DamagedError as error:
        return [Finding(job, "tampered", str(error))]
    if made is None:
        return [Finding(job, "missing", f"{job.record} is not there")]
    found = []
    if why := stale(job, made):
        found.append(Finding(job, "stale", why))
    for path in job.outputs:
        expected = made.content["outputs"].get(path.name)
        if not path.exists():
            found.append(Finding(job, "missing", str(path)))
        elif expected != digest(path):
            found.append(Finding(job, "tampered", f"{path} is not what {job.record} says"))
    for name, expected in made.content["inputs"].items():
        if Path(name).exists() and digest(Path(name)) != expected:
            found.append(Finding(job, "stale", f"its input {name} has changed since"))
    return found


def below(rejected: Mapping[Path, str], jobs: list[Job], made: Mapping[Path, Made]) -> list[Job]:
    """Jobs that read, directly or not, an output of a rejected job.

    Args:
        rejected: record → why, of the jobs that start it.
        made: the manifests of the jobs, by ``record``.
    """
    lost = {str(path) for job in jobs if job.record in rejected for path in job.outputs}
    found: list[Job] = []
    for job in jobs:  # upstream ones first
        if job.record in rejected or job.record not in made:
            continue
        if lost & made[job.record].content["inputs"].keys():
            found.append(job)
            lost |= {str(path) for path in job.outputs}
    return found


def _plain(spec: object) -> dict[str, Any]:
    if not isinstance(spec, dict):
        spec = asdict(spec)  # type: ignore[call-overload]
    plain: dict[str, Any] = json.loads(encode(spec))
    return plain


def _hashes(stage: str, *plugins: str) -> dict[str, str]:
    return module_hashes(stage_modules(stage, *plugins))
