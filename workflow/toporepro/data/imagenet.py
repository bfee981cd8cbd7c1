"""ImageNet-1k (ILSVRC 2012; Russakovsky et al., 2015): options, and where it comes from.

It cannot be fetched without a person's consent to its terms, so its raw files are the user's own;
``data.scatter`` turns them into shards, one part per job.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from toporepro.spec import SpecError

if TYPE_CHECKING:
    from toporepro.data.fetch import RemoteFile
    from toporepro.data.raw import RawImages

# Of the training images' channels; every published network is normalised by these.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
# What the user provides, and whether it is needed for training images alone.
_TARS = (
    ("ILSVRC2012_img_train.tar", True),
    ("ILSVRC2012_img_val.tar", False),
    ("ILSVRC2012_devkit_t12.tar.gz", False),
)
_FOLDERS = (("train", True), ("val", False))


@dataclass(frozen=True, kw_only=True)
class Options:
    """Where ImageNet-1k comes from and how it is stored.

    Attributes:
        form: ``tars``: the official archives, put into ``data/imagenet``; ``folders``: images the
            user has put at ``train/<class>/*`` and ``val/<class>/*`` there; ``huggingface``: the
            gated copy ILSVRC/imagenet-1k, fetched with the token in ``HF_TOKEN``, or its Parquet
            files put into ``data/imagenet/parquet``.
        side: shorter side of stored training images in pixels; smaller images stay as they are.
        test_side: the same of test images, which are seen larger.
        storage: ``jpeg``, or ``raw`` pixels: about eight times the room, no decoding.
        quality: of stored JPEGs, 50 to 98.
        shards: parts that the work and each split are cut into; one job, one file each.
        train_images: how many there must be; null for as many as there are; 0 for none, where
            nothing is trained: the validation images are then all that is needed.
        test_images: the same of the test split, which is the official validation set.
    """

    form: Literal["tars", "folders", "huggingface"] = "tars"
    side: int = 256
    test_side: int = 320
    storage: Literal["jpeg", "raw"] = "jpeg"
    quality: int = 90
    shards: int = 64
    train_images: int | None = 1_281_167
    test_images: int | None = 50_000

    def __post_init__(self) -> None:
        for name in ("side", "test_side"):
            if not 16 <= getattr(self, name) <= 2048:
                raise SpecError(f"{name}={getattr(self, name)}: from 16 to 2048")
        if not 50 <= self.quality <= 98:
            raise SpecError(f"quality={self.quality}: from 50 to 98")
        if not 1 <= self.shards <= 1000:
            raise SpecError(f"shards={self.shards}: from 1 to 1000")
        for name, least in (("train_images", 0), ("test_images", 1)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise SpecError(f"{name}={value}: at least {least}, or null for any number")


def parts(options: Options) -> int:
    """Jobs that the preparation is cut into."""
    return options.shards


def raw_files(options: Options) -> tuple[RemoteFile, ...]:
    """None that anybody may fetch."""
    return ()


def open_raw(options: Options, raw: Path) -> RawImages:
    """The raw images in the folder ``raw``.

    Raises:
        DataError: saying which file is missing, where to get it and where to put it.
    """
    if options.form == "tars":
        from toporepro.data.imagenet_tars import Tars

        return Tars(raw, training=options.train_images != 0)
    if options.form == "folders":
        from toporepro.data.imagenet_folders import Folders

        return Folders(raw, training=options.train_images != 0)
    from toporepro.data.imagenet_hub import Hub

    return Hub(raw)


def missing(options: Options, raw: Path) -> str | None:
    """What of the user's own files is absent, in words; ``None`` if all is there."""
    if options.form == "huggingface":
        there = (raw / "parquet").is_dir() or "HF_TOKEN" in os.environ
        return None if there else f"neither HF_TOKEN nor {raw / 'parquet'}"
    training = options.train_images != 0
    wanted = _TARS if options.form == "tars" else _FOLDERS
    absent = [name for name, trains in wanted if training or not trains]
    absent = [name for name in absent if not (raw / name).exists()]
    return f"{', '.join(absent)} not found in {raw}" if absent else None


def side(options: Options, split: str) -> int:
    """Shorter side of a split's stored images in pixels."""
    return options.side if split == "train" else options.test_side


def expected(options: Options, split: str) -> int | None:
    """How many images a split must have, ``None`` for any number."""
    return options.train_images if split == "train" else options.test_images
