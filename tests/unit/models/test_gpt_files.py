"""Weights of nanoGPT's and transformers' files in ours, and ours in transformers'."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import published_files as files
import pytest
import torch
from torch import nn

from toporepro import models
from toporepro.cli import main
from toporepro.models import TextInputs
from toporepro.models.checkpoint import CheckpointError
from toporepro.models.family import build
from toporepro.models.gpt_files import export
from toporepro.models.published import network
from toporepro.spec import NOT_TRAINED, CheckpointSpec, DataSpec, TopoSpec, TrainSpec

SIZE = {"context": 24, "width": 32, "depth": 2, "heads": 4, "mlp": 96}
VOCABULARY = 100  # padded to 128


def spec_of(architecture: str = "nanogpt", **options: Any) -> TrainSpec:
    return TrainSpec(
        architecture=architecture,
        model=SIZE | options,
        data=DataSpec(source="grammar"),
        topo=TopoSpec(tau=1, phi=8),
        recipe=NOT_TRAINED,
        seed=0,
        checkpoint=CheckpointSpec(file="there.pt", vocabulary=VOCABULARY),
    )


def same_logits(ours: nn.Module, theirs: nn.Module) -> None:
    tokens = torch.randint(VOCABULARY, (3, 24))
    with torch.inference_mode():
        expected = theirs(tokens).logits[..., :VOCABULARY]
        assert expected.std() > 0.5
        torch.testing.assert_close(ours(tokens)[..., :VOCABULARY], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("rows", [VOCABULARY, 128])
@pytest.mark.parametrize("prefix", ["", "_orig_mod."])
def test_the_authors_format(rows: int, prefix: str, tmp_path: Path) -> None:
    theirs = files.gpt2(rows, bias=False, activation_function="gelu")
    torch.save(files.nanogpt_file(theirs, prefix), tmp_path / "tau_0.5.pt")
    ours, inputs = network(spec_of(), tmp_path / "tau_0.5.pt")
    assert inputs == TextInputs(vocabulary=VOCABULARY, context=24)
    assert ours.get_parameter("lm_head.weight").shape == (128, 32)
    same_logits(ours, theirs)


def test_nanogpts_files_with_biases(tmp_path: Path) -> None:
    theirs = files.gpt2(128, bias=True, activation_function="gelu")
    torch.save(files.nanogpt_file(theirs, ""), tmp_path / "f.pt")
    same_logits(network(spec_of(bias=True), tmp_path / "f.pt")[0], theirs)
    with pytest.raises(CheckpointError, match=r"not of this network: .*\.bias"):
        network(spec_of(), tmp_path / "f.pt")


@pytest.mark.parametrize(
    ("bias", "activation"), [(False, "gelu"), (True, "gelu_new")], ids=["ours", "OpenAI's"]
)
def test_files_of_transformers(bias: bool, activation: str, tmp_path: Path) -> None:
    theirs = files.gpt2(VOCABULARY, bias=bias, activation_function=activation)
    theirs.save_pretrained(tmp_path)
    spec = spec_of(bias=bias, activation=activation)
    same_logits(network(spec, tmp_path / "model.safetensors")[0], theirs)


def test_older_files_of_transformers(tmp_path: Path) -> None:
    """Without the prefix and the head, and with the causal masks."""
    theirs = files.gpt2(VOCABULARY, bias=True, activation_function="gelu_new")
    state = {
        name.removeprefix("transformer."): tensor
        for name, tensor in theirs.state_dict().items()
        if name != "lm_head.weight"
    }
    for block in range(2):
        state[f"h.{block}.attn.bias"] = torch.ones(1, 1, 24, 24).tril()
        state[f"h.{block}.attn.masked_bias"] = torch.tensor(-1e4)
    torch.save(state, tmp_path / "f.bin")
    spec = spec_of(bias=True, activation="gelu_new")
    same_logits(network(spec, tmp_path / "f.bin")[0], theirs)


def test_what_is_no_such_network(tmp_path: Path) -> None:
    theirs = files.gpt2(128, bias=False, activation_function="gelu")
    state = files.nanogpt_file(theirs, "")["model"]
    torch.save({**state, "lm_head.weight": state["lm_head.weight"] + 1}, tmp_path / "untied.pt")
    with pytest.raises(CheckpointError, match=r"untied\.pt: lm_head\.weight and .* differ"):
        network(spec_of(), tmp_path / "untied.pt")
    torch.save(state, tmp_path / "f.pt")
    with pytest.raises(CheckpointError, match=r"missing: transformer\.h\.2\."):
        network(spec_of(depth=3), tmp_path / "f.pt")
    small = files.gpt2(VOCABULARY - 1, bias=False, activation_function="gelu")
    torch.save(files.nanogpt_file(small, ""), tmp_path / "small.pt")
    with pytest.raises(CheckpointError, match=r"lm_head\.weight is \(99, 32\) and not \(128, 32\)"):
        network(spec_of(), tmp_path / "small.pt")


def test_one_file_by_hand(tmp_path: Path) -> None:
    theirs = files.gpt2(128, bias=False, activation_function="gelu")
    torch.save(files.nanogpt_file(theirs, "_orig_mod."), tmp_path / "tau_3.0.pt")
    model = '{"context": 24, "width": 32, "depth": 2, "heads": 4, "mlp": 96}'
    out = tmp_path / "ours.safetensors"
    arguments = ["convert", str(tmp_path / "tau_3.0.pt"), "--family", "nanogpt", "--model", model]
    assert main([*arguments, "--tau", "3", "--vocabulary", "100", "--out", str(out)]) == 0
    same_logits(models.load(out), theirs)
    topo = models.read_metadata(out).spec.topo
    assert (topo.tau, topo.phi) == (3, 8)


@pytest.mark.parametrize(
    ("architecture", "options"),
    [
        ("nanogpt", {}),
        ("nanogpt", {"bias": True, "activation": "gelu_new"}),
        ("gpt_neo_125m", {"window": 8}),
    ],
)
def test_transformers_reads_what_is_exported(
    architecture: str, options: dict[str, Any], tmp_path: Path
) -> None:
    from transformers import AutoModelForCausalLM

    spec, inputs = spec_of(architecture, **options), TextInputs(vocabulary=VOCABULARY, context=24)
    ours = build(spec, inputs)
    with torch.no_grad():
        for parameter in ours.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    models.save(tmp_path / "w.safetensors", ours, spec, inputs, 1)
    command = ["export", str(tmp_path / "w.safetensors"), "--out", str(tmp_path / "theirs")]
    assert main(command) == 0
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path / "theirs").eval()
    assert theirs.config.vocab_size == VOCABULARY
    same_logits(ours, theirs)
    again, _ = network(spec, tmp_path / "theirs" / "model.safetensors")
    same_logits(again, theirs)


def test_networks_of_images_are_not_exported(tmp_path: Path) -> None:
    spec = TrainSpec(
        architecture="mlp",
        model={},
        data=DataSpec(source="digits"),
        topo=TopoSpec(tau=1, phi=2),
        recipe=NOT_TRAINED,
        seed=0,
        checkpoint=CheckpointSpec(file="x.pt"),
    )
    inputs = models.Inputs(channels=1, height=8, width=8, classes=2)
    models.save(tmp_path / "w.safetensors", build(spec, inputs), spec, inputs, 1)
    with pytest.raises(CheckpointError, match="mlp is no language network"):
        export(tmp_path / "w.safetensors", tmp_path / "theirs")
