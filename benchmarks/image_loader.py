"""Training images per second and core: ours beside torchvision's ImageFolder and DataLoader.

    python benchmarks/image_loader.py [--json FILE] [--sizes 160 224] [--images 256] [--workers 2]

Both get the same images (made here: 500×375 pixels, the amplitude spectrum of photographs, JPEG of
quality 90) and give the same output: a batch of random crops, half of them mirrored, as normalised
float32. torchvision decodes each file whole; ours cuts the crop out of a JPEG of shorter side 256
(``--side``, ``--quality``: the source's options) and decodes that. Contenders take turns, and what
counts is processor time of one process on one thread (``--workers`` adds wall time of the whole
machine, over DataLoaders of so many processes).

Beside them stand limits of decoding alone: a JPEG in full, a stored one in full, and the cut-out
crops in full; and the parts that ours consists of. The best of many rounds is shown, since all else
that a machine does only adds; ratios are of these.

Seen on 2 busy cores (AMD EPYC, 160 pixels): torchvision 390–490 images per second and core; ours
2,300–2,400 (5.0–5.9×) where a GPU normalises, 1,900–2,200 (4.2–5.0×) where the processor does; at
224 pixels 5.1–6.3× and 3.5–5.1×. Over half of the time is decoding, most of it Huffman codes, which
no crop on a grid of 16 pixels can spare: a stored image takes 440 µs, a crop 250.
"""

from __future__ import annotations

import argparse
import io
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from toporepro.data import crops, jpeg
from toporepro.data.loader import as_input
from toporepro.data.pictures import shrink
from toporepro.data.shards import HEIGHT, ShardedSplit, ShardWriter, join
from toporepro.models.vision import import_torchvision

import_torchvision()
from torchvision import datasets, transforms  # noqa: E402

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
HEIGHT_PIXELS, WIDTH_PIXELS, QUALITY = 375, 500, 90
BATCH = 128  # an eighth of what the paper's ResNet-18 takes in a step


@dataclass
class Result:
    """One contender at one output size; microseconds of processor time per image."""

    size: int
    contender: str
    us_per_image: float
    images_per_core_second: float
    over_torchvision: float


def photograph(rng: np.random.Generator) -> np.ndarray:
    """An image with random phases and amplitudes that fall with frequency as photographs' do."""
    rows = np.fft.fftfreq(HEIGHT_PIXELS)[:, None]
    columns = np.fft.rfftfreq(WIDTH_PIXELS)[None]
    amplitude = np.maximum(np.hypot(rows, columns), 1 / WIDTH_PIXELS) ** -1.2
    planes = []
    for _ in range(3):
        phases = np.exp(2j * np.pi * rng.random(amplitude.shape))
        plane = np.fft.irfft2(amplitude * phases, s=(HEIGHT_PIXELS, WIDTH_PIXELS))
        planes.append(plane / plane.std())
    grey, red, blue = planes
    image = np.stack([grey + 0.3 * red, grey, grey + 0.3 * blue], axis=-1)
    return np.clip(128 + 50 * image, 0, 255).astype(np.uint8)


def make_images(folder: Path, count: int, side: int, quality: int) -> ShardedSplit:
    """``folder/tree/class/*.JPEG``, and the same images as one shard."""
    rng = np.random.default_rng(0)
    tree = folder / "tree" / "class"
    tree.mkdir(parents=True)
    shard = folder / "train-00000.bin"
    with ShardWriter(shard, "jpeg", quality) as writer:
        for number in range(count):
            path = tree / f"{number:05d}.JPEG"
            Image.fromarray(photograph(rng)).save(path, quality=QUALITY)
            writer.add(shrink(np.asarray(Image.open(path)), side), 0)
    labels, places = join([writer.rows()])
    return ShardedSplit(folder / "dataset.json", "train", "jpeg", labels, places, (shard,))


