"""Machines side by side, over the layers that all of them ran."""

import csv
import io
import itertools
import json
import math
import re

import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from rich.console import Console

import accelsim
from accelsim.cli import app, main
from accelsim.comparison import COLUMNS, compare
from accelsim.errors import ConfigError, WorkloadError
from accelsim.report import classes, plots
from accelsim.report import comparison as texts
from accelsim.report.comparison_page import to_html
from accelsim.simulation import load_arch

MIXED = """
name: mixed
isolated: false
inputs: [x]
layers:
- {name: c1, kind: conv2d, c: 8, k: 16, h: 12, w: 12, r: 3, s: 3, inputs: [x], outputs: [a]}
- {name: r1, kind: elementwise, op: relu, shape: [1, 16, 10, 10], inputs: [a], outputs: [b]}
- {name: c2, kind: conv2d, c: 16, k: 16, h: 10, w: 10, r: 3, s: 3, inputs: [b], outputs: [d]}
- {name: f, kind: linear, c: 1024, k: 10, inputs: [d], outputs: [y]}
"""
DENSE = """
name: dense
isolated: true
layers:
- {name: f1, kind: linear, c: 64, k: 32}
- {name: f2, kind: linear, c: 32, k: 16}
"""
CONVS = """
name: convs
isolated: true
layers:
- {name: d1, kind: conv2d, c: 8, k: 8, h: 9, w: 9, r: 3, s: 3}
"""


@pytest.fixture
def nets(tmp_path):
    """Return the paths of a connected network, one of linear layers, one of a convolution."""
    paths = {}
    for name, text in (("mixed", MIXED), ("dense", DENSE), ("convs", CONVS)):
        paths[name] = tmp_path / f"{name}.yaml"
        paths[name].write_text(text)
    return {name: str(path) for name, path in paths.items()}


