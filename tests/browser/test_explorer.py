"""The explorer in a browser: every control changes the picture, and every number is the tables'."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.conftest import DESKTOP, PHONE, opened, overflow
from tests.browser.small_world import SHEETS, STEPS, World, make

LAST, FIRST = STEPS["final"], STEPS["snapshot"]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make(tmp_path_factory.mktemp("world"))


@pytest.fixture
def page(browser: Browser, world: World) -> Iterator[Page]:
    with opened(browser, world.page) as page:
        expect(side(page, "Left").locator("canvas").first).to_be_visible()
        yield page


def side(page: Page, which: str) -> Locator:
    return page.get_by_role("region", name=f"{which} network")


def sheet(page: Page, which: str) -> Locator:
    return side(page, which).locator(".sheet canvas")


def pixels(canvas: Locator) -> np.ndarray:
    """(height, width, 3) of what a canvas holds."""
    found = canvas.evaluate(
        "c => [c.height, c.width, ...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]"
    )
    return np.array(found[2:], np.uint8).reshape(found[0], found[1], 4)[:, :, :3]


def shown(page: Page) -> tuple[bytes, bytes]:
    return pixels(sheet(page, "Left")).tobytes(), pixels(sheet(page, "Right")).tobytes()


def choose(scope: Page | Locator, label: str, value: str) -> None:
    scope.get_by_label(label, exact=True).select_option(value)


def point(page: Page, which: str, unit: int, shape: tuple[int, int]) -> None:
    canvas = sheet(page, which)
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box
    row, column = divmod(unit, shape[1])
    canvas.hover(
        position={
            "x": (column + 0.5) * box["width"] / shape[1],
            "y": (row + 0.5) * box["height"] / shape[0],
        }
    )


def now(page: Page, which: str) -> str:
    return side(page, which).locator(".now").inner_text()


def number(text: str) -> float:
    """The last number of a text."""
    return float(re.findall(r"[−-]?\d[\d.]*", text)[-1].replace("−", "-"))


def test_the_first_view_sets_no_topography_beside_some(page: Page) -> None:
    for which, tau in (("Left", "0"), ("Right", "3")):
        expect(side(page, which).get_by_label("τ", exact=True)).to_have_value(tau)
        expect(side(page, which).get_by_label("Family")).to_have_value("mlp")
    left, right = shown(page)
    assert left != right
    page.wait_for_url("**/explorer.html#a=mlp/0/0/fc1&b=mlp/3/0/fc1&q=orientation_preferred*")


def test_every_choice_changes_the_picture(page: Page) -> None:
    choose(page, "Quantity", "weight_pc")
    right = side(page, "Right")
    seen = [shown(page)]

    def changed(left_too: bool = False) -> None:
        page.wait_for_timeout(50)
        after = shown(page)
        assert after[1] != seen[-1][1]
        # The scale is common, so that colours may move on both sides.
        assert after not in seen
        seen.append(after)

    choose(side(page, "Left"), "Seed", "1")
    page.wait_for_timeout(50)
    assert shown(page)[0] != seen[0][0]
    seen.append(shown(page))
    choose(right, "τ", "0")
    changed()
    page.get_by_label(re.compile("^Component")).fill("2")
    changed()
    page.get_by_label(re.compile("^Training")).fill("0")
    changed()
    choose(page, "Quantity", "orientation_t")
    changed()
    choose(right, "Family", "deep")
    choose(page, "Quantity", "selectivity_t")
    changed()
    choose(page, "Of", "selectivity_t.faces")
    changed()
    choose(right, "Layer", "late")
    changed()
    assert pixels(sheet(page, "Right")).shape[:2] == SHEETS["late"]


def test_values_pointed_at_are_the_tables(page: Page, world: World) -> None:
    left, right = ("mlp", "0", 0), ("mlp", "3", 0)
    for quantity, index in (("orientation_preferred", 0), ("weight_pc", 0), ("orientation_t", 0)):
        choose(page, "Quantity", quantity)
        for unit in (0, 9, 23):
            point(page, "Left", unit, (4, 6))
            for which, network in (("Left", left), ("Right", right)):
                expected = world.value(network, LAST, "fc1", quantity, unit, index)
                assert number(now(page, which)) == pytest.approx(expected, rel=6e-4)
                words = side(page, which).locator(".details").inner_text()
                assert f"Unit {unit}, row {unit // 6}, column {unit % 6}" in words


def test_a_unit_s_other_values_best_images_and_weights(page: Page, world: World) -> None:
    point(page, "Left", 13, (4, 6))
    details = side(page, "Right").locator(".details")
    network = ("mlp", "3", 0)
    line = details.locator("dd").nth(2).inner_text()
    for component, words in enumerate(line.split(" · ")):
        value = world.value(network, LAST, "fc1", "weight_pc", 13, component)
        assert number(words) == pytest.approx(value, rel=6e-4)
        assert words.startswith(f"{component}: ")
    best = [world.value(network, LAST, "fc1", "best_stimulus", 13, rank) for rank in range(3)]
    items = details.locator(".pictures li")
    assert [int(item.get_attribute("data-number") or -1) for item in items.all()] == best
    labels = world.images().split("test").labels
    for item, image in zip(items.all(), best, strict=True):
        assert item.inner_text() == "abc"[labels[int(image)]]
        assert item.locator("img").evaluate("image => image.naturalWidth") == 12
    tile = pixels(details.locator("canvas.tile"))
    assert tile.shape == (12, 12, 3)
    weights = world.network(*network).get_submodule("fc1").weight[13].detach().numpy()
    # Red above blue where the weight is positive.
    warm = tile[..., 0].astype(int) > tile[..., 2]
    strong = np.abs(weights) > 0.1
    assert (warm.ravel()[strong] == (weights > 0)[strong]).all()


def test_both_sheets_share_one_scale_and_the_palette(page: Page, world: World) -> None:
    import matplotlib

    choose(page, "Quantity", "weight_pc")
    networks = {"Left": ("mlp", "0", 0), "Right": ("mlp", "3", 0)}
    sizes = [
        np.abs(rows[rows.quantity == "weight_pc"].value)
        for rows in (world.units(*network) for network in networks.values())
    ]
    end = float(np.quantile(np.concatenate(sizes), 0.99))
    colours = np.round(255 * matplotlib.colormaps["RdBu_r"](np.linspace(0, 1, 256))[:, :3])
    for which, network in networks.items():
        found = pixels(sheet(page, which)).reshape(-1, 3)
        for unit in range(24):
            share = (world.value(network, LAST, "fc1", "weight_pc", unit) + end) / (2 * end)
            place = int(np.clip(256 * share, 0, 255))
            assert np.abs(colours[max(0, place - 1) : place + 2] - found[unit]).sum(1).min() == 0
    ticks = page.locator(".ticks span").all_inner_texts()
    assert "0" in ticks
    assert len(ticks) >= 3


def test_categories_have_names_and_colours_of_their_own(page: Page, world: World) -> None:
    right = side(page, "Right")
    choose(right, "Family", "deep")
    choose(right, "τ", "10")
    choose(right, "Layer", "late")
    choose(page, "Quantity", "word_preferred")
    names = ["Food", "Living things", "Time", "none"]
    legend = page.get_by_label("Colours of the categories").get_by_role("listitem")
    expect(legend).to_have_text(names)
    colours = {
        name: item.locator("span").evaluate("e => getComputedStyle(e).backgroundColor")
        for name, item in zip(names, legend.all(), strict=True)
    }
    assert len(set(colours.values())) == 4
    found, seen = pixels(sheet(page, "Right")).reshape(-1, 3), set()
    for unit in range(15):
        value = world.value(("deep", "10", 0), LAST, "late", "word_preferred", unit)
        name = "none" if np.isnan(value) else names[int(value)]
        assert colours[name] == f"rgb({', '.join(map(str, found[unit]))})"
        point(page, "Right", unit, (3, 5))
        assert now(page, "Right") == name
        seen.add(name)
    assert len(seen) > 2


def test_the_cursor_is_linked_also_between_sheets_of_other_shapes(page: Page) -> None:
    point(page, "Left", 9, (4, 6))
    assert "Unit 9, row 1, column 3" in side(page, "Right").locator(".details").inner_text()
    choose(side(page, "Right"), "Family", "deep")
    # Row 3 of 4 and column 5 of 6 are the last of 2 and of 4.
    point(page, "Left", 23, (4, 6))
    assert "Unit 7, row 1, column 3" in side(page, "Right").locator(".details").inner_text()
    page.mouse.move(5, 5)
    expect(side(page, "Right").locator(".details")).to_contain_text("Point at a unit")


def test_steps_and_gaps_are_said(page: Page, world: World) -> None:
    for which, tau in (("Left", "0"), ("Right", "10")):
        choose(side(page, which), "Family", "deep")
        choose(side(page, which), "τ", tau)
    choose(page, "Of", "selectivity_t.big_things")
    point(page, "Left", 1, SHEETS["early"])
    assert now(page, "Left") == "none"
    assert pixels(sheet(page, "Left"))[0, 1].tolist() == [221, 221, 221]
    slider = page.get_by_label(re.compile("^Training"))
    slider.fill("0")
    point(page, "Left", 2, SHEETS["early"])
    for which, tau, step in (("Left", "0", FIRST), ("Right", "10", LAST)):
        key = ("deep", tau, 0)
        expected = world.value(key, step, "early", "selectivity_t.big_things", 2)
        assert number(now(page, which)) == pytest.approx(expected, rel=6e-4)
    assert "untrained" in side(page, "Left").inner_text()
    choose(side(page, "Right"), "Family", "mlp")
    assert "was not measured here" in side(page, "Right").inner_text()
    # A quantity that no measure describes has its name for a label.
    choose(page, "Quantity", "window_length")
    expect(page.get_by_label("Quantity").locator("option:checked")).to_have_text("Window length")


def test_playing_moves_the_angle_and_stops(page: Page) -> None:
    choose(page, "Quantity", "orientation_film")
    slider = page.get_by_label(re.compile("^Angle"))
    before = shown(page)
    page.get_by_role("button", name="Play Angle").click()
    page.wait_for_timeout(600)
    page.get_by_role("button", name="Pause Angle").click()
    reached = int(slider.input_value())
    assert 2 <= reached < 20
    assert shown(page) != before
    assert slider.get_attribute("aria-valuetext") == f"{reached}°"
    page.wait_for_timeout(200)
    assert int(slider.input_value()) == reached


def test_the_address_brings_the_view_back(page: Page, browser: Browser, world: World) -> None:
    choose(side(page, "Right"), "Family", "deep")
    choose(side(page, "Right"), "τ", "10")
    choose(page, "Quantity", "orientation_film")
    page.get_by_label(re.compile("^Angle")).fill("44")
    sheet(page, "Left").click(position={"x": 3, "y": 3})
    page.wait_for_timeout(400)
    anchor = page.url.split("#")[1]
    assert "i=44" in anchor
    assert "unit=0" in anchor
    with opened(browser, world.page, anchor=f"#{anchor}") as again:
        again.wait_for_timeout(300)
        assert shown(again) == shown(page)
        assert again.url == page.url
        assert now(again, "Left") == now(page, "Left")
        # Another address while the page is open.
        again.evaluate("location.hash = '#a=mlp/0/1/fc1&q=weight_pc&i=2'")
        expect(side(again, "Left").get_by_label("Seed", exact=True)).to_have_value("1")
        expect(again.get_by_label("Quantity")).to_have_value("weight_pc")


@pytest.mark.parametrize(
    "anchor", ["#a=no/such/thing/x&q=none&unit=9999&step=-4", "#%%%", "#a=mlp"]
)
def test_an_address_that_cannot_be_is_as_none(browser: Browser, world: World, anchor: str) -> None:
    with opened(browser, world.page, anchor=anchor) as page:
        expect(side(page, "Left").get_by_label("Family")).to_have_value("mlp")
        assert pixels(sheet(page, "Left")).any()


def test_everything_works_from_the_keyboard(page: Page) -> None:
    canvas = sheet(page, "Left")
    canvas.focus()
    for key, unit in (
        ("ArrowRight", 0), ("ArrowRight", 1), ("ArrowDown", 7), ("End", 11), ("ArrowRight", 11),
        ("Home", 6), ("ArrowUp", 0), ("ArrowUp", 0), ("ArrowLeft", 0),
    ):  # fmt: skip
        canvas.press(key)
        expect(side(page, "Right").locator(".details")).to_contain_text(f"Unit {unit},")
    reached = set()
    page.locator("body").press("Tab")
    for _ in range(60):
        reached.add(
            page.evaluate(
                "[document.activeElement.tagName, document.activeElement.className].join()"
            )
        )
        page.keyboard.press("Tab")
    assert {"SELECT,", "CANVAS,", "CANVAS,paper", "BUTTON,", "SUMMARY,", "INPUT,"} <= reached


def logits(page: Page) -> list[np.ndarray]:
    tables = page.locator(".guess").all()
    return [
        np.array([float(cell.get_attribute("data-logit") or "nan")
                  for cell in table.locator("[data-logit]").all()])
        for table in tables
    ]  # fmt: skip


def answer(world: World, tau: str, drawn: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What torch says to an image of 0 … 255: responses of the hidden layer, and logits."""
    network, images = world.network("mlp", tau), world.images()
    inputs = (torch.tensor(drawn, dtype=torch.float32) / 255 - images.mean[0]) / images.std[0]
    with torch.no_grad():
        hidden = network.get_submodule("fc1")(inputs.flatten()[None])[0]
        return hidden.numpy(), network(inputs[None, None])[0].numpy()