class Ours(torch.utils.data.Dataset):
    """A batch of crops per index; as bytes, or normalised too."""

    def __init__(self, split: ShardedSplit, size: int, normalised: bool) -> None:
        self.split, self.size, self.normalised = split, size, normalised

    def __len__(self) -> int:
        return len(self.split) // BATCH

    def __getitem__(self, index: int) -> torch.Tensor:
        ids = np.arange(index * BATCH, (index + 1) * BATCH)
        made = crops.random_resized_crops(
            self.split, ids, seed=0, epoch=index, size=self.size, flip=True
        )
        images = torch.from_numpy(made)
        return as_input(images, MEAN, STD) if self.normalised else images


def torchvision_loader(tree: Path, size: int, workers: int) -> torch.utils.data.DataLoader:
    transform = transforms.Compose(
        [
            transforms.RandomResizedCrop(size),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize(MEAN, STD),
        ]
    )
    folder = datasets.ImageFolder(str(tree), transform)
    return torch.utils.data.DataLoader(folder, batch_size=BATCH, num_workers=workers)


def our_loader(
    split: ShardedSplit, size: int, workers: int, normalised: bool = True
) -> torch.utils.data.DataLoader:
    data = Ours(split, size, normalised)
    return torch.utils.data.DataLoader(data, batch_size=None, num_workers=workers)


def exhaust(loader: torch.utils.data.DataLoader) -> Callable[[], None]:
    def run() -> None:
        for _ in loader:
            pass

    return run


def for_each(function: Callable[[Any], Any], items: Sequence[Any]) -> Callable[[], None]:
    def run() -> None:
        for item in items:
            function(item)

    return run


