"""Palettes of the image world. Hues overlap between categories, so that colour gives none away."""

from __future__ import annotations

import numpy as np

from toporepro.data.world_draws import Array, Draws


def hsv(hue: Array, saturation: Array, value: Array) -> Array:
    """Colour n×3×1×1 from hue (turns), saturation and value, each n×1×1."""
    channels = []
    for offset in (5, 3, 1):
        k = (offset + 6 * hue) % 6
        channels.append(value - value * saturation * np.clip(np.minimum(k, 4 - k), 0, 1))
    return np.stack(channels, axis=1).astype(np.float32)


def skin(draws: Draws, name: str) -> Array:
    """Skin from light to dark: of faces, and of bodies in world A."""
    dark = draws.between(f"{name}.dark", 0, 1)
    hue = draws.between(f"{name}.hue", 0.02, 0.09)
    return hsv(hue, 0.28 + 0.32 * dark, 0.95 - 0.5 * dark)


def hair(draws: Draws, name: str) -> Array:
    """Hair from black to fair and grey: of faces, and hair and shorts of bodies in world A."""
    hue = draws.between(f"{name}.hue", 0.02, 0.12)
    saturation = draws.between(f"{name}.saturation", 0.1, 0.7)
    return hsv(hue, saturation, draws.between(f"{name}.value", 0.05, 0.5))


def masonry(draws: Draws, name: str) -> Array:
    """Stone, slate, plaster, copper: of scenes, and of bodies in world B."""
    hue = draws.between(f"{name}.hue", 0.2, 0.75)
    saturation = draws.between(f"{name}.saturation", 0.05, 0.45)
    return hsv(hue, saturation, draws.between(f"{name}.value", 0.35, 0.9))


def paint(draws: Draws, name: str) -> Array:
    """Any colour: of objects, characters, clutter and backgrounds."""
    hue = draws.between(f"{name}.hue", 0, 1, parts=4)
    saturation = draws.between(f"{name}.saturation", 0.1, 0.75)
    return hsv(hue, saturation, draws.between(f"{name}.value", 0.25, 0.95))


def luminance(colour: Array) -> Array:
    """Mean of the channels, n×1×1×1."""
    return (colour[:, 0:1] + colour[:, 1:2] + colour[:, 2:3]) / np.float32(3)
