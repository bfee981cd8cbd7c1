"""What a network takes in and tells apart; known from the data, not from the options."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """Of a network of images: their shape, and the number of classes."""

    channels: int
    height: int
    width: int
    classes: int


@dataclass(frozen=True, kw_only=True)
class TextInputs:
    """Of a language network.

    Attributes:
        vocabulary: number of tokens of its tokenizer; a network may have logits beyond these, to
            pad a matrix, which stand for nothing and are left out of every probability.
        context: most tokens that it takes at once.
    """

    vocabulary: int
    context: int


AnyInputs = Inputs | TextInputs
