"""Small networks, measured for real, and both pages about them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import yaml
from measured import STEPS, measure_spec, train_spec, write_data, write_model

from toporepro import models
from toporepro.data.store import PreparedImages
from toporepro.figures.run import figure
from toporepro.measure.result import Result, Row, UnitValues
from toporepro.measure.run import measure
from toporepro.measure.tables import Measured, write_rows, write_units
from toporepro.models import Inputs, family
from toporepro.report.claims import evaluate
from toporepro.report.explorer import write_explorer
from toporepro.report.page import write_page
from toporepro.report.tables import collect

ROOT = Path(__file__).parents[2]
SIDE = 12
MLPS = [("mlp", "0", 0), ("mlp", "0", 1), ("mlp", "3", 0)]
DEEP = [("deep", "0", 0), ("deep", "10", 0)]
# Two layers whose sheets have other shapes than the MLP's 4 × 6.
SHEETS = {"early": (2, 4), "late": (3, 5)}


@dataclass
class World:
    """Where everything lies: the page, what it shows, and what it was made of."""

    root: Path
    page: Path
    spec: dict[str, Any]
    folders: list[Path] = field(default_factory=list)

    def folder(self, name: str, tau: str, seed: int = 0) -> Path:
        return self.root / "models" / name / f"tau={tau}" / f"seed={seed}"

    def units(self, name: str, tau: str, seed: int = 0) -> pd.DataFrame:
        return pd.read_parquet(self.folder(name, tau, seed) / "units.parquet")

    def value(self, network: tuple[str, str, int], step: int, layer: str, quantity: str,
              unit: int, index: int = 0) -> float:  # fmt: skip
        table = self.units(*network)
        rows = table[
            (table.step == step) & (table.layer == layer) & (table.quantity == quantity)
            & (table.unit == unit) & (table["index"] == index)
        ]  # fmt: skip
        (value,) = rows.value
        return float(value)

    def network(self, name: str, tau: str, seed: int = 0) -> torch.nn.Module:
        return models.load(self.folder(name, tau, seed) / "weights.safetensors")

    def images(self) -> PreparedImages:
        return PreparedImages.open(self.root / "data" / "dataset.json")


def make(root: Path) -> World:
    """Three MLPs and two networks with maps that are invented, one with two steps and gaps."""
    index = write_data(root / "data", side=SIDE, images=40)
    spec = {
        "preset": "small",
        "about": "For the tests.",
        "families": {
            "mlp": _family("MLP (small)", "mlp", ["0", "3"], [0, 1]),
            "deep": _family("Deep network", "resnet18", ["0", "10"], [0]),
        },
        "models": [list(key) for key in MLPS + DEEP],
        "palette": "viridis",
        "megabytes": 10,
        "shown": {"mlp": {"data": "data", "stimuli": "data", "split": "test"}},
    }
    world = World(root, root / "explorer.html", spec)
    for number, (name, tau, seed) in enumerate(MLPS):
        folder = world.folder(name, tau, seed)
        paths, _ = write_model(folder, train_spec(hidden=24), side=SIDE)
        _retrain(folder, number)
        chosen = measure_spec()
        measure(dataclasses.replace(chosen, family=name, tau=tau, seed=seed), paths, index)
        paths.history.write_text(_HISTORY)
        world.folders.append(folder)
    for number, (name, tau, seed) in enumerate(DEEP):
        folder = world.folder(name, tau, seed)
        invented(folder, tau, number)
        world.folders.append(folder)
    collect(world.folders, root / "tables")
    write_explorer(spec, world.folders, root / "tables", [index], world.page)
    return world


_HISTORY = "step,epoch,lr,tau,loss,topo_loss,train_accuracy,test_loss,test_accuracy\n"


def _family(label: str, architecture: str, taus: list[str], seeds: list[int]) -> dict[str, Any]:
    return {
        "label": label,
        "architecture": architecture,
        "dataset": "digits",
        "taus": taus,
        "seeds": seeds,
        "control": "none",
        "control_of": None,
    }


def _retrain(folder: Path, seed: int) -> None:
    """Other weights for each network, large enough for decided answers."""
    path = folder / "weights.safetensors"
    found = models.read_metadata(path)
    network = family.build(found.spec, Inputs(channels=1, height=SIDE, width=SIDE, classes=3))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(0.2 * torch.randn(parameter.shape, generator=generator))
    models.save(path, network, found.spec, found.inputs, found.step)


def invented(folder: Path, tau: str, seed: int) -> None:
    """Maps of a network that is not there; at τ = 10 only the trained one was measured."""
    folder.mkdir(parents=True)
    spec = dataclasses.replace(measure_spec(), family="deep", tau=tau, seed=0)
    generator = np.random.default_rng(seed)
    found = []
    for name, step in STEPS.items():
        if tau == "10" and name == "snapshot":
            continue
        units = []
        for layer, (rows, columns) in SHEETS.items():
            count = rows * columns
            for category in ("faces", "big_things"):
                values = generator.normal(size=count)
                values[1] = np.nan
                units.append(UnitValues(layer, f"selectivity_t.{category}", values))
            units.append(UnitValues(layer, "window_length", generator.uniform(5, 9, count)))
            words = generator.normal(size=(count, 3))
            words[:, 1] *= 0.1
            preferred = np.where(words.max(axis=1) > 0.3, words.argmax(axis=1), np.nan)
            for number, category in enumerate(("food", "living things", "time")):
                units.append(UnitValues(layer, f"word_t.{category}", words[:, number]))
            units.append(UnitValues(layer, "word_preferred", preferred))
        result = Result((Row("mean", "test", "smoothness", 0.5 + seed),), tuple(units))
        found.append(Measured(step, SHEETS, result))
    write_rows(folder / "measures.csv", spec, found)
    write_units(folder / "units.parquet", spec, found)
    (folder / "history.csv").write_text(_HISTORY)


def write_report(world: World) -> Path:
    """The report on the same networks, with their claims, two figures and the ledger."""
    root = world.root
    published = ROOT / "config/paper/figures.csv"
    families = world.spec["families"]
    content = yaml.safe_load((ROOT / "config/paper/claims.yaml").read_text())
    claims = {"preset": "small", "families": families, **content}
    evaluate(claims, root / "tables", published, root / "claims.csv")
    units = [folder / "units.parquet" for folder in world.folders if "mlp" in folder.parts]
    shown = {"preset": "small", "families": {"mlp": families["mlp"]}}
    for name in ("orientation_film", "performance_vs_smoothness"):
        figure(name, shown, root / "tables", units, root / "figures" / name, published)
    spec = {
        "preset": "small",
        "about": "For the tests.",
        "figures": ["orientation_film", "performance_vs_smoothness"],
        "config": {"measures": {"accuracy": {}, "smoothness": {}}},
        "differences": ["snapshots: 1 → 2"],
    }
    manifests = sorted(root.rglob("*.manifest.json"))
    write_page(spec, root, manifests, root / "report.html")
    return root / "report.html"
