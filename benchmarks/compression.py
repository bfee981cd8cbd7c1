"""A down-sampled NanoGPT beside the whole one: size on disk, and speed of a forward pass.

GPT-2 124M as in nanoGPT, untrained, 80 % of its c_fc units taken away. ``weights`` interpolates
them in every pass and computes what up-sampled weights do, bit for bit; ``outputs`` computes the
kept units and interpolates their answers. Passes are interleaved, so that other work on the machine
falls on all alike; CPU seconds on a CPU, wall seconds on a GPU.
"""

import argparse
import copy
import json
import tempfile
import time
from pathlib import Path

import torch

from toporepro import models
from toporepro.compress import compact
from toporepro.compress.compact import DownSampled, Interpolated, down_sample
from toporepro.compress.layers import replaced, vectors_of
from toporepro.compress.methods import compressed
from toporepro.models import family
from toporepro.models.checkpoint import read_metadata
from toporepro.models.inputs import TextInputs
from toporepro.spec import DataSpec, Recipe, TopoSpec, TrainSpec

SPARSITY, SEQUENCES, TOKENS, ROUNDS = 0.8, 2, 256, 5


def with_outputs(module: torch.nn.Module, layers: dict[str, int]) -> torch.nn.Module:
    for name in layers:
        parent, _, own = name.rpartition(".")
        setattr(module.get_submodule(parent), own, Interpolated(module.get_submodule(name)))
    return module


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", type=Path)
    out = parser.parse_args().json
    device = "cuda" if torch.cuda.is_available() else "cpu"
    clock = time.perf_counter if device == "cuda" else time.process_time
    spec = TrainSpec(
        architecture="nanogpt", model={}, data=DataSpec(source="grammar"),
        topo=TopoSpec(tau=1.0, phi=8.0), seed=0,
        recipe=Recipe(optimizer="adamw", lr=1e-3, batch=8, epochs=1),
    )  # fmt: skip
    inputs, layers = TextInputs(vocabulary=50257, context=1024), family.layers(spec)
    whole = family.build(spec, inputs).eval()
    with tempfile.TemporaryDirectory() as folder:
        paths = Path(folder, "whole.safetensors"), Path(folder, "small.safetensors")
        models.save(paths[0], whole, spec, inputs, 0)
        how = DownSampled(layers=layers, sparsity=SPARSITY)
        small = down_sample(copy.deepcopy(whole), how)
        compact.save(paths[1], small, read_metadata(paths[0]), how)
        sizes = [path.stat().st_size for path in paths]
        small = compact.load(paths[1])
    networks = {
        "whole": whole,
        "weights": small,
        "outputs": with_outputs(copy.deepcopy(small), layers),
    }
    networks = {name: network.to(device) for name, network in networks.items()}
    ids = torch.randint(50257, (SEQUENCES, TOKENS), device=device)
    seconds = dict.fromkeys(networks, 0.0)
    answers = {}
    with torch.inference_mode():
        for number in range(ROUNDS + 1):
            for name, network in networks.items():
                started = clock()
                answers[name] = network(ids)
                if device == "cuda":
                    torch.cuda.synchronize()
                seconds[name] += (clock() - started) * (number > 0)
    with (
        torch.inference_mode(),
        replaced(whole, compressed(vectors_of(whole, layers), "sheet", 0.8)),
    ):
        expected = whole(ids)
    answer = {
        "megabytes": [round(size / 1e6, 1) for size in sizes],
        "tokens_per_second": {
            name: round(ROUNDS * SEQUENCES * TOKENS / total, 1) for name, total in seconds.items()
        },
        "weights_bit_equal": bool(torch.equal(answers["weights"], expected)),
        "outputs_largest_difference": float(f"{(answers['outputs'] - expected).abs().max():.1g}"),
    }
    print(json.dumps(answer, indent=1))
    if out:
        out.write_text(json.dumps(answer))


if __name__ == "__main__":
    main()
