"""TopoLoss, forward and backward, beside the published package and beside a plain copy.

    python benchmarks/topoloss.py [--json FILE] [--device cuda] [--seconds 12] [--threads 2]

The topographic layers of four networks of the preset ``paper`` at their φ: ResNet-18, ResNet-50,
ViT-B/32 and NanoGPT (GPT-2 124M; in the layout of transformers' Conv1D too). The
copy reads every weight and writes every gradient once into memory that is already there: no loss
can be faster. Contenders take turns within each round, so that what else the machine does slows
all of them. Peak extra memory is what a step allocates while all gradients exist already.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

# Beside this file lies nothing to import, and it bears the published package's name.
sys.path = [p for p in sys.path if Path(p).resolve() != Path(__file__).resolve().parent]

import topoloss as published  # noqa: E402
import torch  # noqa: E402
from torch import nn  # noqa: E402

from toporepro import topoloss as ours  # noqa: E402
from toporepro.config import resolve  # noqa: E402
from toporepro.models.family import build, inputs_of, topographic_layers  # noqa: E402
from toporepro.models.inputs import AnyInputs, Inputs, TextInputs  # noqa: E402

ROOT = Path(__file__).parents[1]
FAMILIES = ["resnet18", "resnet50", "vit_b_32", "nanogpt"]
INPUTS: dict[type[AnyInputs], AnyInputs] = {
    Inputs: Inputs(channels=3, height=224, width=224, classes=1000),
    TextInputs: TextInputs(vocabulary=50257, context=1024),
}
Step = Callable[[], Any]


@dataclass
class Result:
    """Times in milliseconds for one forward and backward over all layers of a workload."""

    workload: str
    contender: str
    min_ms: float
    median_ms: float
    package_over_this: float
    this_over_copy: float
    peak_extra_over_largest_layer: float
    largest_gradient_error: float


class Conv1D(nn.Module):
    """The layout of transformers' layer of this name: weight (in, out)."""

    def __init__(self, nf: int, nx: int) -> None:
        super().__init__()
        self.nf = nf
        self.weight = nn.Parameter(torch.randn(nx, nf) * 0.02)


def topographic(family: str) -> tuple[list[nn.Module], float]:
    """The layers under TopoLoss of a family of the preset ``paper``, and their φ."""
    spec = next(m.train for m in resolve({"preset": "paper"}, ROOT).models if m.family == family)
    network = build(spec, INPUTS[inputs_of(spec.architecture)])
    return [network.get_submodule(name) for name in topographic_layers(spec)], spec.topo.phi


def transposed(layers: list[nn.Module]) -> list[nn.Module]:
    twins = []
    for layer in layers:
        out_features, in_features = layer.weight.shape
        twin = Conv1D(out_features, in_features)
        twin.weight.data = layer.weight.detach().T.contiguous()
        twins.append(twin)
    return twins


def loss_step(package: Any, layers: list[nn.Module], factor: float) -> Step:
    model = nn.ModuleList(layers)
    loss = package.TopoLoss(
        losses=[package.LaplacianPyramid(str(i), factor, factor) for i in range(len(layers))]
    )

    def step() -> None:
        loss.compute(model=model).backward()

    return step


def copy_step(layers: list[nn.Module]) -> Step:
    pairs = [(layer.weight.detach(), torch.empty_like(layer.weight)) for layer in layers]

    def step() -> None:
        for weight, gradient in pairs:
            gradient.copy_(weight)

    return step


def forget_gradients(layers: list[nn.Module]) -> None:
    for layer in layers:
        layer.weight.grad = None


def seconds(step: Step, device: str) -> float:
    start = time.perf_counter()
    step()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def peak_extra_bytes(step: Step, device: str) -> int:
    """The most a step holds above what was allocated before, with gradients already there."""
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        step()
        return torch.cuda.max_memory_allocated() - before
    with torch.profiler.profile(
        activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True
    ) as profile:
        step()
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / "trace.json"
        profile.export_chrome_trace(str(trace))
        events = json.loads(trace.read_text())["traceEvents"]
    changes = [
        (event["ts"], event["args"]["Bytes"])
        for event in events
        if event["name"] == "[memory]" and event["args"]["Device Type"] == 0
    ]
    held = peak = 0
    for _, change in sorted(changes, key=lambda entry: entry[0]):
        held += change
        peak = max(peak, held)
    return peak


