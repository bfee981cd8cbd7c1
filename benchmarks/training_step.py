"""Training steps of the paper's families, with and without TopoLoss; of language, a plain loop too.

    python benchmarks/training_step.py [--json FILE] [--seconds 20] [--families resnet18 …]

The networks, batches, precision and losses are those of the preset ``paper``, by the training
loop's own update; images and tokens are already in memory, so loading is not timed
(``image_loader`` and ``tokenisation`` time it). Contenders take turns, so that what else the
machine does slows all of them. Without a GPU: ResNet-18 with 64 images of 160 pixels, and NanoGPT
with two blocks and 2 windows of 64 tokens, in float32.

The plain loop beside language is nanoGPT's: the same network, loss over the padded vocabulary in
the compiled graph, autocast, accumulation, clipping and fused AdamW; no seeds, no history, no
TopoLoss.
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
from torch import Tensor, nn
from torch.nn import functional

from toporepro.config import resolve
from toporepro.data.mixing import Mixing
from toporepro.data.store import ImageWriter
from toporepro.data.text_store import TextWriter
from toporepro.data.tokenizer import END_OF_TEXT, Tokenizer
from toporepro.models.family import family as family_of
from toporepro.paths import ModelPaths
from toporepro.spec import TrainSpec
from toporepro.tasks.task import Batch
from toporepro.train.determinism import deterministic
from toporepro.train.distributed import Group
from toporepro.train.optimizer import make_optimizer
from toporepro.train.peak import peak_flops
from toporepro.train.run import Training

ROOT = Path(__file__).parents[1]
IMAGES, TAU = 1_281_167, 10.0
VOCABULARY, TEXT_TAU = 50_257, 1.0
WARM_UP = 2


@dataclass
class ImagesResult:
    """Medians over steps; hours are those of the preset's epochs at this rate, all at ``side``."""

    family: str
    batch: int
    side: int
    precision: str
    images_per_second: float
    images_per_second_without_topoloss: float
    topoloss_share_of_step: float
    hours_of_training: float

    def line(self) -> str:
        return (
            f"{self.family:12s} batch {self.batch}, {self.side} px, {self.precision}: "
            f"{self.images_per_second:,.0f} images/s, "
            f"{self.images_per_second_without_topoloss:,.0f} without TopoLoss "
            f"({self.topoloss_share_of_step:.1%} of a step); "
            f"{self.hours_of_training:,.1f} hours for the preset's epochs"
        )


