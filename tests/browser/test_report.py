"""The report in a browser: whole at every width, on paper, and without motion where unwanted."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.browser.conftest import DESKTOP, PHONE, opened, overflow
from tests.browser.small_world import make, write_report
from toporepro.report.claims import read_claims


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(make(tmp_path_factory.mktemp("world")))


def test_it_opens_with_all_claims_and_figures(browser: Browser, report: Path) -> None:
    rows = read_claims(report.with_name("claims.csv"))
    with opened(browser, report) as page:
        table = page.get_by_role("region", name="Table of claims")
        assert table.locator(".verdict").all_inner_texts() == [row["verdict"] for row in rows]
        sizes = page.evaluate(
            "[...document.querySelectorAll('figure img')].map(i => [i.complete, i.naturalWidth])"
        )
        assert len(sizes) == 2
        assert all(complete and width > 100 for complete, width in sizes)
        assert page.locator("svg.rules").bounding_box()


@pytest.mark.parametrize("size", [DESKTOP, PHONE, (320, 640)], ids=lambda size: str(size[0]))
def test_nothing_is_wider_than_the_window(
    browser: Browser, report: Path, size: tuple[int, int]
) -> None:
    with opened(browser, report, size) as page:
        for summary in page.locator("summary").all():
            summary.click()
        assert overflow(page) == 0


def test_on_a_phone_the_claims_need_no_scrolling_sideways(browser: Browser, report: Path) -> None:
    with opened(browser, report, PHONE) as page:
        inside, outside = page.get_by_role("region", name="Table of claims").evaluate(
            "box => [box.scrollWidth, box.clientWidth]"
        )
        assert inside == outside
        assert page.get_by_role("columnheader", name="Verdict").count() == 1, "still a table"


def test_readers_who_want_no_motion_see_the_still(browser: Browser, report: Path) -> None:
    for motion, kind in (("reduce", "data:image/svg"), ("no-preference", "data:image/gif")):
        with opened(browser, report, reduced_motion=motion) as page:
            source = page.locator("picture img").evaluate("image => image.currentSrc")
            assert source.startswith(kind)


def test_on_paper_nothing_is_cut_and_nothing_is_for_clicking(
    browser: Browser, report: Path, tmp_path: Path
) -> None:
    with opened(browser, report, (794, 1123)) as page:
        page.emulate_media(media="print")
        assert overflow(page) == 0
        assert not page.get_by_text("Every job").is_visible()
        assert not page.get_by_role("navigation").is_visible()
        still = page.locator("picture img").evaluate("image => image.currentSrc")
        assert still.startswith("data:image/svg")
        page.pdf(path=tmp_path / "report.pdf", format="A4")
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")
