"""What a preset and the user's config may say: the one description that validates and documents."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, TypeAdapter

from toporepro.spec import CheckpointSpec, Control, Schedule

_STRICT = ConfigDict(extra="forbid", use_attribute_docstrings=True)
Named = Annotated[str, Field(min_length=1)]


@dataclass(frozen=True, kw_only=True)
class Family:
    """One entry of a preset's ``families``: an architecture, trained over τ and seeds."""

    __pydantic_config__ = _STRICT

    architecture: Named
    """Module of toporepro.models that builds the network."""
    label: Named
    """Name in figures and tables."""
    data: Named
    """Key of the preset's `data`."""
    phi: float
    """Down-sampling factor φ of the cortical sheet."""
    taus: Annotated[tuple[float, ...], Field(min_length=1)]
    """Weights τ of the topographic term."""
    seeds: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)]
    """Seeds of initialisation, data order and augmentation."""
    measures: Annotated[tuple[str, ...], Field(min_length=1)]
    """Which of the preset's `measures` are taken."""
    recipe: dict[str, Any] = field(default_factory=dict)
    """How it is trained: the fields of toporepro.spec.Recipe; with `checkpoints`, only those that
    say how test images are shown."""
    checkpoints: dict[float, CheckpointSpec] = field(default_factory=dict)
    """In place of a recipe: where the weights of each τ come from."""
    model: dict[str, Any] = field(default_factory=dict)
    """Options of the architecture."""
    like: str | None = None
    """Another family whose entries hold where this one says nothing."""
    control: Control = "none"
    """`random_labels`; `topoloss_only` for TopoLoss without a task; `small` for a network that was
    trained with as few parameters as compression leaves another; `untrained` where `checkpoints`
    are."""
    claimed: bool = True
    """Whether claims are about it: an ablation is there to be looked at."""
    layers: tuple[str, ...] | None = None
    """Topographic layers; left out, the architecture's own."""
    interpolation: Literal["bilinear", "nearest"] = "bilinear"
    """How the sheet is sampled down and up."""
    tau_schedule: Schedule = field(default_factory=Schedule)
    """Multiplier of τ over training."""
    allow_collapse: bool = False
    """Accept sheets of which φ leaves a single row or column."""


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """One entry of a preset's ``data``."""

    __pydantic_config__ = _STRICT

    source: Named
    """Module of toporepro.data that prepares it."""
    options: dict[str, Any] = field(default_factory=dict)
    """Options of the source."""
    instead: str | None = None
    """Another entry of `data`, shown to networks that are not trained here while the user's own
    files for this one are absent; what cannot be measured on it is then listed as missing."""
    optional: bool = False
    """While the user's own files for it are absent, families of it are left out, measures do
    without it, and those that show nothing else are left out; they are then listed as missing."""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One entry of a preset's ``figures``: which models it shows."""

    __pydantic_config__ = _STRICT

    families: tuple[str, ...] | None = None
    """Families shown; left out, all that the figure can show."""


@dataclass(frozen=True, kw_only=True)
class Style:
    """Looks of all figures."""

    __pydantic_config__ = _STRICT

    palette: str = "viridis"
    """Sequential palette over τ, by its matplotlib name."""
    dpi: Annotated[int, Field(ge=50, le=600)] = 150
    """Resolution of PNG files, in dots per inch."""
    font_scale: Annotated[float, Field(gt=0)] = 1.0
    """Factor on all font sizes."""


@dataclass(frozen=True, kw_only=True)
class Preset:
    """A complete description of one scale of the reproduction."""

    __pydantic_config__ = _STRICT

    about: Named
    """What this preset is for, on which hardware, in how long."""
    snapshots: Annotated[int, Field(ge=1)]
    """Models kept of each training, at log-spaced steps from step 0 on; of no use where all
    networks have checkpoints."""
    data: dict[str, Dataset]
    """Datasets by name."""
    families: Annotated[dict[str, Family], Field(min_length=1)]
    """Families by name; the name is a folder under results/."""
    measures: dict[str, dict[str, Any]]
    """Options of each measure, by its module in toporepro.measure."""
    measure_threads: Annotated[int, Field(ge=1)] = 1
    """Torch threads of a measuring job on a CPU."""
    images: Annotated[int, Field(ge=1)] | None = None
    """Show measures at most so many images of a set, evenly spaced, as a machine without a GPU may
    need; tables and figures then say so."""
    absent: dict[str, str] = field(default_factory=dict)
    """What this preset cannot have, and why: said in the table `missing` and under each figure."""
    figures: dict[str, Figure]
    """Figures to draw, by their module in toporepro.figures."""
    explorer_megabytes: Annotated[float, Field(gt=0)] = 10
    """Largest size of the explorer's page; maps that do not fit are left out, and it says which."""
    style: Style = Style()
    """Looks of all figures."""


@dataclass(frozen=True, kw_only=True)
class Gpus:
    """The GPUs of a machine, or of a cluster's nodes."""

    __pydantic_config__ = _STRICT

    use: bool | None = None
    """Whether networks are trained and measured on GPUs; left out, if this machine has any."""
    type: Named | None = None
    """On a cluster: the type to ask for, as it is called there, such as `a100`."""
    option: Literal["gpus", "gres"] = "gpus"
    """On a cluster: whether to ask by `--gpus=TYPE:N`, or by `--gres=gpu:TYPE:N` for each node."""
    per_node: Annotated[int, Field(ge=1)] = 8
    """On a cluster: how many a node has; a training that takes more is spread over several."""
    training: dict[str, dict[str, Annotated[int, Field(ge=1)]]] = field(default_factory=dict)
    """How many one training takes, by preset and family: `{paper: {resnet50: 8}}`; otherwise 1.
    They share every batch, so a recipe's `batch / accumulate` is a multiple of it."""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What may differ between machines: never changes a result, never causes a rerun."""

    __pydantic_config__ = _STRICT

    data: Named | None = None
    """Where `data` lives, if on another disk: `data` becomes a link to it."""
    results: Named | None = None
    """Where networks and their measurements live, if on another disk: `results/{preset}/models`
    becomes a link into it; tables, figures and pages stay."""
    loader_workers: Annotated[int, Field(ge=0)] = 0
    """Processes that load data beside each training; 0 loads in the training process."""
    tensorboard: bool = False
    """Also write TensorBoard events, beside the logs."""
    gpus: Gpus = field(default_factory=Gpus)
    """GPUs, and how many of them a training takes."""
    longest_job: Annotated[int, Field(ge=1)] | None = None
    """On a cluster: the longest that a job may ask for, in minutes. A training that takes longer
    goes on in its next attempt."""


@dataclass(frozen=True, kw_only=True)
class User:
    """The user's config/config.yaml."""

    __pydantic_config__ = _STRICT

    preset: Named = "demo"
    """Name of a file in config/presets, or the path of one."""
    overrides: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Differences from a preset, by the preset's name."""
    machine: Machine = Machine()
    """What may differ between machines."""


def schema() -> dict[str, Any]:
    """JSON schemas of the user's config and of a preset, for editors and for the documentation."""
    return {
        "config": TypeAdapter(User).json_schema(),
        "preset": TypeAdapter(Preset).json_schema(),
    }
