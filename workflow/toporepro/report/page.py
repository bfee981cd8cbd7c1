"""The report: one page that opens offline, from the claims to the machine it all ran on."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toporepro.plugins import find
from toporepro.provenance import intact, progress, write_text
from toporepro.report import claims, ledger, planned, rulegraph, verdicts
from toporepro.report.render import p_text, summary

CAPTIONS = Path(__file__).parents[2] / "report"
TEMPLATE = Path(__file__).with_name("page.html.jinja")
LARGEST_SVG = 500_000  # bytes; a picture of many pixels is smaller as PNG
LARGEST_PAGE = 6_000_000
_CLASSES = {
    verdicts.REPRODUCED: "yes",
    verdicts.NOT_REPRODUCED: "no",
    verdicts.THESE: "these",
    verdicts.NOT_COMPARABLE: "open",
    verdicts.NOT_TESTABLE: "open",
}


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One figure of the page: its files as data URIs, and what is said under it."""

    name: str
    title: str
    image: str
    still: str
    caption: str
    facts: tuple[str, ...]
    alternative: str


def write_page(
    spec: Mapping[str, Any],
    results: Path,
    manifests: Sequence[Path],
    out: Path,
    captions: Path = CAPTIONS,
    plan: Sequence[Mapping[str, Any]] = (),
) -> None:
    """The verb ``toporepro report``: claims, figures, methods and ledger on one page.

    Args:
        spec: ``preset``, ``about``, ``figures`` (names), ``config`` (the resolved preset) and
            ``differences`` (from the preset, one line each).
        results: folder of the preset's results: ``claims.csv``, ``figures/``, ``benchmarks/``.
        manifests: of the jobs that the ledger lists.
        out: the HTML to write.
        captions: folder of the figures' captions, in reStructuredText.
        plan: what jobs were to take (see ``toporepro.report.planned``).

    Raises:
        TableError: if the claims are no such table.
        OSError, ValueError: if a figure or a manifest is missing or damaged.
        DamagedError: if the claims or a figure are not what their manifests say.
    """
    import jinja2
    import yaml

    read = ledger.read_manifests(manifests)
    jobs = ledger.entries(read, results / "benchmarks")
    rows = claims.read_claims(results / "claims.csv")
    intact(results / "claims.csv")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(duration=duration, kwh=kwh, p_text=p_text)
    page = environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        preset=spec["preset"],
        about=spec["about"],
        summary=summary(rows),
        claims=_grouped(rows),
        verdicts=_CLASSES,
        pictures=_pictures(results / "figures", spec["figures"], captions),
        config=yaml.safe_dump(spec["config"], sort_keys=False, allow_unicode=True, width=100),
        differences=spec["differences"],
        jobs=jobs,
        totals=ledger.totals(jobs),
        energy=ledger.energy(jobs),
        energy_sources=ledger.energy_sources(jobs),
        plan=planned.compare(plan, jobs),
        measures=_measures(spec["config"].get("measures", {})),
        rules=_rules(read, jobs),
        versions=ledger.versions(read.values()),
        machines=ledger.machines(read.values()),
        commits=ledger.commits(read.values()),
        accepted=ledger.accepted(read.values()),
    )
    if len(page) > LARGEST_PAGE:
        progress(f"{out}: {len(page) / 1e6:.1f} MB; lower `style.dpi` or show fewer figures")
    write_text(out, page)


def _measures(named: Iterable[str]) -> dict[str, str]:
    """What each measure says of itself, in a sentence."""
    return {name: (find("measure", name).__doc__ or "").split("\n\n")[0] for name in named}


def _rules(read: Mapping[Path, Mapping[str, Any]], jobs: Iterable[ledger.Entry]) -> str:
    """The rule graph, with the report as the reader of what no other rule reads."""
    counts = {total.rule: int(total.subject) for total in ledger.totals(jobs)}
    found = rulegraph.edges(read)
    ends = set(counts) - {maker for maker, _ in found}
    page = "write_report"
    return rulegraph.draw({**counts, page: 1}, found | {(end, page) for end in ends})


def duration(seconds: float) -> str:
    """``75.2`` → ``1 min 15 s``; two units at most."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60} min"


def kwh(energy: float | None) -> str:
    """Energy in kWh, as text."""
    return "–" if energy is None else f"{energy:.3f} kWh"


def caption_html(path: Path) -> str:
    """A caption of reStructuredText as HTML; "" if there is none. Raw HTML stays shut out."""
    if not path.exists():
        return ""
    from docutils.core import publish_parts  # type: ignore[import-untyped]

    parts = publish_parts(
        path.read_text(encoding="utf-8"),
        writer="html5",
        settings_overrides={
            "file_insertion_enabled": False,
            "raw_enabled": False,
            "report_level": 5,
            "doctitle_xform": False,
        },
    )
    return str(parts["body"])


def _grouped(rows: list[dict[str, Any]]) -> list[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Rows by claim, each group with the row that speaks for it."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(row["claim"], []).append(row)
    return [(group[0], group) for group in groups.values()]


def _pictures(folder: Path, names: Iterable[str], captions: Path) -> list[Picture]:
    """The figures in the paper's order."""
    paths = [folder / f"{name}.json" for name in names]
    for path in paths:
        intact(path)
    notes = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
    ordered = sorted(notes, key=lambda note: (note["order"], note["name"]))
    return [_picture(folder, note, captions) for note in ordered]


def _picture(folder: Path, note: Mapping[str, Any], captions: Path) -> Picture:
    files = {Path(file).suffix: folder / file for file in note["files"]}
    svg, film = files.get(".svg"), files.get(".gif")
    small = svg is not None and svg.stat().st_size <= LARGEST_SVG
    still = svg if small else files.get(".png")
    shown = film or still
    if shown is None:
        raise ValueError(
            f"{note['name']}: its files are {', '.join(note['files'])}; a PNG is needed"
        )
    return Picture(
        name=note["name"],
        title=note["title"],
        image=_uri(shown),
        still=_uri(still) if film and still else "",
        caption=caption_html(captions / f"{note['name']}.rst"),
        facts=tuple(note["facts"]),
        alternative=f"{note['title']}. {' '.join(note['facts'])}",
    )


def _uri(path: Path) -> str:
    intact(path)
    kind = {".png": "image/png", ".svg": "image/svg+xml", ".gif": "image/gif"}[path.suffix]
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"