@dataclass
class TextResult:
    """Medians over steps; hours are those of one network of the preset, and of all its networks.

    Hours are ``None`` where the network is smaller than the preset's; ``mfu``, of bfloat16's peak,
    where the device's is not known. ``against_plain`` is the rate with TopoLoss over that of the
    plain loop, in the same run.
    """

    family: str
    batch: int
    context: int
    precision: str
    compiled: bool
    tokens_per_second: float
    tokens_per_second_without_topoloss: float
    tokens_per_second_of_plain_loop: float
    against_plain: float
    topoloss_share_of_step: float
    mfu: float | None
    hours_of_training: float | None
    hours_of_all: float | None

    def line(self) -> str:
        mfu = "" if self.mfu is None else f", MFU {self.mfu:.1%}"
        hours = ""
        if self.hours_of_training is not None and self.hours_of_all is not None:
            one, every = self.hours_of_training, self.hours_of_all
            hours = f"; {one:,.1f} hours a network, {every:,.1f} for all of the preset"
        how = f"{self.precision}{', compiled' if self.compiled else ''}"
        return (
            f"{self.family:12s} batch {self.batch}, {self.context} tokens, {how}: "
            f"{self.tokens_per_second:,.0f} tokens/s{mfu}, "
            f"{self.tokens_per_second_without_topoloss:,.0f} without TopoLoss "
            f"({self.topoloss_share_of_step:.1%} of a step), "
            f"{self.tokens_per_second_of_plain_loop:,.0f} by the plain loop "
            f"({self.against_plain:.2f}×){hours}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="also write the results there")
    parser.add_argument("--seconds", type=float, default=20.0, help="per family, at least")
    parser.add_argument("--families", nargs="+", help="of the preset paper")
    options = parser.parse_args()
    cuda = torch.cuda.is_available()
    device = torch.device("cuda" if cuda else "cpu")
    vision = ["resnet18", "resnet50", "vit_b_32"] if cuda else ["resnet18"]
    language = ["nanogpt", "gpt_neo_125m"] if cuda else ["nanogpt"]
    wanted = options.families or [*vision, *language]
    results: list[dict[str, Any]] = []
    for name, specs in networks(wanted).items():
        text = family_of(specs[0].architecture).TASK == "language"
        result = (measure_text if text else measure_images)(name, specs, device, options.seconds)
        print(result.line(), flush=True)
        results.append(asdict(result))
    if language_hours := sum(result.get("hours_of_all") or 0 for result in results):
        print(f"language in all: {language_hours:,.1f} hours on one such device")
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


def measure_images(
    name: str, specs: list[TrainSpec], device: torch.device, seconds: float
) -> ImagesResult:
    """A family of vision, all its images at the side that most epochs have."""
    spec = specs[0]
    side = spec.recipe.resolution[0].pixels
    changes: dict[str, Any] = {"resolution": (), "test_pixels": None}
    if device.type == "cpu":
        changes |= {"batch": 64, "accumulate": 1, "precision": "float32"}
        changes["threads"] = torch.get_num_threads()
    recipe = dataclasses.replace(spec.recipe, **changes)
    spec = dataclasses.replace(spec, recipe=recipe)
    with tempfile.TemporaryDirectory() as folder, deterministic(recipe.threads):
        index = image_data(Path(folder) / "data", side)
        trainings = both_taus(spec, TAU, index, Path(folder), device)
        step = image_passes(spec, side, device)
        times = contest(
            {key: lambda t=t: t._update(step) for key, t in trainings.items()}, device, seconds
        )
    return ImagesResult(
        family=name,
        batch=recipe.batch,
        side=side,
        precision=recipe.precision,
        images_per_second=recipe.batch / times["topoloss"],
        images_per_second_without_topoloss=recipe.batch / times["without"],
        topoloss_share_of_step=1 - times["without"] / times["topoloss"],
        hours_of_training=recipe.epochs * IMAGES * times["topoloss"] / recipe.batch / 3600,
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


def measure_text(
    name: str, specs: list[TrainSpec], device: torch.device, seconds: float
) -> TextResult:
    """A family of language, beside the plain loop."""
    spec = specs[0]
    if device.type == "cpu":
        changes: dict[str, Any] = {"batch": 2, "accumulate": 2, "precision": "float32"}
        changes |= {"compile": False, "threads": torch.get_num_threads()}
        spec = dataclasses.replace(
            spec,
            model={**spec.model, "context": 64, "depth": 2},
            recipe=dataclasses.replace(spec.recipe, **changes),
        )
    recipe = spec.recipe
    with tempfile.TemporaryDirectory() as folder, deterministic(recipe.threads):
        index = text_data(Path(folder) / "data", spec.model["context"])
        trainings = both_taus(spec, TEXT_TAU, index, Path(folder), device)
        task = trainings["without"].task
        context = task.work.per_sample
        shape = (recipe.batch // recipe.accumulate, context + 1)
        tokens = [torch.randint(VOCABULARY, shape, device=device) for _ in range(recipe.accumulate)]
        plain = PlainLoop(task.build().to(device), spec, device)
        contenders: dict[str, Callable[[], object]] = {
            key: lambda t=t: t._update([[ids] for ids in tokens]) for key, t in trainings.items()
        }
        times = contest({**contenders, "plain": lambda: plain.step(tokens)}, device, seconds)
    rate = {key: recipe.batch * context / value for key, value in times.items()}
    peak = peak_flops(device, recipe.precision)
    hours = recipe.steps * times["topoloss"] / 3600 if spec is specs[0] else None
    return TextResult(
        family=name,
        batch=recipe.batch,
        context=context,
        precision=recipe.precision,
        compiled=recipe.compile,
        tokens_per_second=rate["topoloss"],
        tokens_per_second_without_topoloss=rate["without"],
        tokens_per_second_of_plain_loop=rate["plain"],
        against_plain=times["plain"] / times["topoloss"],
        topoloss_share_of_step=1 - times["without"] / times["topoloss"],
        mfu=rate["topoloss"] * task.work.flops / context / peak if peak else None,
        hours_of_training=hours,
        hours_of_all=len(specs) * hours if hours else None,
    )


class PlainLoop:
    """nanoGPT's loop around a network of ours."""

    def __init__(self, network: nn.Module, spec: TrainSpec, device: torch.device) -> None:
        self.network, self.recipe, self.device = network, spec.recipe, device
        self.optimizer = make_optimizer(network, spec.recipe)
        self.loss: Any = torch.compile(self._loss) if spec.recipe.compile else self._loss

    def _loss(self, tokens: Tensor) -> Tensor:
        logits = self.network(tokens[:, :-1])
        return functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())

    def step(self, passes: list[Tensor]) -> float:
        for tokens in passes:
            with torch.autocast(
                self.device.type, torch.bfloat16, self.recipe.precision == "bfloat16"
            ):
                loss = self.loss(tokens) / len(passes)
            loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe.clip or 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return loss.item()


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
