"""The README's table and figure are those of the committed record."""

import re
import sys
from pathlib import Path

import pytest

from toporepro.report.claims import read_claims
from toporepro.report.render import render_summary

ROOT = Path(__file__).parents[3]
sys.path.insert(0, str(ROOT / "workflow" / "ops"))
import readme  # noqa: E402

TEXT = (ROOT / readme.README).read_text()


def test_the_table_is_that_of_the_record() -> None:
    rows = read_claims(ROOT / readme.RECORD / "claims.csv")
    assert readme.spliced(TEXT, render_summary(rows, "demo")) == TEXT


def test_the_record_is_shown_and_nothing_else_is_in_it() -> None:
    names = {path.name for path in readme.SHOWN}
    assert {path.name for path in (ROOT / readme.RECORD).iterdir()} == names
    images = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", TEXT)
    assert images == [f"{readme.RECORD}/orientation_maps.png"]
    assert (ROOT / images[0]).read_bytes().startswith(b"\x89PNG")


def test_only_what_is_between_the_markers_is_replaced() -> None:
    text = f"a\n{readme.BEGIN}\nold\n{readme.END}\nb\n"
    assert readme.spliced(text, "new\n") == f"a\n{readme.BEGIN}\nnew\n{readme.END}\nb\n"


@pytest.mark.parametrize(
    "text",
    [
        "", readme.BEGIN, readme.END + readme.BEGIN, 2 * readme.BEGIN + readme.END,
        readme.BEGIN + 2 * readme.END,
    ],
)  # fmt: skip
def test_markers_that_are_not_there_once_each_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must stand there once"):
        readme.spliced(text, "new\n")
