"""Weights of GPT-2 and GPT-Neo as others store them, and ours as ``transformers`` stores them.

nanoGPT and the authors' files have our names: linear layers are (out, in), and the tied matrix has
both of its names. ``transformers`` stores GPT-2's linear layers, its ``Conv1D``, as (in, out), has
biases everywhere, the tied matrix once, and, in older files, causal masks as buffers; files of the
bare decoder lack the prefix ``transformer.``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from toporepro.models.checkpoint import CheckpointError, load, read_metadata
from toporepro.models.family import family
from toporepro.models.inputs import TextInputs
from toporepro.spec import decode

_HEAD, _EMBEDDING = "lm_head.weight", "transformer.wte.weight"
_MASKS = re.compile(r"\.attn(\.attention)?\.(bias|masked_bias)$")
_CONV1D = re.compile(r"\.(c_attn|c_proj|c_fc)\.weight$")


def translated(
    weights: Mapping[str, Tensor], own: Mapping[str, Tensor], vocabulary: int
) -> dict[str, Tensor]:
    """Foreign weights by our names and in our layout, as far as they are known to differ.

    Rows that our padded matrix has beyond the file's are 0; biases that are all 0 are left out
    where our network has none.

    Args:
        weights: the file's, by name.
        own: the state dict that they are for.
        vocabulary: rows that the file has at least.

    Raises:
        CheckpointError: if the file's input and output embeddings are two different matrices.
    """
    prefix = "transformer." if "wte.weight" in weights else ""
    found = {
        name if name == _HEAD else prefix + name: tensor
        for name, tensor in weights.items()
        if not _MASKS.search(name)
    }
    first = found.get("transformer.h.0.attn.c_attn.weight")
    if first is not None and first.ndim == 2 and first.shape[0] < first.shape[1]:
        found = {name: t.T if _CONV1D.search(name) else t for name, t in found.items()}
    head, embedding = found.get(_HEAD), found.get(_EMBEDDING)
    if head is not None and embedding is not None and not torch.equal(head, embedding):
        raise CheckpointError(f"{_HEAD} and {_EMBEDDING} differ; here they are one matrix")
    tied = embedding if head is None else head
    if tied is not None:
        if tied.ndim == 2 and vocabulary <= len(tied) < len(own[_HEAD]):
            tied = functional.pad(tied, (0, 0, 0, len(own[_HEAD]) - len(tied)))
        found[_HEAD] = found[_EMBEDDING] = tied
    return {
        name: tensor
        for name, tensor in found.items()
        if name in own or not name.endswith(".bias") or bool(tensor.any())
    }


def export(checkpoint: Path, folder: Path) -> None:
    """One of our language networks as a folder that ``from_pretrained`` of ``transformers`` reads.

    Logits are equal; rows that pad our vocabulary are left out.

    Raises:
        CheckpointError: if the checkpoint cannot be used, or is of no language network.
    """
    metadata = read_metadata(checkpoint)
    if not isinstance(metadata.inputs, TextInputs):
        raise CheckpointError(f"{checkpoint}: {metadata.spec.architecture} is no language network")
    module = load(checkpoint)
    options = decode(family(metadata.spec.architecture).Options, metadata.spec.model)
    theirs = empty_twin(metadata.spec.architecture, options, metadata.inputs.vocabulary)
    state = {
        name: tensor[: metadata.inputs.vocabulary] if name in (_HEAD, _EMBEDDING) else tensor
        for name, tensor in module.state_dict().items()
    }
    _insert(theirs, state)
    theirs.save_pretrained(folder)


def empty_twin(architecture: str, options: Any, vocabulary: int) -> Any:
    """The network of ``transformers`` that is ours in all but its weights."""
    from toporepro.models.vision import import_torchvision

    import_torchvision()  # transformers imports it
    if architecture == "gpt_neo_125m":
        return _neo_twin(options, vocabulary)
    from transformers.models.gpt2.configuration_gpt2 import GPT2Config
    from transformers.models.gpt2.modeling_gpt2 import GPT2LMHeadModel

    return GPT2LMHeadModel(
        GPT2Config(
            vocab_size=vocabulary,
            n_positions=options.context,
            n_embd=options.width,
            n_layer=options.depth,
            n_head=options.heads,
            n_inner=options.mlp,
            activation_function=options.activation,
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
            bos_token_id=None,
            eos_token_id=None,
        )
    )


def _neo_twin(options: Any, vocabulary: int) -> Any:
    from transformers.models.gpt_neo.configuration_gpt_neo import GPTNeoConfig
    from transformers.models.gpt_neo.modeling_gpt_neo import GPTNeoForCausalLM

    pairs: list[list[object]] = [[["global", "local"], options.depth // 2]]
    return GPTNeoForCausalLM(
        GPTNeoConfig(
            vocab_size=vocabulary,
            max_position_embeddings=options.context,
            hidden_size=options.width,
            num_layers=options.depth,
            attention_types=pairs + [[["global"], 1]] * (options.depth % 2),
            num_heads=options.heads,
            intermediate_size=options.mlp,
            window_size=options.window,
        )
    )


@torch.no_grad()
def _insert(theirs: nn.Module, state: Mapping[str, Tensor]) -> None:
    conv1d = any("c_attn" in name for name in state)
    for name, parameter in theirs.named_parameters():
        if name not in state:
            parameter.zero_()  # biases that ours has not
        else:
            tensor = state[name]
            parameter.copy_(tensor.T if conv1d and _CONV1D.search(name) else tensor)
