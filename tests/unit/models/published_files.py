"""Files in the formats of the published ones, made of torchvision's and transformers' modules."""

from __future__ import annotations

import argparse
import pathlib
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from toporepro.models.vision import import_torchvision

import_torchvision()

import torchvision  # noqa: E402
from transformers.models.gpt2.configuration_gpt2 import GPT2Config  # noqa: E402
from transformers.models.gpt2.modeling_gpt2 import GPT2LMHeadModel  # noqa: E402


class FfcvBlurPoolConv2d(nn.Module):
    """As ffcv-imagenet wraps convolutions: the reference for names and arithmetic."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        kernel = torch.tensor([[[[1, 2, 1], [2, 4, 2], [1, 2, 1]]]]) / 16.0
        self.conv = conv
        self.register_buffer("blur_filter", kernel.repeat(conv.in_channels, 1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        blurred = functional.conv2d(
            x, self.blur_filter, stride=1, padding=(1, 1), groups=self.conv.in_channels, bias=None
        )
        return self.conv.forward(blurred)


def apply_blurpool(module: nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(child, nn.Conv2d) and max(child.stride) > 1 and child.in_channels >= 16:
            setattr(module, name, FfcvBlurPoolConv2d(child))
        else:
            apply_blurpool(child)


def source(name: str, classes: int, blurpool: bool, seed: int = 0) -> nn.Module:
    """A network of torchvision's, as if it had been trained: no statistic at its default."""
    torch.manual_seed(seed)
    network: nn.Module = getattr(torchvision.models, name)(num_classes=classes)
    if blurpool:
        apply_blurpool(network)
    with torch.no_grad():
        for key, tensor in network.state_dict().items():
            if key.endswith(("running_mean", "bn1.bias", "heads.head.weight")):
                tensor.normal_(0, 0.1)
            elif key.endswith("running_var"):
                tensor.uniform_(0.5, 1.5)
            elif key.endswith("num_batches_tracked"):
                tensor.fill_(7)
    return network.eval()


def training_file(network: nn.Module) -> dict[str, Any]:
    """As torchvision's reference script saves: weights under ``model`` and much beside them."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.1)
    return {
        "model": network.state_dict(),
        "optimizer": optimizer.state_dict(),
        "lr_scheduler": torch.optim.lr_scheduler.StepLR(optimizer, 3).state_dict(),
        "epoch": 87,
        "args": argparse.Namespace(model="vit_b_32", lr=0.1, output_dir=pathlib.Path("/tmp")),
        "scaler": None,
    }


def gpt2(vocabulary: int, *, bias: bool, seed: int = 0, **config: Any) -> Any:
    """A small GPT-2 of transformers', as if it had been trained: no norm or bias at its default."""
    torch.manual_seed(seed)
    sizes = {"n_positions": 24, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_inner": 96}
    made = GPT2Config(
        vocab_size=vocabulary, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
        bos_token_id=None, eos_token_id=None, **(sizes | config),
    )  # fmt: skip
    network: Any = GPT2LMHeadModel(made)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
            if name.endswith("bias") and not bias:
                parameter.zero_()
    return network.eval()


def nanogpt_file(network: Any, prefix: str) -> dict[str, Any]:
    """As nanoGPT's script saves: linear layers (out, in), no biases where they are 0.

    Args:
        network: of ``gpt2``.
        prefix: ``_orig_mod.`` as torch.compile leaves it, or nothing.
    """
    weights = {}
    for name, tensor in network.state_dict().items():
        if name.endswith("bias") and not tensor.any():
            continue
        linear = name.endswith(("c_attn.weight", "c_proj.weight", "c_fc.weight"))
        weights[prefix + name] = tensor.T.contiguous() if linear else tensor
    config, optimizer = network.config, torch.optim.AdamW(network.parameters(), lr=6e-4)
    return {
        "model": weights,
        "optimizer": optimizer.state_dict(),
        "model_args": {
            "n_layer": config.n_layer,
            "n_head": config.n_head,
            "n_embd": config.n_embd,
            "block_size": config.n_positions,
            "bias": any(name.endswith("bias") for name in weights),
            "vocab_size": config.vocab_size,
            "dropout": 0.0,
        },
        "iter_num": 19_072,
        "best_val_loss": torch.tensor(3.08),
        "config": {"dataset": "fineweb10B", "compile": True, "learning_rate": 6e-4},
    }
