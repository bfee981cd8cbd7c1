"""Pictures that a person puts into folders, one folder per class, as a set of stimuli."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from toporepro.data.extent import Extent
from toporepro.data.store import STIMULI, DataError, Images, ImageWriter
from toporepro.spec import SpecError

if TYPE_CHECKING:
    from toporepro.data.remote_file import RemoteFile

_AT_ONCE = 32
_WHITE = (255, 255, 255)


@dataclass(frozen=True, kw_only=True)
class PictureOptions:
    """How large the pictures are.

    Attributes:
        size: height and width in pixels; a picture that is not square is padded with white.
    """

    size: int = 224

    def __post_init__(self) -> None:
        if self.size < 8:
            raise SpecError(f"size={self.size}: at least 8")


Opts = TypeVar("Opts", bound=PictureOptions)


@dataclass(frozen=True)
class PictureSet(Generic[Opts]):
    """What a dataset's module consists of whose pictures a person puts into ``data/<source>``.

    Attributes:
        source: the module's name.
        name: of the pictures, in words.
        folder: the folder that is put there.
        layout: how files are named below it.
        origin: where a person gets it.
        categories: name → its classes.
        count: how many pictures of each class there are.
        classes: how many classes.
        find: class → its pictures in order, in the folder; raises DataError on what is wrong there.
    """

    source: str
    name: str
    folder: str
    layout: str
    origin: str
    categories: Mapping[str, Sequence[str]]
    classes: int
    count: Callable[[Opts], int]
    find: Callable[[Opts, Path], dict[str, list[Path]]]

    def raw_files(self, options: Opts) -> tuple[RemoteFile, ...]:
        """Nothing is fetched."""
        return ()

    def missing(self, options: Opts, raw: Path) -> str | None:
        """What to put where, if the folder is absent; ``None`` if it is there."""
        root = raw / self.folder
        if root.is_dir():
            return None
        return (
            f"{root}: not there; put {self.name} there, as {root}/{self.layout}, from {self.origin}"
        )

    def pictures(self, options: Opts, raw: Path) -> dict[str, list[Path]]:
        """Class → its pictures in order.

        Raises:
            DataError: if the folder or one of its own is missing, or holds what it should not.
        """
        if (missing := self.missing(options, raw)) is not None:
            raise DataError(missing)
        return self.find(options, raw / self.folder)

    def local_files(self, options: Opts, raw: Path) -> tuple[Path, ...]:
        """The pictures that are read.

        Raises:
            DataError: as :meth:`pictures`.
        """
        return tuple(path for paths in self.pictures(options, raw).values() for path in paths)

    def extent(self, options: Opts) -> Extent:
        """How much it holds if it is complete."""
        return Extent(
            splits={STIMULI: self.count(options) * self.classes},
            shape=(options.size, options.size, 3),
            classes=self.classes,
            by_hand=f"put the folder {self.folder} of {self.origin} into data/{self.source}",
        )

    def prepared_bytes(self, options: Opts) -> int:
        """Bytes that the prepared pictures take, about."""
        return self.extent(options).splits[STIMULI] * (3 * options.size**2 + 8)

    def prepare(self, options: Opts, raw: Path, out: Path) -> None:
        """Write the split ``localizer``, class after class, and its index."""
        files = self.pictures(options, raw)
        classes = list(files)
        writer = ImageWriter(
            out,
            source=self.source,
            options=asdict(options),
            shape=(options.size, options.size, 3),
            classes=classes,
            categories={
                name: [classes.index(c) for c in of] for name, of in self.categories.items()
            },
            mean=(0.5,) * 3,
            std=(0.5,) * 3,
        )
        listed = [(path, label) for label, name in enumerate(classes) for path in files[name]]

        def chunks() -> Iterator[tuple[Images, npt.NDArray[np.int64]]]:
            for start in range(0, len(listed), _AT_ONCE):
                some = listed[start : start + _AT_ONCE]
                labels = np.array([label for _, label in some])
                yield np.stack([square(path, options.size) for path, _ in some]), labels

        writer.write_split(STIMULI, len(listed), chunks())
        writer.finish()


def square(path: Path, size: int) -> Images:
    """A picture as size×size×3: what is transparent or missing to a square becomes white.

    Raises:
        DataError: if the file is no picture that can be read.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(path) as opened:
            upright = ImageOps.exif_transpose(opened)
            if upright.mode.startswith("I"):  # 16 bits; Pillow would cut, not scale, them
                deep = np.asarray(upright, dtype=np.float64) / 257
                upright = Image.fromarray(deep.round().clip(0, 255).astype(np.uint8))
            layered = upright.convert("RGBA")
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: not a picture that can be read ({error}); replace it") from None
    side = max(layered.size)
    ground = Image.new("RGBA", (side, side), (*_WHITE, 255))
    corner = ((side - layered.width) // 2, (side - layered.height) // 2)
    ground.alpha_composite(layered, corner)
    picture: Images = np.asarray(
        ground.convert("RGB").resize((size, size), Image.Resampling.BICUBIC)
    )
    return picture
