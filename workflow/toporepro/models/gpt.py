"""GPT-2 (Radford et al. 2019) as nanoGPT builds it, whose names of parameters ours share."""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

_STD = 0.02


class Attention(nn.Module):
    """Causal self-attention."""

    def __init__(self, width: int, heads: int, bias: bool) -> None:
        super().__init__()
        self.heads = heads
        self.c_attn = nn.Linear(width, 3 * width, bias=bias)
        self.c_proj = nn.Linear(width, width, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        count, length, width = x.shape
        parts = self.c_attn(x).view(count, length, 3, self.heads, width // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        return cast(Tensor, self.c_proj(mixed.transpose(1, 2).reshape(count, length, width)))


class MLP(nn.Module):
    """The layer ``c_fc`` lies on the cortical sheet."""

    def __init__(self, width: int, units: int, bias: bool, approximate: str) -> None:
        super().__init__()
        self.c_fc = nn.Linear(width, units, bias=bias)
        self.gelu = nn.GELU(approximate)
        self.c_proj = nn.Linear(units, width, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.c_proj(self.gelu(self.c_fc(x))))


class Block(nn.Module):
    """Attention and MLP, each on what was normalised before (pre-norm)."""

    def __init__(self, width: int, heads: int, units: int, bias: bool, approximate: str) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(width, bias=bias)
        self.attn = Attention(width, heads, bias)
        self.ln_2 = nn.LayerNorm(width, bias=bias)
        self.mlp = MLP(width, units, bias, approximate)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.ln_1(x))
        return x + cast(Tensor, self.mlp(self.ln_2(x)))


class GPT(nn.Module):
    """A decoder with learnt positions, whose input and output embeddings are one matrix.

    Args:
        vocabulary: rows of that matrix.
        context: number of positions.
        width: channels of a token.
        depth: blocks.
        heads: attention heads of a block.
        units: of each MLP's hidden layer.
        bias: whether linear layers and normalisations have biases.
        approximate: of GELU, as ``torch.nn.GELU`` names it.
    """

    def __init__(
        self,
        *,
        vocabulary: int,
        context: int,
        width: int,
        depth: int,
        heads: int,
        units: int,
        bias: bool,
        approximate: str,
    ) -> None:
        super().__init__()
        blocks = [Block(width, heads, units, bias, approximate) for _ in range(depth)]
        self.transformer = nn.ModuleDict(
            {
                "wte": nn.Embedding(vocabulary, width),
                "wpe": nn.Embedding(context, width),
                "h": nn.ModuleList(blocks),
                "ln_f": nn.LayerNorm(width, bias=bias),
            }
        )
        self.lm_head = nn.Linear(width, vocabulary, bias=False)
        for name, parameter in self.named_parameters():
            if parameter.ndim > 1:
                # What is added to the stream of tokens starts the smaller, the deeper the network.
                scale = 1 / math.sqrt(2 * depth) if name.endswith("c_proj.weight") else 1.0
                nn.init.normal_(parameter, std=_STD * scale)
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)
        self.lm_head.weight = self.transformer["wte"].weight  # type: ignore[assignment]

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits (n, t, vocabulary) of what follows each of the tokens (int64, n×t)."""
        positions = torch.arange(tokens.shape[1], device=tokens.device)
        x = self.transformer["wte"](tokens) + self.transformer["wpe"](positions)
        for block in cast(nn.ModuleList, self.transformer["h"]):
            x = block(x)
        return cast(Tensor, self.lm_head(self.transformer["ln_f"](x)))
