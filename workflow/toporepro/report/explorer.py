"""The explorer: one page in which the maps of two networks can be looked at side by side.

What is to be seen is taken from the tables, from ``units.parquet`` and from the weights; what the
page does is in ``workflow/explorer``, whose bundle (``explorer.bundle.js``) this module inserts.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toporepro.code import stage_modules
from toporepro.measure.result import Quantity
from toporepro.paths import ModelPaths
from toporepro.plugins import find, names
from toporepro.provenance import progress, sha256, write_manifest, write_text
from toporepro.report.colours import CATEGORIES
from toporepro.report.pieces import Piece, fitting, pieces
from toporepro.report.showing import drawing, pictures, second_layer
from toporepro.report.tables import read_measures

if TYPE_CHECKING:
    import pandas as pd

TEMPLATE = Path(__file__).with_name("explorer.html.jinja")
BUNDLE = Path(__file__).with_name("explorer.bundle.js")
STYLE = Path(__file__).with_name("explorer.bundle.css")
# Colour maps by the scale of a quantity; the sequential one is the preset's own.
PALETTES = {"signed": "RdBu_r", "angle": "twilight"}
BEST = "best_stimulus"  # the quantity that is no map, but numbers of pictures
DRAWN = "mlp"  # the architecture whose forward pass the page can do


def write_explorer(
    spec: Mapping[str, Any],
    models: Sequence[Path],
    tables: Path,
    data: Sequence[Path],
    out: Path,
) -> None:
    """The verb ``toporepro explorer``.

    Args:
        spec: ``preset``; ``about``; ``families`` (as for figures); ``models``: family, τ and seed
            of each; ``palette`` and ``megabytes``, the largest size; ``shown``: of each family
            whose images the page shows, the folder of its ``data`` and, if its best images were
            measured, the folder of these as ``stimuli``, and their ``split``.
        models: the models' folders, in the spec's order.
        tables: folder of the tidy tables.
        data: indexes of the prepared images, in folders that ``shown`` names.
        out: the HTML to write.

    Raises:
        DataError: if prepared images are missing or damaged.
        TableError: if the measures are no such table.
        DamagedError: if an input is not what its manifest says.
    """
    import jinja2

    started = time.monotonic()
    measures = read_measures(tables / "measures.csv")
    indexes = {path.parent.name: path for path in data}
    drawings = {
        name: drawn
        for name, family in spec["families"].items()
        if family["architecture"] == DRAWN
        and (drawn := drawing(indexes[spec["shown"][name]["data"]]))
    }
    layers: dict[str, dict[str, tuple[int, int]]] = {name: {} for name in spec["families"]}
    found: list[Piece] = []
    read: list[Path] = []
    described = []
    for number, (key, folder) in enumerate(zip(spec["models"], models, strict=True)):
        family, tau, seed = key
        progress(f"[{number + 1}/{len(models)}] {family}, τ = {tau}, seed {seed}")
        paths = ModelPaths(folder)
        read += [paths.units, *([paths.weights] if family in drawings else [])]
        rank = sorted(spec["families"][family]["seeds"]).index(seed)
        mine, sheets = pieces(number, rank, paths.units)
        found += mine
        layers[family] |= sheets
        described.append(
            {
                "family": family,
                "tau": tau,
                "seed": seed,
                "measures": _measures(measures, family, tau, seed),
                "out": second_layer(paths.weights) if family in drawings else None,
            }
        )
    content = {
        "preset": spec["preset"],
        "about": spec["about"],
        "families": {
            name: {
                "label": spec["families"][name]["label"],
                "layers": layers[name],
                "drawing": drawings.get(name),
                "pictures": _set(spec["shown"].get(name, {})),
            }
            for name in dict.fromkeys(family for family, _, _ in spec["models"])
            if layers[name]
        },
        "quantities": quantities(piece.quantity for piece in found),
        "models": described,
        "pictures": {
            key: pictures(indexes[folder], split, _numbers(found, described, families))
            for key, (folder, split, families) in _sets(spec["shown"]).items()
        },
        "palettes": palettes(spec["palette"]),
    }
    script, style = BUNDLE.read_text(encoding="utf-8"), STYLE.read_text(encoding="utf-8")
    frame = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined).from_string(
        TEMPLATE.read_text(encoding="utf-8")
    )

    def page(kept: Sequence[Piece], left_out: Sequence[Piece]) -> str:
        more = {
            "maps": [piece.described() for piece in kept],
            "leftOut": _sentences(left_out, spec["models"]),
        }
        return frame.render(
            preset=spec["preset"],
            content=_json({**content, **more}),
            chunks=[piece.text for piece in kept],
            script=script,
            style=style,
            script_hash=_hash(script),
            style_hash=_hash(style),
        )

    # Each piece also costs its tags and its description, which the empty page does not have.
    around = len(page([], found).encode()) + sum(len(_json(p.described())) + 40 for p in found)
    kept, left_out = fitting(found, int(spec["megabytes"] * 1e6) - around)
    for line in _sentences(left_out, spec["models"]):
        progress(f"left out, since the page may have {spec['megabytes']} MB: {line}")
    write_text(out, page(kept, left_out))
    write_manifest(
        verb="explorer",
        spec=spec,
        modules=stage_modules("explorer"),
        inputs=[tables / "measures.csv", *data, *read],
        outputs=[out],
        wall_seconds=time.monotonic() - started,
        extra={"looks": looks()},
    )


def looks() -> dict[str, str]:
    """SHA-256 of what the page is made of besides modules, by file name."""
    return {path.name: sha256(path) for path in (TEMPLATE, BUNDLE, STYLE)}


def quantities(found: Iterable[str]) -> dict[str, dict[str, Any]]:
    """What readers are told of each quantity, in the order of the measures that make them.

    Returns:
        name → the fields of ``measure.result.Quantity``, and ``group`` and ``member``, which are
        what stands before and after its dot; ``members`` are the categories' names. Of a quantity
        that no measure describes, the label is its name.
    """
    found = sorted(set(found))
    known: dict[str, Quantity] = {}
    for measure in names("measure"):
        known |= getattr(find("measure", measure), "QUANTITIES", {})
    places = {name: place for place, name in enumerate(known)}
    described = {}
    for name in sorted(found, key=lambda one: (places.get(_group(one), len(known)), one)):
        group = _group(name)
        quantity = known.get(group) or Quantity(label=_words(group))
        member = _words(name.removeprefix(f"{group}.")) if name != group else ""
        members = [
            _words(one.partition(".")[2]) for one in found if _group(one) == quantity.members
        ]
        more = {"group": group, "member": member, "members": members}
        described[name] = {**asdict(quantity), **more}
    return described


def palettes(sequential: str) -> dict[str, str]:
    """256 colours of each scale, those of categories one by one, as base64 of red, green, blue."""
    import matplotlib
    import numpy as np
    from matplotlib.colors import to_rgb

    scales = {
        scale: matplotlib.colormaps[name](np.linspace(0, 1, 256))[:, :3]
        for scale, name in {"size": sequential, **PALETTES}.items()
    }
    scales["category"] = np.array([to_rgb(colour) for colour in CATEGORIES])
    return {
        scale: base64.b64encode(np.round(255 * rgb).astype(np.uint8).tobytes()).decode()
        for scale, rgb in scales.items()
    }


def _measures(
    measures: pd.DataFrame, family: str, tau: str, seed: int
) -> list[tuple[str, str, str, float]]:
    """Layer, stimuli, metric and value of a trained network, but for P and single contrasts."""
    mine = measures[
        (measures.family == family)
        & (measures.tau == tau)
        & (measures.seed == seed)
        & (measures.sparsity == 0)
        & ~measures.metric.str.contains(r"\.|\[|_p$")
    ]
    rows = mine[mine.step == mine.step.max()]
    return [
        (row.layer, row.stimuli, row.metric, row.value)
        for row in rows.itertuples()
        if math.isfinite(row.value)
    ]


def _set(shown: Mapping[str, str]) -> str | None:
    """The name of a set of images, of which families may share one."""
    return f"{shown['stimuli']}/{shown['split']}" if "stimuli" in shown else None


def _sets(shown: Mapping[str, Mapping[str, str]]) -> dict[str, tuple[str, str, set[str]]]:
    """Folder and split of each set of images, and the families whose best images are in it."""
    sets: dict[str, tuple[str, str, set[str]]] = {}
    for name, of_family in shown.items():
        if key := _set(of_family):
            sets.setdefault(key, (of_family["stimuli"], of_family["split"], set()))[2].add(name)
    return sets


def _numbers(
    found: Iterable[Piece], described: Sequence[Mapping[str, Any]], families: set[str]
) -> set[int]:
    """Numbers of the pictures that some unit of these families answers most to."""
    return {
        int(value)
        for piece in found
        if piece.quantity == BEST and described[piece.model]["family"] in families
        for value in piece.values()
        if not math.isnan(value)
    }


def _sentences(left_out: Sequence[Piece], models: Sequence[tuple[str, str, int]]) -> list[str]:
    """What was left out, by quantity."""
    by_kind: dict[tuple[str, bool], list[str]] = {}
    for piece in left_out:
        family, tau, seed = models[piece.model]
        kind = (piece.quantity, piece.trained)
        by_kind.setdefault(kind, []).append(f"{family} τ={tau} seed={seed}")
    return [
        f"{quantity}{'' if trained else ' before the last step'} of {', '.join(of)}"
        for (quantity, trained), of in by_kind.items()
    ]


def _group(quantity: str) -> str:
    return quantity.partition(".")[0]


def _words(name: str) -> str:
    text = name.replace("_", " ")
    return text[:1].upper() + text[1:]


def _json(content: object) -> str:
    """JSON that may stand in a script element."""
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c")


def _hash(text: str) -> str:
    """What a content security policy knows an inline element by."""
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
