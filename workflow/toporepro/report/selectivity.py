"""Evidence on maps of selectivity: what lies where, and what that follows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from toporepro.report.evidence import (
    Claim,
    Evidence,
    World,
    by_seed,
    counted,
    missing_networks,
    over_seeds,
)
from toporepro.report.layouts import (
    MAPS,
    PIXELS,
    RESPONSES,
    SHUFFLES,
    Floats,
    Network,
    SheetMaps,
    categories,
    final_maps,
    final_matrices,
    mean_over_layers,
    shuffled_layouts,
)
from toporepro.report.mantel import Permuted, mantel, swap

PERMUTATIONS = 9999
Matrices = Sequence[Mapping[Network, Mapping[str, Floats]]]
ALPHA = 0.05  # inside a network: where its own P is larger, the claim does not hold for it


def similarity_of_maps(world: World, claim: Claim, name: str) -> Evidence:
    """A structural similarity at the family's largest τ.

    Options: ``metric``, minus shuffled; ``stimuli``, the dataset that it speaks of.
    """
    metric, tau = claim.options["metric"], world.families[name].taus[-1]
    if stimuli := claim.options.get("stimuli"):
        shown = world.measures.stimuli.str.startswith(f"{stimuli}/")
        world = replace(world, measures=world.measures[shown])
    stem, dot, pair = metric.partition(".")
    raw, p = metric.replace("_minus_shuffled", ""), f"{stem}_p{dot}{pair}"
    found = {
        key: {s: row[tau] for s, row in by_seed(world, name, key).items() if tau in row}
        for key in (metric, raw, p)
    }
    values = list(found[metric].values())
    if float(tau) == 0:
        return Evidence(missing=f"{name} needs a τ > 0 in the preset", applies=False)
    if not values:
        on = f"; {stimuli} is not among the stimuli" if stimuli else ""
        return Evidence(missing=missing_networks(world, name, metric, [tau]) + on)
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
    data = {"values": values, "p": [found[p].get(seed) for seed in found[metric]]}
    return replace(evidence, agree=float(np.mean(alone)), data=data)


def maps_follow_representation(world: World, claim: Claim, name: str) -> Evidence:
    """Mantel test: layouts at τ > 0 against responses at τ = 0, over pairs of sub-classes.

    Both are means over the layers measured; the mean over networks is one statistic. Its P is the
    larger of two: sub-classes permuted, and units shuffled on the sheet. The same for the layout
    at τ = 0, and against the images' pixels, goes into the sentence.
    """
    maps = final_matrices(world.curves, name, MAPS)
    sheets = final_maps(world.units, name)
    responses = final_matrices(world.curves, name, RESPONSES)
    pixels = final_matrices(world.curves, name, PIXELS)
    known = [network for network in maps if network in sheets and ("0", network[1]) in responses]
    topographic = [network for network in known if float(network[0]) > 0]
    taus = world.families[name].taus
    if "0" not in taus or float(taus[-1]) == 0:
        return Evidence(missing=f"{name} needs τ = 0 and a τ > 0 in the preset", applies=False)
    if not topographic:
        return Evidence(
            missing=f"{MAPS} of {name} at τ = 0 and a τ > 0 (rule measure_model; measure "
            "`selectivity` on images with sub-classes)"
        )

    def quiet(on: Sequence[Network]) -> dict[Network, Floats]:
        return {of: mean_over_layers(responses["0", of[1]]) for of in on}

    found = follows(maps, sheets, quiet(topographic))
    controls = []
    if baseline := [network for network in known if float(network[0]) == 0]:
        other = follows(maps, sheets, quiet(baseline))
        controls.append(f"layout at τ = 0 r = {other.value:.2f} ({_both(other)})")
    if all(network in pixels for network in topographic):
        raw = follows(maps, sheets, {of: pixels[of][""] for of in topographic})
        controls.append(f"with the images' pixels instead r = {raw.value:.2f} ({_both(raw)})")
    alone = [
        mantel([matrix], [responses["0", seed][layer]], permutations=0, seed=0).value
        for tau, seed in topographic
        for layer, matrix in maps[tau, seed].items()
    ]
    controls.append(f"in single layers r = {np.mean(alone):.2f} on average")
    by_tau = ", ".join(
        f"{np.mean(each):.2f} (τ {tau})"
        for tau in world.families[name].taus
        if (each := [r for (t, _), r in zip(topographic, found.each, strict=True) if t == tau])
    )
    classes = len(next(iter(quiet(topographic).values())))
    return Evidence(
        effect=found.value,
        ours=f"r = {found.value:.2f}: {by_tau}",
        statistic=found.value,
        p=found.p,
        smallest_p=found.smallest_p,
        agree=float(np.mean([r > claim.bound for r in found.each])) * (found.p <= ALPHA),
        seeds=len({seed for _, seed in topographic}),
        n=len(topographic),
        data={"each": list(found.each), "nulls": _counts(found)},
        phrase=f"{claim.quantity} r = {found.value:.2f} (Mantel, ranks, {classes} sub-classes, "
        f"means over layers, {counted(len(topographic), 'network')}: {by_tau}), {_both(found)}; "
        + "; ".join(controls),
    )


def follows(
    maps: Mapping[Network, Mapping[str, Floats]],
    sheets: Mapping[Network, Mapping[str, SheetMaps]],
    others: Mapping[Network, Floats],
) -> Permuted:
    """Mantel's test of layouts, means over layers, against other similarities of each network."""
    return mantel(
        [mean_over_layers(maps[network]) for network in others],
        list(others.values()),
        permutations=PERMUTATIONS,
        seed=0,
        layouts=[shuffled_layouts(sheets[of], of[1], SHUFFLES) for of in others],
    )