def gradient_error(layers: list[nn.Module], reference: list[torch.Tensor]) -> float:
    """Largest difference from the package's gradients, relative to each layer's largest entry."""
    errors = []
    for layer, expected in zip(layers, reference, strict=True):
        gradient = layer.weight.grad
        gradient = gradient.T if isinstance(layer, Conv1D) else gradient
        errors.append(((gradient - expected).abs().max() / expected.abs().max()).item())
    return max(errors)


def workload(
    name: str, layers: list[nn.Module], factor: float, device: str, budget_s: float
) -> list[Result]:
    for layer in layers:
        layer.to(device)
    contenders: dict[str, tuple[list[nn.Module], Step]] = {
        "package": (layers, loss_step(published, layers, factor)),
        "toporepro": (layers, loss_step(ours, layers, factor)),
    }
    if name.startswith("nanogpt"):
        twins = [twin.to(device) for twin in transposed(layers)]
        contenders["toporepro, Conv1D"] = (twins, loss_step(ours, twins, factor))
    contenders["copy"] = (layers, copy_step(layers))

    times: dict[str, list[float]] = {contender: [] for contender in contenders}
    end = time.perf_counter() + budget_s
    while time.perf_counter() < end or len(times["package"]) < 3:
        for contender, (own, step) in contenders.items():
            # As often as it takes for short steps to meet a quiet moment of the machine.
            for _ in range(1 if contender == "package" else 3):
                forget_gradients(own)
                times[contender].append(seconds(step, device) * 1e3)

    forget_gradients(layers)
    contenders["package"][1]()
    reference = [layer.weight.grad.clone() for layer in layers]
    largest = max(layer.weight.numel() * layer.weight.element_size() for layer in layers)
    best = {contender: min(values) for contender, values in times.items()}
    results = []
    for contender, (own, step) in contenders.items():
        forget_gradients(own)
        step()
        error = gradient_error(own, reference) if contender != "copy" else 0.0
        results.append(
            Result(
                workload=name,
                contender=contender,
                min_ms=best[contender],
                median_ms=statistics.median(times[contender]),
                package_over_this=best["package"] / best[contender],
                this_over_copy=best[contender] / best["copy"],
                peak_extra_over_largest_layer=peak_extra_bytes(step, device) / largest,
                largest_gradient_error=error,
            )
        )
    return results


def table(results: list[Result]) -> str:
    lines = [
        f"{'workload':<30}{'contender':<20}{'min ms':>9}{'median':>9}{'package/this':>14}"
        f"{'this/copy':>11}{'extra memory':>14}{'error':>10}"
    ]
    for r in results:
        lines.append(
            f"{r.workload:<30}{r.contender:<20}{r.min_ms:>9.2f}{r.median_ms:>9.2f}"
            f"{r.package_over_this:>13.1f}×{r.this_over_copy:>10.1f}×"
            f"{r.peak_extra_over_largest_layer:>13.2f}×{r.largest_gradient_error:>10.0e}"
        )
    lines.append(
        "extra memory: peak above weights and gradients, in units of the largest layer; "
        "error: of the gradient, against the package"
    )
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    parser = argparse.ArgumentParser(description="TopoLoss beside the published package.")
    parser.add_argument("--json", type=Path, help="write the results to this file")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--families", nargs="+", default=FAMILIES, help="of the preset paper")
    parser.add_argument("--seconds", type=float, default=12, help="timing of each workload")
    parser.add_argument("--threads", type=int, help="threads of torch (default: its own choice)")
    options = parser.parse_args(argv)
    if options.threads:
        torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    warnings.simplefilter("ignore", ours.SheetWarning)

    results = []
    for family in options.families:
        layers, phi = topographic(family)
        name = f"{family}, {len(layers)} layers, φ={phi:g}"
        results += workload(name, layers, phi, options.device, options.seconds)
    print(table(results))
    report = {
        "benchmark": "topoloss",
        "device": torch.cuda.get_device_name() if options.device == "cuda" else "cpu",
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "results": [asdict(result) for result in results],
    }
    if options.json:
        options.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return report


if __name__ == "__main__":
    main()
