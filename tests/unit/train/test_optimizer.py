"""Optimisers of a recipe: what decays, and equality with torch's plain forms."""

from typing import Any

import pytest
import torch
from tiny_training import tiny_spec
from torch import nn

from toporepro.train.optimizer import make_optimizer


def network() -> nn.Module:
    torch.manual_seed(0)
    # A bias before batch-norm has no gradient but rounding, which Adam would blow up to full steps.
    first = nn.Conv2d(1, 4, 3, bias=False)
    return nn.Sequential(first, nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 3))


@pytest.mark.parametrize("everywhere", [False, True])
def test_only_matrices_decay_unless_asked(everywhere: bool) -> None:
    recipe = tiny_spec(
        optimizer="adamw", weight_decay=0.1, decay_norms_and_biases=everywhere
    ).recipe
    optimizer = make_optimizer(network(), recipe)
    decay = {
        p.shape: group["weight_decay"] for group in optimizer.param_groups for p in group["params"]
    }
    spared = 0.1 if everywhere else 0.0
    assert decay == {(4, 1, 3, 3): 0.1, (3, 16): 0.1, (4,): spared, (3,): spared}


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd"])
def test_updates_equal_torchs_plain_optimisers(name: Any) -> None:
    recipe = tiny_spec(
        optimizer=name,
        weight_decay=0.01,
        decay_norms_and_biases=True,
        betas=(0.8, 0.9),
        momentum=0.7,
    ).recipe
    plain: dict[str, Any] = {
        "adam": lambda p: torch.optim.Adam(p, 2e-3, (0.8, 0.9), weight_decay=0.01),
        "adamw": lambda p: torch.optim.AdamW(p, 2e-3, (0.8, 0.9), weight_decay=0.01),
        "sgd": lambda p: torch.optim.SGD(p, 2e-3, momentum=0.7, weight_decay=0.01),
    }
    ours, theirs = network(), network()
    optimizers = make_optimizer(ours, recipe), plain[name](theirs.parameters())
    images = torch.randn(8, 1, 4, 4)
    for _ in range(5):
        for net, optimizer in zip((ours, theirs), optimizers, strict=True):
            optimizer.zero_grad()
            net(images).square().sum().backward()
            optimizer.step()
    for left, right in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(left, right, rtol=1e-5, atol=1e-6)
