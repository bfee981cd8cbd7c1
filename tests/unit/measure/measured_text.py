"""A small language network, its snapshot and its text, written as training would write them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from toporepro import models
from toporepro.data.pairs import Pair
from toporepro.data.text_store import PreparedText, TextWriter
from toporepro.data.tokenizer import train_tokenizer
from toporepro.measure.text_subject import TextSubject
from toporepro.models import family
from toporepro.models.inputs import TextInputs
from toporepro.paths import ModelPaths
from toporepro.spec import DataSpec, Recipe, TopoSpec, TrainSpec

NOUNS = ("cat", "dog", "horse", "apple", "plum", "pear", "hammer", "saw", "drill")
VERBS = ("sees", "likes", "hears", "finds")
CONTEXT = 16


def sentences(count: int, seed: int = 0) -> list[str]:
    generator = np.random.default_rng(seed)
    nouns, verbs = generator.choice(NOUNS, (count, 2)), generator.choice(VERBS, count)
    return [f" the {a} {verb} the {b}" for (a, b), verb in zip(nouns, verbs, strict=True)]


def drawn_pairs(count: int) -> list[Pair]:
    """Of two paradigms in two fields; of several lengths, some without a difference in length."""
    pairs = []
    for number, text in enumerate(sentences(count, seed=5)):
        words = text.split()
        swapped = " ".join([words[1], words[0], *words[2:]])
        short = number % 3 == 0
        bad = " ".join(words[: 3 + short]) if number % 2 else swapped
        paradigm, field = ("cut", "syntax") if number % 2 else ("order", "semantics")
        pairs.append(Pair(" ".join(words), bad, paradigm, field, "words"))
    return pairs


def write_text(
    folder: Path,
    documents: int = 120,
    pairs: Sequence[Pair] = (),
    vocabulary: int = 320,
    classes: Mapping[str, Sequence[str]] | None = None,
) -> Path:
    texts = [" .".join(sentences(6, seed)) for seed in range(documents)]
    tokenizer = train_tokenizer(texts, vocabulary)
    extra = {"word_classes": classes} if classes else {}
    writer = TextWriter(folder, source="grammar", options={}, tokenizer=tokenizer, extra=extra)
    writer.write_split("train", texts)
    writer.write_split("validation", texts[: documents // 2])
    if pairs:
        writer.write_pairs(pairs)
    return writer.finish()


def text_spec(architecture: str = "nanogpt", **model: Any) -> TrainSpec:
    small = {"context": CONTEXT, "width": 16, "depth": 2, "heads": 2, "mlp": 24}
    return TrainSpec(
        architecture=architecture,
        model=small | model,
        data=DataSpec(source="grammar"),
        topo=TopoSpec(tau=1.0, phi=2.0),
        recipe=Recipe(optimizer="adam", lr=1e-3, batch=8, epochs=1, snapshots=1),
        seed=4,
    )


def write_language_model(
    folder: Path, spec: TrainSpec, index: Path
) -> tuple[ModelPaths, torch.nn.Module]:
    """An untrained snapshot, and weights that are moved enough to have opinions."""
    inputs = TextInputs(
        vocabulary=PreparedText.open(index).vocabulary, context=int(spec.model["context"])
    )
    paths = ModelPaths(folder)
    network = family.build(spec, inputs).eval()
    models.save(paths.snapshot(0), network, spec, inputs, 0)
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    models.save(paths.weights, network, spec, inputs, 9)
    return paths, network


def text_subject(folder: Path, index: Path, final: bool = True, **how: Any) -> TextSubject:
    paths, _ = write_language_model(folder, text_spec(), index)
    path = paths.weights if final else paths.snapshot(0)
    return TextSubject.load(
        path, PreparedText.open(index), seed=4, final=final, device="cpu", **how
    )
