"""Objects: things of any colour, with curved and straight parts."""

from __future__ import annotations

import numpy as np

from toporepro.data import world_colours as colours
from toporepro.data.world_canvas import (
    Canvas,
    Frame,
    both,
    box,
    convex,
    ellipse,
    limb,
    plank,
    zigzag,
)
from toporepro.data.world_draws import Draws

CLASSES = ("car", "guitar", "mug", "umbrella")


def draw(canvas: Canvas, frame: Frame, draws: Draws, name: str) -> None:
    """One object per image."""
    {"car": _car, "guitar": _guitar, "mug": _mug, "umbrella": _umbrella}[name](canvas, frame, draws)


def _car(canvas: Canvas, frame: Frame, draws: Draws) -> None:
    body, trim = colours.paint(draws, "object.body"), colours.paint(draws, "object.trim")
    dark = body * np.float32(0.15)
    roof, long = draws.between("car.roof", -0.62, -0.42), draws.between("car.long", 0.85, 1.0)
    front, rear = draws.between("car.front", 0.2, 0.5), draws.between("car.rear", 0.3, 0.7)
    cabin = ((-rear, roof), (front, roof), (front + 0.35, -0.05), (-rear - 0.15, -0.05))
    canvas.paint(frame, convex(frame, *cabin), body)
    inner = convex(frame, *cabin) + 0.1
    canvas.paint(frame, np.maximum(inner, 0.06 - np.abs(frame.u)), trim * np.float32(0.5))
    hull = np.minimum(
        box(frame, 0, 0.16, long, 0.14), limb(frame, (-long + 0.18, 0.1), (long - 0.18, 0.1), 0.18)
    )
    canvas.paint(frame, hull, body, 1.1 - 0.5 * np.clip(frame.v, 0, 1))
    wheel = draws.between("car.wheel", 0.19, 0.26)
    for side in (-1, 1):
        place = (side * long * 0.58, 0.32)
        canvas.paint(frame, ellipse(frame, *place, wheel, wheel), dark)
        canvas.paint(frame, ellipse(frame, *place, wheel * 0.45, wheel * 0.45), trim)


def _guitar(canvas: Canvas, frame: Frame, draws: Draws) -> None:
    body, neck = colours.paint(draws, "object.body"), colours.paint(draws, "object.trim")
    frame = frame.moved(0, 0, draws.between("guitar.turn", -0.3, 1.1))
    lower, upper = (
        draws.between("guitar.lower", 0.4, 0.5),
        draws.between("guitar.upper", 0.28, 0.36),
    )
    canvas.paint(frame, plank(frame, (0.0, -0.8), (0.0, 0.1), 0.07), neck * np.float32(0.6))
    canvas.paint(frame, box(frame, 0, -0.88, 0.13, 0.13), neck * np.float32(0.6))
    for y, radius in ((0.5, lower), (0.02, upper)):
        canvas.paint(frame, ellipse(frame, 0, y, radius, radius * 0.9), body)
    canvas.paint(frame, plank(frame, (0.0, -0.6), (0.0, 0.1), 0.06), neck * np.float32(0.6))
    canvas.paint(frame, ellipse(frame, 0, 0.22, 0.15, 0.15), body * np.float32(0.2))
    canvas.paint(frame, box(frame, 0, 0.62, 0.18, 0.06), body * np.float32(0.2))


def _mug(canvas: Canvas, frame: Frame, draws: Draws) -> None:
    body, stripe = colours.paint(draws, "object.body"), colours.paint(draws, "object.trim")
    width, height = draws.between("mug.width", 0.4, 0.58), draws.between("mug.height", 0.5, 0.68)
    loop = draws.between("mug.handle", 0.26, 0.36)
    ring = np.abs(ellipse(frame, width, 0, loop, loop * 1.15)) - 0.08
    canvas.paint(frame, ring, body, 0.8 + 0 * frame.u)
    side = 1 - 0.35 * (frame.u / width) ** 2
    cup = np.minimum(box(frame, 0, 0, width, height), ellipse(frame, 0, height, width, 0.18))
    canvas.paint(frame, cup, body, side)
    band = draws.between("mug.band", 0.08, 0.22)
    canvas.paint(frame, both(cup, np.abs(frame.v - 0.15) - band), stripe, side)
    canvas.paint(frame, ellipse(frame, 0, -height, width, 0.17), body, 1.15 + 0 * frame.u)
    canvas.paint(frame, ellipse(frame, 0, -height, width - 0.1, 0.1), body * np.float32(0.25))


def _umbrella(canvas: Canvas, frame: Frame, draws: Draws) -> None:
    one, two = colours.paint(draws, "object.body"), colours.paint(draws, "object.trim")
    wide, tall = (
        draws.between("umbrella.wide", 0.75, 0.95),
        draws.between("umbrella.tall", 0.6, 0.8),
    )
    frame = frame.moved(0, 0, draws.between("umbrella.turn", -0.35, 0.35))
    grip = two * np.float32(0.3)
    canvas.paint(frame, limb(frame, (0.0, -0.3), (0.0, 0.75), 0.055), grip)
    hook = np.abs(ellipse(frame, 0.15, 0.75, 0.15, 0.15)) - 0.05
    canvas.paint(frame, both(hook, 0.75 - frame.v), grip)
    scallops = 0.12 * (zigzag(frame.u / wide * 2) - 0.5)
    canopy = both(ellipse(frame, 0, -0.05, wide, tall), frame.v + 0.05 + scallops)
    canvas.paint(frame, canopy, one)
    bend = np.sqrt(np.maximum(1 - ((frame.v + 0.05) / tall) ** 2, 0.02)) * wide
    gore = np.abs(np.abs(frame.u) - 0.5 * bend) - 0.25 * bend
    canvas.paint(frame, both(canopy, gore), two)
