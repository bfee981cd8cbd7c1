"""Pages in headless Chromium. Nothing is fetched: a page that asks for anything fails its test."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Playwright, sync_playwright

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "measure"))

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
DESKTOP, PHONE = (1280, 900), (390, 844)


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="session")
def browser(playwright: Playwright) -> Iterator[Browser]:
    found = shutil.which("chromium")
    if not found:
        pytest.skip("no Chromium")
    launched = playwright.chromium.launch(executable_path=found, args=list(FLAGS))
    yield launched
    launched.close()


@contextmanager
def opened(
    browser: Browser, path: Path, size: tuple[int, int] = DESKTOP, anchor: str = "", **options: Any
) -> Iterator[Page]:
    """A page from the disk, which must neither complain nor ask for another file."""
    context = browser.new_context(viewport={"width": size[0], "height": size[1]}, **options)
    page, complaints = context.new_page(), []
    page.set_default_timeout(5000)
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))

    def asked(request: Any) -> None:
        if not request.url.startswith((path.as_uri(), "data:", "blob:")):
            complaints.append(f"asks for {request.url}")

    page.on("request", asked)
    page.goto(path.as_uri() + anchor)
    yield page
    context.close()
    # That tests read canvases is no fault of the page.
    assert [text for text in complaints if "getImageData" not in text] == []


def overflow(page: Page) -> int:
    """Pixels by which the page is wider than the window."""
    width: int = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    return width
