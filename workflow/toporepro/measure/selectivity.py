"""Category selectivity: which units answer to what, and how their maps lie on the sheet.

Per unit, Welch's t and d′ of one category against the others, and of the contrasts that
``contrasts`` names. Per map, Moran's I and the largest cluster above a threshold; per pair of maps,
structural similarity, raw and minus its mean over joint shuffles of the units. One-vs-rest over K
categories alone makes maps correlate by −1/(K−1): what P speaks of is the null in which category
labels are permuted over stimuli and all maps are computed anew.

Of the snapshots only the untrained network is measured, and only with τ = 0: before training, τ has
made no difference.
"""

from __future__ import annotations

import itertools
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from toporepro.measure.precision import Precision
from toporepro.measure.result import Floats, Quantity, Result, Row, UnitValues
from toporepro.spec import SpecError

if TYPE_CHECKING:
    import torch

    from toporepro.data.store import PreparedImages
    from toporepro.measure.contrasts import Contrasts
    from toporepro.measure.subject import Subject

ON_SNAPSHOTS = True
TASK = "classification"
QUANTITIES = {
    "selectivity_t": Quantity(
        label="Category selectivity",
        unit="t",
        about="Welch's t of one category against the others, or of one contrast.",
    ),
    "selectivity_dprime": Quantity(
        label="Category selectivity, size of effect",
        unit="d′",
        about="Difference of the means in standard deviations.",
    ),
    "subclass_t": Quantity(
        label="Selectivity to sub-classes",
        unit="t",
        index="sub-class (its number in the data)",
        about="Welch's t of one sub-class against the others.",
    ),
}
PAIR_BASE = 1000  # a pair (i, j) of sub-classes has the index 1000 i + j
_FEWEST_SUBCLASSES = 4


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of ``selectivity``.

    Attributes:
        stimuli: sets of images: ``split`` of the network's own data, or ``dataset/split``. Each
            category of a set is held against its others, if no image belongs to two.
        contrasts: more contrasts, ``name=a+b-c``, of categories or classes; a set that lacks one
            of these goes without.
        precision: of the forward pass.
        every: measure every so many topographic layers, counted from the last one back.
        threshold: of t, for clusters.
        permutations: of the labels over stimuli; METHODS asks for at least 1,000.
        shuffles: joint shuffles of the units, the same for all maps of a layer.
    """

    stimuli: tuple[str, ...] = ("localizer",)
    contrasts: tuple[str, ...] = ("size=small-big", "animacy=animate-inanimate")
    precision: Precision = "float32"
    every: int = 1
    threshold: float = 3.0
    permutations: int = 1000
    shuffles: int = 10

    def __post_init__(self) -> None:
        for name in ("every", "permutations", "shuffles"):
            if getattr(self, name) < 1:
                raise SpecError(f"{name}={getattr(self, name)}: at least 1")
        if not self.threshold > 0:
            raise SpecError(f"threshold={self.threshold}: above 0")
        if not self.stimuli:
            raise SpecError("stimuli: at least one set of images")
        for text in self.contrasts:
            name, equals, rest = text.replace(" ", "").partition("=")
            sides = [side.split("+") for side in rest.split("-")]
            words = [name, *(word for side in sides for word in side)]
            if not equals or len(sides) != 2 or not all(word.isidentifier() for word in words):
                raise SpecError(f"contrasts: {text!r}: `name=a+b-c+d` is needed")


def measure(subject: Subject, options: Options) -> Result:
    """Maps, their order, and their similarity, of each set of stimuli.

    Rows per layer, with the contrast or the pair of contrasts after a dot, such as
    ``selectivity_cluster.faces`` and ``map_ssim.faces-bodies``; without a dot, the mean over the
    contrasts of one category against the others. Layer ``mean`` averages over the layers measured;
    its P is that of the average.

    * ``selectivity_morans_i``; ``selectivity_cluster`` (units), ``selectivity_cluster_shuffled``
      (mean over shuffles of the units), ``selectivity_cluster_p`` (family-wise over contrasts).
    * ``map_ssim``, ``map_ssim_minus_shuffled`` and, each with its P (``map_ssim_p``; one-sided:
      more similar than under permuted labels), ``map_ssim_gap``: bodies–faces less faces–scenes.
    * ``map_cross_morans_i``: whether the neighbours of units for one are for the other.

    Quantities: ``selectivity_t.NAME`` and ``selectivity_dprime.NAME`` by unit, and ``subclass_t``
    (of one sub-class against the rest; index: its class); of whole layers
    ``subclass_map_similarity`` (of the maps of sub-classes: Moran's I of two maps less its
    expectation over layouts) and ``subclass_response_similarity`` (correlation of mean responses
    over units; index: 1000 × first class + second), ``subclass_pixel_similarity`` (of the images
    themselves; layer empty), and ``subclass_category.NAME`` (index: its classes).

    Raises:
        SpecError: if a set has no contrasts, or one comes from two sets.
        DataError: if a set of stimuli has no such split.
    """
    rows: list[Row] = []
    units: list[UnitValues] = []
    if not subject.final and (subject.step > 0 or subject.spec.topo.tau > 0):
        return Result()
    layers = list(subject.layers)[:: -options.every][::-1]
    seen: set[str] = set()
    for name in options.stimuli:
        images, split = subject.stimulus_set(name)
        chosen = subject.chosen(len(split))
        labels = np.array(split.labels)[chosen]
        pixels = np.array(split.images[chosen])
        groups = _contrasts(name, images, labels, options, seen)
        answers = subject.layer_responses(layers, pixels, options.precision)
        for contrasts in groups:
            one = _Group(subject, options, name, contrasts)
            for layer in layers:
                one.add(layer, answers[layer])
            rows += one.finished()
            units += one.units
        classes = _subclasses(images, labels)
        if groups[0].one_vs_rest and len(classes) >= _FEWEST_SUBCLASSES:
            units += _subclass_curves(subject, images, labels, pixels, answers, classes)
    return Result(tuple(rows), tuple(units))


def _contrasts(
    name: str,
    images: PreparedImages,
    labels: npt.NDArray[np.int64],
    options: Options,
    seen: set[str],
) -> list[Contrasts]:
    from toporepro.measure.contrasts import named, one_vs_rest

    found = (
        one_vs_rest(images.categories, labels),
        named(options.contrasts, images.categories, images.classes, labels),
    )
    groups = [group for group in found if group is not None]
    if not groups:
        known = ", ".join(images.categories) or "no categories"
        raise SpecError(f"stimuli={name!r}: nothing to contrast; there are {known}")
    for contrast in itertools.chain.from_iterable(group.names for group in groups):
        if contrast in seen:
            raise SpecError(f"stimuli={name!r}: contrast {contrast!r} is there already")
        seen.add(contrast)
    return groups


class _Group:
    """Rows and maps of contrasts over the same stimuli, layer by layer."""

    def __init__(self, subject: Subject, options: Options, stimuli: str, of: Contrasts) -> None:
        self.subject, self.options, self.stimuli, self.of = subject, options, stimuli, of
        self.pairs = list(itertools.combinations(range(len(of.names)), 2))
        self.labels = [f"{of.names[i]}-{of.names[j]}" for i, j in self.pairs]
        self.rows: list[Row] = []
        self.units: list[UnitValues] = []
        # Of SSIM and of SSIM minus shuffled, for each layer.
        self.observed: list[Floats] = []
        self.null: list[Floats] = []

    def add(self, layer: str, responses: npt.NDArray[np.float32]) -> None:
        """Measure one layer; ``responses``: (all stimuli, units)."""
        import torch

        from toporepro.measure.clusters import cross_morans_i, largest_clusters
        from toporepro.measure.contrasts import permuted_maps, scaled, welch
        from toporepro.measure.map_similarity import similarity

        sheet, names = self.subject.sheet(layer), self.of.names
        shuffles = _shuffles(self.subject, layer, self.options.shuffles)
        answers = scaled(responses[self.of.stimuli]).to(self.subject.device)
        masks = [torch.from_numpy(side).to(answers) for side in (self.of.first, self.of.second)]
        t, dprime = welch(answers, *masks)
        maps: Floats = t.cpu().numpy()
        for number, name in enumerate(names):
            self.units += [
                UnitValues(layer, f"selectivity_t.{name}", maps[number]),
                UnitValues(layer, f"selectivity_dprime.{name}", dprime[number].cpu().numpy()),
            ]

        def clusters(on: npt.NDArray[np.floating]) -> npt.NDArray[np.int64]:
            laid = on.reshape(*on.shape[:-1], *sheet)
            ends = not self.of.one_vs_rest
            return largest_clusters(laid, self.options.threshold, both_ends=ends)

        null_similarity, null_cluster = [], []
        seed = (self.subject.seed, zlib.crc32(self.stimuli.encode()))
        for chunk in permuted_maps(answers, self.of, self.options.permutations, seed):
            null_cluster.append(clusters(chunk.cpu().numpy()).max(axis=-1))
            if self.pairs:
                both = similarity(chunk, self.pairs, sheet, shuffles)
                null_similarity.append(torch.stack(both).cpu())
        sizes, largest = clusters(maps), np.concatenate(null_cluster)
        shuffled = clusters(np.stack([maps[:, order] for order in shuffles])).mean(axis=0)
        near = cross_morans_i(maps, *sheet)
        order = near.diagonal()
        self._say(layer, "selectivity_morans_i", names, order)
        self._say(layer, "selectivity_cluster", names, sizes)
        self._say(layer, "selectivity_cluster_shuffled", names, shuffled)
        self._say(layer, "selectivity_cluster_p", names, [_p(s, largest) for s in sizes])
        if self.of.one_vs_rest:
            self._row(layer, "selectivity_morans_i", float(order.mean()))
        if self.pairs:
            cross = [near[i, j] for i, j in self.pairs]
            self._say(layer, "map_cross_morans_i", self.labels, cross)
            found = torch.stack(similarity(t, self.pairs, sheet, shuffles))
            self.observed.append(found.double().cpu().numpy())
            self.null.append(torch.cat(null_similarity, dim=1).double().numpy())
            self._similarities(layer, self.observed[-1], self.null[-1])

    def finished(self) -> list[Row]:
        """All rows, with those of the average over layers."""
        for metric in dict.fromkeys(row.metric for row in self.rows):
            if not metric.startswith(("map_ssim", "selectivity_cluster_p")):
                values = [row.value for row in self.rows if row.metric == metric]
                self._row("mean", metric, float(np.mean(values)))
        if self.pairs:
            observed, null = np.mean(self.observed, axis=0), np.mean(self.null, axis=0)
            self._similarities("mean", observed, null)
        return self.rows

    def _similarities(self, layer: str, observed: Floats, null: Floats) -> None:
        """SSIM raw and minus shuffled: (2, pairs); under the null (2, permutations, pairs)."""
        place = {
            frozenset(self.of.names[i] for i in pair): number
            for number, pair in enumerate(self.pairs)
        }
        body = place.get(frozenset(("faces", "bodies")))
        scene = place.get(frozenset(("faces", "scenes")))
        names = ("map_ssim", "map_ssim_minus_shuffled")
        for metric, values, chance in zip(names, observed, null, strict=True):
            self._say(layer, metric, self.labels, values)
            p = [_p(value, column) for value, column in zip(values, chance.T, strict=True)]
            self._say(layer, f"{metric}_p", self.labels, p)
            if body is not None and scene is not None:
                gap = values[body] - values[scene]
                self._row(layer, f"{metric}_gap", gap)
                self._row(layer, f"{metric}_gap_p", _p(gap, chance[:, body] - chance[:, scene]))

    def _say(self, layer: str, metric: str, names: object, values: object) -> None:
        for name, value in zip(names, values, strict=True):  # type: ignore[call-overload]
            self._row(layer, f"{metric}.{name}", float(value))

    def _row(self, layer: str, metric: str, value: float) -> None:
        self.rows.append(Row(layer, self.stimuli, metric, float(value)))


def _p(observed: float, null: npt.NDArray[Any]) -> float:
    """Share of the null, the observed value counted in, that is at least as large."""
    return float((1 + np.sum(null >= observed - 1e-6)) / (1 + len(null)))


def _shuffles(subject: Subject, layer: str, count: int) -> npt.NDArray[np.int64]:
    generator = np.random.default_rng((subject.seed, zlib.crc32(layer.encode())))
    places = np.tile(np.arange(subject.layers[layer]), (count, 1))
    return generator.permuted(places, axis=1)


def _subclasses(images: PreparedImages, labels: npt.NDArray[np.int64]) -> list[int]:
    """Classes of some category with at least two images."""
    counts = np.bincount(labels, minlength=len(images.classes))
    return [c for group in images.categories.values() for c in group if counts[c] >= 2]


def _subclass_curves(
    subject: Subject,
    images: PreparedImages,
    labels: npt.NDArray[np.int64],
    pixels: npt.NDArray[np.uint8],
    answers: dict[str, npt.NDArray[np.float32]],
    classes: list[int],
) -> list[UnitValues]:
    """Similarities of all pairs of sub-classes: of their maps' layout, of responses, of pixels."""
    import torch

    from toporepro.measure.clusters import layout_similarity
    from toporepro.measure.contrasts import scaled, welch

    classes = sorted(classes)
    stimuli = np.flatnonzero(np.isin(labels, classes))
    first = np.stack([labels[stimuli] == c for c in classes])
    pairs = list(itertools.combinations(range(len(classes)), 2))
    index = tuple(PAIR_BASE * classes[i] + classes[j] for i, j in pairs)
    found = [
        UnitValues("", f"subclass_category.{name}", np.ones(len(group)), tuple(group), False)
        for name, group in images.categories.items()
    ]

    def curve(layer: str, quantity: str, values: Floats) -> UnitValues:
        return UnitValues(layer, quantity, values, index, per_unit=False)

    def profiles(of: torch.Tensor) -> Floats:
        sides = torch.from_numpy(first).to(of)
        means = (sides @ of / sides.sum(dim=1, keepdim=True)).cpu().numpy()
        matrix = np.corrcoef(means)
        return np.array([matrix[i, j] for i, j in pairs])

    flat = pixels[stimuli].reshape(len(stimuli), -1).astype(np.float32)
    found.append(curve("", "subclass_pixel_similarity", profiles(scaled(flat))))
    for layer, responses in answers.items():
        of = scaled(responses[stimuli]).to(subject.device)
        sides = torch.from_numpy(first).to(of)
        maps = welch(of, sides, 1 - sides)[0]
        found.append(UnitValues(layer, "subclass_t", maps.T.cpu().numpy(), tuple(classes)))
        near = layout_similarity(maps.cpu().numpy(), *subject.sheet(layer))
        values = np.array([near[i, j] for i, j in pairs])
        found.append(curve(layer, "subclass_map_similarity", values))
        found.append(curve(layer, "subclass_response_similarity", profiles(of)))
    return found
