"""What the documents show is run here."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_the_example_of_topoloss_runs() -> None:
    text = (ROOT / "docs/topoloss.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    names: dict[str, object] = {}
    exec(code, names)
    model, loss = names["model"], names["loss"]
    assert loss.item() > 0  # type: ignore[attr-defined]
    assert model[0].weight.grad.abs().sum() > 0  # type: ignore[index]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_path_that_a_page_names_exists(page: Path) -> None:
    text = page.read_text()
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in link]
    for link in links:
        assert (page.parent / link).exists(), link
    folders = ("workflow", "config", "tests", "docs", "envs")
    written = re.findall(r"^`([\w./-]+)`:$", text, re.MULTILINE)  # by whoever follows the page
    for name in re.findall(rf"`((?:{'|'.join(folders)})/[\w./-]+)`", text):
        assert (ROOT / name).exists() or name in written, name


def test_every_rule_that_the_readme_names_exists() -> None:
    text = (ROOT / "README.md").read_text()
    rules = "".join(path.read_text() for path in (ROOT / "workflow/rules").glob("*.smk"))
    table = text.split("## From figure to rule to module")[1].split("\n## ")[0]
    cells = [row.split("|")[2] for row in table.splitlines() if row.startswith("| ")][1:]
    for rule in re.findall(r"`(\w+)`", " ".join(cells)):
        figure = ROOT / "workflow/toporepro/figures" / f"{rule.removeprefix('draw_')}.py"
        assert f"rule {rule}:" in rules or (rule.startswith("draw_") and figure.exists()), rule
