"""The arithmetic of a forward pass, as measures' options spell it."""

from typing import Literal

Precision = Literal["float32", "bfloat16"]
