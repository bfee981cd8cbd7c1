"""Prepared images with responses of brains, made from whatever a test says they answer to."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from toporepro.data.brain_responses import ResponseFile, write_voxels
from toporepro.data.store import ImageWriter

COUNTS = {"train": 120, "test": 40}


def images(seed: int, count: int, side: int = 12, channels: int = 3) -> np.ndarray:
    """Smooth images: blobs of random place and colour on grounds of random grey."""
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side]
    made = np.empty((count, side, side, channels))
    for one in made:
        one[:] = generator.uniform(0, 255, channels)
        for _ in range(3):
            place, colour = generator.uniform(0, side, 2), generator.uniform(0, 255, channels)
            blob = np.exp(-((y - place[0]) ** 2 + (x - place[1]) ** 2) / generator.uniform(3, 12))
            one += blob[..., None] * (colour - one)
    return made.astype(np.uint8)


def write_brains(
    folder: Path,
    signals: Mapping[str, Mapping[str, Mapping[str, np.ndarray]]],
    *,
    snr: float = 2.0,
    repeats: int = 3,
    seed: int = 0,
    side: int = 12,
    places: np.ndarray | None = None,
    maps: Mapping[str, np.ndarray] | None = None,
) -> Path:
    """``signals``: participant → region → split → (images, voxels), of any scale."""
    writer = ImageWriter(
        folder, source="brains", options={}, shape=(side, side, 3), classes=["picture"],
        mean=(0.5,) * 3, std=(0.25,) * 3,
    )  # fmt: skip
    for split, count in COUNTS.items():
        labels = np.zeros(count, dtype=int)
        writer.write_split(split, count, [(images(len(split), count, side), labels)])
    regions = list(dict.fromkeys(region for of in signals.values() for region in of))
    generator, files = np.random.default_rng(seed), []
    for name, of in signals.items():
        widths = [of[region]["train"].shape[1] for region in regions]
        members = np.repeat(np.eye(len(regions), dtype=bool), widths, axis=1)
        spread = np.concatenate([of[region]["train"].std(axis=0) for region in regions])
        for split, count in COUNTS.items():
            signal = np.concatenate([of[region][split] for region in regions], axis=1) / spread
            noise = generator.normal(size=(count, repeats, signal.shape[1])).mean(axis=1) / snr
            with ResponseFile(folder / f"{name}_{split}.npy", count) as file:
                file.write(signal + noise)
        total = members.shape[1]
        lined_up = np.stack(np.unravel_index(np.arange(total), (total, 1, 1)), axis=1)
        files += write_voxels(
            folder, name, members=members, ncsnr=np.full(total, snr),
            places=lined_up if places is None else places,
            right=np.zeros(total, dtype=bool), maps=maps or {},
            shown={s: (np.arange(n), np.full(n, repeats)) for s, n in COUNTS.items()},
        )  # fmt: skip
    writer.attach(files, brain={"regions": regions, "participants": {one: {} for one in signals}})
    return writer.finish()
