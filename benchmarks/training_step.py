"""Training steps of the paper's vision families, with and without TopoLoss.

    python benchmarks/training_step.py [--json FILE] [--seconds 20] [--families resnet18 …]

The networks, batches, precision and losses are those of the preset ``paper``, by the training
loop's own update; images are already in memory, so loading is not timed (``image_loader`` times
it). Without a GPU: ResNet-18 alone, 64 images of 160 pixels, float32. Steps at τ = 0 and at τ = 10
take turns, so that what else the machine does slows both.
"""

import argparse
import dataclasses
import json
import statistics
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from toporepro.config import resolve
from toporepro.data.mixing import Mixing
from toporepro.data.store import ImageWriter
from toporepro.paths import ModelPaths
from toporepro.spec import TrainSpec
from toporepro.tasks.task import Batch
from toporepro.train.determinism import deterministic
from toporepro.train.distributed import Group
from toporepro.train.run import Training

ROOT = Path(__file__).parents[1]
IMAGES, TAU = 1_281_167, 10.0


@dataclass
class Result:
    """Medians over steps; hours are those of the preset's epochs at this rate, all at ``side``."""

    family: str
    batch: int
    side: int
    precision: str
    images_per_second: float
    images_per_second_without_topoloss: float
    topoloss_share_of_step: float
    hours_of_training: float


def specs(device: torch.device, families: list[str]) -> dict[str, tuple[TrainSpec, int]]:
    """The preset's first network of each family, and the side of its images in most epochs."""
    found = {}
    for model in resolve({"preset": "paper"}, ROOT).models:
        if model.family in families and model.family not in found:
            recipe, side = model.train.recipe, model.train.recipe.resolution[0].pixels
            changes: dict[str, object] = {"resolution": (), "test_pixels": None}
            if device.type == "cpu":
                changes |= {"batch": 64, "accumulate": 1, "precision": "float32"}
                changes["threads"] = torch.get_num_threads()
            recipe = dataclasses.replace(recipe, **changes)  # type: ignore[arg-type]
            found[model.family] = dataclasses.replace(model.train, recipe=recipe), side
    return found


def training(spec: TrainSpec, side: int, folder: Path, device: torch.device) -> Training:
    """The training, on a dataset of two images of this size."""
    writer = ImageWriter(
        folder / "data",
        source="imagenet",
        options={},
        shape=(side, side, 3),
        classes=[str(number) for number in range(1000)],
        mean=[0.5] * 3,
        std=[0.25] * 3,
    )
    for name in ("train", "test"):
        writer.write_split(name, 2, [(np.zeros((2, side, side, 3), np.uint8), [0, 1])])
    out = ModelPaths(folder / f"tau={spec.topo.tau:g}")
    return Training(spec, writer.finish(), out, Group(0, 1, device))


def passes(spec: TrainSpec, side: int, device: torch.device) -> list[Batch]:
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


def measure(family: str, spec: TrainSpec, side: int, seconds: float) -> Result:
    """Time both kinds of steps in turns, after two of each to warm up."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    times: dict[float, list[float]] = {0.0: [], TAU: []}
    with tempfile.TemporaryDirectory() as folder, deterministic(spec.recipe.threads):
        both = {}
        for tau in times:
            topo = dataclasses.replace(spec.topo, tau=tau)
            place = Path(folder) / f"{tau:g}"
            both[tau] = training(dataclasses.replace(spec, topo=topo), side, place, device)
        step = passes(spec, side, device)
        started, rounds = time.perf_counter(), 0
        while rounds < 5 or time.perf_counter() - started < seconds:
            for tau, contender in both.items():
                before = time.perf_counter()
                contender._update(step)  # ends in a transfer of the loss, and so waits for a GPU
                if device.type == "cuda":
                    torch.cuda.synchronize()
                times[tau].append(time.perf_counter() - before)
            rounds += 1
    without, with_loss = (statistics.median(times[tau][2:]) for tau in (0.0, TAU))
    recipe = spec.recipe
    return Result(
        family=family,
        batch=recipe.batch,
        side=side,
        precision=recipe.precision,
        images_per_second=recipe.batch / with_loss,
        images_per_second_without_topoloss=recipe.batch / without,
        topoloss_share_of_step=1 - without / with_loss,
        hours_of_training=recipe.epochs * IMAGES * with_loss / recipe.batch / 3600,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="also write the results there")
    parser.add_argument("--seconds", type=float, default=20.0, help="per family, at least")
    parser.add_argument("--families", nargs="+", help="of the preset paper")
    options = parser.parse_args()
    cuda = torch.cuda.is_available()
    families = options.families or (["resnet18", "resnet50", "vit_b_32"] if cuda else ["resnet18"])
    results = []
    for family, (spec, side) in specs(torch.device("cuda" if cuda else "cpu"), families).items():
        result = measure(family, spec, side, options.seconds)
        print(
            f"{family:10s} batch {result.batch}, {side} px, {result.precision}: "
            f"{result.images_per_second:,.0f} images/s, "
            f"{result.images_per_second_without_topoloss:,.0f} without TopoLoss "
            f"({result.topoloss_share_of_step:.1%} of a step); "
            f"{result.hours_of_training:,.1f} hours for the preset's epochs",
            flush=True,
        )
        results.append(asdict(result))
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