def test_test_images_are_answered_as_torch_does(page: Page, world: World) -> None:
    split = world.images().split("test")
    for number_, name in enumerate("abc"):
        page.get_by_role("button", name=f"Show a test image of {name}").click()
        image = np.array(split.images[split.labels.tolist().index(number_)])[:, :, 0]
        np.testing.assert_array_equal(pixels(page.locator(".paper"))[..., 0], image)
        for tau, found in zip(("0", "3"), logits(page), strict=True):
            np.testing.assert_allclose(found, answer(world, tau, image)[1], atol=1e-4)


def test_drawing_is_answered_live_as_torch_does(page: Page, world: World) -> None:
    paper = page.locator(".paper")
    paper.scroll_into_view_if_needed()
    box = paper.bounding_box()
    assert box
    page.mouse.move(box["x"] + 60, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + 200, box["y"] + 60, steps=4)
    half = pixels(paper)[..., 0]
    between = shown(page)
    page.mouse.move(box["x"] + 80, box["y"] + 220, steps=6)
    page.mouse.up()
    page.mouse.move(box["x"] + 120, box["y"] + 30)  # the pen is up
    drawn = pixels(paper)[..., 0]
    assert 0 < (half > 0).sum() < (drawn > 0).sum() < drawn.size / 2
    assert shown(page) != between, "the sheet answers while one draws"
    expect(page.get_by_label("Quantity")).to_have_value("response")
    for tau, found in zip(("0", "3"), logits(page), strict=True):
        np.testing.assert_allclose(found, answer(world, tau, drawn)[1], atol=1e-4)
    for unit in (2, 17):
        point(page, "Left", unit, (4, 6))
        for which, tau in (("Left", "0"), ("Right", "3")):
            expected = answer(world, tau, drawn)[0][unit]
            assert number(now(page, which)) == pytest.approx(expected, rel=6e-4, abs=1e-4)
    page.get_by_role("button", name="Clear").click()
    assert not pixels(paper).any()


