"""Drawing on a batch of images at once: frames, signed distances of shapes, paint.

Coordinates run from −1 to 1 over the image, x to the right and y down. A shape is the signed
distance of each pixel from its outline, negative inside; edges are smoothed over one pixel. Pixels
see only additions, multiplications, divisions and square roots, which IEEE 754 rounds alike
everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from toporepro.data.world_draws import Array

Number = Array | float
Point = tuple[Number, Number]


@dataclass(frozen=True)
class Frame:
    """Coordinates of a thing: ``u``, ``v`` of every pixel (n×H×W) and a pixel's width (n×1×1)."""

    u: Array
    v: Array
    pixel: Array

    def moved(self, x: Number, y: Number, angle: Number = 0.0, scale: Number = 1.0) -> Frame:
        """The frame of a part: its origin, turn (radians), and size in units of this one."""
        cosine, sine = direction(angle)
        u, v = self.u - x, self.v - y
        along, across = (cosine * u + sine * v) / scale, (cosine * v - sine * u) / scale
        return Frame(along, across, self.pixel / scale)

    def mirrored(self, sign: Number) -> Frame:
        """The frame seen in a mirror where ``sign`` is −1."""
        return Frame(self.u * sign, self.v, self.pixel)


class Canvas:
    """A batch of images being painted, n×3×size×size, colours from 0 to 1."""

    def __init__(self, count: int, size: int) -> None:
        self.pixels: Array = np.zeros((count, 3, size, size), dtype=np.float32)
        step = np.float32(2 / size)
        line = (np.arange(size, dtype=np.float32) + np.float32(0.5)) * step - np.float32(1)
        grid = (count, size, size)
        self.frame = Frame(
            np.broadcast_to(line, grid),
            np.broadcast_to(line[:, None], grid),
            np.full((count, 1, 1), step, dtype=np.float32),
        )

    def fill(self, colour: Array) -> None:
        """Paint everything; ``colour`` broadcasts to n×3×H×W."""
        self.pixels[:] = colour

    def paint(
        self, frame: Frame, shape: Array, colour: Array, shade: Number = 1.0, opacity: Number = 1.0
    ) -> None:
        """Paint the inside of a shape.

        Args:
            frame: in whose units the distances are.
            shape: signed distances, n×H×W.
            colour: n×3×1×1.
            shade: brightness, a number or n×H×W.
            opacity: from 0 to 1, a number or n×1×1.
        """
        cover = np.clip(0.5 - shape / frame.pixel, 0, 1) * opacity
        shaded = colour if isinstance(shade, float) else colour * shade[:, None]
        self.pixels += cover[:, None] * (shaded - self.pixels)


def direction(angle: Number) -> Point:
    """Cosine and sine, rounded so that libraries that differ in the last bit draw the same."""
    radians = np.asarray(angle, dtype=np.float64)
    cosine, sine = (
        np.round(part, 5).astype(np.float32) for part in (np.cos(radians), np.sin(radians))
    )
    return cosine, sine


def ellipse(frame: Frame, x: Number, y: Number, rx: Number, ry: Number) -> Array:
    """An ellipse about (x, y); distances exact to first order at the outline."""
    p, q = (frame.u - x + np.float32(1e-4)) / rx, (frame.v - y) / ry
    radius = np.sqrt(p * p + q * q)
    p, q = p / rx, q / ry
    return _f32(radius * (radius - 1) / np.sqrt(p * p + q * q))


def box(frame: Frame, x: Number, y: Number, half_width: Number, half_height: Number) -> Array:
    """A rectangle about (x, y) with sides along the axes."""
    return _f32(np.maximum(np.abs(frame.u - x) - half_width, np.abs(frame.v - y) - half_height))


def limb(frame: Frame, start: Point, end: Point, radius: Number) -> Array:
    """A rounded stroke between two points."""
    (x, y), (dx, dy) = start, (end[0] - start[0], end[1] - start[1])
    p, q = frame.u - x, frame.v - y
    along = np.clip((p * dx + q * dy) / (dx * dx + dy * dy + 1e-6), 0, 1)
    p, q = p - along * dx, q - along * dy
    return _f32(np.sqrt(p * p + q * q) - radius)


def plank(frame: Frame, start: Point, end: Point, half_width: Number) -> Array:
    """A straight stroke with square ends, ``half_width`` longer at each end, between two points."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    length = np.sqrt(dx * dx + dy * dy + 1e-6)
    p, q = frame.u - (start[0] + end[0]) / 2, frame.v - (start[1] + end[1]) / 2
    along, across = np.abs(p * dx + q * dy) / length, np.abs(q * dx - p * dy) / length
    return _f32(np.maximum(along - length / 2, across) - half_width)


def convex(frame: Frame, *corners: Point) -> Array:
    """A convex polygon, its corners in clockwise order on the screen."""
    distance: Array | None = None
    for (x, y), (x2, y2) in zip(corners, corners[1:] + corners[:1], strict=True):
        dx, dy = x2 - x, y2 - y
        side = ((frame.u - x) * dy - (frame.v - y) * dx) / np.sqrt(dx * dx + dy * dy)
        distance = side if distance is None else np.maximum(distance, side)
    assert distance is not None
    return _f32(distance)


def both(first: Array, second: Array) -> Array:
    """What two shapes have in common."""
    return np.maximum(first, second)


def either(first: Array, second: Array) -> Array:
    """Two shapes as one."""
    return np.minimum(first, second)


def zigzag(t: Array) -> Array:
    """A triangle wave of period 1: 1 at whole numbers, 0 half-way."""
    return np.abs(2 * (t - np.floor(t)) - 1)


def rounded(shape: Array, radius: Number) -> Array:
    """Brightness of a smooth solid: full inside, falling towards the outline."""
    depth = np.clip(-shape / radius, 0, 1)
    return _f32(0.55 + 0.45 * depth * (2 - depth))


def _f32(values: Array) -> Array:
    return np.asarray(values, dtype=np.float32)
