"""Scenes: straight, layered, textured places that fill the image."""

from __future__ import annotations

import numpy as np

from toporepro.data import world_colours as colours
from toporepro.data.world_canvas import Canvas, Frame, box, convex, zigzag
from toporepro.data.world_draws import Array, Draws
from toporepro.data.world_masonry import courses, windows

CLASSES = ("house", "corridor", "skyline", "hills")

_EVERYWHERE = np.float32(-9)  # a distance deep inside any shape


def draw(canvas: Canvas, frame: Frame, draws: Draws, name: str) -> None:
    """One scene per image."""
    {"house": _house, "corridor": _corridor, "skyline": _skyline, "hills": _hills}[name](
        canvas, frame, draws
    )


def _ground(canvas: Canvas, frame: Frame, draws: Draws, horizon: float) -> None:
    """Sky growing paler downwards, and paved ground from the horizon on."""
    sky = colours.masonry(draws, "scene.sky")
    canvas.paint(frame, 0 * frame.u + _EVERYWHERE, sky, 1 + 0.15 * np.clip(frame.v, -2, 2))
    ground = colours.masonry(draws, "scene.ground")
    canvas.paint(frame, horizon - frame.v, ground, courses(frame, draws, "scene.paving"))


def _house(canvas: Canvas, frame: Frame, draws: Draws) -> None:
    _ground(canvas, frame, draws, 0.6)
    wall, roof = colours.masonry(draws, "house.wall"), colours.masonry(draws, "house.roof")
    width, top = draws.between("house.width", 0.65, 0.95), draws.between("house.top", -0.25, 0.05)
    middle, half = (top + 0.75) / 2, (0.75 - top) / 2
    texture = courses(frame, draws, "house")
    canvas.paint(frame, box(frame, 0, middle, width, half), wall, texture)
    ridge, gable = draws.between("house.ridge", 0.4, 0.7), draws.between("house.gable", 0.1, 0.6)
    corners = (
        (-width * gable, top - ridge), (width * gable, top - ridge),
        (width + 0.12, top), (-width - 0.12, top),
    )  # fmt: skip
    canvas.paint(frame, convex(frame, *corners), roof * np.float32(0.75), texture)
    dark = wall * np.float32(0.3)
    door = draws.between("house.door", -0.2, 0.2)
    canvas.paint(frame, box(frame, door, 0.52, 0.13, 0.24), dark)
    for side in (-1, 1):
        canvas.paint(frame, box(frame, side * width * 0.62, middle - 0.08, 0.14, 0.14), dark)


def _corridor(canvas: Canvas, frame: Frame, draws: Draws) -> None:
    width = draws.between("corridor.width", 0.2, 0.4)
    height = draws.between("corridor.height", 0.2, 0.4)
    across, along = np.abs(frame.u) / width, np.abs(frame.v) / height
    nearness = np.maximum(np.maximum(across, along), 1)
    wall, floor = colours.masonry(draws, "corridor.wall"), colours.masonry(draws, "corridor.floor")
    rungs = draws.between("corridor.rungs", 2.5, 4.0)
    lines = 1 - 0.4 * np.clip(6 * zigzag(rungs / nearness) - 3.8, 0, 1)
    shade = (0.55 + 0.15 * np.minimum(nearness, 4)) * lines
    edge = np.maximum(width, height)
    canvas.paint(frame, 0 * frame.u + _EVERYWHERE, wall, shade)
    canvas.paint(frame, (across - along) * edge + 0 * frame.u, wall * np.float32(1.25), shade)
    below = np.maximum((across - along) * edge, -frame.v)
    canvas.paint(frame, below, floor, shade)
    canvas.paint(frame, box(frame, 0, 0, width, height), floor * np.float32(0.5))
    door = draws.between("corridor.door", 1.7, 2.3)
    for side in (-1, 1):
        sided = side * frame.u / width
        opening = np.maximum(np.abs(sided - door) - 0.3, np.abs(frame.v) / height - 0.7 * sided)
        canvas.paint(frame, opening * height, wall * np.float32(0.35))


def _skyline(canvas: Canvas, frame: Frame, draws: Draws) -> None:
    _ground(canvas, frame, draws, 0.7)
    far, near = colours.masonry(draws, "skyline.far"), colours.masonry(draws, "skyline.near")
    spacing = draws.between("skyline.windows", 0.24, 0.34)
    glass = windows(frame, spacing, spacing * 1.2)
    for number in range(7):
        x = (number - 3) * 0.42 + draws.between(f"skyline.{number}.x", -0.08, 0.08)
        width = draws.between(f"skyline.{number}.width", 0.16, 0.27)
        top = draws.between(f"skyline.{number}.top", -0.9, 0.3)
        colour = (far, near)[number % 2]
        shade = 1 - 0.6 * glass
        canvas.paint(frame, box(frame, x, (top + 0.8) / 2, width, (0.8 - top) / 2), colour, shade)


def _hills(canvas: Canvas, frame: Frame, draws: Draws) -> None:
    sky = colours.masonry(draws, "scene.sky")
    canvas.paint(frame, 0 * frame.u + _EVERYWHERE, sky, 1 + 0.15 * np.clip(frame.v, -2, 2))
    first, last = colours.masonry(draws, "hills.far"), colours.masonry(draws, "hills.near")
    for number in range(4):
        steep = draws.between(f"hills.{number}.steep", 0.15, 0.6) / (1 + 0.5 * number)
        period = draws.between(f"hills.{number}.period", 0.9, 1.6)
        phase = draws.between(f"hills.{number}.phase", 0, 1)
        ridge: Array = -0.55 + 0.42 * number + steep * (zigzag(frame.u / period + phase) - 0.5)
        colour = first + np.float32(number / 3) * (last - first)
        terraces = 1 - 0.35 * np.clip(3 * zigzag((frame.v - ridge) / 0.28) - 1.6, 0, 1)
        canvas.paint(frame, (ridge - frame.v) * 0.75, colour * np.float32(0.8), terraces)
