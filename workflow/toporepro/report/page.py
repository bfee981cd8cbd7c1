"""The report: one page that opens offline, with everything it shows inside it."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toporepro.provenance import write_text
from toporepro.report import ledger
from toporepro.report.claims import read_claims
from toporepro.report.render import cells, summary

if TYPE_CHECKING:
    import jinja2

_TYPES = {".gif": "image/gif", ".png": "image/png"}


def write_page(
    spec: Mapping[str, Any], results: Path, manifests: Sequence[Path], out: Path
) -> None:
    """The verb ``toporepro report``: claims, figures, methods and ledger on one page.

    Args:
        spec: ``preset``, ``about``, ``figures`` (names), ``config`` (the resolved preset) and
            ``differences`` (from the preset, one line each).
        results: folder of the preset's results: ``claims.csv``, ``figures/``, ``benchmarks/``.
        manifests: of the jobs that the ledger lists.
        out: the HTML to write.

    Raises:
        TableError: if the claims are no such table.
        OSError, ValueError: if a figure or a manifest is missing or damaged.
    """
    import yaml

    read = ledger.read_manifests(manifests)
    jobs = ledger.entries(read, results / "benchmarks")
    claims = read_claims(results / "claims.csv")
    figures = sorted((_figure(results / "figures", name) for name in spec["figures"]), key=_order)
    page = _template().render(
        preset=spec["preset"],
        about=spec["about"],
        summary=summary(claims),
        groups=_groups(claims),
        figures=figures,
        config=yaml.safe_dump(spec["config"], sort_keys=False, allow_unicode=True, width=100),
        differences=spec["differences"],
        jobs=jobs,
        total_seconds=sum(job.wall_seconds for job in jobs),
        total_gpu_hours=sum(job.gpu_hours for job in jobs),
        versions=ledger.versions(read.values()),
        machines=ledger.machines(read.values()),
        commits=ledger.commits(read.values()),
    )
    write_text(out, page)


def _groups(claims: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The rows of the table by claim: its statement and the paper's value stand once."""
    groups: list[dict[str, Any]] = []
    for row in claims:
        _, paper, ours, n, p, verdict = cells(row)
        if not groups or groups[-1]["id"] != row["claim"]:
            groups.append(
                {"id": row["claim"], "statement": row["statement"], "paper": paper, "rows": []}
            )
        groups[-1]["rows"].append(
            {
                "family": row["family"],
                "ours": ours,
                "n": n,
                "p": p,
                "verdict": verdict,
                "unit": row["unit"],
                "sentence": row["sentence"],
            }
        )
    return groups


def _figure(folder: Path, name: str) -> dict[str, Any]:
    note: dict[str, Any] = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    files = [folder / file for file in note["files"]]
    # A film says all that its still says; else the bitmap, which is smaller than large vectors.
    shown = next((file for file in files if file.suffix == ".gif"), folder / f"{name}.png")
    content = base64.b64encode(shown.read_bytes()).decode()
    return {
        **note,
        "source": f"data:{_TYPES[shown.suffix]};base64,{content}",
        "vector": f"figures/{name}.svg",
    }


def _order(figure: Mapping[str, Any]) -> tuple[int, str]:
    return figure["order"], figure["name"]


def _template() -> jinja2.Template:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html.jinja")
