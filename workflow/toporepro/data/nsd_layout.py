"""The Natural Scenes Dataset on disk: its official layout, and what of it is there.

Names and values are those of the NSD data manual (Allen et al., Nature Neuroscience 25:116, 2022).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from toporepro.data.store import DataError

PAGE = "https://naturalscenesdataset.org"
STIMULI = "nsddata_stimuli/stimuli/nsd/nsd_stimuli.hdf5"
DESIGN = "nsddata/experiments/nsd/nsd_expdesign.mat"
PREPARATION, BETAS = "func1pt8mm", "betas_fithrf_GLMdenoise_RR"
SUBJECTS = 8
SESSIONS = 40
HEMISPHERES = ("lh", "rh")
# Region → the file of regions that holds it, and its labels there.
REGIONS: Mapping[str, tuple[str, tuple[int, ...]]] = {
    "V1": ("prf-visualrois", (1, 2)),
    "V2": ("prf-visualrois", (3, 4)),
    "V3": ("prf-visualrois", (5, 6)),
    "hV4": ("prf-visualrois", (7,)),
    "OFA": ("floc-faces", (1,)),
    "FFA": ("floc-faces", (2, 3)),
    "mTL-faces": ("floc-faces", (4,)),
    "aTL-faces": ("floc-faces", (5,)),
    "EBA": ("floc-bodies", (1,)),
    "FBA": ("floc-bodies", (2, 3)),
    "mTL-bodies": ("floc-bodies", (4,)),
    "OPA": ("floc-places", (1,)),
    "PPA": ("floc-places", (2,)),
    "RSC": ("floc-places", (3,)),
    "ventral": ("streams", (5,)),
    "lateral": ("streams", (6,)),
}
EARLY = ("V1", "V2", "V3", "hV4")
# Category, as sets of images name it → the localizer's map of t.
MAPS = {
    "faces": "floc_facestval",
    "bodies": "floc_bodiestval",
    "scenes": "floc_placestval",
    "objects": "floc_objectstval",
    "characters": "floc_characterstval",
}
Volume = npt.NDArray[Any]


@dataclass(frozen=True)
class Subject:
    """A subject's files.

    Attributes:
        number: 1 to 8.
        betas: session → its single-trial betas; sessions may be missing.
        ncsnr: noise-ceiling signal-to-noise ratio.
        atlases: (hemisphere, file of regions) → its volume of labels.
        maps: category → the localizer's t, of those that are there.
    """

    number: int
    betas: Mapping[int, Path]
    ncsnr: Path
    atlases: Mapping[tuple[str, str], Path]
    maps: Mapping[str, Path]

    @property
    def name(self) -> str:
        return f"subj{self.number:02d}"

    @property
    def files(self) -> tuple[Path, ...]:
        return (
            *self.betas.values(),
            self.ncsnr,
            *self.atlases.values(),
            *self.maps.values(),
        )


def subject(raw: Path, number: int, regions: Sequence[str]) -> Subject:
    """Where a subject's files are, or would be; sessions and maps are those that are there."""
    name = f"subj{number:02d}"
    betas = raw / "nsddata_betas" / "ppdata" / name / PREPARATION / BETAS
    prepared = raw / "nsddata" / "ppdata" / name / PREPARATION
    sessions = {session: betas / f"betas_session{session:02d}.hdf5" for session in _numbers()}
    atlases = dict.fromkeys(REGIONS[region][0] for region in regions)
    maps = {category: prepared / f"{name}.nii.gz" for category, name in MAPS.items()}
    return Subject(
        number=number,
        betas={session: path for session, path in sessions.items() if path.exists()},
        ncsnr=betas / "ncsnr.nii.gz",
        atlases={
            (side, atlas): prepared / "roi" / f"{side}.{atlas}.nii.gz"
            for side in HEMISPHERES
            for atlas in atlases
        },
        maps={category: path for category, path in maps.items() if path.exists()},
    )


def absent(raw: Path, numbers: Sequence[int], regions: Sequence[str]) -> list[str]:
    """The files that are needed and not there, below ``raw``.

    A subject of whom nothing is there is not needed, as long as another one is.
    """
    needed = [raw / STIMULI, raw / DESIGN]
    missing = [path for path in needed if not path.exists()]
    started, anybody = [], False
    for number in numbers:
        one = subject(raw, number, regions)
        lacking = [path for path in (one.ncsnr, *one.atlases.values()) if not path.exists()]
        if not one.betas:
            lacking.insert(0, one.ncsnr.with_name("betas_session*.hdf5"))
        anybody = anybody or not lacking
        if one.betas or one.ncsnr.exists() or len(lacking) < 2 + len(one.atlases):
            started.append(lacking)
        elif number == numbers[0]:
            first = lacking
    if not started and not anybody:
        started = [first]
    missing += [path for lacking in started for path in lacking]
    return [path.relative_to(raw).as_posix() for path in missing]


