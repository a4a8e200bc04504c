"""Pictures, pages and traces: how large, and what they leave out."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import accelsim
from accelsim.cli.plot import BY_LAYER, KINDS
from accelsim.report.document import to_json
from accelsim.report.run_page import to_html
from accelsim.report.trace import MOST_EVENTS, trace
from accelsim.results import NetworkResult

from ..made_up import big_store
from .check import Check, run

LIMIT_MB = 6.0
CHROMIUM = Path("/usr/bin/chromium")


def checks() -> Iterator[Check]:
    """Yield the checks of this part."""
    arch, network = accelsim.load_arch("edge_npu_l2"), accelsim.load_network("onnx:resnet50")
    result = accelsim.simulate(arch, network, trace=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        yield from _pages(result, folder)
        yield from _kinds(result, folder)
        yield from _browser(folder)
    yield from _traces(result)


def _pages(result: NetworkResult, folder: Path) -> Iterator[Check]:
    start = time.process_time()
    text = to_html(result)
    used = time.process_time() - start
    yield _size(f"HTML of ResNet-50 ({len(result.layers)} layers)", text.encode(), f"{used:.2f} s of CPU")
    yield Check("the same result gives the same page", "compared byte by byte", text == to_html(result))
    (folder / "run.html").write_text(text)
    big_store(folder / "big.db", 10_000)
    files = []
    for _ in range(2):
        done = run("report", str(folder / "big.db"), "-o", str(folder / "big.html"))
        if done.returncode:
            yield Check("HTML of a store", done.stderr.strip(), False)
            return
        files.append((folder / "big.html").read_bytes())
    yield _size("HTML of a store of 10,000 points (made-up figures, two axes)", files[0], "")
    yield Check("the same store gives the same page", "compared byte by byte", files[0] == files[1])
    loads = [
        word for text in (text, files[0].decode()) for word in ("http://", "https://", "src=", "url(") if word in text
    ]
    yield Check("a page loads nothing", ", ".join(loads) or "no address, no source in either", not loads)


def _size(what: str, found: bytes, more: str) -> Check:
    size = len(found) / 1e6
    return Check(what, f"{size:.2f} MB (bar {LIMIT_MB:g}){', ' if more else ''}{more}", size < LIMIT_MB)


def _kinds(result: NetworkResult, folder: Path) -> Iterator[Check]:
    """Draw every kind of picture through the command, of a report and of a store where it makes sense."""
    (folder / "report.json").write_text(to_json(result))
    big_store(folder / "small.db", 300)
    drawn = {}
    for source in ("report.json", "small.db"):
        for kind in KINDS:
            done = run("plot", str(folder / source), kind, "-o", str(folder / f"{kind}.png"))
            if done.returncode == 0:
                drawn.setdefault(kind, []).append("report" if source == "report.json" else "store")
            elif done.returncode != 2:
                drawn.setdefault(kind, []).append("BROKEN")
    missing = [kind for kind in KINDS if "BROKEN" in drawn.get(kind, ["BROKEN"])]
    figure = ", ".join(f"{kind} ({' and '.join(drawn.get(kind, ['not drawn']))})" for kind in KINDS)
    yield Check(f"plot kinds, {len(BY_LAYER)} of them by layer", figure, not missing)


def _browser(folder: Path) -> Iterator[Check]:
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        sync_playwright = None
    if sync_playwright is None or not CHROMIUM.exists():
        yield Check("pages open in Chromium", "not measured: no Chromium or no Playwright here")
        return
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=flags)
        for name in ("run", "big"):
            page, wrong = browser.new_page(), []
            page.on("pageerror", lambda error, wrong=wrong: wrong.append(str(error)))
            page.on("console", lambda message, wrong=wrong: wrong.append(message.text))
            start = time.perf_counter()
            page.goto((folder / f"{name}.html").as_uri())
            rows = page.locator("table.wide > tbody").count()
            used = time.perf_counter() - start
            figure = f"{used:.1f} s until drawn, {len(wrong)} messages on the console"
            yield Check(f"{name}.html opens in Chromium {browser.version}", figure, not wrong and rows > 0)
        browser.close()


def _traces(resnet: NetworkResult) -> Iterator[Check]:
    vgg = accelsim.simulate(accelsim.load_arch("eyeriss"), accelsim.load_network("vgg16"), trace=True)
    for name, result in (("ResNet-50 on edge_npu_l2", resnet), ("VGG-16 on eyeriss", vgg)):
        found = trace(result)
        size = len(found.to_json()) / 1e6
        layers = [e["args"]["cycles"] for e in found.document["traceEvents"] if e.get("cat") == "layer"]
        figure = (
            f"{size:.1f} MB, {found.events:,} events of tiles, {found.dropped_events:,} dropped (with "
            f"{found.dropped_tiles:,} tiles), layers sum to {sum(layers):,} cycles"
        )
        holds = sum(layers) == result.alone.cycles and found.events <= MOST_EVENTS + 5 * len(result.layers)
        yield Check(f"trace of {name}", figure, holds)
