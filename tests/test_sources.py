"""Where the numbers of a machine come from: stated, or a line of somebody's own file, or listed as unsourced."""

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

import accelsim
from accelsim.cli import app
from accelsim.config import arch, packaged
from accelsim.config.arch import unsourced
from accelsim.engines import registry
from accelsim.engines.registry import find_params
from accelsim.report.document import document
from accelsim.report.markdown import to_markdown
from accelsim.report.run_page import to_html

MACHINE = """\
name: small
clocks_mhz: {core: 200}
engine: systolic
params: {rows: 4, cols: 4, dataflow: ws, input_kib: 1, weight_kib: 1, output_kib: 1}
memory:
  dram: {standard: lpddr4, gb_per_s: 0.48}
technology: {node_nm: 45}
precision: {input_bits: 4}
"""
TWO = """\
name: two
clocks_mhz: {core: 200}
units:
- {name: array, engine: diannao, params: {outputs: 4}, layers: [conv2d]}
- name: vector
  engine: vector
  params: {lanes: 4, buffer_kib: 8}
memory:
  dram: {standard: lpddr4, gb_per_s: 0.48}
technology: {node_nm: 45}
sources: {clocks_mhz: assumed, units.0: here, memory: assumed, technology: assumed}
"""
NETWORK = "name: one\nisolated: true\nlayers:\n- {name: fc, kind: linear, n: 1, c: 8, k: 8}\n"


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Return a function that writes a file into the current folder."""
    monkeypatch.chdir(tmp_path)

    def to(name, text):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
        return name

    return to


def published(name):
    """Load a file as one whose author owes sources."""
    return arch.load(name, find_params, published=lambda path: True)


@pytest.mark.parametrize("name", packaged.names("arch_configs"))
def test_every_number_of_a_packaged_machine_has_a_source(name):
    assert unsourced(accelsim.load_arch(name).config) == []


def test_a_number_of_somebodys_own_file_has_its_line_as_source_and_is_never_refused(write):
    found = accelsim.load_arch(write("m.yaml", MACHINE)).config
    assert found["sources"] == {
        "clocks_mhz.core": "m.yaml:2",
        **{f"params.{key}": "m.yaml:4" for key in ("rows", "cols", "input_kib", "weight_kib", "output_kib")},
        "memory.dram.gb_per_s": "m.yaml:6",
        "technology.node_nm": "m.yaml:7",
        "precision.input_bits": "m.yaml:8",
    }
    assert unsourced(found) == []


def test_a_source_that_the_file_states_stands(write):
    found = accelsim.load_arch(write("m.yaml", MACHINE + "sources: {params: a data sheet}\n")).config
    assert found["sources"]["params"] == "a data sheet"
    assert "params.rows" not in found["sources"]
    assert found["sources"]["technology.node_nm"] == "m.yaml:7"


def test_numbers_of_units_have_sources_too(write):
    found = accelsim.load_arch(write("two.yaml", TWO)).config["sources"]
    assert (found["units.1.params.lanes"], found["units.1.params.buffer_kib"]) == ("two.yaml:7", "two.yaml:7")
    assert (found["units.0"], len(found)) == ("here", 6)
    assert unsourced(published("two.yaml").config) == ["units.1.params.lanes", "units.1.params.buffer_kib"]


def test_a_number_of_a_published_file_without_a_source_is_listed_the_precision_too(write):
    write("m.yaml", MACHINE + "sources: {clocks_mhz: assumed, params.rows: here, memory.dram: there}\n")
    rest = ["params.cols", "params.input_kib", "params.weight_kib", "params.output_kib"]
    assert unsourced(published("m.yaml").config) == [*rest, "technology.node_nm", "precision.input_bits"]
    assert published("m.yaml").replace("params.cols", 8).config["sources"]["params.cols"] == "replace"


def test_a_variant_of_a_published_machine_owes_sources_of_its_own_numbers(write):
    write("base.yaml", MACHINE + "sources: {params: paper, technology: t, memory: m, clocks_mhz: c, precision: p}\n")
    write("wide.yaml", "base: base.yaml\nparams: {rows: 8, dataflow: os}\nsources: {}\n")
    assert unsourced(published("wide.yaml").config) == ["params.rows"]
    assert published("wide.yaml").config["sources"]["params.dataflow"] == "wide.yaml:2"
    own = arch.load("wide.yaml", find_params).config["sources"]
    assert (own["params.rows"], own["params"]) == ("wide.yaml:2", "paper")


def test_sources_of_units_that_a_variant_replaces_are_gone(write):
    write("one.yaml", "base: two.yaml\nengine: diannao\nparams: {outputs: 8}\n")
    write("two.yaml", TWO)
    found = accelsim.load_arch("one.yaml").config["sources"]
    assert "units.0" not in found
    assert found["params.outputs"] == "one.yaml:3"


def test_the_file_of_a_plug_in_owes_sources_where_it_stands_beside_its_engine(write, monkeypatch, tmp_path):
    write("plug/engine.py", "")
    write("plug/__init__.py", "")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(registry, "modules", lambda: {"plug": "plug.engine", "gone": "no_such_package.engine"})
    registry._plug_in_folders.cache_clear()
    try:
        places = {place: registry.publishes(Path(place)) for place in ("plug/m.yaml", "m.yaml", "other/m.yaml")}
    finally:
        registry._plug_in_folders.cache_clear()
    assert places == {"plug/m.yaml": True, "m.yaml": True, "other/m.yaml": False}
    assert registry.publishes(packaged.folder("arch_configs") / "eie.yaml")


def test_show_run_and_every_report_list_what_is_unsourced(write, monkeypatch, tmp_path):
    write("m.yaml", MACHINE + "sources: {clocks_mhz: a, params: b, memory: c}\n")
    write("net.yaml", NETWORK)
    monkeypatch.setattr(registry, "publishes", lambda path: True)
    keys = "technology.node_nm, precision.input_bits"
    shown = CliRunner().invoke(app, ["show", "m.yaml"])
    assert f"# unsourced: {keys}" in shown.output
    ran = CliRunner().invoke(app, ["run", "m.yaml", "net.yaml", "-o", "out"])
    assert ran.exit_code == 0
    assert f"unsourced: {keys}" in re.sub(r"\s+", " ", ran.output)
    assert json.loads((tmp_path / "out" / "report.json").read_text())["unsourced"] == keys.split(", ")
    result = accelsim.simulate("m.yaml", "net.yaml")
    assert document(result)["unsourced"] == keys.split(", ")
    assert f"(unsourced): {keys}." in to_markdown(result).replace("\\", "")
    assert f"(unsourced): {keys}." in to_html(result)


def test_nothing_is_said_where_every_number_has_a_source(write):
    result = accelsim.simulate(write("m.yaml", MACHINE), write("net.yaml", NETWORK))
    assert document(result)["unsourced"] == []
    for text in (to_markdown(result), to_html(result), CliRunner().invoke(app, ["show", "eie"]).output):
        assert "unsourced" not in text
