"""Training steps of the paper's families beside plain loops, with and without TopoLoss.

    python benchmarks/training_step.py [--json FILE] [--seconds 20] [--families resnet18 …]

The networks, batches, precision and losses are those of the preset ``paper``, by the training
loop's own update; images and tokens are already in memory, so loading is not timed
(``image_loader`` and ``tokenisation`` time it). Contenders take turns, so that what else the
machine does slows all of them. Without a GPU the networks are as large, in float32, their batches
small (``ON_CPU``); what TopoLoss, once an update, would take at the preset's batch is computed.

The plain loop is that of torchvision's reference training or of nanoGPT around a network of ours:
autocast, accumulation, clipping, fused optimiser, the loss that training writes down; no seeds, no
history, no TopoLoss. Its images come normalised, as torchvision's loader gives them.
"""

import argparse
import dataclasses
import itertools
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peers.plain_loop import PlainLoop

from toporepro.config import resolve
from toporepro.data.mixing import Mixing
from toporepro.data.store import ImageWriter
from toporepro.data.text_store import TextWriter
from toporepro.data.tokenizer import END_OF_TEXT, Tokenizer
from toporepro.models.family import family as family_of
from toporepro.paths import ModelPaths
from toporepro.spec import TrainSpec, decode
from toporepro.tasks.task import Batch
from toporepro.train.determinism import deterministic
from toporepro.train.distributed import Group
from toporepro.train.peak import peak_flops
from toporepro.train.run import Training

ROOT = Path(__file__).parents[1]
IMAGES, TAU = 1_281_167, 10.0
VOCABULARY, TEXT_TAU = 50_257, 1.0
WARM_UP = 2


# What differs from the preset: batch, passes and, of language, tokens in a window.
ON_CPU: dict[str, tuple[int, int, int | None]] = {
    "resnet18": (64, 1, None),
    "resnet50": (16, 1, None),
    "vit_b_32": (32, 1, None),
    "nanogpt": (4, 2, 128),
    "gpt_neo_125m": (4, 2, 128),
}


@dataclass
class Result:
    """Rates are of images or tokens a second, by the median step.

    Attributes:
        operations_per_second: sustained by the step with TopoLoss, all passes counted.
        topoloss_share_at_preset: of a step at the preset's batch, the rest of it in proportion.
        against_plain: rate over the plain loop's; with TopoLoss, and without.
        mfu: share of the peak of bfloat16; ``None`` where the device's is not known.
        hours: of one of the preset's networks at this rate; ``None`` where batches are not its.
        hours_of_all: of all its networks.
    """

    architecture: str
    unit: str
    batch: int
    size: int
    precision: str
    compiled: bool
    threads: int
    rate: float
    rate_without_topoloss: float
    rate_of_plain_loop: float
    against_plain: float
    against_plain_without_topoloss: float
    topoloss_share: float
    topoloss_share_at_preset: float
    operations_per_second: float
    mfu: float | None
    hours: float | None
    hours_of_all: float | None

    def line(self) -> str:
        how = f"{self.precision}{', compiled' if self.compiled else ''}"
        line = (
            f"{self.architecture:12s} batch {self.batch}, size {self.size}, {how}: "
            f"{self.rate:,.0f} {self.unit}/s ({self.against_plain:.2f}× the plain loop's), "
            f"{self.rate_without_topoloss:,.0f} without TopoLoss "
            f"({self.against_plain_without_topoloss:.2f}×); TopoLoss is {self.topoloss_share:.1%} "
            f"of a step, {self.topoloss_share_at_preset:.2%} at the preset's batch"
        )
        if self.mfu is not None:
            line += f"; MFU {self.mfu:.1%}"
        if self.hours is not None:
            line += f"; {self.hours:,.1f} hours a network, {self.hours_of_all:,.1f} for all"
        return line


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="also write the results there")
    parser.add_argument("--seconds", type=float, default=20.0, help="per family, at least")
    parser.add_argument("--families", nargs="+", default=list(ON_CPU), help="of the preset paper")
    options = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    results: list[dict[str, Any]] = []
    for specs in networks(options.families).values():
        text = family_of(specs[0].architecture).TASK == "language"
        result = measure(specs, text, device, options.seconds)
        print(result.line(), flush=True)
        results.append(asdict(result))
    if hours := sum(result["hours_of_all"] or 0 for result in results):
        print(f"in all: {hours:,.1f} hours on one such device")
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")


