"""The HTML reports in a real browser: sorting, filtering, hovering, brushing, the keyboard, print, accessibility."""

from dataclasses import replace

import pytest
from browser import chromium, opened
from click.testing import CliRunner
from report_samples import alexnet, network, partial_alexnet, resnet50, skipped

from accelsim.cli import app
from accelsim.report import run_page
from benchmarks.made_up import NASTY, big_store


@pytest.fixture(scope="module")
def browser():
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def run_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("pages") / "resnet50.html"
    path.write_text(run_page.to_html(resnet50()))
    return path


@pytest.fixture(scope="module")
def sweep_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("pages") / "big.db"
    big_store(path, 700, question="How wide?")
    CliRunner().invoke(app, ["report", str(path)], catch_exceptions=False)
    return path.with_suffix(".html")


WHERE_THE_LAST_POINT_IS = """() => {
    const { xs, ys } = JSON.parse(document.querySelector("#data").textContent).plots[0];
    const matrix = document.querySelector("figure.scatter svg").getScreenCTM();
    return [xs.at(-1) * matrix.a + matrix.e, ys.at(-1) * matrix.d + matrix.f];
}"""


def layer_names(page):
    return page.locator("#layers > tbody:not([hidden]) > tr:first-child > th button").all_inner_texts()


def point_at(page, found):
    """Move the pointer over an element that has stopped scrolling."""
    found.scroll_into_view_if_needed()
    page.wait_for_timeout(200)
    box = found.bounding_box()
    page.mouse.move(box["x"] + 2, box["y"] + box["height"] / 2)


def drag(page, svg, begin, end):
    """Drag from one share of a plot's frame to another."""
    box = page.locator(f"{svg} .frame").bounding_box()
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in (begin, end)]
    page.mouse.move(*places[0])
    page.mouse.down()
    page.mouse.move(*places[1], steps=4)
    page.mouse.up()


def test_a_click_on_a_head_sorts_and_says_so(browser, run_file):
    layers = [layer for layer in resnet50().simulated if layer.cycles]
    with opened(browser, run_file) as page:
        assert layer_names(page) == [layer.name for layer in layers]
        head = page.locator("#layers > thead th", has_text="cycles").first
        head.get_by_role("button").click()
        assert head.get_attribute("aria-sort") == "descending"
        cycles = [
            int(t.replace(",", ""))
            for t in page.locator("#layers > tbody > tr:first-child > td:nth-child(3)").all_inner_texts()
        ]
        assert cycles == sorted((layer.cycles for layer in layers), reverse=True)
        head.get_by_role("button").press("Enter")
        assert head.get_attribute("aria-sort") == "ascending"
        assert page.locator("#layers > tbody").first.locator("td").nth(1).inner_text() == f"{min(cycles):,}"
        assert page.locator("th[aria-sort=ascending], th[aria-sort=descending]").count() == 1
        page.get_by_role("button", name="layer", exact=True).click()
        names = layer_names(page)
        assert names.index("resnetv17_stage2_block0_conv0_fwd") < names.index("resnetv17_stage3_block0_conv0_fwd")


def test_the_filter_keeps_what_it_names_and_a_name_opens_its_details(browser, run_file):
    with opened(browser, run_file) as page:
        page.fill("#filter", "dense0")
        assert layer_names(page) == ["resnetv17_dense0_fwd"]
        assert page.locator("#count").inner_text() == f"1 of {len(resnet50().simulated)} layers"
        button = page.get_by_role("button", name="resnetv17_dense0_fwd")
        detail = page.locator("#" + button.get_attribute("aria-controls"))
        assert not detail.is_visible()
        button.press("Enter")
        assert button.get_attribute("aria-expanded") == "true"
        assert detail.is_visible()
        assert "dram weight read" in detail.inner_text()
        assert "folds 2,048" in detail.inner_text()  # 2048 / 32 rows x ceil(1000 / 32) columns
        button.press("Space")
        assert not detail.is_visible()


def test_hovering_over_a_bar_tells_its_parts(browser, run_file):
    with opened(browser, run_file) as page:
        point_at(page, page.locator("#layers .bar").first)
        tip = page.get_by_role("tooltip")
        assert tip.inner_text().startswith("cycles of resnetv17_conv0_fwd\nbusy ")
        page.keyboard.press("Escape")
        assert not tip.is_visible()


def test_brushing_the_roofline_keeps_those_layers(browser, run_file):
    with opened(browser, run_file) as page:
        page.locator("figure.scatter svg").scroll_into_view_if_needed()
        everything = len(layer_names(page))
        drag(page, "figure.scatter", (0, 0.4), (0.3, 1))
        names = layer_names(page)
        assert 0 < len(names) < everything
        assert "resnetv17_dense0_fwd" in names
        left = page.locator("figure.scatter input").first
        assert float(left.input_value()) > 0
        page.keyboard.press("Escape")
        page.locator("button.clear").click()
        assert len(layer_names(page)) == everything


def test_hovering_over_a_point_names_it(browser, run_file):
    with opened(browser, run_file) as page:
        page.locator("figure.scatter svg").scroll_into_view_if_needed()
        page.wait_for_timeout(200)
        spot = page.evaluate(WHERE_THE_LAST_POINT_IS)
        page.mouse.move(*spot)
        assert page.get_by_role("tooltip").inner_text().startswith("resnetv17_dense0_fwd\nlinear on array")