def run(*args):
    done = CliRunner().invoke(app, ["compare", *map(str, args)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def rows_of(*args):
    return json.loads(run(*args, "--format", "json"))["rows"]


def refused(capsys, *args):
    """Return the one line that the command line says of a mistake."""
    with pytest.raises(SystemExit) as stop:
        main(["compare", *map(str, args)])
    out, err = capsys.readouterr()
    assert (stop.value.code, out) == (2, "")
    assert len(err.splitlines()) == 1
    return err


def shown(comparison, width=120):
    """Return the lines on a terminal of this width."""
    out = io.StringIO()
    Console(file=out, width=width, color_system=None).print(texts.ComparisonView(comparison))
    return out.getvalue().splitlines()


def unwrapped(lines):
    return " ".join(" ".join(lines).split())


# --- figures


def test_totals_are_over_the_layers_that_all_simulated(nets):
    """edge_npu runs 4 layers, systolic_ws the 3 products, scnn the 2 convolutions: these two count."""
    found = compare(["edge_npu", "systolic_ws", "scnn"], [nets["mixed"]])
    for flat, name in zip(found.to_rows(), ("edge_npu", "systolic_ws", "scnn"), strict=True):
        layers = [x for x in accelsim.simulate(name, nets["mixed"]).layers if x.name in ("c1", "c2")]
        cycles, clock = sum(x.cycles for x in layers), float(load_arch(name).clocks_mhz["core"])
        pj = math.fsum(pj for x in layers for pj in x.energy_pj.values())
        assert flat["cycles"] == cycles
        assert flat["time_s"] == cycles / (clock * 1e6)
        assert flat["total_energy_pj"] == pytest.approx(pj, rel=1e-12)
        assert flat["edp_pj_s"] == pytest.approx(pj * cycles / (clock * 1e6), rel=1e-12)
        assert flat["macs"] == 8 * 16 * 9 * 100 + 16 * 16 * 9 * 64
        assert flat["dram_bits"] == sum(r.bits for x in layers for r in x.traffic if r.boundary == "dram")
        assert (flat["layers"], flat["layers_in_all"], flat["partial"], flat["ranks"]) == (2, 4, True, True)
    assert [flat["layers_run"] for flat in found.to_rows()] == [4, 3, 2]
    macs = [8 * 16 * 9 * 100, 16 * 16 * 9 * 64, 10_240]
    assert [flat["coverage_macs"] for flat in found.to_rows()] == [1, 1, sum(macs[:2]) / sum(macs)]


def test_gains_are_the_base_s_figure_over_the_machine_s(nets):
    for base, place in ((None, 0), ("systolic_ws", 1)):
        found = compare(["eyeriss", "systolic_ws"], [nets["mixed"]], base=base).to_rows()
        reference = found[place]
        assert reference["speed_up"] == reference["energy_gain"] == reference["edp_gain"] == 1
        for flat in found:
            assert flat["speed_up"] == pytest.approx(reference["time_s"] / flat["time_s"])
            assert flat["energy_gain"] == pytest.approx(reference["total_energy_pj"] / flat["total_energy_pj"])
            assert flat["edp_gain"] == pytest.approx(flat["speed_up"] * flat["energy_gain"])


def test_means_over_networks_are_geometric_and_of_machines_that_rank_on_all(nets):
    found = compare(["systolic_ws", "eyeriss", "scnn"], [nets["mixed"], nets["dense"]])
    flats = {(flat["network"], flat["arch"]): flat for flat in found.to_rows()}
    assert flats["dense", "scnn"]["reason"].startswith("layer 'f1': ")
    for gain in ("speed_up", "energy_gain", "edp_gain"):
        product = flats["mixed", "eyeriss"][gain] * flats["dense", "eyeriss"][gain]
        assert found.means[gain] == {"systolic_ws": 1, "eyeriss": pytest.approx(math.sqrt(product))}
    lines = unwrapped(shown(found))
    assert "all networks: geometric mean over 2 networks" in lines
    assert re.search(r"scnn - - - ", lines)


def test_a_network_that_no_machine_ran_does_not_count_in_means(nets, tmp_path):
    (tmp_path / "bad.onnx").write_bytes(b"no model")
    machines, two = ["systolic_ws", "eyeriss"], [nets["mixed"], nets["dense"]]
    found = compare(machines, [*two, str(tmp_path / "bad.onnx")])
    assert found.means == compare(machines, two).means
    assert len(found.means["speed_up"]) == 2


def test_one_network_has_no_mean_over_networks(nets):
    assert compare(["systolic_ws", "eyeriss"], [nets["mixed"]]).means == {}
    assert compare(["scnn"], [nets["convs"], nets["dense"]]).means == {}  # no linear layer runs on it


def test_a_base_that_does_not_rank_everywhere_gives_no_mean_and_says_so(nets):
    found = compare(["scnn", "systolic_ws", "eyeriss"], [nets["convs"], nets["dense"]])
    assert found.means == {}
    assert "no mean over networks: scnn does not rank on all of them" in texts.notes(found)
    assert [flat["speed_up"] for flat in found.to_rows()][3:] == [None] * 3


def test_rates_of_sparse_products_count_multiplications():
    result = accelsim.simulate("gamma", "rmat:n=64,nnz=300,seed=1")
    (flat,) = compare(["gamma"], ["rmat:n=64,nnz=300,seed=1"]).to_rows()
    assert flat["tops"] == pytest.approx(2 * result.effective_macs / result.time_s / 1e12)
    assert flat["tops"] < result.tops / 2


# --- pairs that cannot run


def test_a_bad_pair_is_a_row_with_its_reason_and_costs_no_other(nets, tmp_path):
    bad = tmp_path / "bad.onnx"
    bad.write_bytes(b"no model")
    out = run("systolic_ws", "scnn", "-n", nets["dense"], nets["convs"], bad, "--format", "json")
    rows = {(row["network"], row["arch"]): row for row in json.loads(out)["rows"]}
    assert rows["dense", "scnn"]["reason"].startswith("layer 'f1': ")
    assert rows["dense", "scnn"]["cycles"] is None
    assert rows["dense", "systolic_ws"]["cycles"] > 0
    assert rows["dense", "systolic_ws"]["partial"] is False
    assert rows["convs", "scnn"]["cycles"] > 0
    assert str(bad) in rows["bad.onnx", "scnn"]["reason"]
    text = unwrapped(run("systolic_ws", "scnn", "-n", nets["dense"], nets["convs"], bad, "-o", tmp_path / "o").split())
    assert "did not run: scnn on dense: layer 'f1': " in text
    assert "bad.onnx: nothing was simulated" in text


def test_a_machine_whose_keys_are_wrong_is_a_row_too(nets):
    rows = rows_of("systolic_ws", "eyeriss", "-n", nets["mixed"], "--set", "params.dataflow=os")
    assert rows[0]["cycles"] > 0
    assert rows[1]["reason"].startswith("--set: params.dataflow: ")


def test_where_nothing_runs_the_first_mistake_is_the_answer(capsys, nets):
    assert "no machine is called 'systolic_wx'" in refused(capsys, "systolic_wx", "-n", nets["dense"])
    text = refused(capsys, "scnn", "-n", nets["dense"])
    assert text.startswith("error: no layer of 'dense' runs on 'scnn': layer 'f1': ")
    with pytest.raises(WorkloadError):
        compare(["scnn"], [nets["dense"]])
    assert "no layer of 'dense' matches 'z*'" in refused(capsys, "systolic_ws", "-n", nets["dense"], "--layers", "z*")


# --- layers that only some run


def test_machines_without_a_common_layer_stand_on_their_own_and_only_the_widest_ranks(nets):
    machine = accelsim.load_arch("edge_npu")
    array, vector = (machine.replace("name", name) for name in ("array_only", "vector_only"))
    array = array.replace("units.1.layers", ["nothing"])
    vector = vector.replace("units.0.layers", ["nothing"])
    found = compare([array, vector], [nets["mixed"]])
    assert [(flat["layers"], flat["ranks"]) for flat in found.to_rows()] == [(3, True), (1, False)]
    assert "each over what it ran" in texts.heading(found, "mixed")


def test_show_gives_everybody_s_own_total_and_only_the_widest_ranks(nets):
    found = compare(["edge_npu", "systolic_ws", "scnn"], [nets["mixed"]], incomplete="show")
    for flat, name in zip(found.to_rows(), ("edge_npu", "systolic_ws", "scnn"), strict=True):
        assert flat["cycles"] == accelsim.simulate(name, nets["mixed"]).cycles
    assert [(flat["layers"], flat["ranks"]) for flat in found.to_rows()] == [(4, True), (3, False), (2, False)]
    assert [flat["speed_up"] for flat in found.to_rows()] == [1, None, None]
    lines = unwrapped(shown(found))
    assert "mixed, batch 1 (PARTIAL: each over what it ran)" in lines
    assert (
        "not ranked, since others ran more: systolic_ws (3 of 4 layers of mixed), scnn (2 of 4 layers of mixed)"
        in lines
    )
    figure = plots.comparison_figure(found)
    assert [bool(bar.get_hatch()) for bar in figure.axes[0].patches] == [False, True, True]
    labels = [text.get_text() for text in figure.axes[0].texts]
    assert labels[1].endswith(", 3 of 4 layers")
    assert labels[2].endswith(", 2 of 4 layers")


def test_drop_leaves_out_what_runs_less_and_names_it(nets):
    found = compare(["edge_npu", "systolic_ws"], [nets["mixed"]], incomplete="drop")
    (flat,) = found.to_rows()
    assert (flat["arch"], flat["layers"], flat["partial"]) == ("edge_npu", 4, False)
    assert "left out, since others ran more: systolic_ws (3 of 4 layers of mixed)" in texts.notes(found)


def test_whatever_holds_a_partial_total_says_partial(nets, tmp_path):
    out = tmp_path / "out"
    text = run("edge_npu", "systolic_ws", "-n", nets["mixed"], "-o", out)
    said = "mixed, batch 1 (PARTIAL: over the 3 of 4 layers that all ran)"
    assert said in text
    assert f"## {said}" in (out / "compare.md").read_text()
    assert said in (out / "compare.html").read_text()
    assert said in [
        t.get_text() for t in plots.comparison_figure(compare(["edge_npu", "systolic_ws"], [nets["mixed"]])).texts
    ]
    assert {row["partial"] for row in csv.DictReader((out / "compare.csv").open())} == {"true"}
    assert {row["partial"] for row in json.loads((out / "compare.json").read_text())["rows"]} == {True}
    whole = run("systolic_ws", "eyeriss", "-n", nets["dense"], "-o", out)
    assert "dense, batch 1 (products only)" in whole
    assert "PARTIAL" not in whole


# --- prices


def test_tables_that_differ_are_named_beside_the_figures(nets, tmp_path):
    words = "the energy tables differ (45nm, 65nm): energies do not compare; --energy-table prices all alike"
    found = compare(["systolic_ws", "eyeriss"], [nets["mixed"]])
    assert words in unwrapped(shown(found))
    assert words in " ".join(t.get_text() for t in plots.comparison_figure(found).texts)
    assert words in to_html(found, {})
    assert texts.to_markdown(found).replace("\\", "").count(words) == 1
    assert words in json.loads(texts.to_json(found))["notes"]
    alike = run("systolic_ws", "eyeriss", "-n", nets["mixed"], "--energy-table", "28nm", "-o", tmp_path / "o")
    assert "energy priced by 28nm" in alike
    assert "the energy tables differ" not in alike


@pytest.mark.parametrize(("option", "table"), [(["--node", "28"], "28nm"), (["--node", "36"], None)])
def test_a_node_prices_every_machine(nets, option, table):
    rows = rows_of("systolic_ws", "eyeriss", "-n", nets["mixed"], *option)
    named = [row["energy_table"] for row in rows]
    assert named == ([table] * 2 if table else ["45nm scaled to 36 nm", "65nm scaled to 36 nm"])
    for row in rows:
        arch = accelsim.load_arch(row["arch"], [("energy.node", float(option[1]))])
        assert row["total_energy_pj"] == accelsim.simulate(arch, nets["mixed"]).over(["c1", "c2", "f"]).total_energy_pj


def test_areas_say_what_they_leave_out(nets):
    found = compare(["systolic_ws", "edge_npu"], [nets["dense"]])
    one, two = "clock, array, bus", "array.clock, array.links, array.bus, vector.clock, vector.links"
    said = f"areas leave out components without figures: {one} of systolic_ws; {two} of edge_npu"
    assert said in texts.notes(found)
    assert [flat["area_missing"] for flat in found.to_rows()] == [one, two]


def test_each_machine_has_a_line_of_what_it_is_in_every_form(nets):
    found = compare(["edge_npu", "eyeriss_npu"], [nets["mixed"]])
    lines = [
        "edge_npu: 32 x 32 pes + 32 lanes, 1,000 MHz, 8-bit, 25.6 GB/s",
        "eyeriss_npu: 32 x 32 pes + 32 lanes, 200 MHz, 16-bit, 2.88 GB/s",
    ]
    warning = "widths of operands differ (8-bit of edge_npu; 16-bit of eyeriss_npu): times and energies are of "
    assert json.loads(texts.to_json(found))["machines"] == lines
    for text in ("\n".join(shown(found, 160)), to_html(found, {}), texts.to_markdown(found).replace("\\", "")):
        assert all(line in text for line in lines)
        assert warning in text


def test_machines_of_one_width_are_not_warned_of(nets):
    found = compare(["edge_npu", "systolic_ws"], [nets["dense"]])
    assert not any("widths" in note for note in texts.notes(found))


def test_widths_of_a_profile_are_those_that_ran(nets, tmp_path):
    (tmp_path / "p.yaml").write_text("source: s\nlayers:\n  f1: {weight: 4, input: 8}\n  f2: {weight: 2, input: 8}\n")
    found = compare(["bitfusion"], [nets["dense"]], precision=tmp_path / "p.yaml")
    (line,) = texts.machine_lines(found)
    assert "8-bit inputs, 2 to 4-bit weights" in line


def test_areas_that_are_not_shown_have_no_footnote(nets):
    found = compare(["systolic_ws", "edge_npu"], [nets["dense"]])
    assert texts.AREAS in "\n".join(shown(found, 120))
    assert texts.AREAS not in "\n".join(shown(found, 60))


def test_labels_of_axes_do_not_touch():
    machines = ["edge_npu", "edge_npu_128", "eyeriss_npu"]
    for archs in (machines, machines[:2]):
        figure = plots.comparison_figure(compare(archs, ["net:mobilenet_v2"], sets=[("energy.table", "45nm")]))
        figure.draw_without_rendering()
        for axes in figure.axes:
            low, high = axes.get_xlim()
            ticks = [tick for tick in axes.xaxis.get_major_ticks() if low <= tick.get_loc() <= high]
            boxes = [tick.label1.get_window_extent() for tick in ticks]
            letter = max(box.height for box in boxes)
            assert len(boxes) > 1
            assert all(b.x0 - a.x1 > 2 * letter for a, b in itertools.pairwise(boxes))


# --- options


def test_every_option_of_run_that_changes_figures_changes_them_here(nets, tmp_path):
    density, precision, pinned = (tmp_path / f"{name}.yaml" for name in ("density", "precision", "mapping"))
    density.write_text("source: s\nlayers:\n  c1: {weight: 0.3, input: 0.5}\n")
    precision.write_text("source: s\nlayers:\n  c1: {weight: 4, input: 4}\n")
    operands = tmp_path / "operands.npz"
    zeros = np.zeros((16, 8, 3, 3), np.int64)
    zeros[0] = 1
    np.savez(operands, **{"c1.weight": zeros})
    archs = {"scnn": {}, "bitfusion": {}}
    for options, named in (
        (["--density", density], {"density": density}),
        (["--precision", precision], {"precision": precision}),
        (["--operands", operands], {"operands": operands}),
        (["--batch", "4"], {"batch": 4}),
        (["--layers", "c1"], {"layers": "c1"}),
        (["--density", density, "--seed", "7"], {"density": density, "seed": 7}),
        (["--fidelity", "cycle"], {"fidelity": "cycle"}),
    ):
        changed = rows_of(*archs, "-n", nets["mixed"], *options)
        for row in changed:
            alone = accelsim.simulate(row["arch"], nets["mixed"], **named)
            alone = alone.over(["c1"] if "layers" in named else ["c1", "c2"])
            assert (row["cycles"], row["dram_bits"]) == (alone.cycles, alone.dram_bits), (options, row["arch"])
            assert row["total_energy_pj"] == alone.total_energy_pj
    plain = rows_of(*archs, "-n", nets["mixed"])
    assert [row["cycles"] for row in rows_of(*archs, "-n", nets["mixed"], "--density", density)] != [
        row["cycles"] for row in plain
    ]
    mapping = accelsim.simulate("eyeriss", nets["mixed"]).layers[0].mapping
    pinned.write_text(yaml.safe_dump({"c1": dict(mapping)}))
    one, other = rows_of("eyeriss", "systolic_ws", "-n", nets["mixed"], "--mapping", pinned)
    assert one["cycles"] > 0
    assert other["reason"] is not None  # the mapping is eyeriss' own


def test_unsupported_layers_may_keep_a_machine_out(nets):
    rows = rows_of("edge_npu", "systolic_ws", "-n", nets["mixed"], "--unsupported", "error")
    assert rows[0]["layers"] == 4
    assert rows[1]["reason"].startswith("layer 'r1' cannot run: ")


def test_a_key_may_be_set_on_every_machine_or_on_one(nets):
    both = rows_of("systolic_ws", "systolic_os", "-n", nets["mixed"], "--set", "params.rows=16")
    one = rows_of("systolic_ws", "systolic_os", "-n", nets["mixed"], "--set", "systolic_os:params.rows=16")
    plain = rows_of("systolic_ws", "systolic_os", "-n", nets["mixed"])
    assert one[0]["cycles"] == plain[0]["cycles"] != both[0]["cycles"]
    assert one[1]["cycles"] == both[1]["cycles"] != plain[1]["cycles"]


def test_a_second_matrix_is_taken(tmp_path):
    first, second = "rmat:n=32,nnz=90,seed=1", "rmat:n=32,nnz=60,seed=2"
    rows = rows_of("gamma", "sparch", "-n", first, "--matrix-b", second)
    for row in rows:
        alone = accelsim.simulate(row["arch"], accelsim.load_network(first, matrix_b=second))
        assert row["cycles"] == alone.cycles != accelsim.simulate(row["arch"], first).cycles
    assert [row["macs"] for row in rows] == [32**3] * 2


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--base", "eyeris"], "--base: no machine is called 'eyeris'; did you mean 'eyeriss'?"),
        (["--incomplete", "most"], "Invalid value for '--incomplete': 'most' is not one of"),
        (["--set", "params.rows"], "--set: 'params.rows' has no '='"),
        (["--set", "tpu:params.rows=3"], "--set: tpu:params.rows: 'tpu' is not compared"),
        (["--energy-table", "54nm"], "no energy table is called '54nm'"),
        (["--energy-table", "65nm", "--node", "28"], "--node: 28 nm has an energy table of its own"),
        (["--node", "0"], "Invalid value for '--node': 0.0 is not in the range x>0."),
        (["--node", "500"], "energy.node: cannot scale to or from 500 nm"),
        (["--density", "none.yaml"], "none.yaml: cannot be read"),
        (["--precision", "none.yaml"], "none.yaml: cannot be read"),
        (["--mapping", "none.yaml"], "none.yaml: cannot be read"),
        (["--operands", "none.npz"], "none.npz"),
        (["--matrix-b", "none.mtx"], "--matrix-b: "),
        (["--batch", "0"], "Invalid value for '--batch'"),
        (["--format", "xml"], "Invalid value for '--format'"),
        (["--seed", "x"], "Invalid value for '--seed'"),
    ],
)
def test_a_wrong_option_is_one_line(capsys, nets, args, message):
    found = refused(capsys, "systolic_ws", "eyeriss", "-n", nets["mixed"], "--format", "json", *args)
    assert message in found


