"""Optimisers of a recipe: what decays, and equality with torch's plain forms."""

import subprocess
import sys
import textwrap
from pathlib import Path
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


def test_an_optimiser_needs_no_compiler() -> None:
    code = """
    import sys, torch
    from tiny_training import tiny_spec
    from toporepro.train.optimizer import make_optimizer
    for name in ("adam", "adamw", "sgd"):
        network = torch.nn.Linear(3, 2)
        optimizer = make_optimizer(network, tiny_spec(optimizer=name).recipe)
        optimizer.zero_grad()
        network(torch.ones(1, 3)).sum().backward()
        optimizer.step()
        optimizer.load_state_dict(optimizer.state_dict())
    print(sorted(name for name in sys.modules if name.startswith("torch._dynamo")))
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    answer = subprocess.check_output(command, text=True, cwd=Path(__file__).parent)
    assert answer.strip() == "[]"


@pytest.mark.parametrize(
    ("name", "kind"),
    [("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW), ("sgd", torch.optim.SGD)],
)
def test_updates_and_states_are_the_bytes_of_torchs_own_class(name: Any, kind: Any) -> None:
    recipe = tiny_spec(optimizer=name, decay_norms_and_biases=True).recipe
    ours, theirs = network(), network()
    mine = make_optimizer(ours, recipe)
    groups = [{**group, "params": list(theirs.parameters())} for group in mine.param_groups[:1]]
    other = kind(groups, fused=True)
    assert isinstance(mine, kind)
    steps: list[Any] = []
    mine.register_step_post_hook(lambda *_: steps.append(torch.is_grad_enabled()))
    images = torch.randn(8, 1, 4, 4)
    for turn in range(4):
        for net, optimizer in ((ours, mine), (theirs, other)):
            optimizer.zero_grad()
            net(images).square().sum().backward()
            optimizer.step()
        if turn == 1:
            mine.load_state_dict(mine.state_dict())
    assert steps == [True] * 4
    for left, right in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(left, right)
    left, right = mine.state_dict()["state"], other.state_dict()["state"]
    assert left.keys() == right.keys()
    assert len(left) == 5
    for index in left:
        torch.testing.assert_close(left[index], right[index], rtol=0, atol=0)
