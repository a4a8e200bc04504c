"""The HTML reports as text: whole, the same every time, and deaf to what names say."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from click.testing import CliRunner
from report_samples import alexnet, densenet, every_cause, network, partial_alexnet, resnet50, skipped

from accelsim.cli import app
from accelsim.comparison import Comparison, ComparisonRow
from accelsim.report import comparison_page, run_page, sweep_page, words
from accelsim.report import page as page_module
from accelsim.report.document import to_json
from accelsim.report.scatter import Plot, axis, name_points
from benchmarks.made_up import NASTY, big_store

VOID = {"meta", "input", "br", "img", "link", "path", "rect", "circle"}


class Reader(HTMLParser):
    """Collects elements, checks that they nest, and keeps what stands in each."""

    def __init__(self, text):
        super().__init__()
        self.open, self.elements, self.texts = [], [], {}
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open:
            self.texts.setdefault(self.open[-1], []).append(data)

    def having(self, tag):
        return [attrs for name, attrs in self.elements if name == tag]


def data_of(text):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)[1])


@pytest.fixture(scope="module")
def sweep_text(tmp_path_factory):
    path = tmp_path_factory.mktemp("store") / "big.db"
    big_store(path, 300)
    CliRunner().invoke(app, ["report", str(path)], catch_exceptions=False)
    return path.with_suffix(".html").read_text()


@pytest.mark.parametrize("sample", [alexnet, partial_alexnet, resnet50, every_cause])
def test_a_page_is_well_formed_and_holds_every_layer_and_total(sample):
    result = sample()
    page = Reader(run_page.to_html(result))
    ids = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    named = [attrs.get(key, "") for _, attrs in page.elements for key in ("aria-controls", "aria-labelledby")]
    wanted = {name for names in named for name in names.split()}
    assert wanted <= set(ids)
    assert {href[1:] for attrs in page.having("a") if (href := attrs["href"])} <= set(ids)
    names = page.texts["button"]
    assert [name for name in names if name in {x.name for x in result.simulated}] == [x.name for x in result.simulated]
    told = " ".join(page.texts["dd"]).replace("\N{NO-BREAK SPACE}", " ")
    for _, text in words.totals(result):
        assert text in told
    whole = " ".join(text for texts in page.texts.values() for text in texts)
    for item in result.not_modelled:
        assert item in whole
    assert "dram:" in " ".join(page.texts["pre"])
    assert "memory.dram.gb_per_s" in page.texts["th"]
    for reason in {layer.reason for layer in result.layers if not layer.simulated}:
        assert reason in whole


def test_bars_say_their_parts_and_are_as_long_as_the_layer():
    result = alexnet()
    page = Reader(run_page.to_html(result))
    bars = [a for a in page.having("div") if a.get("aria-label", "").startswith("cycles of conv2:")]
    layer = result.layers[1]
    assert f"busy {words.percent(layer.account['busy'] / (layer.units * layer.cycles))}" in bars[0]["aria-label"]
    rooms = [float(a["style"][7:-1]) for a in page.having("div") if a.get("style", "").startswith("--part:")]
    assert rooms[::2] == pytest.approx(
        [100 * x.cycles / max(y.cycles for y in result.layers) for x in result.layers], abs=0.01
    )
    assert max(rooms[1::2]) == 100


@pytest.mark.parametrize("sample", [resnet50, densenet])
def test_a_page_stays_small_and_the_same(sample):
    text = run_page.to_html(sample())
    assert text == run_page.to_html(sample())
    assert len(text.encode()) < 6e6
    assert not re.search(r"(https?:)?//[\w.]+\.\w", text)


def check_policy(text):
    page = Reader(text)
    policy = next(a["content"] for a in page.having("meta") if a.get("http-equiv"))
    assert "default-src 'none'" in policy
    assert "unsafe-inline" not in policy.split("script-src")[1]
    for tag in ("link", "img", "iframe", "object", "embed", "base", "form"):
        assert page.having(tag) == []
    assert not any({"src", "srcset", "action", "background"} & set(attrs) for _, attrs in page.elements)
    assert not any(key.startswith("on") for _, attrs in page.elements for key in attrs)
    assert [a.get("type") for a in page.having("script")] == [None, "application/json"]
    assert "url(" not in text
    return page


def test_names_are_text_whatever_they_hold():
    layers = [
        replace(layer, name=f"{name}{i}")
        for i, (layer, name) in enumerate(zip(alexnet().layers, NASTY * 3, strict=False))
    ]
    layers.append(skipped(NASTY[0]))
    arch = alexnet().arch | {"name": NASTY[0], "description": NASTY[1], "sources": {NASTY[2]: NASTY[0]}}
    result = network(layers, NASTY[0], arch=arch, notes=(NASTY[1],), not_modelled=(NASTY[2],), source=NASTY[0])
    page = check_policy(run_page.to_html(result))
    assert f"{NASTY[0]}0" in page.texts["button"]
    assert NASTY[1] in page.texts["li"]


def test_a_comparisons_page_is_sealed_and_its_names_are_text():
    layers = [
        replace(layer, name=f"{name}{i}")
        for i, (layer, name) in enumerate(zip(alexnet().layers, NASTY * 3, strict=False))
    ]
    whole = network([*layers, skipped(NASTY[2])], NASTY[0], not_modelled=(NASTY[2],), area_missing=(NASTY[1],))
    over = whole.over([layer.name for layer in layers])
    rows = (
        ComparisonRow(NASTY[0], NASTY[1], whole, over, None, True),
        ComparisonRow(NASTY[0], NASTY[2], reason=NASTY[0]),
    )
    found = Comparison(rows, NASTY[1])
    text = comparison_page.to_html(found, {"sets": [NASTY[0]]})
    assert text == comparison_page.to_html(found, {"sets": [NASTY[0]]})
    page = check_policy(text)
    ids = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert {href[1:] for attrs in page.having("a") if (href := attrs["href"])} <= set(ids)
    assert page.texts["th"].count(f"{NASTY[0]}0") == 1
    assert NASTY[1] in page.texts["th"]
    assert any(NASTY[0] in text for text in page.texts["li"])
    assert not re.search(r"(https?:)?//[\w.]+\.\w", text.replace(NASTY[0], "").replace(NASTY[1], ""))
    rooms = [float(a["style"][7:-1]) for a in page.having("div") if a.get("style", "").startswith("--part:")]
    assert rooms[:2] == [100, 100]  # the only machine that ran
    most = max(layer.cycles for layer in layers)
    assert rooms[2::2] == pytest.approx([100 * layer.cycles / most for layer in layers], abs=0.01)


def test_a_sweeps_page_is_sealed_and_its_names_are_text(tmp_path, sweep_text):
    check_policy(sweep_text)
    big_store(tmp_path / "nasty.db", 20, machine=NASTY[0], network=NASTY[2], question=NASTY[1])
    CliRunner().invoke(app, ["report", str(tmp_path / "nasty.db")], catch_exceptions=False)
    text = (tmp_path / "nasty.html").read_text()
    page = check_policy(text)
    assert NASTY[1] in page.texts["h1"]
    assert data_of(text)["columns"][2]["values"] == [NASTY[2]] * 20


def test_data_in_a_script_element_cannot_end_it():
    for text in NASTY:
        found = page_module.embedded({text: [text]})
        assert not {"<", ">", "&"} & set(found)
        assert json.loads(found) == {text: [text]}


def test_a_sweeps_page_holds_the_figures_with_units_and_the_front(sweep_text):
    data = data_of(sweep_text)
    names = [column["name"] for column in data["columns"]]
    assert names[:8] == ["#", "front", "network", "rows", "cols", "cycles (M)", "energy (mJ)", "energy by component"]
    cycles, energy = (data["columns"][i]["values"] for i in (5, 6))
    pairs = list(zip(cycles, energy, strict=True))
    beaten = {i for i, (a, b) in enumerate(pairs) if any((c <= a and d <= b) and (c, d) != (a, b) for c, d in pairs)}
    assert set(data["front"]) == set(range(300)) - beaten
    (plot,) = data["plots"]
    assert plot["xs"][cycles.index(min(cycles))] == min(plot["xs"])
    assert plot["ys"][energy.index(min(energy))] == max(plot["ys"])
    page = Reader(sweep_text)
    assert {"cycles (M)", "energy (mJ)"} <= set(page.texts["text"])
    assert any("3 rows" not in t and "constraint" in t for t in page.texts["td"])
    shares = data["columns"][7]
    assert all(abs(sum(row) - 1000) <= len(row) for row in shares["values"])


def test_of_too_many_points_the_fronts_stay_and_the_page_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(sweep_page, "MOST_POINTS", 100)
    big_store(tmp_path / "s.db", 1000)
    CliRunner().invoke(app, ["report", str(tmp_path / "s.db")], catch_exceptions=False)
    text = (tmp_path / "s.html").read_text()
    data = data_of(text)
    assert 90 <= len(data["columns"][0]["values"]) <= 100
    assert "This page holds" in text
    monkeypatch.undo()
    CliRunner().invoke(app, ["report", str(tmp_path / "s.db")], catch_exceptions=False)
    whole = data_of((tmp_path / "s.html").read_text())

    def front(found):
        return sorted(tuple(found["columns"][c]["values"][i] for c in (3, 4)) for i in found["front"])

    assert front(data) == front(whole)


def test_many_points_take_few_bytes_and_always_the_same(tmp_path):
    for name in ("a.db", "b.db"):
        big_store(tmp_path / name, 3000)
        CliRunner().invoke(app, ["report", str(tmp_path / name)], catch_exceptions=False)
    first = (tmp_path / "a.html").read_bytes()
    assert first == (tmp_path / "b.html").read_bytes()
    assert len(first) < 6e6 * 3000 / sweep_page.MOST_POINTS


def test_the_command_reads_a_report_and_refuses_what_is_none(tmp_path):
    (tmp_path / "report.json").write_text(to_json(partial_alexnet()))
    run = CliRunner()
    done = run.invoke(app, ["report", str(tmp_path / "report.json"), "-o", str(tmp_path / "x.html")])
    assert done.output.strip() == str(tmp_path / "x.html")
    assert (tmp_path / "x.html").read_text() == run_page.to_html(partial_alexnet())
    (tmp_path / "none.json").write_text("{}")
    for words_, problem in (
        (["none.json"], "no report.json"),
        (["nothing.db"], "no such store"),
        (["report.json", "--network", "x"], "of a store"),
        (["report.json", "-o", "no/folder/x.html"], "cannot be written"),
    ):
        words_ = [str(tmp_path / w) if "." in w else w for w in words_]
        failed = run.invoke(app, ["report", *words_])
        assert failed.exit_code != 0
        assert problem in failed.output + str(failed.exception)


def test_an_empty_network_gives_a_page_that_says_so():
    text = run_page.to_html(network([skipped("pool1")]))
    assert "No layer has MACs and DRAM traffic." in text
    assert "no unit of systolic_ws runs pool layers" in text


def test_ticks_are_round_and_inside_their_axis():
    for values, log in (([1.7, 9.1], False), ([3, 3000], True), ([0.002, 9e9], True), ([5, 5], False)):
        found = axis("t (u)", values, vertical=False)
        assert found.log is log
        labels = [label for _, label in found.ticks]
        assert 2 <= len(labels) <= 14
        assert all(found.begin <= at <= found.end for at, _ in found.ticks)
        assert all(
            float(label.replace(",", "")) == pytest.approx(float(f"{float(label.replace(',', '')):.2g}"))
            for label in labels
        )


def test_names_in_a_plot_cover_neither_each_other_nor_points():
    x, y = axis("x", [0, 10], vertical=False), axis("y", [0, 10], vertical=True)
    plot = Plot("t", "a", x, y)
    places = [(x.at(i), y.at(i % 3)) for i in range(10)]
    name_points(
        plot,
        [(*place, 5.0, [f"a long name {i}", f"#{i}"]) for i, place in enumerate(places)],
        [(*p, 5.0) for p in places],
    )
    assert len(plot.labels) == 10
    boxes = [(lab["x"] - (70 if lab["anchor"] == "end" else 0), lab["y"]) for lab in plot.labels]
    assert len(set(boxes)) == 10
