"""What needs npm: the committed bundle is what its sources give, and both pages pass axe."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.browser.conftest import DESKTOP, PHONE, opened
from tests.browser.small_world import World, make, write_report

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "workflow" / "explorer"
BUNDLES = ROOT / "workflow" / "toporepro" / "report"


@pytest.fixture(scope="module")
def front_end(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The explorer's sources with the packages that their lock file pins."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("no npm")
    folder = tmp_path_factory.mktemp("front end") / "explorer"
    shutil.copytree(SOURCES, folder, ignore=shutil.ignore_patterns("node_modules"))
    subprocess.run([npm, "ci", "--no-audit", "--no-fund"], cwd=folder, check=True)
    return folder


def test_the_committed_bundle_is_fresh(front_end: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "OUT": str(tmp_path)}
    subprocess.run(["npm", "run", "build"], cwd=front_end, env=environment, check=True)
    built = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    committed = {path.name: path.read_bytes() for path in BUNDLES.glob("explorer.bundle.*")}
    assert built.keys() == committed.keys()
    for name, content in built.items():
        assert content == committed[name], f"{name}: npm --prefix workflow/explorer run build"


def test_licences_of_all_that_is_bundled_are_noted() -> None:
    text = (BUNDLES / "explorer.bundle.licences.md").read_text()
    for name in ("preact", "d3-array", "d3-format"):
        assert f"## {name} - " in text


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make(tmp_path_factory.mktemp("world"))


def complaints(page: Page, axe: Path) -> list[str]:
    """What axe finds wrong with a page."""
    page.add_script_tag(path=str(axe))
    result = page.evaluate("axe.run()")
    assert "color-contrast" in {one["id"] for one in result["passes"]}, "axe looked at the page"
    return [
        f"{one['id']}: {one['help']} {[node['html'][:120] for node in one['nodes']]}"
        for one in result["violations"]
    ]


AXE = Path("node_modules/axe-core/axe.min.js")


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_the_explorer_passes_axe(
    browser: Browser, front_end: Path, world: World, size: tuple[int, int]
) -> None:
    for anchor in ("#q=weight_pc&unit=3", "#a=mlp/0/0/fc1&b=deep/10/0/late&q=response&unit=3"):
        with opened(browser, world.page, size, anchor, bypass_csp=True) as page:
            page.get_by_text("Measures of both networks").click()
            assert complaints(page, front_end / AXE) == []


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_the_report_passes_axe(
    browser: Browser, front_end: Path, world: World, size: tuple[int, int]
) -> None:
    with opened(browser, write_report(world), size) as page:
        assert complaints(page, front_end / AXE) == []
