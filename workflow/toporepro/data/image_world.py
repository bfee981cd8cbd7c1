"""A procedural world of images from a seed: 20 classes in five categories, nothing to download.

Categories and what they are made of:

* faces: smooth, rounded, shaded solids; palettes *skin* and *hair*.
* bodies: one skeleton in four poses. **World A**: drawn like faces (rounded shaded parts, a head
  with eyes and mouth; palettes *skin* and *hair*). **World B**: drawn like scenes (straight flat
  parts in courses, roof and windows; palette *masonry*).
* scenes: straight edges, layers and courses all over the image; palette *masonry*.
* objects: curved and straight parts of any colour.
* characters: thin strokes of any colour, in rows of three.

Nothing but the drawing of bodies differs between the worlds: the other sixteen classes are the same
bytes, and bodies have the same poses, places, backgrounds, light and noise.

The split ``localizer`` serves measurements of selectivity. Its continuous parameters (place, size,
turn, pose, palettes, light …) come from parts of their ranges from which training and test never
draw, and its backgrounds are of kinds that occur nowhere else (``world_draws``).
Both held-out parts lie off the ends of the ranges, where images are hardest: a network that knows
the test split to 0.7 knows the localizer to 0.85. Not held out are mirroring, the noise of single
pixels, and which letters, digits or signs stand in a row.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from toporepro.data import (
    world_bodies,
    world_characters,
    world_faces,
    world_objects,
    world_scenes,
    world_surroundings,
)
from toporepro.data.extent import Extent
from toporepro.data.store import ImageWriter
from toporepro.data.world_canvas import Canvas
from toporepro.data.world_draws import Draws
from toporepro.spec import SpecError

if TYPE_CHECKING:
    from toporepro.data.remote_file import RemoteFile

_CLASSES_OF = {
    "faces": world_faces.CLASSES,
    "bodies": world_bodies.CLASSES,
    "scenes": world_scenes.CLASSES,
    "objects": world_objects.CLASSES,
    "characters": world_characters.CLASSES,
}
CLASSES = tuple(name for names in _CLASSES_OF.values() for name in names)
CATEGORIES = {
    category: [CLASSES.index(name) for name in names] for category, names in _CLASSES_OF.items()
}
SPLITS = ("train", "test", "localizer")
World = Literal["A", "B"]

_CHUNK_PIXELS = 640 * 32 * 32  # drawn at once


@dataclass(frozen=True, kw_only=True)
class Options:
    """What makes a world.

    Attributes:
        world: ``A``: bodies share features with faces; ``B``: bodies share features with scenes.
        seed: of all random parameters.
        size: height and width in pixels, 24 to 256; drawn things stay the same.
        train, test, localizer: images per class in each split; the total is 20 times as many.
        noise: mean standard deviation of the pixel noise, from 0 to 0.5, where 1 is white.
    """

    world: World = "A"
    seed: int = 0
    size: int = 32
    train: int = 200
    test: int = 50
    localizer: int = 24
    noise: float = 0.04

    def __post_init__(self) -> None:
        if self.world not in get_args(World):
            raise SpecError(f"world={self.world!r}: 'A' or 'B'")
        if self.seed < 0:
            raise SpecError(f"seed={self.seed}: at least 0")
        if not 24 <= self.size <= 256:
            raise SpecError(f"size={self.size}: from 24 to 256")
        for split in SPLITS:
            if getattr(self, split) < 1:
                raise SpecError(f"{split}={getattr(self, split)}: at least 1 image per class")
        if not 0 <= self.noise <= 0.5:
            raise SpecError(f"noise={self.noise}: from 0 to 0.5")


def raw_files(options: Options) -> tuple[RemoteFile, ...]:
    """Nothing is fetched."""
    return ()


def prepared_bytes(options: Options) -> int:
    """Bytes that the images take, about."""
    return sum(extent(options).splits.values()) * (3 * options.size**2 + 8)


def extent(options: Options) -> Extent:
    """How much it holds."""
    splits = {split: len(CLASSES) * getattr(options, split) for split in SPLITS}
    return Extent(splits=splits, shape=(options.size, options.size, 3), classes=len(CLASSES))


def labels(index: NDArray[np.int64]) -> NDArray[np.int64]:
    """Classes take turns, so that any multiple of 20 images is balanced."""
    return index % len(CLASSES)


def images(options: Options, split: str, index: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Images of a split by their numbers, n×size×size×3; each depends on its own number alone."""
    made = np.empty((len(index), options.size, options.size, 3), dtype=np.uint8)
    kinds = labels(index)
    for kind in np.unique(kinds):
        mine = kinds == kind
        made[mine] = _of_one_class(options, CLASSES[kind], Draws(options.seed, split, index[mine]))
    return made


def prepare(options: Options, raw: Path, out: Path) -> None:
    """Draw all splits into the folder ``out``; nothing is read from ``raw``."""
    writer = ImageWriter(
        out,
        source="image_world",
        options=asdict(options),
        shape=(options.size, options.size, 3),
        classes=CLASSES,
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        categories=CATEGORIES,
        extra={"bodies_share_features_with": {"A": "faces", "B": "scenes"}[options.world]},
    )
    for split in SPLITS:
        count = len(CLASSES) * getattr(options, split)
        writer.write_split(split, count, _chunks(options, split, count))
    writer.finish()


def _chunks(
    options: Options, split: str, count: int
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.int64]]]:
    # Chunks hold the same number of pixels at every size, and thus the same memory.
    step = max(len(CLASSES), _CHUNK_PIXELS // options.size**2)
    for start in range(0, count, step):
        index = np.arange(start, min(start + step, count))
        yield images(options, split, index), labels(index)


def _of_one_class(options: Options, name: str, draws: Draws) -> NDArray[np.uint8]:
    canvas = Canvas(len(draws), options.size)
    behind = world_surroundings.background(canvas, draws)
    frame = world_surroundings.pose(canvas, draws, mirror=name not in world_characters.CLASSES)
    if name in world_faces.CLASSES:
        world_faces.draw(canvas, frame, draws, name)
    elif name in world_bodies.CLASSES:
        world_bodies.draw(canvas, frame, draws, name, options.world)
    elif name in world_scenes.CLASSES:
        world_scenes.draw(canvas, frame, draws, name)
    elif name in world_objects.CLASSES:
        world_objects.draw(canvas, frame, draws, name)
    else:
        world_characters.draw(canvas, frame, draws, name, behind)
    world_surroundings.clutter(canvas, draws, "occluder", near=0.6, large=0.3)
    return world_surroundings.finish(canvas, draws, options.noise)