def test_brushing_the_front_shows_the_configurations(browser, sweep_file):
    with opened(browser, sweep_file) as page:
        rows = page.locator("#points > tbody > tr")
        first = page.locator("#count").inner_text()
        assert first == f"{rows.count()} of {rows.count()} points"
        page.locator("figure.scatter svg").scroll_into_view_if_needed()
        drag(page, "figure.scatter", (0.2, 0.4), (0.5, 0.9))
        assert page.get_by_label("the selected points").is_checked()
        low, high, least, most = (float(field.input_value()) for field in page.locator("figure.scatter input").all())
        cycles = [float(t) for t in page.locator("#points > tbody td:nth-child(6)").all_inner_texts()]
        energy = [float(t) for t in page.locator("#points > tbody td:nth-child(7)").all_inner_texts()]
        assert len(cycles) > 20
        assert all(low * 0.99 <= c <= high * 1.01 for c in cycles)
        assert all(least * 0.99 <= e <= most * 1.01 for e in energy)
        assert most < 7  # of up to 8 mJ: the brush began below the upper edge
        assert page.locator("#points > tbody td:nth-child(4)").first.inner_text().isdigit()
        page.locator("button.clear").click()
        assert page.locator("#count").inner_text() == first


def test_ranges_do_what_the_brush_does_from_the_keyboard(browser, sweep_file):
    with opened(browser, sweep_file) as page:
        for place, value in ((0, "1.2"), (1, "1.3")):
            page.locator("figure.scatter input").nth(place).fill(value)
        page.keyboard.press("Tab")
        cycles = [float(t) for t in page.locator("#points > tbody td:nth-child(6)").all_inner_texts()]
        assert cycles
        assert all(1.195 <= c <= 1.305 for c in cycles)
        page.locator("figure.scatter input").first.press("Escape")
        assert page.locator("figure.scatter input").first.input_value() == ""


def test_all_points_come_in_pages_and_sort(browser, sweep_file):
    with opened(browser, sweep_file) as page:
        page.get_by_label("all points").check()
        assert page.locator("#count").inner_text() == "100 of 700 points"
        page.get_by_role("button", name="show more").click()
        assert page.locator("#count").inner_text() == "500 of 700 points"
        page.get_by_role("button", name="energy (mJ)", exact=True).click()
        energy = [float(t.replace(",", "")) for t in page.locator("#points > tbody td:nth-child(7)").all_inner_texts()]
        assert energy == sorted(energy, reverse=True)
        point_at(page, page.locator("#points .bar").first)
        assert "dram 50 %" in page.get_by_role("tooltip").inner_text()


def test_names_that_are_markup_do_nothing(browser, tmp_path):
    layers = [
        replace(layer, name=f"{name}{i}")
        for i, (layer, name) in enumerate(zip(alexnet().layers, NASTY * 3, strict=False))
    ]
    result = network([*layers, skipped(NASTY[0])], NASTY[0], arch=alexnet().arch | {"name": NASTY[1]})
    (tmp_path / "run.html").write_text(run_page.to_html(result))
    big_store(tmp_path / "s.db", 30, machine=NASTY[0], network=NASTY[2], question=NASTY[1])
    CliRunner().invoke(app, ["report", str(tmp_path / "s.db")], catch_exceptions=False)
    with opened(browser, tmp_path / "run.html") as page:
        assert layer_names(page)[0] == f"{NASTY[0]}0"
        page.get_by_role("button", name=f"{NASTY[0]}0").click()
        assert page.locator("script").count() == 2
    with opened(browser, tmp_path / "s.html") as page:
        page.get_by_label("all points").check()
        assert NASTY[2] in page.locator("#points > tbody td:nth-child(3)").all_inner_texts()


def test_in_print_nothing_is_cut_and_controls_are_gone(browser, run_file):
    with opened(browser, run_file, viewport={"width": 1040, "height": 720}) as page:
        page.emulate_media(media="print")
        assert not page.locator("#filter").is_visible()
        assert not page.locator("nav").is_visible()
        region = page.locator(".scroll").evaluate("e => [e.scrollHeight, e.clientHeight, getComputedStyle(e).overflow]")
        assert region[0] <= region[1] + 1
        assert region[2] == "visible"
        # A4 across, less the margins, at 96 dots an inch
        assert page.locator("#layers").evaluate("e => e.getBoundingClientRect().width") <= 1040
        assert page.pdf(prefer_css_page_size=True).startswith(b"%PDF")


@pytest.mark.parametrize("width", [360, 800])
def test_a_narrow_window_scrolls_the_table_and_not_the_page(browser, run_file, width):
    with opened(browser, run_file, viewport={"width": width, "height": 700}) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_without_scripts_everything_is_there(browser, run_file, sweep_file):
    with opened(browser, run_file, java_script_enabled=False) as page:
        assert page.locator("#layer0-more").is_visible()
        assert not page.locator("#filter").is_visible()
    with opened(browser, sweep_file, java_script_enabled=False) as page:
        assert page.locator("#points > tbody > tr").count() > 3


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("which", ["run", "sweep"])
def test_axe_finds_no_barrier(browser, sweep_file, tmp_path, which, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="no axe-playwright-python")
    (tmp_path / "run.html").write_text(run_page.to_html(partial_alexnet()))
    path = {"run": tmp_path / "run.html", "sweep": sweep_file}[which]
    with opened(browser, path, color_scheme=scheme, bypass_csp=True) as page:
        if which == "run":
            page.locator("#layers button[aria-expanded]").first.click()
        found = axe.Axe().run(page)
        assert [(v["id"], v["nodes"][0]["html"]) for v in found.response["violations"]] == []
