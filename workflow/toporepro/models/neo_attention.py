"""GPT-Neo of ``transformers`` with PyTorch's fused attention in place of its eager one."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional


class Attention(nn.Module):
    """Causal attention by the projections of an eager one, whose names stay as they are.

    Scores are not divided by the square root of the head's width: GPT-Neo's never are. A local
    layer's token sees itself and the ``window − 1`` tokens before it.
    """

    def __init__(self, eager: Any) -> None:
        super().__init__()
        self.heads: int = eager.num_heads
        self.local: bool = eager.attention_type == "local"
        self.k_proj: nn.Module = eager.k_proj
        self.v_proj: nn.Module = eager.v_proj
        self.q_proj: nn.Module = eager.q_proj
        self.out_proj: nn.Module = eager.out_proj

    def forward(
        self, hidden_states: Tensor, attention_mask: Tensor | None = None, **_: Any
    ) -> tuple[Tensor, None]:
        """As ``GPTNeoSelfAttention.forward`` is called by its block.

        Args:
            hidden_states: (n, t, width).
            attention_mask: what tokens of local layers see, (t, t); ``None`` if that is all.
        """
        count, length, width = hidden_states.shape
        query, key, value = (
            project(hidden_states).view(count, length, self.heads, -1).transpose(1, 2)
            for project in (self.q_proj, self.k_proj, self.v_proj)
        )
        mask = attention_mask if self.local else None
        mixed = functional.scaled_dot_product_attention(
            query, key, value, attn_mask=mask, is_causal=mask is None, scale=1.0
        )
        return self.out_proj(mixed.transpose(1, 2).reshape(count, length, width)), None


class GPTNeo(nn.Module):
    """The modules of a ``GPTNeoForCausalLM``, under its names.

    Args:
        made: the network of ``transformers``; its modules become this one's.
        window: of its local layers.
    """

    def __init__(self, made: Any, window: int) -> None:
        super().__init__()
        self.window = window
        self.transformer: Any = made.transformer
        self.lm_head: nn.Module = made.lm_head
        for block in self.transformer.h:
            block.attn.attention = Attention(block.attn.attention)

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits (n, t, vocabulary) of what follows each of the tokens (int64, n×t)."""
        length = tokens.shape[1]
        mask = None
        if length > self.window:
            mask = torch.ones(length, length, dtype=torch.bool, device=tokens.device)
            mask = mask.tril().triu(1 - self.window)
        positions = torch.arange(length, device=tokens.device)
        x = self.transformer.wte(tokens) + self.transformer.wpe(positions)
        for block in self.transformer.h:
            x, _ = block(x, attention_mask=mask)
        return cast(Tensor, self.lm_head(self.transformer.ln_f(x)))
