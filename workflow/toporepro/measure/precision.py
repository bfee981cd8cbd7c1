"""What several measures' options say of a forward pass."""

from typing import Literal

Precision = Literal["float32", "bfloat16"]

TOKENS = 32  # of text, that make up one stimulus
