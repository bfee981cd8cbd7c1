"""Minimal pairs, batched by length, beside a loop over single sentences.

Sentences are random ids whose lengths are spread as BLiMP's are (mean 9 tokens of GPT-2, 4 to 25).
The loop runs over a sample of them, and its time is counted up. On a CPU times are CPU seconds, so
that other work on the machine counts for little; on a GPU they are wall seconds. The limit is the
time that the networks' operations would take at the rate of one large matrix product of float32.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from toporepro.measure.pair_scores import log_probabilities
from toporepro.measure.text_subject import TextSubject
from toporepro.models import family, nanogpt
from toporepro.models.inputs import TextInputs
from toporepro.spec import DataSpec, Recipe, TopoSpec, TrainSpec

# Name → options, vocabulary, sentences, and how many of them the loop scores.
CASES = {
    "4 blocks of 128": ({"context": 64, "width": 128, "depth": 4, "heads": 4, "mlp": 512}, 512,
                        20_000, 500),
    "GPT-2 124M": ({"context": 1024}, 50257, 400, 40),
}  # fmt: skip


def subject_of(options: dict, vocabulary: int, device: str) -> TextSubject:
    spec = TrainSpec(
        architecture="nanogpt",
        model=options,
        data=DataSpec(source="grammar"),
        topo=TopoSpec(tau=1.0, phi=2.0),
        recipe=Recipe(optimizer="adamw", lr=1e-3, batch=8, epochs=1),
        seed=0,
    )
    inputs = TextInputs(vocabulary=vocabulary, context=options["context"])
    module = family.build(spec, inputs).eval().to(device)
    return TextSubject(
        module=module, spec=spec, step=1, seed=0, final=True, device=torch.device(device),
        layers=family.layers(spec), inputs=inputs, text=None,
    )  # fmt: skip


def product_rate(device: str, clock: Callable[[], float]) -> float:
    """Operations a second of a product of 2,048² matrices in float32, the fastest of five."""
    matrix = torch.randn(2048, 2048, device=device)
    seconds = []
    for _ in range(5):
        started = clock()
        (matrix @ matrix).sum().item()
        seconds.append(clock() - started)
    return 2 * 2048**3 / min(seconds)


def one_by_one(subject: TextSubject, sequences: list[list[int]]) -> np.ndarray:
    totals = []
    with torch.inference_mode():
        for sequence in sequences:
            ids = torch.tensor([sequence], device=subject.device)
            logits = subject.module(ids[:, :-1])[..., : subject.inputs.vocabulary]
            logs = logits.log_softmax(dim=2).gather(2, ids[:, 1:, None])
            totals.append(float(logs.double().sum()))
    return np.array(totals)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", type=Path)
    out = parser.parse_args().json
    device = "cuda" if torch.cuda.is_available() else "cpu"
    clock = time.perf_counter if device == "cuda" else time.process_time
    rate = product_rate(device, clock)
    answer = {}
    for name, (options, vocabulary, count, sample) in CASES.items():
        subject = subject_of(options, vocabulary, device)
        generator = np.random.default_rng(0)
        lengths = np.clip(generator.normal(10, 3, count).round().astype(int), 5, 26)
        sequences = [generator.integers(0, vocabulary, length).tolist() for length in lengths]
        log_probabilities(subject, sequences[:50], "float32")
        started = clock()
        scores = log_probabilities(subject, sequences, "float32")
        ours = (clock() - started) / count
        one_by_one(subject, sequences[:5])
        started = clock()
        single = one_by_one(subject, sequences[:sample])
        theirs = (clock() - started) / sample
        work = sum(
            nanogpt.flops(
                nanogpt.Options(**options), TextInputs(vocabulary=vocabulary, context=length - 1)
            )
            for length in map(len, sequences)
        )
        limit = work / rate / count
        answer[name] = {
            "sentences_per_second": round(1 / ours, 1),
            "loop_sentences_per_second": round(1 / theirs, 1),
            "ratio": round(theirs / ours, 1),
            "ratio_at_the_limit": round(theirs / limit, 1),
            "share_of_the_limit": round(limit / ours, 2),
            "largest_difference": float(f"{np.abs(scores[:sample] - single).max():.1g}"),
        }
    print(json.dumps(answer, indent=1))
    if out:
        out.write_text(json.dumps(answer))


if __name__ == "__main__":
    main()
