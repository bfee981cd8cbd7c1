"""A synthetic brain, whose voxels mix known features of the procedural image world.

It is written in exactly NSD's files and formats, small, and then prepared as they are. Eight
subjects are shown images of world A; all see the same shared ones, and others of their own. Voxels
of one region weigh the features that the region is for:

* V1: contrast, colour and the energy of oriented edges, over the image and in its quarters;
* FFA, PPA: the region's own category, weakly the others', and the 20 sub-classes;
* aTL-faces: **a planted null**. It answers to each image reliably, with numbers that no property of
  the images gives: nothing can predict it, and its noise ceiling is as high as the others'.

Weights are smooth over a region, so that neighbouring voxels answer alike; a localizer's t follows
the weights of its category. Each showing adds noise; z-scored over a session, as NSD's are, betas
have the signal-to-noise ratio that ``ncsnr`` says.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from toporepro.data import image_world, nsd
from toporepro.data.extent import Extent
from toporepro.data.nsd_layout import DESIGN, MAPS, REGIONS, STIMULI, SUBJECTS, subject
from toporepro.spec import SpecError

if TYPE_CHECKING:
    from toporepro.data.remote_file import RemoteFile

NULL = "aTL-faces"
PREFERRED = {"FFA": "faces", "PPA": "scenes"}
# Places of the regions in the volume: ranges of x, y, z; the left half is the left hemisphere.
BOXES = {
    "V1": ((0, 10), (0, 4), (1, 4)),
    "FFA": ((0, 10), (4, 7), (1, 3)),
    "PPA": ((0, 10), (4, 7), (3, 5)),
    NULL: ((0, 10), (7, 8), (1, 4)),
}
VOLUME = (10, 8, 5)
REPEATS, SESSIONS, RUNS = 3, 3, 6
MISSING = (4, 3)  # subject and session of which there is no file
MM = 1.8
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Options:
    """What makes a synthetic brain.

    Attributes:
        size: height and width of the images in pixels.
        seed: of everything random.
        shared, own: images that all subjects see, and that each sees alone.
        snr: largest signal-to-noise ratio of a voxel, for one showing; others go down to half.
    """

    size: int = 32
    seed: int = 0
    shared: int = 40
    own: int = 80
    snr: float = 1.5

    def __post_init__(self) -> None:
        if not 24 <= self.size <= 256:
            raise SpecError(f"size={self.size}: from 24 to 256")
        for name, least in (("seed", 0), ("shared", 4), ("own", 4)):
            if getattr(self, name) < least:
                raise SpecError(f"{name}={getattr(self, name)}: at least {least}")
        if (self.shared + self.own) % (SESSIONS * RUNS // REPEATS):
            raise SpecError(
                f"shared + own = {self.shared + self.own}: a multiple of "
                f"{SESSIONS * RUNS // REPEATS}, so that sessions and runs are of equal length"
            )
        if not self.snr > 0:
            raise SpecError(f"snr={self.snr}: above 0")


def raw_files(options: Options) -> tuple[RemoteFile, ...]:
    """Nothing is fetched."""
    return ()


def extent(options: Options) -> Extent:
    """How many images its subjects see."""
    images = options.shared + SUBJECTS * options.own
    return Extent(splits={"stimuli": images}, shape=(options.size, options.size, 3), classes=0)


def prepared_bytes(options: Options) -> int:
    """Bytes that the images take; the responses of some hundred voxels are small beside them."""
    return extent(options).splits["stimuli"] * 3 * options.size**2


def prepare(options: Options, raw: Path, out: Path) -> None:
    """Write NSD's files for a while, and prepare them as NSD's; nothing is read from ``raw``."""
    files = out / "nsd"
    write_files(options, files)
    chosen = nsd.Options(size=options.size, regions=tuple(BOXES))
    nsd.write(chosen, files, out, source="synthetic_brain", given=asdict(options))
    shutil.rmtree(files)


def write_files(options: Options, folder: Path) -> None:
    """The synthetic brain as files in NSD's layout and formats."""
    import h5py
    from scipy.io import savemat

    generator = np.random.default_rng(options.seed)
    count = options.shared + SUBJECTS * options.own
    pixels, kinds = _images(options, count, generator)
    (folder / STIMULI).parent.mkdir(parents=True)
    with h5py.File(folder / STIMULI, "w") as file:
        file.create_dataset("imgBrick", data=pixels)
    numbers = generator.permutation(count)
    shared = np.sort(numbers[: options.shared])
    others = numbers[options.shared :].reshape(SUBJECTS, options.own)
    images = np.stack([np.concatenate([shared, mine]) for mine in others])
    order = generator.permutation(np.repeat(np.arange(images.shape[1]), REPEATS))
    (folder / DESIGN).parent.mkdir(parents=True)
    pattern = np.ones((SESSIONS, RUNS, len(order) // (SESSIONS * RUNS)), dtype=np.uint8)
    savemat(
        folder / DESIGN,
        {
            "masterordering": (order + 1.0)[None],
            "subjectim": images + 1.0,
            "sharedix": (shared + 1.0)[None],
            "basiccnt": np.zeros((REPEATS, SESSIONS)),
            "stimpattern": pattern,
        },
    )
    features = planted(pixels, kinds)
    for number in range(1, SUBJECTS + 1):
        _write_subject(folder, number, images[number - 1], order, features, options)


def _images(
    options: Options, count: int, generator: np.random.Generator
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Images of world A in no order, and the class of each."""
    # Of another seed than the images that networks are trained on.
    world = image_world.Options(world="A", seed=options.seed + 1000, size=options.size)
    index = generator.permutation(count)
    return image_world.images(world, "test", index), image_world.labels(index)


def planted(
    pixels: npt.NDArray[np.uint8], kinds: npt.NDArray[np.int64]
) -> dict[str, tuple[Floats, Floats]]:
    """What each region answers to: its features (images × features), and their weights' sizes."""
    low = _low_level(pixels)
    classes = np.eye(len(image_world.CLASSES))[kinds]
    found = {"V1": (_scaled(low), np.ones(low.shape[1]))}
    for region, mine in PREFERRED.items():
        names = list(image_world.CATEGORIES)
        groups = np.stack([classes[:, of].sum(axis=1) for of in image_world.CATEGORIES.values()], 1)
        sizes = [3.0 if name == mine else 0.5 for name in names]
        sizes += [0.5] * classes.shape[1]
        found[region] = (_scaled(np.hstack([groups, classes])), np.array(sizes))
    return found


def _low_level(pixels: npt.NDArray[np.uint8]) -> Floats:
    """Colours, contrast and energy at four orientations, over the image and in its quarters."""
    values = pixels.astype(np.float64) / 255
    grey = values.mean(axis=3)
    down, right = np.gradient(grey, axis=(1, 2))
    angle = np.arctan2(down, right)
    parts = [*np.moveaxis(values, 3, 0), (grey - grey.mean(axis=(1, 2), keepdims=True)) ** 2]
    for turn in range(4):
        parts.append((down**2 + right**2) * np.cos(angle - turn * np.pi / 4) ** 2)
    half = pixels.shape[1] // 2
    quarters = [(slice(None), y, x) for y in (slice(half), slice(half, None))
                for x in (slice(half), slice(half, None))]  # fmt: skip
    whole = [part.mean(axis=(1, 2)) for part in parts]
    local = [part[place].mean(axis=(1, 2)) for part in parts[3:] for place in quarters]
    return np.stack([*whole, *local], axis=1)


def _scaled(features: Floats) -> Floats:
    result: Floats = (features - features.mean(axis=0)) / features.std(axis=0)
    return result


def _write_subject(
    folder: Path,
    number: int,
    images: npt.NDArray[np.int64],
    order: npt.NDArray[np.int64],
    features: Mapping[str, tuple[Floats, Floats]],
    options: Options,
) -> None:
    """Files of one subject; every subject's volume is one slice larger than the last one's."""
    import h5py

    generator = np.random.default_rng((options.seed, number))
    volume = (*VOLUME[:2], VOLUME[2] + number)
    trials = len(order) // SESSIONS
    betas = np.zeros((len(order), *volume))
    ncsnr = np.zeros(volume)
    t = {category: generator.normal(size=volume) for category in MAPS}
    atlases: dict[str, npt.NDArray[np.int16]] = {}
    for region, box in BOXES.items():
        place = tuple(slice(*range_) for range_ in box)
        shape = tuple(stop - start for start, stop in box)
        ratio = options.snr * generator.uniform(0.5, 1, shape)
        if region == NULL:
            signal = _smooth(generator, len(images), shape)
        else:
            values, sizes = features[region]
            weights = sizes[:, None, None, None] * _smooth(generator, len(sizes), shape)
            signal = np.tensordot(values[images], weights, axes=1)
            for category, own in zip(image_world.CATEGORIES, weights, strict=False):
                if region in PREFERRED:
                    t[category][place] += 3 * own / own.std() + 5 * (category == PREFERRED[region])
        signal = (signal - signal.mean(axis=0)) / signal.std(axis=0)
        noise = generator.normal(size=(len(order), *shape)) / ratio
        # About as large as percent signal changes are, with a session's own gain and shift.
        gain = generator.uniform(0.8, 1.25, SESSIONS).repeat(trials)[:, None, None, None]
        betas[(slice(None), *place)] = gain * (1 + signal[order] + noise)
        ncsnr[place] = ratio
        name, labels = REGIONS[region]
        atlases.setdefault(name, np.zeros(volume, dtype=np.int16))[place] = labels[0]
    one = subject(folder, number, tuple(BOXES))
    one.ncsnr.parent.mkdir(parents=True)
    for session in range(1, SESSIONS + 1):
        if (number, session) != MISSING:
            some = betas[(session - 1) * trials : session * trials]
            stored = np.round(300 * some.transpose(0, 3, 2, 1)).astype(np.int16)
            with h5py.File(one.ncsnr.with_name(f"betas_session{session:02d}.hdf5"), "w") as file:
                file.create_dataset("betas", data=stored, chunks=(trials, 1, 1, 1))
    _save(one.ncsnr, ncsnr.astype(np.float32))
    half = volume[0] // 2
    for (side, name), path in one.atlases.items():
        here = atlases[name].copy()
        here[half:] *= side == "rh"
        here[:half] *= side == "lh"
        _save(path, here)
    beside = next(iter(one.atlases.values())).parents[1]
    for category, name in MAPS.items():
        _save(beside / f"{name}.nii.gz", t[category].astype(np.float32))


def _smooth(generator: np.random.Generator, count: int, shape: tuple[int, ...]) -> Floats:
    """``count`` smooth random fields of SD 1 over a region, (count, x, y, z)."""
    from scipy.ndimage import gaussian_filter

    fields = gaussian_filter(generator.normal(size=(count, *shape)), (0, 1.5, 1.5, 1.5))
    result: Floats = fields / fields.std()
    return result


def _save(path: Path, values: npt.NDArray[Any]) -> None:
    import nibabel

    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.nifti1.Nifti1Image(values, np.diag([MM, MM, MM, 1.0])), path)
