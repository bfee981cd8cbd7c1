"""Textures of straight, layered things: of scenes, and of bodies in world B."""

from __future__ import annotations

import numpy as np

from toporepro.data.world_canvas import Frame, zigzag
from toporepro.data.world_draws import Array, Draws


def courses(frame: Frame, draws: Draws, name: str) -> Array:
    """Brightness of a wall laid in horizontal courses with upright joints, n×H×W."""
    height = draws.between(f"{name}.course", 0.2, 0.3)
    row = frame.v / height
    joints = zigzag(frame.u / (2 * height) + 0.5 * (np.floor(row) % 2))
    layer = zigzag(row)
    return _line(joints, frame.pixel / height, 0.2) * _line(layer, 2 * frame.pixel / height, 0.45)


def windows(frame: Frame, width: Array, height: Array) -> Array:
    """How much of each pixel is window, from 0 to 1, in a grid of the given spacing, n×H×W."""
    across = (0.5 - zigzag(frame.u / width)) * width / (2 * frame.pixel) + 0.5
    along = (0.55 - zigzag(frame.v / height)) * height / (2 * frame.pixel) + 0.5
    return np.asarray(np.clip(across, 0, 1) * np.clip(along, 0, 1), dtype=np.float32)


def _line(wave: Array, pixel: Array, depth: float) -> Array:
    """Brightness that dips by ``depth`` where a wave nears 1, at least a pixel wide."""
    return np.asarray(1 - depth * np.clip((wave - 0.72) / pixel + 0.5, 0, 1), dtype=np.float32)