def layout_follows_swap(world: World, claim: Claim, _: str) -> Evidence:
    """Where ``common`` lies in two worlds (options: ``first``, ``second``: families; ``common``,
    ``left``, ``right``: categories; common shares features with left in the first world).

    P is the larger of two: sub-classes relabelled (exact), and units shuffled on the sheet."""
    names = [str(claim.options[key]) for key in ("first", "second")]
    absent = [name for name in names if name not in world.families]
    if absent:
        return Evidence(missing=f"preset {world.preset} has no family {' or '.join(absent)}")
    maps = [final_matrices(world.curves, name, MAPS) for name in names]
    sheets = [final_maps(world.units, name) for name in names]
    shared = [of for of in maps[0] if of in maps[1] and all(of in laid for laid in sheets)]
    topographic = [network for network in shared if float(network[0]) > 0]
    if not topographic:
        return Evidence(missing=f"{MAPS} of {' and '.join(names)} at the same τ > 0 "
                        "(rule measure_model)")  # fmt: skip
    known = categories(world.curves)
    common, left, right = (known[claim.options[key]] for key in ("common", "left", "right"))

    def test(matrices: Matrices, on: Sequence[Network], shuffled: bool = False) -> Permuted:
        first, second = (
            np.mean([mean_over_layers(of[each]) for each in on], axis=0) for of in matrices
        )
        drawn = [
            np.mean([shuffled_layouts(of[each], each[1], SHUFFLES) for each in on], axis=0)
            for of in (sheets if shuffled else ())
        ]
        return swap(first, second, common, left, right, layouts=drawn)

    found = test(maps, topographic, shuffled=True)
    alone = [test(maps, [network]).value for network in topographic]
    phrase = [
        f"{claim.quantity} {found.value:+.3f} at τ = "
        f"{', '.join(sorted({t for t, _ in topographic}))} ({_both(found)})"
    ]
    quiet = [network for network in shared if float(network[0]) == 0]
    if quiet:
        other = test(maps, quiet, shuffled=True)
        phrase.append(f"at τ = 0 {other.value:+.3f} ({_both(other)})")
    pixels = [final_matrices(world.curves, name, PIXELS) for name in names]
    raw = test(pixels, topographic)
    phrase.append(f"correlations of the images' pixels {raw.value:+.3f} (P = {raw.p:.2g})")
    return Evidence(
        effect=found.value,
        ours=f"{found.value:+.3f}",
        statistic=found.value,
        p=found.p,
        smallest_p=found.smallest_p,
        agree=float(np.mean([each > claim.bound for each in alone])) * (found.p <= ALPHA),
        seeds=len({seed for _, seed in topographic}),
        n=2 * len(topographic),
        data={"each": alone, "nulls": _counts(found)},
        phrase="; ".join(phrase),
    )


def _both(test: Permuted) -> str:
    over = zip(test.nulls, ("over sub-classes", "over shuffled units"), strict=False)
    return "P = " + ", ".join(f"{null.p:.2g} {what}" for null, what in over)


def _counts(test: Permuted) -> list[list[int]]:
    """Of each null, how many values were as large as the observed one, of how many."""
    return [[null.reached, null.drawn] for null in test.nulls]
