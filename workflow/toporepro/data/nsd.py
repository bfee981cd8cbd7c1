"""NSD, the Natural Scenes Dataset: responses of visual cortex to photographs, at 7 tesla.

Allen et al., "A massive 7T fMRI dataset to bridge cognitive neuroscience and artificial
intelligence", Nature Neuroscience 25:116 (2022). Nothing is fetched: it needs an agreement, so a
person puts its files into ``data/nsd``, in their official layout (``nsd_layout``).

Betas are z-scored over each session and averaged over repeats. The split ``test`` holds the images
that all subjects were shown (the shared 1,000), ``train`` all others.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from toporepro.data.extent import Extent
from toporepro.data.nsd_layout import (
    DESIGN,
    EARLY,
    HEMISPHERES,
    REGIONS,
    STIMULI,
    SUBJECTS,
    Design,
    Subject,
    absent,
    present,
    read_design,
    read_volume,
)
from toporepro.data.store import DataError, Images
from toporepro.provenance import progress
from toporepro.spec import SpecError, nearest

if TYPE_CHECKING:
    from toporepro.data.nsd_images import Pictures
    from toporepro.data.remote_file import RemoteFile

_AT_ONCE = 64
_PROBED = 200  # voxels of early visual cortex that are held against the images
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Options:
    """Which of NSD.

    Attributes:
        size: height and width of the images in pixels, what the network takes.
        subjects: of the eight, from 1; those of whom nothing is there are left out.
        regions: of visual cortex, whose voxels are taken.
    """

    size: int = 224
    subjects: tuple[int, ...] = tuple(range(1, SUBJECTS + 1))
    regions: tuple[str, ...] = tuple(REGIONS)

    def __post_init__(self) -> None:
        if self.size < 8:
            raise SpecError(f"size={self.size}: at least 8")
        for number in self.subjects:
            if not 1 <= number <= SUBJECTS:
                raise SpecError(f"subjects={number}: 1 to {SUBJECTS}")
        for name in self.regions:
            if name not in REGIONS:
                raise SpecError(f"regions={name!r}: {nearest(name, REGIONS)}")
        for name in ("subjects", "regions"):
            values = getattr(self, name)
            if not values or len(set(values)) < len(values):
                raise SpecError(f"{name}: at least one, each once")


def raw_files(options: Options) -> tuple[RemoteFile, ...]:
    """None that anybody may fetch."""
    return ()


def extent(options: Options) -> Extent:
    """How many images its subjects see, as if all were there: 1,000 shared, 9,000 each alone."""
    return Extent(
        splits={"stimuli": 1000 + 9000 * len(options.subjects)},
        shape=(options.size, options.size, 3),
        classes=0,
        by_hand="accept NSD's terms at https://naturalscenesdataset.org and put its files into "
        "data/nsd",
    )


def prepared_bytes(options: Options) -> int:
    """Bytes that the images take; the responses of some thousand voxels are small beside them."""
    return extent(options).splits["stimuli"] * 3 * options.size**2


def missing(options: Options, raw: Path) -> str | None:
    """What of the user's own files is absent, in words; ``None`` if all is there."""
    names = absent(raw, options.subjects, options.regions)
    if not names:
        return None
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return f"{names[0]}{more} not found in {raw}"


def local_files(options: Options, raw: Path) -> tuple[Path, ...]:
    """The files that are read.

    Raises:
        DataError: as ``nsd_layout.present``.
    """
    subjects = present(raw, options.subjects, options.regions)
    return (raw / STIMULI, raw / DESIGN, *(path for one in subjects for path in one.files))


def prepare(options: Options, raw: Path, out: Path) -> None:
    """Write the images, and each subject's responses to those that it was shown."""
    write(options, raw, out, source="nsd", given=asdict(options))


def write(options: Options, raw: Path, out: Path, *, source: str, given: dict[str, Any]) -> None:
    """As :func:`prepare`, for a source of another name with files in NSD's formats."""
    from toporepro.data.nsd_images import Pictures
    from toporepro.data.store import ImageWriter

    subjects = present(raw, options.subjects, options.regions)
    design = read_design(raw / DESIGN)
    writer = ImageWriter(
        out,
        source=source,
        options=given,
        shape=(options.size, options.size, 3),
        classes=["picture"],
        mean=(0.5,) * 3,
        std=(0.5,) * 3,
    )
    seen = np.unique(
        np.concatenate(
            [design.session(one.number, session) for one in subjects for session in one.betas]
        )
    )
    pictures = Pictures(raw / STIMULI, options.size)
    splits = {
        "train": np.setdiff1d(seen, design.shared),
        "test": np.intersect1d(seen, design.shared),
    }
    for split, numbers in splits.items():
        if not len(numbers):
            raise DataError(f"{raw}: no image of the split {split} was shown in the sessions there")
        progress(f"{source}: {len(numbers)} {split} images")
        writer.write_split(split, len(numbers), _chunks(pictures, numbers))
    files, facts = [], {}
    for one in subjects:
        names, facts[one.name] = _subject(out, one, design, options.regions, splits, pictures)
        files += names
    writer.attach(files, brain={"regions": list(options.regions), "participants": facts})
    writer.finish()


