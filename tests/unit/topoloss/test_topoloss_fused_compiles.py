"""Every launch of the fused kernels, compiled to machine code for GPUs that need not be there.

Triton brings its own assembler. The launches are those of a forward and a backward, recorded
instead of run: their types, alignments and constants are what a GPU would be given.
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from toporepro.topoloss import foreach, fused
from toporepro.topoloss.foreach import UnitWeights, sheet_losses

KERNELS = ("shrink", "compare", "average", "overlap", "collect", "write")
TYPES = {
    torch.float32: "*fp32",
    torch.bfloat16: "*bf16",
    torch.int64: "*i64",
    torch.int32: "*i32",
}


class Recorder:
    """Stands for a kernel and remembers how it was launched."""

    def __init__(self, kernel, launches):
        self.kernel, self.launches = kernel, launches

    def __getitem__(self, grid):
        assert all(size > 0 for size in grid)
        return self.launch

    def launch(self, *arguments, num_warps, **constants):
        self.launches.append((self.kernel, arguments, constants, num_warps))


@pytest.fixture
def launches(monkeypatch):
    recorded = []
    for name in KERNELS:
        kernel = getattr(fused.kernels, name)
        monkeypatch.setattr(fused.kernels, name, Recorder(kernel, recorded))
    monkeypatch.setattr(foreach, "INTERPRETED", True)
    return recorded


def compiled(kernel, arguments, constants, num_warps, capability):
    pointers = kernel.arg_names[: len(arguments)]
    signature = {n: TYPES[a.dtype] for n, a in zip(pointers, arguments, strict=True)}
    signature |= dict.fromkeys(constants, "constexpr")
    ordered = {name: signature[name] for name in kernel.arg_names}
    aligned = {
        (place,): [["tt.divisibility", 16]]
        for place, argument in enumerate(arguments)
        if argument.data_ptr() % 16 == 0
    }
    return triton.compile(
        ASTSource(kernel, ordered, constants, aligned),
        target=GPUTarget("cuda", capability, 32),
        options={"num_warps": num_warps},
    )


def stack_bytes(cubin, tmp_path):
    """Local memory of a kernel: what does not fit into the registers."""
    tool = Path(triton.__file__).parent / "backends/nvidia/bin/cuobjdump"
    file = tmp_path / "kernel.cubin"
    file.write_bytes(cubin)
    run = subprocess.run([tool, "-res-usage", file], capture_output=True, text=True, check=True)
    found = re.search(r"STACK:(\d+)", run.stdout + run.stderr)
    return int(found[1])


@pytest.mark.parametrize("capability", [80, 90])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("incoming", [64, 27])
def test_compiles(launches, capability, dtype, transposed, incoming, tmp_path):
    units = 64 if incoming == 64 else 36
    shape = (incoming, units) if transposed else (units, incoming)
    weight = torch.zeros(shape, dtype=dtype, requires_grad=True)
    side = round(units**0.5)
    sheet = UnitWeights(weight, int(transposed), (side, side), 3, 3, "bilinear")
    sheet_losses([sheet]).sum().backward()
    assert [kernel.__name__ for kernel, *_ in launches] == list(KERNELS)
    for launch in launches:
        binary = compiled(*launch, capability)
        assert binary.asm["cubin"]
        assert stack_bytes(binary.asm["cubin"], tmp_path) == 0
        if launch[0].__name__ in ("compare", "write") and dtype == torch.float32:
            # Lines whose length allows it are read four numbers at a time.
            assert ("ld.global.v4.b32" in binary.asm["ptx"]) == (incoming == 64)


@pytest.mark.parametrize("mode", ["nearest", "bicubic"])
def test_compiles_whatever_the_width_of_a_row(launches, mode):
    weight = torch.zeros(64, 32, requires_grad=True)
    sheet_losses([UnitWeights(weight, 0, (8, 8), 2, 1.6, mode)]).sum().backward()
    for launch in launches:
        assert compiled(*launch, 90).asm["cubin"]


def test_the_loss_imports_no_triton_without_a_gpu():
    code = (
        "import sys, torch; from toporepro.topoloss import laplacian_pyramid_loss as loss; "
        "loss(torch.randn(4, 4, 2, requires_grad=True), 2, 2).backward(); "
        "sys.exit('triton' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
