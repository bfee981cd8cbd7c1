"""The table of claims as text: Markdown for files, aligned columns for a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

HEADS = ("Claim", "Paper", "Ours", "n", "P (Holm)", "Verdict")
_NARROWEST = 24  # characters that the facts need beside verdict and family


def render_markdown(rows: Sequence[Mapping[str, Any]], preset: str) -> str:
    """A table for people, and below it each claim's sentence."""
    lines = [f"# Claims of the paper, preset {preset}", "", summary(rows), ""]
    lines.append("| " + " | ".join((*HEADS[:3], "unit of inference", *HEADS[3:])) + " |")
    lines.append("|" + "---|" * (len(HEADS) + 1))
    for row in rows:
        claim, paper, ours, n, p, verdict = cells(row)
        fields = (claim, paper, ours, row["unit"], n, p, f"**{verdict}**")
        lines.append("| " + " | ".join(_escape(field) for field in fields) + " |")
    lines += ["", "## In words", ""]
    lines += [f"- `{row['id']}`: {row['sentence']}" for row in rows]
    return "\n".join(lines) + "\n"


def render_summary(rows: Sequence[Mapping[str, Any]], preset: str) -> str:
    """The paper's values beside ours, as the README shows them.

    A row for each network of which there is a value; one for a claim where there is none.
    """
    valued = {row["claim"] for row in rows if row["ours"]}
    bare = {row["claim"]: row["id"] for row in reversed(rows) if row["claim"] not in valued}
    rows = [row for row in rows if row["ours"] or row["id"] == bare.get(row["claim"])]
    head = f"| claim | network | paper | ours ({preset}) | P (Holm) | verdict |"
    lines = [head, "|---" * 6 + "|"]
    claim = None
    for row in rows:
        # Said once for all networks.
        once = ("", "") if row["claim"] == claim else (row["statement"], row["paper"])
        claim = row["claim"]
        network = row["family"] or "all"
        fields = (once[0], network, once[1], row["ours"] or "–", p_text(row), row["verdict"])
        lines.append("| " + " | ".join(_escape(field) for field in fields) + " |")
    return "\n".join(lines) + "\n"


def render_terminal(rows: Sequence[Mapping[str, Any]], width: int = 100) -> str:
    """One paragraph per claim, one entry per row of it: verdict, family, ours; within ``width``."""
    lines = textwrap.wrap(summary(rows), width)
    verdicts = max((len(row["verdict"]) for row in rows), default=0)
    names = max((len(row["family"]) for row in rows), default=0)
    claim = None
    for row in rows:
        if row["claim"] != claim:
            claim = row["claim"]
            lines += ["", *textwrap.wrap(row["statement"], width)]
            lines += textwrap.wrap(
                f"paper: {row['paper']}", width, initial_indent="  ", subsequent_indent="  "
            )
        head = f"  {row['verdict'].ljust(verdicts)}  {row['family'].ljust(names)}  "
        text = _facts(row) or "–"
        if len(head) <= width - _NARROWEST:
            facts = textwrap.wrap(
                text, width, initial_indent=head, subsequent_indent=" " * len(head)
            )
        else:  # no room for columns
            text = f"{row['verdict']}: {row['family']} {text}"
            facts = textwrap.wrap(text, width, initial_indent="  ", subsequent_indent="    ")
        lines += [line.rstrip() for line in facts]
    return "\n".join(lines)


def summary(rows: Iterable[Mapping[str, Any]]) -> str:
    """How many rows have which verdict: ``reproduced: 2; not comparable: 5``."""
    counts: dict[str, int] = {}
    for row in rows:
        counts[row["verdict"]] = counts.get(row["verdict"], 0) + 1
    return "; ".join(f"{verdict}: {count}" for verdict, count in sorted(counts.items(), key=_rank))


def cells(row: Mapping[str, Any]) -> tuple[str, str, str, str, str, str]:
    """The row's cells under ``HEADS``."""
    statement = f"{row['statement']} [{row['family']}]" if row["family"] else row["statement"]
    return (
        statement,
        row["paper"],
        row["ours"] or "–",
        str(row["n"]) if row["n"] else "–",
        p_text(row),
        row["verdict"],
    )


def p_text(row: Mapping[str, Any]) -> str:
    """P with its correction in brackets; in square ones if it speaks of these networks only."""
    if row["p"] is None:
        return "–"
    if row["p_holm"] is None:
        return f"[{row['p']:.2g}]"
    return f"{row['p']:.2g} ({row['p_holm']:.2g})"


def _rank(item: tuple[str, int]) -> tuple[int, str]:
    """Answers before open questions, the best first."""
    order = ("reproduced", "holds for these networks", "not reproduced")
    return (order.index(item[0]) if item[0] in order else len(order), item[0])


def _facts(row: Mapping[str, Any]) -> str:
    n = f"n {row['n']}" if row["n"] else ""
    p = f"P {p_text(row)}" if row["p"] is not None else ""
    return ", ".join(fact for fact in (row["ours"], n, p) if fact)


def _escape(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