def test_a_machine_named_twice_is_refused_and_two_of_one_name_are_told_apart(capsys, nets, tmp_path):
    assert "machine 'eyeriss' is named twice" in refused(capsys, "eyeriss", "eyeriss", "-n", nets["dense"])
    assert "network 'alexnet' is named twice" in refused(capsys, "systolic_ws", "-n", "alexnet", "alexnet")
    paths = []
    for folder, rows in (("a", 8), ("b", 16)):
        (tmp_path / folder).mkdir()
        paths.append(tmp_path / folder / "mine.yaml")
        paths[-1].write_text(yaml.safe_dump({"base": "systolic_ws", "params": {"rows": rows}}))
    assert [row["arch"] for row in rows_of(*paths, "-n", nets["dense"])] == list(map(str, paths))
    assert [row["speed_up"] for row in rows_of(*paths, "-n", nets["dense"], "--base", paths[1])][1] == 1


def test_a_wrong_way_to_compare_is_refused_in_python(nets):
    with pytest.raises(ConfigError, match="'most' is no way to compare; use common, show, drop"):
        compare(["systolic_ws"], [nets["dense"]], incomplete="most")
    with pytest.raises(ConfigError, match="nothing to compare"):
        compare([], [nets["dense"]])


# --- forms


def test_every_format_comes_out(nets):
    for style in ("json", "csv", "markdown"):
        text = run("systolic_ws", "systolic_os", "-n", nets["mixed"], nets["dense"], "--format", style)
        assert "systolic_os" in text.replace("\\", "")
        if style == "json":
            assert [list(row) for row in json.loads(text)["rows"]] == [list(COLUMNS)] * 4
            assert set(json.loads(text)["geometric_means"]) == {"speed_up", "energy_gain", "edp_gain"}
        if style == "csv":
            rows = list(csv.DictReader(io.StringIO(text)))
            assert list(rows[0]) == [*COLUMNS, "machine"]
            assert [row["machine"] for row in rows] == 2 * [
                "32 x 32 pes, 1,000 MHz, 8-bit, 25.6 GB/s", "32 x 32 pes, 1,000 MHz, 8-bit, 25.6 GB/s"
            ]  # fmt: skip


