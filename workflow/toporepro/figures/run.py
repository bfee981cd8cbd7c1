"""The verb ``toporepro figure``: one module per figure, drawn from tidy tables alone.

A figure's module defines, at its top level and without importing anything heavy:

* ``TITLE``, and ``ORDER``: its place among the paper's figures;
* ``TABLES``: which of ``measures``, ``curves``, ``history``, ``published`` it reads;
* ``SUFFIXES``: the files it makes, ``png`` and ``svg`` first;
* ``QUANTITIES`` and ``models(spec)``: what it reads of whose ``units.parquet`` (maps only);
* ``draw(spec, tables)``: the matplotlib figure;
* ``facts(spec, tables)``: sentences for its caption that say data, n and statistic;
* ``film(spec, tables)``: frames and their duration in ms, if ``gif`` is among the suffixes.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toporepro.code import stage_modules
from toporepro.figures.inputs import Model, Tables
from toporepro.figures.style import save, style_of, theme
from toporepro.plugins import find
from toporepro.provenance import atomic, write_json, write_manifest


@dataclass(frozen=True)
class Needs:
    """What a figure reads and makes, for whoever schedules it.

    Attributes:
        tables: of ``measures``, ``curves``, ``history``, ``published``.
        models: family, τ and seed of each model whose ``units.parquet`` is read.
        suffixes: of the files made; a ``json`` with the caption's facts comes with them.
    """

    tables: tuple[str, ...]
    models: tuple[Model, ...]
    suffixes: tuple[str, ...]


def needs(name: str, spec: Mapping[str, Any]) -> Needs:
    """What figure ``name`` needs; loads no drawing library.

    Raises:
        SpecError: if there is no such figure.
    """
    module = find("figures", name)
    models = tuple(module.models(spec)) if hasattr(module, "models") else ()
    return Needs(module.TABLES, models, (*module.SUFFIXES, "json"))


def figure(
    name: str,
    spec: Mapping[str, Any],
    tables: Path,
    units: Sequence[Path],
    out: Path,
    published: Path | None = None,
) -> None:
    """Draw figure ``name`` and write ``{out}.png``, ``.svg``, ``.json`` (and ``.gif`` of a film).

    Args:
        spec: ``preset``; ``families`` (see ``report.selection.Family``). May be left out:
            ``style`` (see ``style.Style``); ``absent``, what the preset cannot have, and why;
            ``images``, the most that were shown of a set.
        tables: folder of the tidy tables.
        units: ``units.parquet`` of the models that ``needs`` names.
        out: path of the figure, less its suffix.
        published: the paper's plotted points; without them their panel says so.

    Raises:
        SpecError: if there is no such figure, or its spec is not one.
        TableError: if a table is not one.
    """
    started = time.monotonic()
    module, style = find("figures", name), style_of(spec)
    data = Tables(tables, tuple(units), published, getattr(module, "QUANTITIES", ()))
    made = [out.with_name(f"{out.name}.{suffix}") for suffix in module.SUFFIXES]
    with theme(style):
        drawing = module.draw(spec, data)
        for path in made:
            with atomic(path) as temporary:
                if path.suffix == ".gif":
                    _write_gif(temporary, *module.film(spec, data))
                else:
                    save(drawing, temporary, style, path.suffix[1:])
    note = out.with_name(f"{out.name}.json")
    content = {
        "name": name,
        "title": module.TITLE,
        "order": module.ORDER,
        "facts": [*module.facts(spec, data), *_limits(spec)],
        "files": [path.name for path in made],
    }
    write_json(note, content)
    inputs = [tables / f"{table}.csv" for table in module.TABLES if table != "published"]
    write_manifest(
        verb="figure",
        spec=spec,
        modules=stage_modules("figure", f"figures.{name}"),
        inputs=[*inputs, *units, *([published] if published else [])],
        outputs=[*made, note],
        wall_seconds=time.monotonic() - started,
    )


def _limits(spec: Mapping[str, Any]) -> Iterator[str]:
    """Sentences on what the preset cannot have or did not show in full."""
    for what, why in spec.get("absent", {}).items():
        yield f"Not to be had: {what} ({why})."
    if spec.get("images") is not None:
        yield f"Measured on at most {spec['images']} images of each set, evenly spaced."


def _write_gif(path: Path, frames: Sequence[Any], milliseconds: int) -> None:
    """Frames of one palette, looping for ever."""
    palette = frames[0].quantize(128)
    colours = palette.getpalette()
    # The lightest colour found is a mean, a little grey: the ground must be the page's white.
    lightest = max(range(0, len(colours), 3), key=lambda start: sum(colours[start : start + 3]))
    colours[lightest : lightest + 3] = (255, 255, 255)
    palette.putpalette(colours)
    indexed = [frame.quantize(palette=palette, dither=0) for frame in frames]
    indexed[0].save(
        path,
        save_all=True,
        append_images=indexed[1:],
        duration=milliseconds,
        loop=0,
        optimize=False,
    )