def test_one_can_draw_with_the_keyboard(page: Page, world: World) -> None:
    paper = page.locator(".paper")
    paper.focus()
    for key in (
        "ArrowRight",
        "ArrowRight",
        "Shift+ArrowDown",
        "Shift+ArrowDown",
        "Shift+ArrowDown",
    ):
        paper.press(key)
    before = pixels(paper)[..., 0]
    assert before.any()
    paper.press("ArrowLeft")
    drawn = pixels(paper)[..., 0]
    assert (drawn > 0).sum() > (before > 0).sum()
    np.testing.assert_allclose(logits(page)[0], answer(world, "0", drawn)[1], atol=1e-4)


def test_measures_are_the_tables(page: Page, world: World) -> None:
    import pandas as pd

    page.get_by_text("Measures of both networks").click()
    table = pd.read_csv(world.root / "tables" / "measures.csv", keep_default_na=False)
    for metric in ("accuracy", "smoothness", "effective_dimensionality", "topo_loss"):
        cells = page.locator(f"td[data-metric={metric}]").all()
        found = [cell.get_attribute("data-value") for cell in cells]
        for place, tau in ((0, "0"), (2, "3")):
            rows = table[
                (table.family == "mlp") & (table.tau == int(tau)) & (table.seed == 0)
                & (table.metric == metric) & (table.step == LAST)
            ]  # fmt: skip
            of_layer, whole = found[place : place + 2]
            expected = rows[rows.layer.isin(["", "mean"])].value.astype(float).item()
            assert float(whole or "nan") == pytest.approx(expected, rel=1e-6)
            if metric != "accuracy":
                expected = rows[rows.layer == "fc1"].value.astype(float).item()
                assert float(of_layer or "nan") == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("size", [DESKTOP, PHONE, (320, 640)], ids=lambda size: str(size[0]))
