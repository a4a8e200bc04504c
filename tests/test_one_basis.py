"""One basis for every comparison: sweep, run, compare, pictures and pages agree, and say what they leave out."""

import json
import re

import pytest
from click.testing import CliRunner
from matplotlib.text import Text
from sweep_files import write

import accelsim
from accelsim.cli import app
from accelsim.comparison import compare
from accelsim.errors import ConfigError
from accelsim.explore.search import design as search
from accelsim.explore.sweep import choose, store
from accelsim.explore.sweep import run as sweep
from accelsim.explore.sweep.tables import SUMS
from accelsim.report import leaders, panels, plots, points
from accelsim.report.document import to_json
from accelsim.simulation import load_arch, load_network

MACHINES = ("edge_npu", "systolic_ws", "scnn", "eyeriss")
NETWORK = """\
name: {name}
source: made up for tests
isolated: true
layers:
  - {{name: conv, kind: conv2d, c: 8, h: 12, w: 12, k: {k}, r: 3, s: 3, pad: 1}}
  - {{name: pool, kind: pool, op: max, c: 16, h: 12, w: 12, r: 2, s: 2, stride: 2}}
  - {{name: fc, kind: linear, c: 64, k: 32}}
"""
SWEEP = f"name: mix\nquestion: Which?\nmachines: [{', '.join(MACHINES)}]\nnetworks: [./one.yaml, ./two.yaml]\n"
PART = {"edge_npu": "", "systolic_ws": "2 of 3 layers", "scnn": "1 of 3 layers", "eyeriss": "2 of 3 layers"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("basis")
    for name, k in (("one", 16), ("two", 64)):
        (path / f"{name}.yaml").write_text(NETWORK.format(name=name, k=k))
    sweep.run(write(path, SWEEP), path / "s.db", workers=0)
    for name in MACHINES:
        result = accelsim.simulate(load_arch(name), load_network(str(path / "one.yaml")))
        (path / f"{name}.json").write_text(to_json(result))
    return path


def shown(folder, incomplete="common"):
    return choose.of_store(folder / "s.db", None, None, incomplete).compared


def command(*words, code=0):
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == code, done.output
    return done.output


def texts(figure):
    return [t.get_text() for t in figure.findobj(Text) if t.get_text()]


# --- the same figures everywhere


CASES = [("edge_npu", "onnx:squeezenet"), ("systolic_ws", "onnx:bvlc_alexnet"), ("scnn", "mobilenet_v1_050_128")]


@pytest.mark.parametrize("network", sorted({network for _, network in CASES}))
def test_a_sweep_row_is_what_run_and_compare_give(network, tmp_path):
    machines = [name for name, _ in CASES]
    (tmp_path / "s.yaml").write_text(f"name: s\nmachines: [{', '.join(machines)}]\nnetworks: ['{network}']\n")
    sweep.run(tmp_path / "s.yaml", tmp_path / "s.db", workers=0)
    with store.open_reader(tmp_path / "s.db") as opened:
        rows = {row["machine"]: row for row in opened.rows()}
    beside = {row["arch"]: row for row in compare(machines, [network]).to_rows()}
    drawn = {p.label: p for p in choose.of_store(tmp_path / "s.db", None, None).compared.points}
    for name in machines:
        result = accelsim.simulate(load_arch(name), load_network(network))
        row, other = rows[name], beside[name]
        assert [row[key] for key in SUMS] == [getattr(result, key) for key in SUMS]
        assert {key: row[f"coverage_{key}"] for key in result.coverage} == result.coverage
        assert row["energy_pj"] == result.energy_pj
        over = row["common"] or row
        for key in ("macs", "cycles", "time_s", "total_energy_pj", "edp_pj_s", "dram_bits", "occupancy"):
            assert over[key] == other[key], (name, key)
        for key in ("cycles", "time_s", "total_energy_pj", "edp_pj_s", "dram_bits", "occupancy"):
            assert drawn[name].figures[key] == other[key], (name, key)
        for key in ("coverage_macs", "clock_mhz", "energy_table", "area_mm2"):
            assert row[key] == other[key], (name, key)
        assert (row["layers_simulated"], row["layers_needed"]) == (other["layers_run"], other["layers_in_all"])


# --- finding 1: nobody is crowned for layers that it skipped


def test_points_of_a_store_rank_over_the_layers_that_all_machines_simulate(folder):
    compared = shown(folder)
    assert all(point.ranks for point in compared.points)
    assert {point.figures["dram_bits"] > 0 for point in compared.points} == {True}
    for point in compared.points:
        result = accelsim.simulate(load_arch(point.label), load_network(str(folder / f"{point.network}.yaml")))
        assert point.figures["edp_pj_s"] == result.over({"conv"}).edp_pj_s
    assert compared.partial
    assert compared.notes == ("over the layers that all machines simulate: one, 1 of 3 layers; two, 1 of 3 layers",)


@pytest.mark.parametrize("kind", ["energy", "cycles", "shares"])
def test_bars_that_do_not_rank_are_hatched_and_say_their_part(folder, kind):
    compared = shown(folder, "show")
    figure = plots.parts_figure(compared, "t", kind)
    ax = figure.axes[0]
    (hatched,) = [c for c in ax.containers if c.get_label() == "_does not rank"]
    rows = [round(bar.get_y() + bar.get_height() / 2) for bar in hatched]
    assert [MACHINES[row] for row in rows] == ["systolic_ws", "scnn", "eyeriss"]
    assert {bar.get_hatch() for bar in hatched} == {panels.HATCH}
    for name in ("systolic_ws", "scnn", "eyeriss"):
        assert any(text.endswith(f"   {PART[name]}") for text in texts(figure))
    assert figure._suptitle.get_text() == "PARTIAL: t"


def test_the_hatched_bars_of_edp_are_no_baseline_and_never_green(folder):
    figure = plots.edp_figure(shown(folder, "show"), "t")
    ax = figure.axes[0]
    plain, hatched = ax.containers[:2]
    colours = [bar.get_facecolor()[:3] for bar in plain]
    assert len({bar.get_hatch() for bar in hatched} - {panels.HATCH}) == 0
    assert colours[1] == colours[2] == colours[3] != colours[0]
    assert plain[0].get_width() == 1
    assert sum("1 of 3 layers" in text for text in texts(figure)) == 2


def test_bars_that_span_more_than_a_decade_stand_on_a_logarithmic_axis_with_plain_numbers(folder):
    figure = plots.edp_figure(shown(folder), "t", ordered=True)
    ax = figure.axes[0]
    assert ax.get_xscale() == "log"
    widths = [bar.get_width() for bar in ax.containers[0]]
    assert widths == sorted(widths)
    assert max(widths) > 10 * min(widths)
    figure.canvas.draw()
    written = [t.get_text() for t in (*ax.get_xticklabels(), *ax.get_xticklabels(minor=True)) if t.get_text()]
    assert all(re.fullmatch(r"[0-9.,]+", text) for text in written)
    assert len(written) > 2


def test_a_hatched_point_is_on_no_front_and_named_with_its_part(folder):
    compared = shown(folder, "show")
    pair = ("time_s", "total_energy_pj")
    on = choose.on_front(compared.points, pair)
    assert {compared.points[i].label for i in on} == {"edge_npu"}
    figure = plots.pareto_figure(compared, on, pair, "t")
    ax = figure.axes[0]
    (apart,) = [c for c in ax.collections if c.get_label() == "other layers: does not rank"]
    assert len(apart.get_offsets()) == 3
    assert apart.get_hatch() == 2 * panels.HATCH
    assert "scnn (1 of 3 layers)" in texts(figure)
    assert ax.get_title(loc="left") == "one: 1 of 1 points is on the front"


def test_a_heat_map_takes_cells_that_do_not_rank_out_of_the_colours(folder):
    compared = shown(folder, "show")
    both = [p for p in compared.points if p.network == "one"]
    extra = [points.Shown(**{**vars(p), "axes": {**p.axes, "x": x}}) for p in both for x in (1, 2)]
    ax = plots.heatmap_figure(compared._replace(points=extra), ("machine", "x"), "time_s", "t").axes[0]
    assert ax.images[0].get_array().mask.sum() == 6
    assert sum("1 of 3 layers" in t.get_text() for t in ax.texts) == 2


def test_dropped_points_are_counted(folder):
    compared = shown(folder, "drop")
    assert {point.label for point in compared.points} == {"edge_npu"}
    assert compared.notes == ("left out: 6 that simulate other layers than those that rank",)


def test_the_page_says_partial_hatches_and_names_the_part(folder, tmp_path):
    command("report", folder / "s.db", "-o", tmp_path / "common.html")
    text = (tmp_path / "common.html").read_text()
    assert "<h1>PARTIAL: Which?</h1>" in text
    assert "Over the layers that all machines simulate: one, 1 of 3 layers; two, 1 of 3 layers." in text
    assert '<circle class="hatched"' not in text
    command("report", folder / "s.db", "-o", tmp_path / "show.html", "--incomplete", "show")
    text = (tmp_path / "show.html").read_text()
    # three of each network's four points; the panel of means has none
    assert text.count('<circle class="hatched"') == 6
    assert re.search(r'<pattern id="hatch1"', text)
    assert re.search(r'<circle class="hatched" [^>]*fill="url\(#hatch1\)"', text)
    assert ">scnn (1 of 3 layers)</text>" in text
    assert "Hatched: points that simulate other layers" in text


def test_an_export_says_who_ranks_what_was_left_out_and_the_shared_sums(folder, tmp_path):
    for incomplete in ("common", "show", "drop"):
        command("export", folder / "s.db", "-o", tmp_path / f"{incomplete}.csv", "--incomplete", incomplete)
    import csv

    def read(name):
        return list(csv.DictReader((tmp_path / f"{name}.csv").open()))

    common, show, drop = map(read, ("common", "show", "drop"))
    assert [row["ranks"] for row in common] == ["true"] * 8
    assert [row["ranks"] for row in show] == ["true"] * 2 + ["false"] * 6
    assert [row["machine"] for row in drop] == ["edge_npu"] * 2
    assert [row["not_simulated"] for row in common[::2]] == ["", "pool", "pool fc", "pool"]
    assert common[4]["common.cycles"] == common[4]["cycles"]
    assert int(common[0]["common.cycles"]) < int(common[0]["cycles"])
    assert "common.cycles" not in show[0]


# --- finding 2: reports side by side


def reports(folder):
    return [folder / f"{name}.json" for name in MACHINES]


def test_reports_side_by_side_rank_over_shared_layers_and_say_their_tables(folder):
    from accelsim.report.reader import read_report

    compared = points.of_results([read_report(path) for path in reports(folder)])
    assert compared.notes == ("over the 1 of 3 layers that all machines simulate",)
    assert "the energy tables differ (16nm, 45nm, 65nm)" in compared.said(["edp_pj_s"])[1]
    assert compared.said(["time_s"]) == list(compared.notes)
    assert compared.objectives(["cycles", "dram_bits"]) == ["time_s", "dram_bits"]
    figure = plots.pareto_figure(compared, {0}, ("time_s", "total_energy_pj"), compared.titled("4 reports"))
    assert "time (us)" in texts(figure)
    assert any("the energy tables differ" in text for text in texts(figure))


def test_reports_priced_alike_say_nothing_of_tables(folder, tmp_path):
    from accelsim.report.reader import read_report
    from accelsim.repricing import repriced

    alike = points.of_results([repriced(read_report(path), "45nm") for path in reports(folder)])
    assert not any("tables differ" in note for note in alike.said(["edp_pj_s"]))
    command("plot", *reports(folder), "edp", "-o", tmp_path / "p.png", "--energy-table", "45nm")


def test_reports_of_one_machine_are_told_apart_by_what_differs(folder):
    network = load_network(str(folder / "one.yaml"))
    made = [accelsim.simulate(load_arch("systolic_ws", [("params.rows", rows)]), network) for rows in (8, 16)]
    assert [p.label for p in points.of_results(made).points] == ["systolic_ws, rows 8", "systolic_ws, rows 16"]
    assert [p.label for p in points.of_results([made[0], made[0]]).points] == ["systolic_ws #1", "systolic_ws #2"]


def test_time_stands_for_cycles_where_clocks_differ(folder, tmp_path):
    compared = shown(folder)
    assert compared.objectives(["cycles", "total_energy_pj"]) == ["time_s", "total_energy_pj"]
    ax = plots.parts_figure(compared, "t", "cycles").axes[0]
    assert ax.get_xlabel() == "time (us), by what the units do"
    point = compared.points[0]
    ends = [sum(bar.get_width() for bar in row) for row in zip(*ax.containers, strict=True)]
    assert ends[0] == pytest.approx(point.figures["time_s"] * 1e6)
    text = SWEEP.replace("edge_npu, systolic_ws, scnn, eyeriss", "systolic_ws").replace("./two.yaml", "./one.yaml")
    text = text.replace("networks: [./one.yaml, ./one.yaml]", "networks: [./one.yaml]")
    text += "axes:\n  clocks_mhz.core: [100, 400]\nobjectives: [cycles, dram_bits]\n"
    (tmp_path / "one.yaml").write_text(NETWORK.format(name="one", k=16))
    sweep.run(write(tmp_path, text), tmp_path / "s.db", workers=0)
    chosen = choose.of_store(tmp_path / "s.db", None, None).compared
    assert chosen.objectives(["cycles", "dram_bits"]) == ["time_s", "dram_bits"]
    found = search.run(tmp_path / "sweep.yaml", tmp_path / "f.db", search.Settings(budget=9), workers=0)
    assert found.objectives == ("time_s", "dram_bits")
    assert [dict(design.axes)["clocks_mhz.core"] for design in found.front] == [400]


# --- finding 13: one machine for all networks


def test_means_over_networks_are_of_ratios_to_the_best_or_to_a_base(folder):
    compared = shown(folder)
    edp = {(p.label, p.network): p.figures["edp_pj_s"] for p in compared.points}
    best = {network: min(edp[name, network] for name in MACHINES) for network in ("one", "two")}
    hand = {name: (edp[name, "one"] / best["one"] * edp[name, "two"] / best["two"]) ** 0.5 for name in MACHINES}
    assert points.over_networks(compared.points, "edp_pj_s") == pytest.approx(hand)
    based = points.over_networks(compared.points, "edp_pj_s", "scnn")
    assert based == pytest.approx({name: hand[name] / hand["scnn"] for name in MACHINES})
    figure = plots.edp_figure(compared, "t", base="scnn")
    last = figure.axes[-1]
    assert last.get_title(loc="left") == "all networks (geometric mean), over the baseline's"
    assert [bar.get_width() for bar in last.containers[0]] == pytest.approx([based[name] for name in MACHINES])


def test_the_last_lines_of_a_sweep_name_the_best_designs_and_cut_no_name(folder, tmp_path):
    compared = shown(folder)
    lines = leaders.lines(compared, ["area_mm2"], width=80)
    assert lines[0] == "PARTIAL: least energy-delay product"
    assert max(map(len, lines)) <= 80
    ranked = sorted(MACHINES, key=lambda name: next(
        p.figures["edp_pj_s"] for p in compared.points if p.label == name and p.network == "one"))  # fmt: skip
    start = lines.index("one")
    assert [line.split()[-1] for line in lines[start + 1 : start + 4]] == ranked[:3]
    start = next(i for i, line in enumerate(lines) if line.startswith("all networks (geometric mean)"))
    means = points.over_networks(compared.points, "edp_pj_s")
    assert [line.split()[-1] for line in lines[start + 1 :]] == list(means)[:3]
    assert any("area leaves out array.clock" in line for line in lines)  # finding 21
    long = compared._replace(points=[points.Shown(**{**vars(p), "label": f"{p.label}, {'rows 16, ' * 12}"})
                                     for p in compared.points])  # fmt: skip
    wide = leaders.lines(long, width=80)
    assert max(map(len, wide)) <= 80
    assert " ".join(" ".join(wide).split()).count("rows 16") == 12 * 9
    out = command("sweep", folder / "sweep.yaml", "--store", folder / "s.db", "--workers", 0)
    assert "all networks (geometric mean), over the best of each" in out
    out = command("sweep", folder / "sweep.yaml", "--store", folder / "s.db", "--workers", 0, "--base", "scnn")
    assert "all networks (geometric mean), over scnn" in out


def test_pictures_and_pages_with_area_say_what_it_leaves_out(folder, tmp_path):
    compared = shown(folder)
    said = compared.said(["area_mm2"])[-1]
    parts = "array.clock, array.links, array.bus, vector.clock, vector.links of edge_npu"
    assert said.startswith(f"area leaves out {parts}; clock, array, bus of systolic_ws")
    figure = plots.pareto_figure(compared, set(), ("time_s", "area_mm2"), "t")
    assert any("area leaves out" in text for text in texts(figure))
    command("report", folder / "s.db", "-o", tmp_path / "p.html")
    assert "Area leaves out array.clock" in (tmp_path / "p.html").read_text()


# --- finding 12: one form of names in a picture


def test_long_names_become_columns_of_one_form():
    axes = [{"machine": "m", "params.rows": r, "params.input_kib": 128, "params.weight_kib": w} for r, w in
            ((8, 64), (128, 8))]  # fmt: skip
    label = "a name of {} that is longer than what a row of bars has room for"
    some = [points.Shown(label.format(a["params.rows"]), "n", a, {"edp_pj_s": 1.0}) for a in axes]
    heads, names = panels._names({"n": some})
    assert heads == "rows  weight_kib"
    assert names == [["   8          64", " 128           8"]]
    short = [points.Shown("short", "n", a, {}) for a in axes]
    assert panels._names({"n": short}) == ("", [["short", "short"]])


# --- prices


def test_a_sweep_is_priced_by_a_named_table_or_node_and_these_are_axes_too(folder, tmp_path):
    (tmp_path / "one.yaml").write_text(NETWORK.format(name="one", k=16))
    text = SWEEP.replace("networks: [./one.yaml, ./two.yaml]", "networks: [./one.yaml]")
    path = write(tmp_path, text)
    assert "tables differ" in command("sweep", path, "--store", tmp_path / "own.db", "--workers", 0).replace("\n", " ")
    for option, value, table in (("--energy-table", "28nm", "28nm"), ("--node", "65", "65nm")):
        out = command("sweep", path, "--store", tmp_path / "s.db", "--workers", 0, option, value)
        assert "tables differ" not in out
        with store.open_reader(tmp_path / "s.db") as opened:
            rows = list(opened.rows())
            said = json.loads(opened.meta()["sweep"])["set"]
        assert {row["energy_table"] for row in rows} == {table}
        assert said
    text += "axes:\n  energy.table: [45nm, 28nm]\n"
    sweep.run(write(tmp_path, text, "axis.yaml"), tmp_path / "a.db", workers=0)
    with store.open_reader(tmp_path / "a.db") as opened:
        assert [row["energy_table"] for row in opened.rows()] == ["45nm", "28nm"] * 4


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["sweep", "axis.yaml", "--store", "x.db", "--energy-table", "45nm"],
         "axis.yaml:3: axes.energy.table: 'energy.table' is varied by axis 'energy.table'; drop the axis"),
        (["sweep", "sweep.yaml", "--store", "x.db", "--energy-table", "46nm"], "no energy table is called '46nm'"),
        (["sweep", "sweep.yaml", "--store", "x.db", "--node", "0"], "--node"),
        (["sweep", "sweep.yaml", "--store", "x.db", "--incomplete", "some"], "--incomplete"),
        (["sweep", "sweep.yaml", "--store", "x.db", "--workers", "0", "--base", "tpu_v1"],
         "--base: no design 'tpu_v1'; name one of them: edge_npu; systolic_ws; scnn; eyeriss"),
        (["plot", "s.db", "edp", "--base", "tpu_v1"], "--base: no design 'tpu_v1'"),
        (["plot", "s.db", "heatmap", "--base", "scnn"], "--base is for edp and pareto, not for heatmap."),
        (["plot", "s.db", "pareto", "--sort"], "--sort is for bars, not for pareto."),
        (["plot", "s.db", "edp", "--energy-table", "45nm"],
         "s.db: a store holds energies, not what was counted; sweep again with --energy-table into another store"),
        (["report", "s.db", "--node", "28"], "sweep again with --node into another store"),
        (["report", "scnn.json", "--incomplete", "drop"], "are for points of a store"),
        (["export", "s.db", "-o", "x.csv", "--incomplete", "none"], "--incomplete"),
    ],
)  # fmt: skip
def test_an_option_that_cannot_be_used_is_one_line(words, problem, folder, tmp_path, monkeypatch):
    (tmp_path / "axis.yaml").write_text(
        "name: s\naxes:\n  energy.table: [45nm]\nmachines: [scnn]\nnetworks: [alexnet]\n"
    )
    for name in ("one.yaml", "two.yaml", "sweep.yaml", "s.db", "scnn.json"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, words)
    said = f"{done.output}{done.exception or ''}"
    assert problem in said, said
    assert done.exit_code != 0


def test_a_machine_with_several_designs_is_no_base():
    some = [points.Shown(f"m, rows {r}", "n", {"machine": "m"}, {}) for r in (1, 2)]
    assert points.named(some, "m, rows 2") == "m, rows 2"
    with pytest.raises(ConfigError, match="'m' stands for 2 designs; name one of them: m, rows 1; m, rows 2"):
        points.named(some, "m")


def test_a_store_of_the_first_format_ranks_those_that_cover_most(folder, tmp_path):
    from test_sweep_shares import first_format

    old = first_format(folder / "s.db", tmp_path / "old.db")
    compared = choose.of_store(old, None, None).compared
    assert {p.label for p in compared.points if p.ranks} == {"edge_npu"}
    assert {p.part for p in compared.points if p.label == "scnn"} == {"33 % of layers"}
    assert len(compared.clocks) > 1
    command("plot", old, "edp", "-o", tmp_path / "p.png")
    command("report", old, "-o", tmp_path / "p.html")
