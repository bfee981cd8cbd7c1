"""What a network of images takes in and tells apart."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """Shape of the images and number of classes; known from the data, not from the options."""

    channels: int
    height: int
    width: int
    classes: int