def networks(wanted: list[str]) -> dict[str, list[TrainSpec]]:
    """The preset's networks of each family."""
    found: dict[str, list[TrainSpec]] = {name: [] for name in wanted}
    for model in resolve({"preset": "paper"}, ROOT).models:
        if model.family in found:
            found[model.family].append(model.train)
    return found


def contest(
    contenders: Mapping[str, Callable[[], object]], device: torch.device, seconds: float
) -> dict[str, float]:
    """Median time of a step of each; they take turns, after some to warm up."""
    times: dict[str, list[float]] = {name: [] for name in contenders}
    started, rounds = time.perf_counter(), 0
    while rounds < WARM_UP + 3 or time.perf_counter() - started < seconds:
        for name, step in contenders.items():
            before = time.perf_counter()
            step()
            if device.type == "cuda":
                torch.cuda.synchronize()
            times[name].append(time.perf_counter() - before)
        rounds += 1
        if rounds == WARM_UP:
            started = time.perf_counter()  # compiling is not timed
    return {name: statistics.median(found[WARM_UP:]) for name, found in times.items()}


def both_taus(
    spec: TrainSpec, tau: float, index: Path, folder: Path, device: torch.device
) -> dict[str, Training]:
    """The training at τ and at 0."""
    made = {}
    for name, value in (("topoloss", tau), ("without", 0.0)):
        one = dataclasses.replace(spec, topo=dataclasses.replace(spec.topo, tau=value))
        made[name] = Training(one, index, ModelPaths(folder / name), Group(0, 1, device))
    return made


def measure(specs: list[TrainSpec], text: bool, device: torch.device, seconds: float) -> Result:
    """A family, all its images at the side that most epochs have."""
    preset = spec = specs[0]
    side = 0 if text else spec.recipe.resolution[0].pixels
    changes: dict[str, Any] = {"resolution": (), "test_pixels": None}
    if device.type == "cpu":
        batch, passes, window = ON_CPU[spec.architecture]
        changes |= {"batch": batch, "accumulate": passes, "precision": "float32"}
        changes |= {"compile": False, "threads": torch.get_num_threads()}
        if window:
            spec = dataclasses.replace(spec, model={**spec.model, "context": window})
    spec = dataclasses.replace(spec, recipe=dataclasses.replace(spec.recipe, **changes))
    recipe = spec.recipe
    with tempfile.TemporaryDirectory() as folder, deterministic(recipe.threads):
        data = Path(folder) / "data"
        index = text_data(data, spec.model["context"]) if text else image_data(data, side)
        trainings = both_taus(spec, TEXT_TAU if text else TAU, index, Path(folder), device)
        task = trainings["without"].task
        window = task.work.per_sample if text else side
        step = (text_passes if text else image_passes)(spec, window, device)
        plain = PlainLoop(task.build().to(device), spec, device)
        seen = step if text else [plain.normalised(batch) for batch in step]
        contenders: dict[str, Callable[[], object]] = {
            key: lambda t=t: t._update(step) for key, t in trainings.items()
        }
        times = contest({**contenders, "plain": lambda: plain.step(seen)}, device, seconds)
    of = task.work.per_sample
    rate = {key: recipe.batch * of / value for key, value in times.items()}
    inputs: Any = task.inputs
    operations = (
        3
        * recipe.batch
        * family_of(spec.architecture).flops(
            decode(family_of(spec.architecture).Options, spec.model), inputs
        )
    )
    peak = peak_flops(device, recipe.precision)
    whole = device.type == "cuda"
    seen_in_all = preset.recipe.steps * preset.recipe.batch if text else None
    samples = seen_in_all or preset.recipe.epochs * IMAGES
    hours = samples * times["topoloss"] / recipe.batch / 3600 if whole else None
    topoloss = times["topoloss"] - times["without"]
    at_preset = (
        times["without"]
        * preset.recipe.batch
        * (preset.model["context"] / window if text else 1)
        / recipe.batch
    )
    return Result(
        architecture=spec.architecture,
        unit="tokens" if text else "images",
        batch=recipe.batch,
        size=window,
        precision=recipe.precision,
        compiled=recipe.compile,
        threads=torch.get_num_threads(),
        rate=rate["topoloss"],
        rate_without_topoloss=rate["without"],
        rate_of_plain_loop=rate["plain"],
        against_plain=times["plain"] / times["topoloss"],
        against_plain_without_topoloss=times["plain"] / times["without"],
        topoloss_share=topoloss / times["topoloss"],
        topoloss_share_at_preset=topoloss / (at_preset + topoloss),
        operations_per_second=operations / times["topoloss"],
        mfu=operations / times["topoloss"] / peak if peak else None,
        hours=hours,
        hours_of_all=len(specs) * hours if hours else None,
    )


