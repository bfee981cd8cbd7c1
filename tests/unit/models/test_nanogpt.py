"""GPT-2 against ``transformers``."""

from pathlib import Path
from typing import Any

import published_files as files
import pytest
import torch
from torch import nn

from toporepro import models
from toporepro.models import TextInputs, nanogpt
from toporepro.models.family import build
from toporepro.spec import DataSpec, Recipe, SpecError, TopoSpec, TrainSpec

SMALL = {"context": 24, "width": 32, "depth": 3, "heads": 4, "mlp": 96}
INPUTS = TextInputs(vocabulary=100, context=24)
CONV1D = ("c_attn.weight", "c_proj.weight", "c_fc.weight")  # stored (in, out) by transformers


def with_weights_of(theirs: nn.Module, **options: Any) -> nn.Module:
    ours = nanogpt.build(nanogpt.Options(**SMALL, **options), INPUTS).eval()
    found = theirs.state_dict()
    own = ours.state_dict()
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(found[name].T if name.endswith(CONV1D) else found[name])
    return ours


def test_the_full_network_has_the_papers_number_of_parameters() -> None:
    with torch.device("meta"):
        network = nanogpt.build(nanogpt.Options(), TextInputs(vocabulary=50257, context=1024))
    assert sum(parameter.numel() for parameter in network.parameters()) == 124_373_760
    assert network.get_parameter("lm_head.weight").shape == (50304, 768)
    assert not any(name.endswith("bias") for name in network.state_dict())


def test_layers_are_c_fc_of_every_block() -> None:
    with torch.device("meta"):
        network = nanogpt.build(nanogpt.Options(**SMALL), INPUTS)
    found = {n: m.out_features for n, m in network.named_modules() if n.endswith("c_fc")}
    assert nanogpt.layers(nanogpt.Options(**SMALL)) == found
    assert list(nanogpt.layers(nanogpt.Options()).values()) == [3072] * 12


@pytest.mark.parametrize(("bias", "activation"), [(False, "gelu"), (True, "gelu_new")])
def test_logits_and_gradients_equal_those_of_transformers(bias: bool, activation: str) -> None:
    theirs = files.gpt2(128, bias=bias, activation_function=activation, n_layer=3)
    ours = with_weights_of(theirs, bias=bias, activation=activation)
    tokens = torch.randint(100, (2, 24))
    logits, expected = ours(tokens), theirs(tokens).logits
    torch.testing.assert_close(logits, expected, rtol=1e-5, atol=1e-5)
    for output in (logits, expected):
        nn.functional.cross_entropy(
            output[:, :-1].flatten(0, 1), tokens[:, 1:].flatten()
        ).backward()
    for name, parameter in ours.named_parameters():
        gradient = theirs.get_parameter(name).grad
        assert gradient is not None
        gradient = gradient.T if name.endswith(CONV1D) else gradient
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-4, atol=1e-6, msg=name)


def test_a_token_sees_none_that_follow_it() -> None:
    network = nanogpt.build(nanogpt.Options(**SMALL), INPUTS).eval()
    tokens = torch.randint(100, (1, 24))
    changed = tokens.clone()
    changed[0, 12] = (changed[0, 12] + 1) % 100
    same = (network(tokens) == network(changed))[0].all(dim=1)
    assert same[:12].all()
    assert not same[12:].any()


def test_weights_start_as_gpt2s() -> None:
    torch.manual_seed(0)
    network = nanogpt.build(nanogpt.Options(depth=2, width=256, heads=4, mlp=512), INPUTS)
    for name, parameter in network.named_parameters():
        if parameter.ndim == 1:
            assert torch.equal(parameter, torch.ones_like(parameter)), name
            continue
        expected = 0.01 if name.endswith("c_proj.weight") else 0.02
        assert parameter.std().item() == pytest.approx(expected, rel=0.05), name


def test_checkpoints_store_the_tied_matrix_once_and_know_the_text(tmp_path: Path) -> None:
    spec = TrainSpec(
        architecture="nanogpt",
        model=SMALL,
        data=DataSpec(source="grammar"),
        topo=TopoSpec(tau=1.5, phi=2),
        recipe=Recipe(optimizer="adamw", lr=0.1, batch=4, epochs=1),
        seed=3,
    )
    network, path = build(spec, INPUTS), tmp_path / "w.safetensors"
    models.save(path, network, spec, INPUTS, 7)
    loaded = models.load(path)
    assert models.read_metadata(path).inputs == INPUTS
    assert loaded.get_parameter("lm_head.weight") is loaded.get_parameter("transformer.wte.weight")
    tokens = torch.randint(100, (2, 9))
    assert torch.equal(loaded(tokens), network(tokens))
    assert path.stat().st_size < 4 * sum(p.numel() for p in network.parameters()) + 8000


@pytest.mark.parametrize(
    ("options", "words"),
    [({"heads": 5}, "heads=5: a divisor of width=768"), ({"depth": 0}, "depth=0: at least 1")],
)
def test_options_that_cannot_be(options: dict[str, Any], words: str) -> None:
    with pytest.raises(SpecError, match=words):
        nanogpt.Options(**options)
