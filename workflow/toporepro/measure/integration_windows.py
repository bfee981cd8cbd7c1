"""Temporal integration windows: for how many tokens a unit's answer remembers a word.

One word of a text is swapped. D[k, t] is the mean over sequences of |a(t) − a(t), word k swapped|,
divided by the median of the diagonal; for each lag Δ = t − k and place t it is divided by D[t, t],
and the median over t, θ(Δ), is fitted by a power law and an exponential (``window_fits``).

Source: Skrill & Norman-Haignere, "Large language models transition from integrating across
position-yoked, exponential windows to structure-yoked, power-law windows", Advances in Neural
Information Processing Systems 36 (2023).
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from toporepro.measure.precision import Precision
from toporepro.measure.result import Floats, Quantity, Result, Row, UnitValues, per_layer
from toporepro.measure.substitutes import Kind
from toporepro.spec import SpecError

if TYPE_CHECKING:
    from toporepro.measure.substitutes import Ids, Substitutes
    from toporepro.measure.text_subject import TextSubject

ON_SNAPSHOTS = False
TASK = "language"
LAGS = 21  # Δ = 0 … 20
PURE = 0.05  # a c so near to 0 or to 1 says nothing of the other part's exponent
QUANTITIES = {
    "window_a": Quantity(
        label="Exponent a of the power law",
        scale="size",
        about="How fast a unit forgets by (Δ + 1)^−a; of no meaning where c is near 0.",
    ),
    "window_b": Quantity(
        label="Exponent b of the exponential",
        scale="size",
        about="How fast a unit forgets by e^−bΔ; of no meaning where c is near 1.",
    ),
    "window_c": Quantity(
        label="Weight c of the power law",
        scale="size",
        about="1: a power law alone; 0: an exponential alone.",
    ),
    "window_r2": Quantity(label="R² of the window's fit", scale="size"),
}


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of ``integration_windows``.

    Attributes:
        stimuli: split whose text is shown.
        sequences: pieces of text, evenly spaced over the split's windows.
        length: tokens of a piece; at least 22.
        substitutes: where swapped words come from; see ``toporepro.measure.substitutes``.
        masked_lm: folder of the masked language model, which is never fetched.
        precision: of the forward pass.
    """

    stimuli: str = "validation"
    sequences: int = 64
    length: int = 48
    substitutes: Kind = "classes"
    masked_lm: str | None = None
    precision: Precision = "float32"

    def __post_init__(self) -> None:
        if self.sequences < 1:
            raise SpecError(f"sequences={self.sequences}: at least 1")
        if self.length <= LAGS:
            raise SpecError(f"length={self.length}: at least {LAGS + 1}")
        if (self.masked_lm is not None) != (self.substitutes == "masked_lm"):
            raise SpecError("masked_lm: a folder, for substitutes='masked_lm' alone")


def files(options: Options) -> tuple[Path, ...]:
    """Files that the result depends on besides the data and the weights."""
    if options.masked_lm is None:
        return ()
    return tuple(sorted(path for path in Path(options.masked_lm).glob("*") if path.is_file()))


def missing(options: Options, root: Path) -> str | None:
    """What the user must put there first, in words; ``None`` if nothing is missing.

    Args:
        root: the repository.
    """
    if options.masked_lm is None or (root / options.masked_lm / "config.json").exists():
        return None
    return (
        f"no masked language model in {options.masked_lm}: put the files of one there, such as "
        "roberta-base's, or set `substitutes: frequency`"
    )


def measure(subject: TextSubject, options: Options) -> Result:
    """Windows of all units, and their fits.

    Quantities, by unit: ``window_a``, ``window_b``, ``window_c``, ``window_r2``, ``nan`` for units
    that no swap changes; of whole layers ``window``, the median over units at each lag. Rows, per
    layer and averaged over layers: ``window_power_law``, the mean of c over units; and medians over
    units, ``window_a`` and ``window_b`` (of units for which they have a meaning), ``window_r2``.

    Raises:
        DataError: if there is no such split.
        SpecError: if the network's context is shorter than the pieces, or no word can be swapped.
    """
    from toporepro.measure.substitutes import substitutes
    from toporepro.measure.window_fits import fit

    if options.length > subject.inputs.context:
        raise SpecError(
            f"integration_windows.length={options.length}: the network's context is "
            f"{subject.inputs.context}"
        )
    folder = Path(options.masked_lm) if options.masked_lm else None
    words = substitutes(subject.text, options.substitutes, options.stimuli, folder)
    changes = differences(subject, options, words)
    units, found = [], {}
    for layer, change in changes.items():
        windows = forgetting(change)
        fits = fit(windows)
        units += [
            UnitValues(layer, "window_a", fits.a),
            UnitValues(layer, "window_b", fits.b),
            UnitValues(layer, "window_c", fits.c),
            UnitValues(layer, "window_r2", fits.r2),
            UnitValues(layer, "window", _median(windows), per_unit=False),
        ]
        found[layer] = {
            "window_power_law": _mean(fits.c),
            "window_a": float(_median(np.where(fits.c > PURE, fits.a, np.nan))),
            "window_b": float(_median(np.where(fits.c < 1 - PURE, fits.b, np.nan))),
            "window_r2": float(_median(fits.r2)),
        }
    rows: list[Row] = []
    for metric in next(iter(found.values())):
        values = {layer: of[metric] for layer, of in found.items()}
        rows += per_layer(metric, options.stimuli, values)
    return Result(tuple(rows), tuple(units))


