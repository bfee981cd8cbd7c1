"""Operations of a decoder of language, GPT-2 or GPT-Neo; arithmetic, no torch."""

from __future__ import annotations


def decoder_flops(*, context: int, width: int, depth: int, mlp: int, vocabulary: int) -> int:
    """Of a forward pass of one sequence of ``context`` tokens; a multiply-add is two.

    Attention counts in full, as in PaLM (Chowdhery et al. 2022, appendix B), although causal and
    local attention leave much of it out.
    """
    block = 4 * width**2 + 2 * width * mlp + 2 * context * width
    return 2 * context * (depth * block + width * vocabulary)