def test_a_table_writes_its_files_beside_runs_and_names_what_was_set(nets, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = run("systolic_ws", "eyeriss", "-n", nets["dense"], "--batch", "2", "--node", "28", "--base", "eyeriss")
    folder = "reports/out/compare-systolic_ws-eyeriss-dense-energy.node=28.0-base=eyeriss-batch=2"
    assert f"table, picture and page: {folder}" in unwrapped(text.splitlines())
    names = {path.name for path in (tmp_path / folder).iterdir()}
    assert names == {"compare.csv", "compare.md", "compare.html", "compare.png", "compare.json"}
    data = json.loads((tmp_path / folder / "compare.json").read_text())
    assert data["base"] == "eyeriss"
    assert (tmp_path / folder / "compare.png").read_bytes().startswith(b"\x89PNG")
    assert "batch: 2" in (tmp_path / folder / "compare.html").read_text()


def test_other_formats_write_files_only_where_told(nets, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = set(tmp_path.iterdir())
    run("systolic_ws", "-n", nets["dense"], "--format", "json")
    assert set(tmp_path.iterdir()) == before
    json.loads(run("systolic_ws", "-n", nets["dense"], "--format", "json", "-o", tmp_path / "o"))
    assert (tmp_path / "o" / "compare.json").is_file()


@pytest.mark.parametrize("width", [40, 60, 80, 100, 120, 160])
def test_at_every_width_names_are_whole_and_columns_that_go_are_named(nets, width):
    machines = ["edge_npu", "systolic_ws_128", "eyeriss", "bitfusion_stripes", "scnn"]
    found = compare(machines, [nets["mixed"], nets["dense"]])
    lines = shown(found, width)
    assert max(map(len, lines)) <= width
    for name in machines:
        assert sum(line.startswith(f"{name} ") for line in lines) >= 2
    assert "…" not in "".join(lines)
    left_out = next((line for line in lines if line.startswith("too narrow for: ")), "")
    heads = unwrapped(lines)
    for name, word in (("area", "mm2"), ("TOPS/W", "TOPS"), ("DRAM", "DRAM")):
        assert name in unwrapped(lines[lines.index(left_out) :]) if left_out and word not in heads else True, name
    if width >= 80:
        assert "speed-" in heads
        assert "EDP" in heads
    if width <= 60:
        assert left_out


def test_controls_in_names_are_shown_and_not_obeyed(tmp_path):
    path = tmp_path / "n.yaml"
    path.write_text(DENSE)
    network = accelsim.load_network(str(path))
    machine = accelsim.load_arch("systolic_ws")
    found = compare([machine], [network])
    row = found.rows[0]
    strange = type(found)((type(row)(**{**vars(row), "arch": "a\nb\x1b[31m|<b>"}),), "a\nb\x1b[31m|<b>")
    assert any(line.startswith("a\\nb\\x1b[31m|<b> ") for line in shown(strange))
    assert "a b\\\\x1b\\[31m\\|\\<b> |" in texts.to_markdown(strange)
    page = to_html(strange, {})
    assert "<b>" not in page
    assert "&lt;b&gt;" in page
    assert json.loads(texts.to_json(strange))["rows"][0]["arch"] == "a\nb\x1b[31m|<b>"


def test_the_picture_labels_every_bar_with_its_figure_and_gain(nets):
    found = compare(["systolic_ws", "eyeriss", "scnn"], [nets["mixed"], nets["dense"]])
    figure = plots.comparison_figure(found)
    assert len(figure.axes) == 6
    time = [text.get_text() for text in figure.axes[0].texts]
    for label, row in zip(time, found.by_network["mixed"], strict=True):
        assert label.startswith(texts.si(row.over.time_s, "s"))
    assert time[1].endswith(f"({texts.times(found.gain(found.rows[1], 'speed_up'))})")
    assert figure.axes[3].texts[2].get_text() == "did not run"
    assert [tick.get_text() for tick in figure.axes[0].get_yticklabels()] == ["systolic_ws", "eyeriss", "scnn"]
    titles = [axes.get_title(loc="left") or axes.get_title() for axes in figure.axes[:3]]
    assert [title.removesuffix(" (log scale)") for title in titles] == ["time", "energy", "energy-delay product"]
    assert plots.png(figure) == plots.png(plots.comparison_figure(found))


def test_the_picture_takes_a_log_scale_only_where_small_bars_would_vanish(nets):
    far = plots.comparison_figure(compare(["systolic_ws_128", "eyeriss"], [nets["mixed"]])).axes
    near = plots.comparison_figure(compare(["systolic_ws", "systolic_os"], [nets["mixed"]])).axes
    for axes in (*far, *near):
        assert axes.get_xscale() == (
            "log" if "log scale" in (axes.get_title(loc="left") + axes.get_title()) else "linear"
        )
    assert near[0].get_xscale() == "linear"


# --- the page


def test_the_page_has_the_same_layers_side_by_side_and_loads_nothing(nets):
    found = compare(["edge_npu", "systolic_ws"], [nets["mixed"], nets["dense"]], incomplete="common")
    page = to_html(found, {"seed": 0})
    assert to_html(found, {"seed": 0}) == page
    assert not re.search(r"""(src|href)=["'](?!#)""", page)
    assert not re.search(r"(https?:)?//[\w.]+\.\w", page)
    for name in ("c1", "c2", "f", "f1", "f2"):
        assert f'<th scope="row">{name}</th>' in page
    assert '<th scope="row">r1</th>' not in page
    for head in ("edge_npu: time", "systolic_ws: by cause", "systolic_ws: by class", "edge_npu: bound by"):
        assert f">{head}</th>" in page
    assert "Resolved configuration of systolic_ws (YAML)" in page


def test_layers_that_a_machine_did_not_run_say_so_on_the_page(nets):
    page = to_html(compare(["edge_npu", "systolic_ws"], [nets["mixed"]], incomplete="show"), {})
    line = page.split('<th scope="row">r1</th>')[1].split("</tr>")[0]
    assert line.count("not run") == 1


def test_energy_by_class_is_all_of_the_energy(nets):
    for name in ("edge_npu", "eyeriss", "scnn", "bitfusion", "gamma"):
        network = "rmat:n=32,nnz=90,seed=1" if name == "gamma" else nets["mixed"]
        row = compare([name], [network]).rows[0]
        found = classes.by_class(row.over.energy_pj, classes.of_result(row.over))
        assert sum(found.values()) == pytest.approx(row.over.total_energy_pj)
        assert found["DRAM"] == row.over.energy_pj["dram"]
        assert found["leakage"] == row.over.energy_pj["leakage"]
        assert found["arithmetic"] > 0
    kinds = {"m": "mac", "v": "alu", "r": "register_file", "l": "link", "s": "sram", "dram": "dram"}
    energies = {"m": 1.0, "v": 2.0, "r": 4.0, "l": 8.0, "s": 16.0, "dram": 32.0, "leakage": 64.0, "new": 128.0}
    of = {name: classes.OF_KIND[kind] for name, kind in kinds.items()} | {"leakage": "leakage"}
    assert classes.by_class(energies, of) == {
        "arithmetic": 3, "registers": 4, "links": 8, "buffers": 16, "DRAM": 32, "leakage": 64, "other": 128
    }  # fmt: skip


def test_the_public_name_is_there_and_completion_sees_it():
    asked = ["systolic_ws_8"], ["alexnet"]
    assert accelsim.compare(*asked).to_rows() == compare(*asked).to_rows()
    assert {"compare", "Comparison", "simulate", "load_arch", "UserError"} <= set(dir(accelsim))
