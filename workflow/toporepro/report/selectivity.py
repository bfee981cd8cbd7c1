"""Evidence on maps of selectivity: what lies where, and what that follows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from toporepro.report.evidence import (
    Claim,
    Evidence,
    World,
    by_seed,
    counted,
    missing_networks,
    over_seeds,
)
from toporepro.report.mantel import Mantel, mantel, swap

if TYPE_CHECKING:
    import pandas as pd

MAPS, RESPONSES, PIXELS = (f"subclass_{of}_similarity" for of in ("map", "response", "pixel"))
CATEGORY = "subclass_category."
PERMUTATIONS = 9999
ALPHA = 0.05  # inside a network: where its own P is larger, the claim does not hold for it
_PAIR = 1000  # the index of a pair of classes (i, j) is 1000 i + j
Floats = NDArray[np.float64]
Network = tuple[str, int]  # τ, seed


def similarity_of_maps(world: World, claim: Claim, name: str) -> Evidence:
    """A structural similarity at the family's largest τ (options: ``metric``, minus shuffled)."""
    metric, tau = claim.options["metric"], world.families[name].taus[-1]
    stem, dot, pair = metric.partition(".")
    raw, p = metric.replace("_minus_shuffled", ""), f"{stem}_p{dot}{pair}"
    found = {
        key: {s: row[tau] for s, row in by_seed(world, name, key).items() if tau in row}
        for key in (metric, raw, p)
    }
    values = list(found[metric].values())
    if not values or float(tau) == 0:
        return Evidence(missing=missing_networks(world, name, metric, [tau]) or "no τ > 0")
    ours = f"{np.mean(values):+.3f} beyond shuffles ({np.mean(list(found[raw].values())):+.2f} raw)"
    chance = ", ".join(f"{value:.2g}" for value in found[p].values())
    evidence = over_seeds(
        claim,
        values,
        ours=f"{ours} at τ = {tau}",
        n=len(values),
        phrase=f"{claim.quantity} {ours} at τ = {tau}, mean over layers; with category labels "
        f"permuted over stimuli P = {chance}",
        missing=missing_networks(world, name, metric, [tau]),
    )
    alone = [v > claim.bound and found[p].get(s, 0) <= ALPHA for s, v in found[metric].items()]
    return replace(evidence, agree=float(np.mean(alone)))


def maps_follow_representation(world: World, claim: Claim, name: str) -> Evidence:
    """Mantel test: layouts at τ > 0 against responses at τ = 0, over pairs of sub-classes.

    Both are means over the layers measured; the mean over networks is one statistic. The same for
    the layout at τ = 0, and against the images' pixels, goes into the sentence.
    """
    maps = final_matrices(world.curves, name, MAPS)
    responses = final_matrices(world.curves, name, RESPONSES)
    pixels = final_matrices(world.curves, name, PIXELS)
    known = [network for network in maps if ("0", network[1]) in responses]
    topographic = [network for network in known if float(network[0]) > 0]
    if "0" not in world.families[name].taus:
        return Evidence(missing=f"{name} needs τ = 0 in the preset")
    if not topographic:
        return Evidence(
            missing=f"{MAPS} of {name} at τ = 0 and a τ > 0 (rule measure_model; measure "
            "`selectivity` on images with sub-classes)"
        )

    def test(on: list[Network], others: list[Floats]) -> Mantel:
        mine = [mean_over_layers(maps[network]) for network in on]
        return mantel(mine, others, permutations=PERMUTATIONS, seed=0)

    def quiet(on: list[Network]) -> list[Floats]:
        return [mean_over_layers(responses["0", seed]) for _, seed in on]

    found = test(topographic, quiet(topographic))
    controls = []
    if baseline := [network for network in known if float(network[0]) == 0]:
        other = test(baseline, quiet(baseline))
        controls.append(f"layout at τ = 0 r = {other.r:.2f} (P = {other.p:.2g})")
    if all(network in pixels for network in topographic):
        raw = test(topographic, [pixels[network][""] for network in topographic])
        controls.append(f"with the images' pixels instead r = {raw.r:.2f} (P = {raw.p:.2g})")
    alone = [
        mantel([matrix], [responses["0", seed][layer]], permutations=0, seed=0).r
        for tau, seed in topographic
        for layer, matrix in maps[tau, seed].items()
    ]
    controls.append(f"in single layers r = {np.mean(alone):.2f} on average")
    by_tau = ", ".join(
        f"{np.mean(each):.2f} (τ {tau})"
        for tau in world.families[name].taus
        if (each := [r for (t, _), r in zip(topographic, found.each, strict=True) if t == tau])
    )
    return Evidence(
        effect=found.r,
        ours=f"r = {found.r:.2f}: {by_tau}",
        statistic=found.r,
        p=found.p,
        smallest_p=1 / (PERMUTATIONS + 1),
        agree=float(np.mean([r > claim.bound for r in found.each])) * (found.p <= ALPHA),
        seeds=len({seed for _, seed in topographic}),
        n=len(topographic),
        phrase=f"{claim.quantity} r = {found.r:.2f} (Mantel, ranks, {found.classes} sub-classes, "
        f"means over layers, {counted(len(topographic), 'network')}: {by_tau}), "
        f"P = {found.p:.2g}; " + "; ".join(controls),
    )


