"""The examples of docs/: the files are written as the pages say, and the whole runs through."""

from __future__ import annotations

import copy
import csv
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.conftest import ROOT, Copy, copy_repository

pytestmark = pytest.mark.e2e
PAGES = ("add-a-family", "add-a-dataset", "add-a-measure")
# A file that the page has one write: its path, and in the block below its content.
BLOCK = re.compile(r"^`([\w./-]+)`:\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: str) -> dict[str, str]:
    return dict(BLOCK.findall((ROOT / "docs" / f"{page}.md").read_text()))


def merged(into: Any, differences: Any) -> Any:
    if not isinstance(into, dict) or not isinstance(differences, dict):
        return copy.deepcopy(differences)
    return {
        key: merged(into.get(key), differences[key]) if key in differences else into[key]
        for key in {**into, **differences}
    }


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    """A copy in which somebody did all that the pages say, on a preset of one more MLP."""
    there = copy_repository(tmp_path_factory.mktemp("documents") / "repository")
    wanted: Any = {}
    for page in PAGES:
        for path, text in blocks(page).items():
            if path == "config/config.yaml":
                wanted = merged(wanted, yaml.safe_load(text)["overrides"]["demo"])
            else:
                assert not (there.root / path).exists(), path
                (there.root / path).write_text(text)
    preset = yaml.safe_load((ROOT / "tests/presets/tiny.yaml").read_text())
    mlp = {**preset["families"]["mlp"], "taus": [0]}
    preset["families"] = {"mlp": mlp}
    preset["data"] = {"digits": preset["data"]["digits"]}
    preset["figures"] = {"smoothness_vs_tau": {}}
    there.preset = "tests/presets/documents.yaml"
    (there.root / there.preset).write_text(yaml.safe_dump(preset))
    config = {"preset": there.preset, "overrides": {"documents": wanted}}
    (there.root / "config/config.yaml").write_text(yaml.safe_dump(config))
    there.first_output = there.reproduce()
    return there


def rows(there: Copy, metric: str) -> list[dict[str, str]]:
    with (there.results / "tables/measures.csv").open() as file:
        return [row for row in csv.DictReader(file) if row["metric"] == metric]


def test_the_example_family_is_trained_and_measured(followed: Copy) -> None:
    layers = {row["layer"] for row in rows(followed, "smoothness") if row["family"] == "lenet"}
    assert layers == {"conv1", "conv2", "fc1", "mean"}
    accuracy = [row for row in rows(followed, "accuracy") if row["family"] == "lenet"]
    last = max(int(row["step"]) for row in accuracy)
    found = {row["tau"]: float(row["value"]) for row in accuracy if int(row["step"]) == last}
    assert found.keys() == {"0", "3"}
    assert found["0"] > 0.5


def test_the_example_dataset_is_learnt_and_shown(followed: Copy) -> None:
    accuracy = [row for row in rows(followed, "accuracy") if row["family"] == "mlp_gratings"]
    assert max(float(row["value"]) for row in accuracy) > 0.9
    page = (followed.results / "explorer.html").read_text()
    (content,) = re.findall(r'id="content">(.*?)</script>', page)
    (pictures,) = json.loads(content)["pictures"].values()
    assert pictures["of"] == "gratings, test"
    assert set(pictures["classes"]) == {f"{angle} degrees" for angle in (0, 45, 90, 135)}


def test_the_example_measure_is_in_table_and_explorer(followed: Copy) -> None:
    found = [row for row in rows(followed, "sparseness") if row["layer"] == "mean"]
    assert {row["family"] for row in found} == {"mlp", "mlp_gratings"}
    assert all(0 <= float(row["value"]) <= 1 for row in found)
    page = (followed.results / "explorer.html").read_text()
    assert '"label":"Lifetime sparseness"' in page


def test_following_the_pages_touches_nothing_else(followed: Copy) -> None:
    changed = followed.run("git", "status", "--porcelain").splitlines()
    written = {path for page in PAGES for path in blocks(page)} | {followed.preset}
    assert {line.split()[-1] for line in changed} == written


def test_generated_documents_can_be_brought_up_to_date(followed: Copy) -> None:
    followed.ops("document")
    text = (followed.root / "config/README.md").read_text()
    for name in ("lenet", "gratings", "sparseness"):
        assert f"### `{name}`" in text


def test_blocks_are_found() -> None:
    files = {Path(path).suffix for page in PAGES for path in blocks(page)}
    assert files == {".py", ".yaml"}
    assert sum(len(blocks(page)) for page in PAGES) == 6