def differences(subject: TextSubject, options: Options, words: Substitutes) -> dict[str, Floats]:
    """Layer → D[k, k + Δ], (places k, lags Δ, units); ``nan`` where no word was swapped."""
    import torch

    layers, length = list(subject.layers), options.length
    sums = {
        layer: torch.zeros(length, LAGS, count, dtype=torch.float64, device=subject.device)
        for layer, count in subject.layers.items()
    }
    counts = np.zeros((length, LAGS))
    step = max(2, subject.at_once(length, layers))
    for ids, swaps in _swapped(subject, options, words):
        for start in range(0, len(swaps), step - 1):
            some = swaps[start : start + step - 1]
            batch = np.repeat(ids[None], len(some) + 1, axis=0)
            for row, (place, token) in enumerate(some, start=1):
                batch[row, place] = token
            tensor = torch.from_numpy(batch)
            for found, _ in subject.stream([tensor], layers, options.precision):
                for layer in layers:
                    changed = (found[layer][1:] - found[layer][:1]).abs()
                    for row, (place, _token) in enumerate(some):
                        after = changed[row, place : place + LAGS]
                        sums[layer][place, : len(after)] += after
            for place, _token in some:
                counts[place, : length - place] += 1
    if not counts.any():
        raise SpecError(
            f"integration_windows: no word of {options.stimuli} can be swapped by "
            f"{options.substitutes}"
        )
    filled = np.where(counts > 0, counts, np.nan)
    return {layer: total.cpu().numpy() / filled[:, :, None] for layer, total in sums.items()}


def _swapped(
    subject: TextSubject, options: Options, words: Substitutes
) -> list[tuple[Ids, list[tuple[int, int]]]]:
    """Pieces of text, and for each the places that are swapped and what comes there."""
    from toporepro.data.windows import read_windows
    from toporepro.measure.substitutes import whole_words

    split, context = subject.text.split(options.stimuli), subject.inputs.context
    windows = subject.windows(options.stimuli, options.sequences)
    tokenizer, found = subject.text.tokenizer(), []
    # The same for all networks, so that they compare in pairs.
    generator = np.random.default_rng(zlib.crc32(options.stimuli.encode()))
    for piece in read_windows(split, context, windows)[:, : options.length + 1]:
        ids, swaps = piece[:-1], []
        for place in np.flatnonzero(whole_words(piece, tokenizer)).tolist():
            candidates = words.of(ids, place)
            if candidates:
                swaps.append((place, int(generator.choice(candidates))))
        found.append((ids, swaps))
    return found


def forgetting(change: Floats) -> Floats:
    """θ(Δ) of every unit, (units, lags), 1 at Δ = 0.

    Args:
        change: D[k, k + Δ], (places k, lags Δ, units).

    Returns:
        ``nan`` for units that do not answer to swapped words themselves.
    """
    places, lags, units = change.shape
    typical = _median(change[:, 0])
    scaled = change / np.where(typical > 0, typical, np.nan)
    own = np.where(scaled[:, 0] > 0, scaled[:, 0], np.nan)
    result: Floats = np.full((units, lags), np.nan)
    for lag in range(lags):
        # D[t − Δ, t] / D[t, t]: places k = t − Δ.
        result[:, lag] = _median(scaled[: places - lag, lag] / own[lag:])
    return result


def _median(values: Floats) -> Floats:
    """Over the first axis, of what is known."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of nothing: nan
        median: Floats = np.nanmedian(values, axis=0)
    return median


def _mean(values: Floats) -> float:
    return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")