def mean_over_layers(layers: Mapping[str, Floats]) -> Floats:
    """The mean of matrices over the same classes."""
    result: Floats = np.mean(list(layers.values()), axis=0)
    return result


def layout_follows_swap(world: World, claim: Claim, _: str) -> Evidence:
    """Where ``common`` lies in two worlds (options: ``first``, ``second``: families; ``common``,
    ``left``, ``right``: categories; common shares features with left in the first world)."""
    names = [str(claim.options[key]) for key in ("first", "second")]
    absent = [name for name in names if name not in world.families]
    if absent:
        return Evidence(missing=f"preset {world.preset} has no family {' or '.join(absent)}")
    maps = [final_matrices(world.curves, name, MAPS) for name in names]
    shared = [network for network in maps[0] if network in maps[1]]
    topographic = [network for network in shared if float(network[0]) > 0]
    if not topographic:
        return Evidence(missing=f"{MAPS} of {' and '.join(names)} at the same τ > 0 "
                        "(rule measure_model)")  # fmt: skip
    groups = [categories(world.curves)[claim.options[key]] for key in ("common", "left", "right")]

    def test(found: list[dict[Network, dict[str, Floats]]], on: list[Network]) -> tuple[float, ...]:
        means = [
            np.mean([matrix for network in on for matrix in of[network].values()], axis=0)
            for of in found
        ]
        return swap(*means, *groups)

    value, p, smallest = test(maps, topographic)
    alone = [test(maps, [network])[0] for network in topographic]
    phrase = [
        f"{claim.quantity} {value:+.3f} at τ = {', '.join(sorted({t for t, _ in topographic}))} "
        f"(exact over relabelled sub-classes, P = {p:.2g})"
    ]
    quiet = [network for network in shared if float(network[0]) == 0]
    if quiet:
        other = test(maps, quiet)
        phrase.append(f"at τ = 0 {other[0]:+.3f} (P = {other[1]:.2g})")
    pixels = [final_matrices(world.curves, name, PIXELS) for name in names]
    raw = test(pixels, topographic)
    phrase.append(f"correlations of the images' pixels {raw[0]:+.3f} (P = {raw[1]:.2g})")
    return Evidence(
        effect=value,
        ours=f"{value:+.3f}",
        statistic=value,
        p=p,
        smallest_p=smallest,
        agree=float(np.mean([each > claim.bound for each in alone])) * (p <= ALPHA),
        seeds=len({seed for _, seed in topographic}),
        n=2 * len(topographic),
        phrase="; ".join(phrase),
    )


def final_matrices(
    curves: pd.DataFrame | None, name: str, quantity: str
) -> dict[Network, dict[str, Floats]]:
    """(τ, seed) → layer → symmetric matrix over classes, of a family's fully trained networks.

    Classes are those that occur, in the order of their numbers; diagonals hold 0.
    """
    found: dict[Network, dict[str, Floats]] = {}
    if curves is None:
        return found
    rows = curves[(curves.family == name) & (curves.quantity == quantity) & (curves.step > 0)]
    rows = rows[rows.step == rows.groupby(["tau", "seed"])["step"].transform("max")]
    for (tau, seed, layer), part in rows.groupby(["tau", "seed", "layer"], sort=False):
        index = part["index"].to_numpy(int)
        classes, places = np.unique([index // _PAIR, index % _PAIR], return_inverse=True)
        first, second = places.reshape(2, -1)
        matrix = np.zeros((len(classes), len(classes)))
        matrix[first, second] = matrix[second, first] = part.value.to_numpy(float)
        found.setdefault((str(tau), int(str(seed))), {})[str(layer)] = matrix
    return found


def categories(curves: pd.DataFrame | None) -> Mapping[str, list[int]]:
    """Category → places of its classes in the matrices of :func:`final_matrices`."""
    found: dict[str, list[int]] = {}
    if curves is None:
        return found
    rows = curves[curves.quantity.str.startswith(CATEGORY)]
    members: dict[str, set[int]] = {}
    for quantity, index in zip(rows.quantity, rows["index"], strict=True):
        members.setdefault(str(quantity).removeprefix(CATEGORY), set()).add(int(index))
    classes = sorted(_all(members.values()))
    return {name: [classes.index(c) for c in sorted(of)] for name, of in members.items()}


def _all(sets: Iterable[set[int]]) -> set[int]:
    return set().union(*sets)