def test_nothing_is_wider_than_the_window(
    browser: Browser, world: World, size: tuple[int, int]
) -> None:
    for anchor in ("", "#a=mlp/0/0/fc1&b=deep/10/0/late&q=selectivity_t.faces&unit=3"):
        with opened(browser, world.page, size, anchor) as page:
            page.get_by_text("Measures of both networks").click()
            assert overflow(page) == 0
            widest = page.evaluate(
                "Math.max(...[...document.querySelectorAll('select, button, canvas, img')]"
                ".map(item => item.getBoundingClientRect().right))"
            )
            assert widest <= size[0]


def test_tapping_selects(browser: Browser, world: World) -> None:
    with opened(browser, world.page, PHONE, has_touch=True, is_mobile=True) as page:
        sheet(page, "Right").tap(position={"x": 5, "y": 5})
        expect(side(page, "Left").locator(".details")).to_contain_text("Unit 0,")
        assert overflow(page) == 0


def test_the_page_is_one_file_that_could_not_ask_for_more(world: World) -> None:
    text = world.page.read_text()
    assert "default-src 'none'" in text
    assert "unsafe" not in text.split("</head>")[0].split("<style>")[0]
    assert not re.findall(r"""(?:src|href)=["'](?!data:|report\.html)""", text.split("<script>")[0])