def _chunks(pictures: Pictures, numbers: Integers) -> Iterator[tuple[Images, Integers]]:
    for start in range(0, len(numbers), _AT_ONCE):
        chunk = pictures.read(numbers[start : start + _AT_ONCE])
        yield chunk, np.zeros(len(chunk), dtype=np.int64)


def _subject(
    out: Path,
    one: Subject,
    design: Design,
    regions: tuple[str, ...],
    splits: Mapping[str, Integers],
    pictures: Pictures,
) -> tuple[list[str], dict[str, Any]]:
    """Write a subject's responses, checked; the names of its files, and facts for the index."""
    from toporepro.data.brain_responses import ResponseFile, write_voxels
    from toporepro.data.nsd_betas import Repeats, blocks

    ncsnr, sides = read_volume(one.ncsnr)
    inside = _regions(one, regions, ncsnr)
    mask: npt.NDArray[np.bool_] = inside.any(axis=0) & np.isfinite(ncsnr)
    if not mask.any():
        raise DataError(f"{one.ncsnr}: {one.name} has no voxel of {', '.join(regions)}")
    repeats = Repeats({session: design.session(one.number, session) for session in one.betas})
    numbers = repeats.shown
    progress(f"{one.name}: {mask.sum()} voxels, {len(numbers)} images in {len(one.betas)} sessions")
    shown = {split: np.isin(numbers, of) for split, of in splits.items()}
    probe = _probe(inside, regions, np.where(mask, ncsnr, -1.0))
    places, probed = [], []
    with contextlib.ExitStack() as stack:
        files = {
            split: stack.enter_context(
                ResponseFile(out / f"{one.name}_{split}.npy", int(here.sum()))
            )
            for split, here in shown.items()
        }
        for block in blocks(one.betas, design.trials, mask):
            means = repeats.add(block)
            for split, file in files.items():
                file.write(means[shown[split]])
            places.append(block.voxels)
            probed.append(means[shown["train"]][:, probe[tuple(block.voxels.T)]])
    voxels = np.concatenate(places)
    where = tuple(voxels.T)
    repeats.check(one.betas, ncsnr[where])
    # The shared images have their places in the order of every subject: they would not tell.
    own = numbers[shown["train"]]
    pictures.check(one.name, own, np.concatenate(probed, axis=1).astype(np.float64))
    members = inside[(slice(None), *where)]
    names = write_voxels(
        out,
        one.name,
        members=members,
        ncsnr=ncsnr[where],
        places=voxels * np.array(sides),
        right=np.any(_regions(one, regions, ncsnr, HEMISPHERES[1:]), axis=0)[where],
        maps={name: _like(path, ncsnr)[where] for name, path in one.maps.items()},
        shown={
            split: (np.searchsorted(splits[split], numbers[here]), repeats.counts[here])
            for split, here in shown.items()
        },
    )
    counts = zip(regions, members.sum(axis=1).tolist(), strict=True)
    facts = {
        "sessions": sorted(one.betas),
        "images": {split: int(here.sum()) for split, here in shown.items()},
        "voxels": {name: count for name, count in counts if count},
        "constant_voxels_left_out": int(mask.sum()) - len(voxels),
    }
    return names, facts


def _regions(
    one: Subject,
    regions: Sequence[str],
    like: npt.NDArray[Any],
    hemispheres: Sequence[str] = HEMISPHERES,
) -> npt.NDArray[np.bool_]:
    """Which voxels are in which region, (regions, x, y, z)."""
    labels = {key: _like(path, like) for key, path in one.atlases.items() if key[0] in hemispheres}
    return np.stack(
        [
            np.any(
                [np.isin(labels[side, REGIONS[name][0]], REGIONS[name][1]) for side in hemispheres],
                axis=0,
            )
            for name in regions
        ]
    )


def _probe(
    inside: npt.NDArray[np.bool_], regions: Sequence[str], ncsnr: npt.NDArray[Any]
) -> npt.NDArray[np.bool_]:
    """The voxels of the most reliable responses in early visual cortex, else in all regions."""
    early = [place for place, name in enumerate(regions) if name in EARLY]
    some = inside[early] if early else inside
    wanted: npt.NDArray[np.bool_] = some.any(axis=0) & (ncsnr > 0)
    order = np.argsort(-np.where(wanted, ncsnr, -1.0), axis=None, kind="stable")
    chosen = np.zeros(wanted.size, dtype=bool)
    chosen[order[:_PROBED]] = True
    return chosen.reshape(wanted.shape) & wanted


def _like(path: Path, other: npt.NDArray[Any]) -> npt.NDArray[Any]:
    values, _ = read_volume(path)
    if values.shape != other.shape:
        raise DataError(
            f"{path}: a volume of {values.shape}, but ncsnr.nii.gz of the subject has "
            f"{other.shape}: another subject's"
        )
    return values
