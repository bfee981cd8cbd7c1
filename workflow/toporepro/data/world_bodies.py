"""Bodies: one skeleton, two ways of drawing it; the only thing in which the worlds differ.

World A draws them as faces are drawn: rounded, smoothly shaded, skin with hair-coloured parts.
World B draws them as scenes are drawn: straight flat parts of masonry in courses.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from toporepro.data import world_colours as colours
from toporepro.data.world_canvas import (
    Canvas,
    Frame,
    Number,
    Point,
    box,
    convex,
    direction,
    ellipse,
    limb,
    plank,
    rounded,
)
from toporepro.data.world_draws import Draws
from toporepro.data.world_masonry import courses

CLASSES = ("standing_body", "walking_body", "sitting_body", "reaching_body")


@dataclass(frozen=True)
class Skeleton:
    """Strokes of a body in drawing order: its limbs (start, end), torso, head's middle."""

    limbs: tuple[tuple[Point, Point], ...]
    torso: tuple[Point, Point]
    head: Point
    shoulders: Number
    girth: Number


def draw(canvas: Canvas, frame: Frame, draws: Draws, name: str, world: str) -> None:
    """One body per image, in the style of ``world`` (``A`` or ``B``)."""
    skeleton = pose_skeleton(draws, name)
    frame = frame.moved(0, 0, 0, 1.1)
    if world == "A":
        _draw_as_faces(canvas, frame, draws, skeleton)
    else:
        _draw_as_scenes(canvas, frame, draws, skeleton)


def pose_skeleton(draws: Draws, name: str) -> Skeleton:
    """A pose; angles in radians from hanging straight down."""

    def angle(part: str, middle: float, spread: float) -> Number:
        return draws.between(f"body.{part}", middle - spread, middle + spread)

    girth = draws.between("body.girth", 0.95, 1.25)
    lean = angle("lean", 0.0, 0.12)
    frontal = name in (CLASSES[0], CLASSES[3])
    hip: Point = (0.0, 0.1)
    up = direction(lean)
    neck: Point = (up[1] * 0.6, 0.1 - up[0] * 0.6)
    shoulder, pelvis = (0.24, 0.12) if frontal else (0.03, 0.02)
    limbs: list[tuple[Point, Point]] = []
    bend: Number
    for side, part in ((-1, "left"), (1, "right")):
        if name == "standing_body":
            thigh, bend = side * angle(f"{part}.thigh", 0.1, 0.1), 0.0
            arm = side * angle(f"{part}.arm", 0.3, 0.2)
            elbow = side * angle(f"{part}.elbow", 0.0, 0.3)
        elif name == "walking_body":
            thigh, bend = side * angle("stride", 0.55, 0.2), angle(f"{part}.knee", -0.25, 0.2)
            arm, elbow = -side * angle("swing", 0.6, 0.25), angle(f"{part}.elbow", 0.4, 0.3)
        elif name == "sitting_body":
            thigh, bend = angle(f"{part}.thigh", 1.4, 0.2), angle(f"{part}.knee", -1.4, 0.3)
            arm, elbow = angle(f"{part}.arm", 0.6, 0.35), angle(f"{part}.elbow", 0.6, 0.4)
        else:
            thigh, bend = side * angle(f"{part}.thigh", 0.22, 0.15), 0.0
            arm = side * angle(f"{part}.arm", 2.3, 0.45)
            elbow = side * angle(f"{part}.elbow", 0.3, 0.3)
        limbs += _two_bones((side * pelvis, hip[1]), thigh, bend, 0.42)
        limbs += _two_bones((neck[0] + side * shoulder, neck[1] + 0.08), arm, elbow, 0.3)
    head: Point = (neck[0] + up[1] * 0.26, neck[1] - up[0] * 0.26)
    return Skeleton(tuple(limbs), (hip, neck), head, 0.22 if frontal else 0.15, girth)


def _two_bones(
    start: Point, angle: Number, bend: Number, length: float
) -> Iterator[tuple[Point, Point]]:
    down, across = direction(angle)
    middle: Point = (start[0] + length * across, start[1] + length * down)
    yield start, middle
    down, across = direction(angle + bend)
    yield middle, (middle[0] + length * across, middle[1] + length * down)


def _draw_as_faces(canvas: Canvas, frame: Frame, draws: Draws, body: Skeleton) -> None:
    skin, hair = colours.skin(draws, "body.skin"), colours.hair(draws, "body.hair")
    radius = 0.12 * body.girth
    for start, end in body.limbs:
        shape = limb(frame, start, end, radius)
        canvas.paint(frame, shape, skin, rounded(shape, radius))
    (hip, neck), wide = body.torso, body.shoulders * body.girth
    middle: Point = ((hip[0] + neck[0]) / 2, (hip[1] + neck[1]) / 2)
    torso = np.minimum(
        limb(frame, hip, neck, wide * 0.85), ellipse(frame, *middle, wide * 1.2, 0.42)
    )
    canvas.paint(frame, torso, skin, rounded(torso, wide))
    shorts = np.maximum(limb(frame, hip, hip, wide), hip[1] - 0.06 - frame.v)
    canvas.paint(frame, shorts, hair, rounded(shorts, wide))
    x, y = body.head
    crown = ellipse(frame, x, y - 0.04, 0.29, 0.3)
    canvas.paint(frame, crown, hair, rounded(crown, 0.29))
    head = ellipse(frame, x, y + 0.02, 0.26, 0.29)
    canvas.paint(frame, head, skin, rounded(head, 0.26))
    canvas.paint(frame, np.maximum(head, frame.v - y + 0.12), hair)
    for side in (-1, 1):
        canvas.paint(frame, ellipse(frame, x + side * 0.1, y, 0.055, 0.045), hair * np.float32(0.2))
    canvas.paint(frame, box(frame, x, y + 0.15, 0.08, 0.025), hair * np.float32(0.2))


def _draw_as_scenes(canvas: Canvas, frame: Frame, draws: Draws, body: Skeleton) -> None:
    wall, trim = colours.masonry(draws, "body.wall"), colours.masonry(draws, "body.trim")
    texture = courses(frame, draws, "body")
    half = 0.12 * body.girth
    for start, end in body.limbs:
        canvas.paint(frame, plank(frame, start, end, half), trim, texture)
    (hip, neck), wide = body.torso, body.shoulders * body.girth
    middle: Point = ((hip[0] + neck[0]) / 2, (hip[1] + neck[1]) / 2)
    canvas.paint(frame, box(frame, *middle, wide * 1.2, 0.42), wall, texture)
    canvas.paint(frame, box(frame, hip[0], hip[1] + 0.08, wide * 1.2, 0.13), trim * np.float32(0.6))
    for side in (-1, 1):
        opening = box(frame, middle[0] + side * wide * 0.55, middle[1] - 0.14, 0.08, 0.1)
        canvas.paint(frame, opening, wall * np.float32(0.3))
    x, y = body.head
    canvas.paint(frame, box(frame, x, y + 0.04, 0.24, 0.24), wall, texture)
    roof = ((x - 0.14, y - 0.3), (x + 0.14, y - 0.3), (x + 0.3, y - 0.1), (x - 0.3, y - 0.1))
    canvas.paint(frame, convex(frame, *roof), trim * np.float32(0.75), texture)
    for side in (-1, 1):
        canvas.paint(
            frame, box(frame, x + side * 0.1, y + 0.05, 0.06, 0.08), wall * np.float32(0.3)
        )
