"""Invented results of language networks: pairs, compression, windows, words."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import synthetic

STEPS = (0, 10, 100, 1000)
LAYERS = [f"transformer.h.{block}.mlp.c_fc" for block in range(4)]
SPARSITIES = (0.2, 0.5, 0.8, 0.9)
PARADIGMS = [f"paradigm_{number}" for number in range(8)]
MEASURES = ["loss", "smoothness", "effective_dimensionality", "blimp", "compression"]
MEASURES += ["integration_windows", "word_categories"]
Line = tuple[str, float, str, str, float]  # layer, sparsity, stimuli, metric, value
Values = Callable[[str, str, int], Iterator[Line]]


def families() -> dict[str, dict[str, Any]]:
    nanogpt, neo = ("nanogpt", "grammar"), ("gpt_neo_125m", "grammar")
    found = {
        "nanogpt": synthetic.family("NanoGPT (grammar)", *nanogpt, ["0", "0.05", "0.2", "1", "5"]),
        "gpt_neo": synthetic.family("GPT-Neo (grammar)", *neo, ["0", "1"]),
        "nanogpt_small": synthetic.family(
            "NanoGPT, few units", *nanogpt, ["0"], [0], "small", "nanogpt"
        ),
    }
    more = {"task": "language", "measures": MEASURES}
    return {name: {**entry, **more} for name, entry in found.items()}


def lines(name: str, tau: str, step: int) -> Iterator[Line]:
    """A plausible network: topography grows with τ and training, and sheets then keep what is."""
    t, done = math.log1p(float(tau)) / math.log(6), math.log1p(step) / math.log1p(STEPS[-1])
    loss = 6 - 4 * done + 0.1 * t
    pairs = 0.5 + (0.4 - 0.05 * t) * done
    yield "", 0, "validation", "loss", loss
    for set_name, share in (("blimp/pairs", pairs - 0.1), ("grammar/pairs", pairs)):
        yield "", 0, set_name, "pair_accuracy", share
        for number, paradigm in enumerate(PARADIGMS):
            value = share + 0.01 * (number - 3.5)
            yield "", 0, set_name, f"pair_accuracy.paradigm.{paradigm}", value
    for layer, factor in [*((layer, 1.0) for layer in LAYERS), ("mean", 1.0)]:
        over = 0.02 + 0.75 * t * done
        yield layer, 0, "validation", "smoothness", (0.06 + over) * factor
        yield layer, 0, "validation", "smoothness_minus_null", over
        yield layer, 0, "validation", "morans_i", over / 3
        dimensions = 6 + 20 * done * (1 - 0.6 * t)
        yield layer, 0, "validation", "effective_dimensionality", dimensions
        yield layer, 0, "wordnet", "word_morans_i", 0.01 + 0.5 * t * done
        yield layer, 0, "wordnet", "word_morans_i.animal", 0.01 + 0.5 * t * done
    if step < STEPS[-1]:
        return
    for number, layer in enumerate(LAYERS):
        yield layer, 0, "validation", "window_power_law", 0.2 + 0.1 * min(number, 3 - number)
    yield from compression(loss, pairs, t)


def compression(loss: float, pairs: float, t: float) -> Iterator[Line]:
    for method, worse in (("sheet", 10 * (1 - t)), ("l1", 2.0), ("sheet_sorted", 8.0)):
        for sparsity in (0.0, *SPARSITIES):
            yield "", sparsity, "validation", f"loss.{method}", loss + worse * sparsity
            yield "", sparsity, "", f"parameters.{method}", 1e6 * (1 - sparsity / 4)
            share = 0.5 + (pairs - 0.5) * (1 - sparsity * worse / 10)
            yield "", sparsity, "blimp/pairs", f"pair_accuracy.{method}", share
            if method == "sheet":
                for number, paradigm in enumerate(PARADIGMS):
                    value = share + 0.03 * math.sin(number + 9 * sparsity)
                    yield "", sparsity, "blimp/pairs", f"pair_accuracy.sheet.{paradigm}", value
    yield "", 1.0, "validation", "loss.knock_out", loss + 1.5


def write(root: Path, lines_of: Values = lines, units: bool = False) -> list[Path]:
    """Every model's folder below ``root``, with measures, history and (if asked) units."""
    folders = []
    for name, entry in families().items():
        for tau in entry["taus"]:
            folder = root / "models" / name / f"tau={tau}" / "seed=0"
            folder.mkdir(parents=True)
            with (folder / "measures.csv").open("w", newline="") as file:
                writer = csv.writer(file, lineterminator="\n")
                writer.writerow(synthetic.MEASURES)
                for step in STEPS:
                    for layer, sparsity, stimuli, metric, value in lines_of(name, tau, step):
                        head = ("demo", name, tau, 0, step, layer)
                        writer.writerow((*head, f"{sparsity:g}", stimuli, metric, f"{value:.9g}"))
            with (folder / "history.csv").open("w", newline="") as file:
                csv.writer(file, lineterminator="\n").writerow(synthetic.HISTORY)
            if units:
                write_units(folder / "units.parquet", name, tau)
            folders.append(folder)
    return folders


def write_units(path: Path, name: str, tau: str) -> None:
    """Windows and preferred words of 8×16 sheets, smoother with τ, sharper with training."""
    import pandas as pd
    from scipy.ndimage import gaussian_filter

    generator = np.random.default_rng(int(100 * float(tau)))
    blur, shape = 0.3 + 2 * float(tau) ** 0.3 * (tau != "0"), (8, 16)

    def smooth() -> np.ndarray:
        noise = gaussian_filter(generator.normal(size=shape), blur, mode="wrap")
        return noise / noise.std()

    frames = []

    def add(step: int, layer: str, quantity: str, values: np.ndarray, index: int = 0) -> None:
        unit = np.arange(values.size) if values.ndim > 1 else np.array([-1])
        frames.append(
            pd.DataFrame(
                {
                    "family": name, "tau": tau, "seed": np.int32(0), "step": step, "layer": layer,
                    "unit": unit, "row": np.where(unit < 0, -1, unit // shape[1]),
                    "col": np.where(unit < 0, -1, unit % shape[1]), "quantity": quantity,
                    "index": index, "value": values.ravel().astype(np.float32),
                }
            )
        )  # fmt: skip

    for number, category in enumerate(("animal", "food", "person")):
        add(STEPS[-1], "", f"word_category.{category}", np.ones(1), number)
    for place, layer in enumerate(LAYERS):
        add(STEPS[-1], layer, "window_c", 1 / (1 + np.exp(-3 * smooth() - place + 1.5)))
        add(STEPS[-1], layer, "window_a", np.exp(smooth() / 2))
        add(STEPS[-1], layer, "window_b", np.exp(smooth() / 2 - 1))
        maps = np.stack([smooth() for _ in range(3)])
        for step in STEPS:
            t = 4 * maps * math.log1p(step) / math.log1p(STEPS[-1])
            preferred = np.where(t.max(axis=0) > 3, t.argmax(axis=0), np.nan)
            add(step, layer, "word_preferred", preferred)
    pd.concat(frames).to_parquet(path, index=False)
