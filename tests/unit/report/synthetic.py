"""Invented results in the contract's format: tidy tables and units of small presets."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

MEASURES = (
    *("preset", "family", "tau", "seed", "step"),
    *("layer", "sparsity", "stimuli", "metric", "value"),
)
HISTORY = [
    "step", "epoch", "lr", "tau", "loss", "topo_loss", "train_accuracy", "test_loss",
    "test_accuracy",
]  # fmt: skip
STEPS = (0, 3, 12, 50, 200)


def family(
    label: str,
    architecture: str,
    dataset: str,
    taus: Sequence[str],
    seeds: Sequence[int] = (0,),
    control: str = "none",
    control_of: str | None = None,
    measures: Sequence[str] = ("accuracy", "smoothness", "effective_dimensionality"),
) -> dict[str, Any]:
    return {
        "label": label,
        "architecture": architecture,
        "dataset": dataset,
        "taus": list(taus),
        "seeds": list(seeds),
        "control": control,
        "control_of": control_of,
        "measures": list(measures),
    }


def demo_families() -> dict[str, dict[str, Any]]:
    """The families of the demo preset."""
    mlp, resnet = ("mlp", "digits"), ("resnet18", "image_world")
    return {
        "mlp": family("MLP (digits)", *mlp, ["0", "0.5", "1", "3", "10"], [0, 1]),
        "mlp_random_labels": family(
            "MLP (random labels)", *mlp, ["3"], [0], "random_labels", "mlp"
        ),
        "mlp_topoloss_only": family(
            "MLP (TopoLoss alone)", *mlp, ["3"], [0], "topoloss_only", "mlp"
        ),
        "resnet18": family("ResNet-18 (world A)", *resnet, ["0", "1", "5", "10", "50"]),
        "resnet18_random_labels": family(
            "ResNet-18 (random labels)", *resnet, ["10"], [0], "random_labels", "resnet18"
        ),
        "resnet18_topoloss_only": family(
            "ResNet-18 (TopoLoss alone)", *resnet, ["10"], [0], "topoloss_only", "resnet18"
        ),
    }


def values(name: str, entry: Mapping[str, Any], tau: str, seed: int, step: int) -> dict[str, float]:
    """A plausible network: topography grows with τ and training, accuracy and ED pay for it."""
    t, done = math.log1p(float(tau)) / math.log(51), math.log1p(step) / math.log1p(STEPS[-1])
    wobble = 0.004 * math.sin(7 * seed + 3 * float(tau) + step + len(name))
    learns = entry["control"] == "none"
    accuracy = 0.1 + (0.8 - 0.25 * t) * done * learns + wobble
    null = 0.06 + wobble
    over = 0.02 + 0.75 * t * done + wobble
    dimensionality = 6 + 20 * done * (1 - 0.6 * t) + 20 * wobble
    return {
        "accuracy": accuracy,
        "loss": 2.3 - 1.9 * done * learns,
        "smoothness": null + over,
        "smoothness_null": null,
        "smoothness_minus_null": over,
        "smoothness_tdann": over / 2,
        "morans_i": over / 3,
        "effective_dimensionality": dimensionality,
        "effective_dimensionality_corrected": dimensionality + 1,
    }


def write(
    root: Path,
    families: Mapping[str, Mapping[str, Any]],
    preset: str = "demo",
    value_of: Callable[..., dict[str, float]] = values,
    units: bool = False,
) -> list[Path]:
    """Every model's folder below ``root``, with measures, history and (if asked) units."""
    folders = []
    for name, entry in families.items():
        for tau in entry["taus"]:
            for seed in entry["seeds"]:
                folder = root / "models" / name / f"tau={tau}" / f"seed={seed}"
                folder.mkdir(parents=True)
                _write_model(folder, preset, name, entry, tau, seed, value_of)
                if units and entry["control"] == "none":
                    write_units(folder / "units.parquet", name, entry["architecture"], tau, seed)
                folders.append(folder)
    return folders


def _write_model(
    folder: Path, preset: str, name: str, entry: Any, tau: str, seed: int, value_of: Any
) -> None:
    with (folder / "measures.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(MEASURES)
        for step in STEPS:
            for metric, value in value_of(name, entry, tau, seed, step).items():
                whole = metric in ("accuracy", "loss")
                for layer in [""] if whole else ["mean", "layer2.0", "layer10.0"]:
                    row = [preset, name, tau, seed, step, layer, 0, "test", metric, f"{value:.9g}"]
                    writer.writerow(row)
            writer.writerow([preset, name, tau, seed, step, "", 0, "train", "accuracy", "0.99"])
    with (folder / "history.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HISTORY)
        for step in range(1, 201):
            done = step / 200
            tested = f"{0.1 + 0.7 * done**0.3:.6g}" if step % 50 == 0 else ""
            topo = 0.5 * math.exp(-3 * done * (float(tau) > 0))
            loss = 2.3 * math.exp(-2 * done) + 0.05 * math.sin(step)
            writer.writerow(
                [
                    step,
                    done * 4,
                    0.1 * (1 - done),
                    tau,
                    loss,
                    topo,
                    0.1 + 0.75 * done**0.3,
                    f"{1.1 * loss:.6g}" if tested else "",
                    tested,
                ]
            )


def write_units(path: Path, name: str, architecture: str, tau: str, seed: int) -> None:
    """Orientation indices and weights of a 16×16 sheet (mlp), components of a 8×16 one (resnet)."""
    import pandas as pd
    from scipy.ndimage import gaussian_filter

    generator = np.random.default_rng([seed, int(10 * float(tau))])
    blur = 0.0 if tau == "0" else 1.0 + float(tau) ** 0.5

    def sheet(shape: tuple[int, int], *rest: int) -> np.ndarray:
        noise = generator.normal(size=(*shape, *rest))
        smooth = gaussian_filter(noise, (blur, blur, *(0 for _ in rest)), mode="wrap")
        return smooth / smooth.std()

    def rows(layer: str, quantity: str, values: np.ndarray, indices: Sequence[int]) -> Any:
        height, width, count = values.shape
        unit = np.repeat(np.arange(height * width), count)
        return pd.DataFrame(
            {
                "family": name,
                "tau": tau,
                "seed": seed,
                "step": STEPS[-1],
                "layer": layer,
                "unit": unit,
                "row": unit // width,
                "col": unit % width,
                "quantity": quantity,
                "index": np.tile(indices, height * width),
                "value": values.reshape(-1).astype(np.float32),
            }
        )

    frames = []
    if architecture == "mlp":
        phase = sheet((16, 16)) * 40
        angles = np.arange(0, 180, 2)
        film = 20 * np.cos(np.deg2rad(2 * (angles - phase[..., None])))
        still = np.array([0, 45, 70, 90])
        maps = 20 * np.cos(np.deg2rad(2 * (still - phase[..., None])))
        frames.append(rows("fc1", "orientation_t", maps, still))
        frames.append(rows("fc1", "orientation_film", film, angles))
        frames.append(rows("fc1", "weight", sheet((16, 16), 784) * 0.05, range(784)))
    else:
        for layer, shape in (("layer1.0.conv1", (4, 8)), ("layer4.1.conv2", (16, 16))):
            frames.append(rows(layer, "weight_pc", sheet(shape, 3), range(3)))
    pd.concat(frames).to_parquet(path, index=False)
