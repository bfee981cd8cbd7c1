"""Performance under compression: fewer units on the sheet, fewer weights, and their controls."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from toporepro.measure.precision import Precision
from toporepro.measure.result import Result, Row
from toporepro.provenance import progress
from toporepro.spec import SpecError

if TYPE_CHECKING:
    from toporepro.measure.network import Network

ON_SNAPSHOTS = False
SHEET, KNOCK_OUT = "sheet", "knock_out"


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of ``compression``.

    Attributes:
        methods: of ``toporepro.compress.methods``.
        sparsities: shares of the units, or weights, that are taken away; 0 is always measured.
        stimuli: sets of minimal pairs, ``dataset/pairs``, shown to language networks besides the
            split that the task is tested on.
        precision: of the forward pass.
        limit: images, or windows of text, shown at most, evenly spaced; ``None`` shows all.
        most: pairs of each paradigm that are shown at most; ``None`` shows all.
    """

    methods: tuple[str, ...] = ("sheet", "l1", "sheet_sorted", "knock_out")
    sparsities: tuple[float, ...] = (0.2, 0.5, 0.8, 0.9, 0.95)
    stimuli: tuple[str, ...] = ()
    precision: Precision = "float32"
    limit: int | None = None
    most: int | None = None

    def __post_init__(self) -> None:
        for sparsity in self.sparsities:
            if not 0 < sparsity < 1:
                raise SpecError(f"sparsities: {sparsity}: above 0 and below 1")
        for name in ("limit", "most"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise SpecError(f"{name}={getattr(self, name)}: at least 1, or null")


def passes(options: Options) -> int:
    """Times that the task's test and the pairs are shown: once whole, then compressed."""
    counts = (1 if method == KNOCK_OUT else len(options.sparsities) for method in options.methods)
    return 1 + sum(counts)


def measure(subject: Network, options: Options) -> Result:
    """Rows by sparsity, the method after a dot, such as ``loss.sheet`` and ``parameters.l1``.

    * the task's scores: ``loss``, of images also ``accuracy``; of pairs ``pair_accuracy``, and for
      ``sheet`` that of each paradigm, such as ``pair_accuracy.sheet.causative``;
    * ``parameters`` that are left, and for ``sheet`` ``bytes``: the file of the small network.

    ``knock_out`` is measured once, and stands at sparsity 1.

    Raises:
        SpecError: if there is no such method, or a sparsity leaves nothing of a sheet, or pairs are
            to be shown to a network of images.
    """
    from toporepro.compress.count import count
    from toporepro.compress.layers import replaced, vectors_of
    from toporepro.compress.methods import compressed, similar_order

    vectors = vectors_of(subject.module, subject.layers)
    order = similar_order(vectors) if "sheet_sorted" in options.methods else None
    whole = list(_performance(subject, options))
    total = count(subject.module, {}, 0.0, SHEET)
    rows: list[Row] = []
    for method in options.methods:
        sparsities = (1.0,) if method == KNOCK_OUT else sorted(set(options.sparsities))
        if method != KNOCK_OUT:
            rows += _named(method, 0.0, whole)
            rows.append(Row("", "", f"parameters.{method}", float(total)))
        for sparsity in sparsities:
            progress(f"  {method}, {sparsity:g} taken away")
            with replaced(subject.module, compressed(vectors, method, sparsity, order)):
                rows += _named(method, sparsity, _performance(subject, options))
            left = count(subject.module, subject.layers, sparsity, method)
            rows.append(Row("", "", f"parameters.{method}", float(left), sparsity))
            if method == SHEET:
                rows.append(Row("", "", "bytes.sheet", float(_size(subject, sparsity)), sparsity))
    return Result(tuple(rows))


def _named(method: str, sparsity: float, found: Iterable[Row]) -> Iterator[Row]:
    """The rows of one method and sparsity; of single paradigms for down-sampled sheets alone."""
    for row in found:
        metric, _, group = row.metric.partition(".")
        if not group or method == SHEET:
            name = f"{metric}.{method}.{group}" if group else f"{metric}.{method}"
            yield row._replace(metric=name, sparsity=sparsity)


def _performance(subject: Network, options: Options) -> Iterator[Row]:
    """Scores of the task and, of a language network, of pairs, as the weights are now."""
    from toporepro.measure.pair_scores import decide, few_of_each
    from toporepro.measure.text_subject import TextSubject

    scores = subject.scores(subject.tested, options.precision, options.limit)
    for metric, value in scores.items():
        yield Row("", subject.tested, metric, value)
    for name in options.stimuli:
        if not isinstance(subject, TextSubject):
            raise SpecError(f"compression.stimuli={name!r}: pairs are for language networks")
        pairs = few_of_each(subject.pairs(name), options.most)
        found = decide(subject, pairs, options.precision)
        yield Row("", name, "pair_accuracy", found.accuracy)
        for paradigm, share in found.by_paradigm().items():
            yield Row("", name, f"pair_accuracy.{paradigm}", share)


def _size(subject: Network, sparsity: float) -> int:
    """Bytes of the file of the down-sampled network."""
    import copy

    from toporepro.compress.compact import DownSampled, down_sample, dumped

    how = DownSampled(layers=subject.layers, sparsity=sparsity)
    small = down_sample(copy.deepcopy(subject.module), how)
    return len(dumped(small, subject.metadata, how))