def present(raw: Path, numbers: Sequence[int], regions: Sequence[str]) -> tuple[Subject, ...]:
    """The subjects whose files are there.

    Raises:
        DataError: with the list of what is missing, where to ask for it and where to put it.
    """
    missing = absent(raw, numbers, regions)
    if missing:
        listed = "\n  ".join(missing)
        raise DataError(
            f"{raw}: of the Natural Scenes Dataset these files are not there:\n  {listed}\n"
            f"It needs an agreement, which a person signs at {PAGE}; then put the files into "
            f"{raw} in the layout of its bucket s3://natural-scenes-dataset, such as "
            f"{raw / STIMULI}. Sessions, and whole subjects, may be left out."
        )
    found = (subject(raw, number, regions) for number in numbers)
    return tuple(one for one in found if one.betas)


@dataclass(frozen=True)
class Design:
    """Which image was shown when (``nsd_expdesign.mat``), counted from 0.

    Attributes:
        images: image of each trial by subject, (8, trials); numbers in ``imgBrick``.
        shared: the images that all subjects were shown, ascending.
        trials: of a session.
    """

    images: npt.NDArray[np.int64]
    shared: npt.NDArray[np.int64]
    trials: int

    def session(self, number: int, session: int) -> npt.NDArray[np.int64]:
        """The images of a subject's session, both counted from 1, (trials,)."""
        start = (session - 1) * self.trials
        return self.images[number - 1, start : start + self.trials]


def read_design(path: Path) -> Design:
    """The experiment's design.

    Raises:
        DataError: if it is not one, or contradicts itself.
    """
    from scipy.io import loadmat

    try:
        content = loadmat(path)
        order = _whole(content["masterordering"]).ravel() - 1
        images = _whole(content["subjectim"]) - 1
        shared = np.unique(_whole(content["sharedix"]).ravel() - 1)
        sessions = len(content["stimpattern"])
    except (OSError, ValueError, KeyError, TypeError, NotImplementedError) as error:
        raise DataError(
            f"{path}: not the design of NSD ({type(error).__name__}: {error}); get it anew"
        ) from None
    if images.ndim != 2 or len(images) != SUBJECTS or order.size % max(sessions, 1):
        raise DataError(
            f"{path}: subjectim {images.shape}, {order.size} trials in {sessions} sessions; "
            f"{SUBJECTS} subjects and sessions of equal length are expected"
        )
    if order.min() < 0 or order.max() >= images.shape[1] or images.min() < 0:
        raise DataError(
            f"{path}: masterordering names images 1 to {order.max() + 1}, subjectim has "
            f"{images.shape[1]} a subject"
        )
    for number, mine in enumerate(images, start=1):
        theirs = np.unique(mine[: len(shared)])
        if not np.array_equal(theirs, shared):
            raise DataError(
                f"{path}: the first {len(shared)} images of subject {number} in subjectim are not "
                "those of sharedix; the file is damaged or not NSD's"
            )
    return Design(images[:, order], shared, order.size // sessions)


def read_volume(path: Path) -> tuple[Volume, tuple[float, float, float]]:
    """A NIfTI volume (x, y, z) and the sides of its voxels in mm.

    Raises:
        DataError: if it is damaged or has other dimensions.
    """
    from nibabel import nifti1
    from nibabel.filebasedimages import ImageFileError

    try:
        image = nifti1.load(path)
        values = np.asanyarray(image.dataobj)
        x, y, z = (float(side) for side in image.header.get_zooms()[:3])
    except (OSError, EOFError, ValueError, ImageFileError) as error:
        raise DataError(f"{path}: not a NIfTI volume that can be read ({error})") from None
    if values.ndim != 3:
        raise DataError(f"{path}: a volume of shape {values.shape}; three dimensions are expected")
    return values, (x, y, z)


def _whole(values: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    whole = values.astype(np.int64)
    if not np.array_equal(whole, values) or not whole.size:
        raise ValueError("numbers of images that are not whole")
    return whole


def _numbers() -> range:
    return range(1, SESSIONS + 1)