def at_size(folder: Path, split: ShardedSplit, size: int) -> dict[str, Callable[[], None]]:
    """Everything that is timed at one output size; each runs through all images once."""
    ids = np.arange(len(split))
    sides = split.places[:, HEIGHT:]
    boxes = crops.random_boxes(sides[:, 0], sides[:, 1], seed=0, epoch=0, sample=ids)
    rectangles = [jpeg.Box(t, left, t + h, left + w) for t, left, h, w in boxes.tolist()]
    originals = [path.read_bytes() for path in sorted((folder / "tree" / "class").iterdir())]
    stored = [bytes(split.encoded(int(number))) for number in ids]
    pairs = list(zip(stored, rectangles, strict=True))
    cut = [jpeg.crop(*pair)[0] for pair in pairs]
    pixels = [split.image(n)[t : t + h, x : x + w] for n, (t, x, h, w) in enumerate(boxes.tolist())]
    out = np.empty((size, size, 3), dtype=np.uint8)
    batch = torch.zeros(BATCH, size, size, 3, dtype=torch.uint8)
    return {
        "torchvision": exhaust(torchvision_loader(folder / "tree", size, 0)),
        "ours": exhaust(our_loader(split, size, 0)),
        "ours, normalised on the device": exhaust(our_loader(split, size, 0, normalised=False)),
        "limit: decode originals (Pillow)": for_each(
            lambda data: Image.open(io.BytesIO(data)).convert("RGB"), originals
        ),
        "limit: decode originals": for_each(jpeg.decode, originals),
        "limit: decode stored": for_each(jpeg.decode, stored),
        "limit: decode cut-out crops": for_each(jpeg.decode, cut),
        "part: cut crops out": for_each(lambda pair: jpeg.crop(*pair), pairs),
        "part: resize and flip": for_each(lambda p: crops._resize(p, out, flip=True), pixels),
        "part: normalise": for_each(
            lambda _: as_input(batch, MEAN, STD), range(len(split) // BATCH)
        ),
    }


def measure(
    folder: Path, split: ShardedSplit, size: int, budget_s: float
) -> tuple[list[Result], int]:
    contenders = at_size(folder, split, size)
    best = dict.fromkeys(contenders, float("inf"))
    end, rounds = time.perf_counter() + budget_s, 0
    while time.perf_counter() < end or rounds < 2:
        rounds += 1
        for name, run in contenders.items():
            start = time.process_time()
            run()
            best[name] = min(best[name], (time.process_time() - start) / len(split))
    results = [
        Result(size, name, 1e6 * seconds, 1 / seconds, best["torchvision"] / seconds)
        for name, seconds in best.items()
    ]
    return results, rounds


def over_processes(
    folder: Path, split: ShardedSplit, size: int, workers: int, rounds: int = 3
) -> dict[str, float]:
    """Images per second of wall time with so many loading processes, once they are started."""
    many = 8  # times through the images, so that starting processes weighs little
    rates: dict[str, list[float]] = {"torchvision": [], "ours": []}
    repeated = torch.utils.data.ConcatDataset([Ours(split, size, True)] * many)
    tree = torchvision_loader(folder / "tree", size, 0).dataset
    loaders = {
        "torchvision": torch.utils.data.DataLoader(
            torch.utils.data.ConcatDataset([tree] * many), batch_size=BATCH, num_workers=workers
        ),
        "ours": torch.utils.data.DataLoader(repeated, batch_size=None, num_workers=workers),
    }
    for _ in range(rounds):
        for name, loader in loaders.items():
            batches = iter(loader)
            next(batches)
            start, seen = time.perf_counter(), 0
            for _ in batches:
                seen += BATCH
            rates[name].append(seen / (time.perf_counter() - start))
    return {name: max(values) for name, values in rates.items()}


def table(results: list[Result]) -> str:
    lines = [f"{'size':>4}  {'':<36}{'µs/image':>9}{'images/s/core':>15}{'/torchvision':>14}"]
    for r in results:
        lines.append(
            f"{r.size:>4}  {r.contender:<36}{r.us_per_image:>9.0f}"
            f"{r.images_per_core_second:>15.0f}{r.over_torchvision:>13.1f}×"
        )
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    parser = argparse.ArgumentParser(description="The image loader beside torchvision's.")
    parser.add_argument("--json", type=Path, help="write the results to this file")
    parser.add_argument("--sizes", type=int, nargs="+", default=[160, 176, 192, 224])
    parser.add_argument("--images", type=int, default=256, help="a multiple of 128")
    parser.add_argument("--side", type=int, default=256, help="shorter side of stored images")
    parser.add_argument("--quality", type=int, default=90, help="of stored JPEGs")
    parser.add_argument("--seconds", type=float, default=15, help="timing of each size")
    parser.add_argument("--workers", type=int, default=0, help="also over so many processes")
    options = parser.parse_args(argv)
    if options.images < BATCH or options.images % BATCH:
        parser.error(f"--images: a multiple of {BATCH}")
    torch.set_num_threads(1)
    torch.manual_seed(0)
    results: list[Result] = []
    processes = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        split = make_images(folder, options.images, options.side, options.quality)
        original = np.mean([p.stat().st_size for p in (folder / "tree" / "class").iterdir()])
        for size in options.sizes:
            found, rounds = measure(folder, split, size, options.seconds)
            results += found
            if options.workers:
                processes[str(size)] = over_processes(folder, split, size, options.workers)
    print(table(results))
    print(
        f"originals {original:.0f} bytes, stored {split.places[:, 2].mean():.0f} bytes on average; "
        f"at least {rounds} rounds"
    )
    for size, rates in processes.items():
        print(
            f"{size} px, {options.workers} processes, images per second: "
            + ", ".join(f"{name} {rate:.0f}" for name, rate in rates.items())
        )
    report = {
        "benchmark": "image_loader",
        "side": options.side,
        "quality": options.quality,
        "decoder": jpeg._decoder().__name__,
        "pillow": Image.__version__,
        "torch": torch.__version__,
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "original_bytes": float(original),
        "stored_bytes": float(split.places[:, 2].mean()),
        "results": [asdict(result) for result in results],
        "processes": {"workers": options.workers, "images_per_second": processes},
    }
    if options.json:
        options.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return report


if __name__ == "__main__":
    main()
