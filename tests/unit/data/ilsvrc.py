"""Small copies of ImageNet-1k in the layouts of its official archives and of a folder tree."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import savemat

WNIDS = ("n01440764", "n01443537", "n02105855", "n02917067")
# The devkit numbers classes in an order of its own.
NUMBERS = {wnid: number for number, wnid in enumerate(reversed(WNIDS), start=1)}


def pixels(seed: int, height: int, width: int) -> np.ndarray:
    """A smooth image with structure of its own at every place."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (5, 6, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC))


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def jpeg(seed: int, height: int = 48, width: int = 64) -> bytes:
    return saved(Image.fromarray(pixels(seed, height, width)), "JPEG", quality=92)


def odd_files() -> dict[str, bytes]:
    """One file of each oddity that ImageNet has, and 16 bits."""
    colour = Image.fromarray(pixels(7, 50, 40))
    sixteen = (np.asarray(colour.convert("L")).astype(np.uint16) * 257).astype("<u2")
    exif = Image.Exif()
    exif[0x0112] = 6
    return {
        "png": saved(colour, "PNG"),
        "cmyk": saved(colour.convert("CMYK"), "JPEG"),
        "grey": saved(colour.convert("L"), "JPEG"),
        "sixteen": saved(Image.fromarray(sixteen), "PNG"),
        "exif": saved(colour, "JPEG", exif=exif),
    }


def train_images(per_class: int = 5) -> dict[str, dict[str, bytes]]:
    """File name → bytes by class; the third class holds the odd ones."""
    made = {
        wnid: {f"{wnid}_{n * 7}.JPEG": jpeg(100 * c + n, 40 + n, 60) for n in range(per_class)}
        for c, wnid in enumerate(WNIDS)
    }
    for number, data in enumerate(odd_files().values()):
        made[WNIDS[2]][f"{WNIDS[2]}_{2000 + number}.JPEG"] = data
    return made


def validation_images(count: int = 10) -> list[tuple[bytes, str]]:
    return [(jpeg(900 + n, 64, 48), WNIDS[(n * 3) % 4]) for n in range(count)]


def write_tars(
    folder: Path, train: dict[str, dict[str, bytes]], tests: list[tuple[bytes, str]]
) -> None:
    """``ILSVRC2012_img_train.tar``, ``ILSVRC2012_img_val.tar`` and the devkit."""
    folder.mkdir(parents=True, exist_ok=True)
    outer = {f"{wnid}.tar": tar_of(files) for wnid, files in train.items()}
    (folder / "ILSVRC2012_img_train.tar").write_bytes(tar_of(outer))
    flat = {f"ILSVRC2012_val_{n:08d}.JPEG": data for n, (data, _) in enumerate(tests, start=1)}
    (folder / "ILSVRC2012_img_val.tar").write_bytes(tar_of(flat))
    write_devkit(folder, {w: len(files) for w, files in train.items()}, [w for _, w in tests])


def write_devkit(folder: Path, counts: dict[str, int], truth: list[str]) -> None:
    root = "ILSVRC2012_devkit_t12"
    file = io.BytesIO()
    savemat(file, {"synsets": synsets(counts)})
    labels = "".join(f"{NUMBERS[wnid]}\n" for wnid in truth).encode()
    members = {
        f"{root}/readme.txt": b"readme",
        f"{root}/data/meta.mat": file.getvalue(),
        f"{root}/data/ILSVRC2012_validation_ground_truth.txt": labels,
    }
    packed = gzip.compress(tar_of(members), mtime=0)
    (folder / "ILSVRC2012_devkit_t12.tar.gz").write_bytes(packed)


def synsets(counts: dict[str, int]) -> np.ndarray:
    """A struct array n×1 as in the official file: leaves first, then inner nodes."""
    fields = [
        ("ILSVRC2012_ID", "O"), ("WNID", "O"), ("words", "O"), ("gloss", "O"),
        ("num_children", "O"), ("children", "O"), ("wordnet_height", "O"),
        ("num_train_images", "O"),
    ]  # fmt: skip
    table = np.empty((len(counts) + 1, 1), dtype=fields)
    ordered = sorted(counts, key=NUMBERS.__getitem__)
    for row, wnid in enumerate(ordered):
        table[row, 0] = (NUMBERS[wnid], wnid, f"words of {wnid}", "gloss", 0, [], 0, counts[wnid])
    table[len(counts), 0] = (len(counts) + 1, "n00001740", "entity", "gloss", 2, [1, 2], 1, 0)
    return table


def tar_of(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return stream.getvalue()


def write_folders(
    folder: Path, train: dict[str, dict[str, bytes]], tests: list[tuple[bytes, str]]
) -> None:
    for wnid, files in train.items():
        (folder / "train" / wnid).mkdir(parents=True)
        (folder / "val" / wnid).mkdir(parents=True)
        for name, data in files.items():
            (folder / "train" / wnid / name).write_bytes(data)
    for number, (data, wnid) in enumerate(tests, start=1):
        (folder / "val" / wnid / f"ILSVRC2012_val_{number:08d}.JPEG").write_bytes(data)
