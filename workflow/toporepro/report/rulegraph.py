"""Which rule's results went into which rule's, as the manifests tell it, drawn as SVG."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from toporepro.report.ledger import job_of

Edges = frozenset[tuple[str, str]]  # (maker, reader)

ROW, BOX = 40, 26  # pixels: distance of rows, height of a box
WIDTH = 230  # of a box
BEND = 22  # how far an arc stands out, for each row that it spans


def edges(manifests: Mapping[Path, Mapping[str, Any]]) -> Edges:
    """Pairs of rules of which the second read a file that the first made."""
    makers: dict[Path, str] = {}
    for path, content in manifests.items():
        rule, _ = job_of(path, content["verb"])
        makers |= {path.parent / name: rule for name in content["outputs"]}
    found = set()
    for path, content in manifests.items():
        reader, _ = job_of(path, content["verb"])
        for text in content["inputs"]:
            # Snapshots lie in a folder below their manifest's.
            file = Path(text)
            maker = makers.get(file) or makers.get(file.parent.parent / file.name)
            if maker is not None and maker != reader:
                found.add((maker, reader))
    return frozenset(found)


def layers(rules: list[str], found: Edges) -> list[str]:
    """The rules in an order in which each comes after those that it reads from.

    Raises:
        ValueError: if there is no such order.
    """
    ordered: list[str] = []
    while len(ordered) < len(rules):
        free = [
            rule
            for rule in rules
            if rule not in ordered
            and all(maker in ordered for maker, reader in found if reader == rule)
        ]
        if not free:
            raise ValueError(f"rules in a circle: {', '.join(sorted(set(rules) - set(ordered)))}")
        ordered.append(free[0])
    return ordered


def draw(jobs: Mapping[str, int], found: Edges) -> str:
    """Rules one below the other, with an arc from each to every rule that reads from it.

    Args:
        jobs: number of jobs of each rule.
        found: of these rules, see :func:`edges`.

    Returns:
        An ``svg`` element, whose description says the same in words.
    """
    ordered = layers(list(jobs), found)
    place = {rule: number for number, rule in enumerate(ordered)}
    longest = max((place[b] - place[a] for a, b in found), default=0)
    width, height = WIDTH + 30 + BEND * longest, ROW * len(ordered) + 4
    parts = []
    for maker, reader in sorted(found, key=lambda edge: (place[edge[0]], place[edge[1]])):
        # Arcs leave at the lower half of a box and come in at the upper one.
        start, stop = ROW * place[maker] + 2 + 0.75 * BOX, ROW * place[reader] + 2 + 0.25 * BOX
        if place[reader] == place[maker] + 1:
            path = f"M40 {ROW * place[maker] + 2 + BOX}V{ROW * place[reader] - 2}"
        else:
            out = WIDTH + 12 + BEND * (place[reader] - place[maker])
            path = f"M{WIDTH + 2} {start:g}C{out} {start:g} {out} {stop:g} {WIDTH + 8} {stop:g}"
        parts.append(f'<path class="arc" d="{path}" marker-end="url(#tip)"/>')
    for rule in ordered:
        top = ROW * place[rule] + 2
        count = f"{jobs[rule]} job{'' if jobs[rule] == 1 else 's'}"
        parts.append(
            f'<rect x="2" y="{top}" width="{WIDTH}" height="{BOX}" rx="4"/>'
            f'<text x="12" y="{top + 18}">{escape(rule)}</text>'
            f'<text class="jobs" x="{WIDTH - 8}" y="{top + 18}">{count}</text>'
        )
    return (
        f'<svg class="rules" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'role="img" aria-labelledby="rules-title rules-words">'
        '<title id="rules-title">Rules</title>'
        f'<desc id="rules-words">{escape(words(ordered, found))}</desc>'
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
        'markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z"/></marker></defs>'
        f"{''.join(parts)}</svg>"
    )


def words(ordered: list[str], found: Edges) -> str:
    """The graph as sentences."""
    said = []
    for rule in ordered:
        makers = [maker for maker in ordered if (maker, rule) in found]
        said.append(f"{rule} reads from {', '.join(makers)}" if makers else f"{rule} starts")
    return "; ".join(said) + "."
