"""Arithmetic that comes out the same every time, as far as torch allows."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import torch
from torch.utils import deterministic as torch_deterministic

from toporepro.data.loader import STEP, random_bits


@contextlib.contextmanager
def deterministic(threads: int) -> Iterator[None]:
    """Deterministic algorithms where torch has them, and so many threads; undone on exit."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when CUDA starts
    before = torch.get_num_threads()
    was_strict = torch.get_deterministic_debug_mode()
    was_filling = torch_deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    torch.set_num_threads(threads)
    torch.set_deterministic_debug_mode("warn")
    _fill_uninitialised(False)  # which costs time
    try:
        yield
    finally:
        torch.set_num_threads(before)
        torch.set_deterministic_debug_mode(was_strict)
        _fill_uninitialised(was_filling)


def _fill_uninitialised(fill: bool) -> None:
    torch_deterministic.fill_uninitialized_memory = fill  # type: ignore[attr-defined]


def seed_step(device: torch.device, seed: int, rank: int, step: int) -> None:
    """Seed torch's generators (dropout draws from them) by seed, process and step.

    A resumed training then needs no generator's state to go on as it would have.
    """
    number = int(random_bits(seed, STEP, rank, step)) >> 1
    torch.default_generator.manual_seed(number)  # torch.manual_seed is slow without a GPU
    if device.type == "cuda":
        torch.cuda.manual_seed(number)
