"""What every image has, whatever its category: pose, background, clutter, lighting, noise.

All of it is drawn from the same distributions in every category and in both worlds.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from toporepro.data import world_colours as colours
from toporepro.data.world_canvas import Canvas, Frame, box, direction, ellipse, zigzag
from toporepro.data.world_draws import Array, Draws

_BACKGROUNDS, _HELD_OUT_BACKGROUNDS = 3, 2


def pose(canvas: Canvas, draws: Draws, *, mirror: bool) -> Frame:
    """The frame of the image's subject, about −1 to 1: place, size, small turn, mirroring."""
    frame = canvas.frame.moved(
        draws.between("pose.x", -0.22, 0.22),
        draws.between("pose.y", -0.18, 0.18),
        draws.between("pose.turn", -0.2, 0.2),
        draws.between("pose.size", 0.58, 0.98),
    )
    return frame.mirrored(draws.sign("pose.mirror")) if mirror else frame


def background(canvas: Canvas, draws: Draws) -> Array:
    """A two-coloured gradient with a soft pattern, and clutter; returns its mean colour, n×3×1×1.

    Patterns: none, stripes, one large blotch; held out for the localizer: rings, chequers.
    """
    first, second = colours.paint(draws, "background.one"), colours.paint(draws, "background.two")
    cosine, sine = direction(draws.between("background.angle", 0, 6.2832, parts=4))
    frame = canvas.frame
    u, v = cosine * frame.u + sine * frame.v, cosine * frame.v - sine * frame.u
    fine = draws.between("background.fineness", 0.6, 1.4)
    x = draws.between("background.x", -0.6, 0.6)
    y = draws.between("background.y", -0.6, 0.6)
    p, q = u - x, v - y
    patterns = (
        np.zeros_like(u),
        zigzag(u * fine * 1.6 + x),
        np.clip(1.2 - np.sqrt(p * p + q * q) * fine, 0, 1),
        zigzag(np.sqrt(p * p + q * q) * fine * 1.6),
        np.abs(zigzag(u * fine * 1.2 + x) - zigzag(v * fine * 1.2 + y)),
    )
    kind = draws.kind("background.kind", _BACKGROUNDS, _HELD_OUT_BACKGROUNDS)
    mix = np.float32(0.5) + np.float32(0.3) * u
    for number, pattern in enumerate(patterns):
        mix += _where(kind == number) * np.float32(0.6) * (pattern - np.float32(0.5))
    canvas.fill(first + np.clip(mix, 0, 1)[:, None] * (second - first))
    for number in range(3):
        clutter(canvas, draws, f"clutter.{number}", near=0.3, large=0.4)
    return (first + second) / np.float32(2)


def clutter(canvas: Canvas, draws: Draws, name: str, *, near: float, large: float) -> None:
    """A box or ellipse of any colour, its centre at least ``near`` from the middle of the image."""
    cosine, sine = direction(draws.between(f"{name}.place", 0, 6.2832, parts=4))
    distance = draws.between(f"{name}.distance", near, 1.1)
    turn = draws.between(f"{name}.turn", -1.5, 1.5, parts=4)
    frame = canvas.frame.moved(cosine * distance, sine * distance, turn)
    width = draws.between(f"{name}.width", large / 3, large)
    height = draws.between(f"{name}.height", large / 3, large)
    square = draws.happens(f"{name}.square", 0.5)
    round_, straight = ellipse(frame, 0, 0, width, height), box(frame, 0, 0, width, height)
    canvas.paint(frame, round_ + square * (straight - round_), colours.paint(draws, name))


def finish(canvas: Canvas, draws: Draws, noise: float) -> NDArray[np.uint8]:
    """Light falling from one side, tint, contrast and noise; then bytes, n×H×W×3."""
    cosine, sine = direction(draws.between("light.angle", 0, 6.2832, parts=4))
    slope = draws.between("light.slope", 0.0, 0.45)
    light = 1 + slope * (cosine * canvas.frame.u + sine * canvas.frame.v)
    pixels = canvas.pixels
    grey = colours.luminance(pixels)
    pixels = grey + draws.between("light.saturation", 0.05, 1.0)[:, None] * (pixels - grey)
    pixels *= light[:, None]
    gains = [draws.between(f"light.{channel}", 0.75, 1.2) for channel in ("red", "green", "blue")]
    pixels *= np.stack(gains, axis=1)
    contrast = draws.between("light.contrast", 0.6, 1.1)[:, None]
    pixels = np.float32(0.45) + contrast * (pixels - np.float32(0.45))
    size = pixels.shape[-1]
    strength = draws.between("noise.strength", 0, 2 * noise)[:, None]
    pixels += strength * draws.normal("noise", 3 * size * size).reshape(pixels.shape)
    scaled = np.clip(pixels * 255 + np.float32(0.5), 0, 255.5)
    return np.ascontiguousarray(scaled.transpose(0, 2, 3, 1)).astype(np.uint8)


def _where(mask: NDArray[np.bool_]) -> Array:
    return mask.astype(np.float32)[:, None, None]