def image_data(folder: Path, side: int) -> Path:
    """Two images of this size."""
    writer = ImageWriter(
        folder,
        source="imagenet",
        options={},
        shape=(side, side, 3),
        classes=[str(number) for number in range(1000)],
        mean=[0.5] * 3,
        std=[0.25] * 3,
    )
    for split in ("train", "test"):
        writer.write_split(split, 2, [(np.zeros((2, side, side, 3), np.uint8), [0, 1])])
    return writer.finish()


def image_passes(spec: TrainSpec, side: int, device: torch.device) -> list[Batch]:
    """One step's images and labels, on the device."""
    recipe = spec.recipe
    mixed = recipe.mixup > 0 or recipe.cutmix > 0
    count = recipe.batch // recipe.accumulate + (recipe.repeats if mixed else 0)
    mix = Mixing(1.0, 0.0).draw(0, 0, side, side)
    extra = (torch.tensor(mix.weights), torch.tensor(mix.share)) if mixed else ()
    made = []
    for _ in range(recipe.accumulate):
        images = torch.randint(256, (count, side, side, 3), dtype=torch.uint8, device=device)
        labels = torch.randint(1000, (count,), device=device)
        made.append([images, labels, *(tensor.to(device) for tensor in extra)])
    return made


def text_passes(spec: TrainSpec, window: int, device: torch.device) -> list[Batch]:
    """One step's tokens, on the device."""
    recipe = spec.recipe
    shape = (recipe.batch // recipe.accumulate, window + 1)
    return [[torch.randint(VOCABULARY, shape, device=device)] for _ in range(recipe.accumulate)]


def text_data(folder: Path, context: int) -> Path:
    """A text of two windows by as many tokens as GPT-2 has: bytes, pairs of them, and the end."""
    own = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    spelt = [chr(code) for code in (*own, *range(0x100, 0x100 + 256 - len(own)))]
    pairs = list(itertools.islice(itertools.product(spelt, repeat=2), VOCABULARY - 257))
    ids = {token: number for number, token in enumerate([*spelt, *map("".join, pairs)])}
    ids[END_OF_TEXT] = len(ids)
    merges = "".join(f"{first} {second}\n" for first, second in pairs)
    tokenizer = Tokenizer(json.dumps(ids).encode(), merges.encode())
    writer = TextWriter(folder, source="fineweb_edu", options={}, tokenizer=tokenizer)
    for split in ("train", "validation"):
        writer.write_split(split, ["ab " * 2 * context])
    return writer.finish()


if __name__ == "__main__":
    main()
