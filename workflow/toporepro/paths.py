"""Where everything lives: the one module that knows paths.

Each method also takes Snakemake's wildcards (``"{family}"``) in place of values, so that rules and
the package can never disagree.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from toporepro.spec import DataSpec, encode

# The Python of the environment that Brain-Score's package needs for itself, if it was made.
BRAIN_SCORE = Path("envs") / "brain-score" / "bin" / "python"


@dataclass(frozen=True)
class ModelPaths:
    """All files of one model, below ``results/{preset}/models/{family}/tau={tau}/seed={seed}``."""

    folder: Path

    @property
    def weights(self) -> Path:
        return self.folder / "weights.safetensors"

    @property
    def history(self) -> Path:
        return self.folder / "history.csv"

    @property
    def measures(self) -> Path:
        """Tidy rows of this model."""
        return self.folder / "measures.csv"

    @property
    def units(self) -> Path:
        """One row per unit and quantity: what maps are drawn from."""
        return self.folder / "units.parquet"

    @property
    def train_state(self) -> Path:
        """Resume state; never a declared output."""
        return self.folder / "state" / "train"

    @property
    def measure_state(self) -> Path:
        """Results of single measures, reused while their spec and code are unchanged."""
        return self.folder / "state" / "measure"

    def snapshot(self, index: int) -> Path:
        return self.folder / "snapshots" / f"{index:02d}.safetensors"


@dataclass(frozen=True)
class Paths:
    """The layout of one preset, relative to the repository.

    The names never change with the machine, since Snakemake reruns what has inputs of another name:
    a folder that lives on another disk is a link (:func:`link`).
    """

    preset: str

    @property
    def data(self) -> Path:
        """Raw downloads and prepared data."""
        return Path("data")

    @property
    def root(self) -> Path:
        return Path("results") / self.preset

    @property
    def models(self) -> Path:
        """All networks of the preset: what needs space."""
        return self.root / "models"

    def model(self, family: str, tau: str, seed: int | str) -> ModelPaths:
        return ModelPaths(self.models / family / f"tau={tau}" / f"seed={seed}")

    def raw(self, source: str) -> Path:
        """Files of a dataset as its makers publish them."""
        return self.data / source

    def prepared(self, spec: DataSpec) -> Path:
        """The index of a prepared dataset; named by its spec, so shared by presets."""
        return self.data / "prepared" / prepared_name(spec) / "dataset.json"

    def table(self, name: str) -> Path:
        return self.root / "tables" / f"{name}.csv"

    def figure(self, name: str, extension: str) -> Path:
        return self.root / "figures" / f"{name}.{extension}"

    @property
    def claims(self) -> Path:
        return self.root / "claims.csv"

    @property
    def summary(self) -> Path:
        """The README's table."""
        return self.root / "summary.md"

    @property
    def report(self) -> Path:
        return self.root / "report.html"

    @property
    def explorer(self) -> Path:
        return self.root / "explorer.html"

    def log(self, rule: str, *parts: str) -> Path:
        return self.root / "logs" / rule / ("_".join(parts or (rule,)) + ".log")

    def benchmark(self, rule: str, *parts: str) -> Path:
        return self.root / "benchmarks" / rule / ("_".join(parts or (rule,)) + ".tsv")


def prepared_name(spec: DataSpec) -> str:
    """``{source}-{hash of the spec}``."""
    return f"{spec.source}-{hashlib.sha256(encode(spec).encode()).hexdigest()[:10]}"


def prepared_part(index: Path, part: int | str) -> Path:
    """What says that a part of a large dataset is done; ``part`` may be a wildcard."""
    name = f"{part:05d}" if isinstance(part, int) else part
    return index.parent / "parts" / f"{name}.json"


def manifest(output: Path) -> Path:
    """The manifest beside a result: ``weights.safetensors`` → ``weights.manifest.json``."""
    return output.with_name(output.name.split(".")[0] + ".manifest.json")


def link(folder: Path, target: Path) -> None:
    """Let ``folder`` be a link to ``target``, which is made if missing.

    Raises:
        FileExistsError: if ``folder`` is there and is anything else; nothing is moved or deleted.
    """
    target = target.expanduser().absolute()
    if folder.is_symlink() and folder.resolve() == target.resolve():
        return
    if folder.is_symlink() or folder.exists():
        raise FileExistsError(
            f"{folder} is already there and is no link to {target}: move its content there, "
            f"remove it, and start again"
        )
    target.mkdir(parents=True, exist_ok=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.symlink_to(target, target_is_directory=True)
