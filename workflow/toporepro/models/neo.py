"""GPT-Neo (Black et al. 2021): names, initial values and logits are those of ``transformers``.

That library would take 5 s to import before each training and each measurement, for a handful of
linear layers; the tests hold this network against its own.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from toporepro.models.gpt import MLP

_STD = 0.02


class Attention(nn.Module):
    """Causal attention; a local layer's token sees itself and the ``window − 1`` tokens before it.

    Scores are not divided by the square root of the head's width: GPT-Neo's never are.
    """

    def __init__(self, width: int, heads: int, local: bool) -> None:
        super().__init__()
        self.heads, self.local = heads, local
        self.k_proj = nn.Linear(width, width, bias=False)
        self.v_proj = nn.Linear(width, width, bias=False)
        self.q_proj = nn.Linear(width, width, bias=False)
        self.out_proj = nn.Linear(width, width)

    def forward(self, x: Tensor, window: Tensor | None) -> Tensor:
        """Tokens (n, t, width) mixed; ``window``, of local layers: what a token sees, (t, t)."""
        count, length, width = x.shape
        query, key, value = (
            project(x).view(count, length, self.heads, -1).transpose(1, 2)
            for project in (self.q_proj, self.k_proj, self.v_proj)
        )
        mask = window if self.local else None
        mixed = functional.scaled_dot_product_attention(
            query, key, value, attn_mask=mask, is_causal=mask is None, scale=1.0
        )
        return cast(Tensor, self.out_proj(mixed.transpose(1, 2).reshape(count, length, width)))


class Block(nn.Module):
    """Attention and MLP, each on what was normalised before (pre-norm)."""

    def __init__(self, width: int, heads: int, units: int, local: bool) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(width)
        self.attn = nn.ModuleDict({"attention": Attention(width, heads, local)})
        self.ln_2 = nn.LayerNorm(width)
        self.mlp = MLP(width, units, bias=True, approximate="tanh")

    def forward(self, x: Tensor, window: Tensor | None) -> Tensor:
        x = x + cast(Tensor, self.attn["attention"](self.ln_1(x), window))
        return x + cast(Tensor, self.mlp(self.ln_2(x)))


class GPTNeo(nn.Module):
    """A decoder with learnt positions, every second block of which attends locally.

    Args:
        vocabulary: rows of the matrix that is both input and output embedding.
        context: number of positions.
        width: channels of a token.
        depth: blocks.
        heads: attention heads of a block.
        units: of each MLP's hidden layer.
        window: tokens that a token of a local block attends to, itself included.
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
        window: int,
    ) -> None:
        super().__init__()
        self.window = window
        wte, wpe = nn.Embedding(vocabulary, width), nn.Embedding(context, width)
        blocks = [Block(width, heads, units, local=index % 2 == 1) for index in range(depth)]
        self.transformer = nn.ModuleDict(
            {"wte": wte, "wpe": wpe, "h": nn.ModuleList(blocks), "ln_f": nn.LayerNorm(width)}
        )
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=_STD)
            if isinstance(module, nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)
        self.lm_head = nn.Linear(width, vocabulary, bias=False)
        self.lm_head.weight = wte.weight

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits (n, t, vocabulary) of what follows each of the tokens (int64, n×t)."""
        length = tokens.shape[1]
        mask = None
        if length > self.window:
            mask = torch.ones(length, length, dtype=torch.bool, device=tokens.device)
            mask = mask.tril().triu(1 - self.window)
        positions = torch.arange(length, device=tokens.device)
        x = self.transformer["wte"](tokens) + self.transformer["wpe"](positions)
        for block in cast(nn.ModuleList, self.transformer["h"]):
            x = block(x, mask)
        return cast(Tensor, self.lm_head(self.transformer["ln_f"](x)))
