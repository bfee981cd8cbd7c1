"""Our GPT-Neo against the one of ``transformers``."""

from typing import Any

import pytest
import torch
from torch import nn

from toporepro.models import TextInputs, gpt_neo_125m
from toporepro.models.gpt_files import empty_twin
from toporepro.models.vision import import_torchvision
from toporepro.spec import SpecError

import_torchvision()
from transformers.models.gpt_neo.configuration_gpt_neo import GPTNeoConfig  # noqa: E402
from transformers.models.gpt_neo.modeling_gpt_neo import GPTNeoForCausalLM  # noqa: E402

SMALL = {"context": 40, "width": 32, "depth": 3, "heads": 4, "mlp": 96, "window": 7}


def eager() -> nn.Module:
    torch.manual_seed(0)
    config = GPTNeoConfig(
        vocab_size=101, max_position_embeddings=40, hidden_size=32, num_layers=3, num_heads=4,
        intermediate_size=96, window_size=7,
        attention_types=[[["global", "local", "global"], 1]],
    )  # fmt: skip
    config._attn_implementation = "eager"
    network: nn.Module = GPTNeoForCausalLM(config)
    with torch.no_grad():  # as if trained: attention is sharp, and nothing at its default
        for parameter in network.parameters():
            parameter.add_(0.15 * torch.randn_like(parameter))
    return network.eval()


def ours_of(theirs: nn.Module) -> nn.Module:
    inputs = TextInputs(vocabulary=101, context=40)
    network = gpt_neo_125m.build(gpt_neo_125m.Options(**SMALL), inputs).eval()
    network.load_state_dict(theirs.state_dict(), strict=True)
    return network


def test_the_full_network_is_that_of_125m() -> None:
    options = gpt_neo_125m.Options()
    with torch.device("meta"):
        network = gpt_neo_125m.build(options, TextInputs(vocabulary=50257, context=2048))
    assert sum(parameter.numel() for parameter in network.parameters()) == 125_198_592
    kinds = ["local" if block.attn.attention.local else "global" for block in network.transformer.h]
    assert kinds == ["global", "local"] * 6
    found = {n: m.out_features for n, m in network.named_modules() if n.endswith("c_fc")}
    assert gpt_neo_125m.layers(options) == found


def test_initial_values_are_those_of_transformers() -> None:
    torch.manual_seed(3)
    theirs = empty_twin("gpt_neo_125m", gpt_neo_125m.Options(**SMALL), 101).state_dict()
    torch.manual_seed(3)
    inputs = TextInputs(vocabulary=101, context=40)
    ours = gpt_neo_125m.build(gpt_neo_125m.Options(**SMALL), inputs).state_dict()
    assert [name for name in theirs if not torch.equal(ours[name], theirs[name])] == []


@pytest.mark.parametrize("length", [1, 5, 7, 8, 40])
def test_logits_and_gradients_equal_eager_ones(length: int) -> None:
    theirs = eager()
    ours = ours_of(theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    tokens = torch.randint(101, (3, length))
    logits, expected = ours(tokens), theirs(tokens).logits
    assert expected.std() > 0.5
    torch.testing.assert_close(logits, expected, rtol=0, atol=1e-5)
    targets = torch.randint(101, (3 * length,))
    for output in (logits, expected):
        nn.functional.cross_entropy(output.flatten(0, 1), targets).backward()
    for name, parameter in ours.named_parameters():
        torch.testing.assert_close(
            parameter.grad, theirs.get_parameter(name).grad, rtol=0, atol=1e-5, msg=name
        )


@pytest.mark.parametrize(
    ("options", "words"),
    [({"heads": 5}, "heads=5: a divisor of width=768"), ({"window": 0}, "window=0: at least 1")],
)
def test_options_that_cannot_be(options: dict[str, Any], words: str) -> None:
    with pytest.raises(SpecError, match=words):
        gpt_neo_125m.Options(**options)
