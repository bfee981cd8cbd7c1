"""ImageNet-1k (ILSVRC 2012; Russakovsky et al., 2015): options, and where it comes from.

It cannot be fetched without a person's consent to its terms, so its raw files are the user's own;
``data.scatter_images`` turns them into shards, one part per job.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from toporepro.data.extent import Extent
from toporepro.spec import SpecError

if TYPE_CHECKING:
    from toporepro.data.raw import RawImages
    from toporepro.data.remote_file import RemoteFile

SCATTERED = "scatter_images"
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

_COUNTS = {"train": 1_281_167, "test": 50_000}
_RAW_BYTES = {"train": 147_897_477_120, "test": 6_744_924_160}  # of the official archives
_BY_HAND = {
    "tars": "log in at https://image-net.org, accept its terms, download "
    + ", ".join(name for name, _ in _TARS)
    + " and put them into data/imagenet",
    "folders": "put ImageNet's images into data/imagenet/train and data/imagenet/val",
    "huggingface": "accept the terms of https://huggingface.co/datasets/ILSVRC/imagenet-1k and set "
    "HF_TOKEN",
}


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


def prepared_bytes(options: Options) -> int:
    """Bytes that the shards take, about."""
    from toporepro.data.scatter_images import stored_bytes

    splits = extent(options).splits
    return sum(stored_bytes(options, side(options, name), n) for name, n in splits.items())


def extent(options: Options) -> Extent:
    """How much it holds; of the user's own folders, as if they were the original."""
    splits = {
        split: count if (count := expected(options, split)) is not None else _COUNTS[split]
        for split in _COUNTS
    }
    return Extent(
        splits=splits,
        shape=(0, 0, 3),
        classes=1000,
        raw=sum(_RAW_BYTES[split] for split, count in splits.items() if count),
        by_hand=_BY_HAND[options.form],
    )


def side(options: Options, split: str) -> int:
    """Shorter side of a split's stored images in pixels."""
    return options.side if split == "train" else options.test_side


def expected(options: Options, split: str) -> int | None:
    """How many images a split must have, ``None`` for any number."""
    return options.train_images if split == "train" else options.test_images
