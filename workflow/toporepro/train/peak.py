"""What devices are made for: the denominator of model FLOPs utilisation (MFU)."""

from __future__ import annotations

import re

import torch

# Dense bfloat16 products with float32 sums, in 10¹² operations a second, from NVIDIA's data sheets
# (half of the rate with sparsity, where a sheet gives that alone). The first that fits counts.
_TERA = (
    ("GB200", 2500.0),
    ("B200", 2250.0),
    ("H200 NVL", 835.5),
    ("H200", 989.5),
    ("GH200", 989.5),
    ("H100 NVL", 835.5),
    ("H100 PCIe", 756.5),
    ("H100", 989.5),
    ("A100", 312.0),
    ("A40", 149.7),
    ("A30", 165.0),
    ("A10", 125.0),
    ("L40S", 362.05),
    ("L4", 121.0),
)


def peak_flops(device: torch.device, precision: str) -> float:
    """Floating-point operations a second of a device; 0 where they are not known.

    They are known for bfloat16 alone, and for no CPU.
    """
    if device.type != "cuda" or precision != "bfloat16":
        return 0.0
    return peak_of(torch.cuda.get_device_name(device))


def peak_of(name: str) -> float:
    """The same for a GPU by the name that its driver gives it."""
    found = (tera for part, tera in _TERA if re.search(rf"\b{part}\b", name))
    return 1e12 * next(found, 0.0)
