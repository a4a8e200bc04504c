"""Pictures of sweeps: what is drawn is what was found, with names and units; the commands around it."""

import json

import pytest
from click.testing import CliRunner
from matplotlib.text import Annotation, Text
from sweep_files import SWEEP, write

import accelsim
from accelsim.cli import app
from accelsim.errors import ConfigError
from accelsim.explore.sweep import choose, store
from accelsim.explore.sweep import run as sweep
from accelsim.report import plots, points, words
from accelsim.report.document import document, to_json
from accelsim.report.reader import read_report


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("plots")
    text = SWEEP.replace("[./tiny.yaml]", "[./tiny.yaml, ./twin.yaml]").replace(
        "name:", "question: How wide?\nname:", 1
    )
    write(path, text)
    (path / "twin.yaml").write_text((path / "tiny.yaml").read_text().replace("k: 32", "k: 640"))
    sweep.run(path / "sweep.yaml", path / "s.db", workers=0)
    return path


@pytest.fixture(scope="module")
def rows(folder):
    with store.open_reader(folder / "s.db") as opened:
        return list(opened.rows())


@pytest.fixture(scope="module")
def shown(rows):
    return points.of_rows(rows, ["params.rows", "params.cols"])


def texts(figure):
    return [t.get_text() for t in figure.findobj(Text) if t.get_text()]


def command(*words, code=0):
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == code, done.output
    return done.output


def test_points_are_named_by_what_varies(shown):
    assert len(shown) == 30
    assert shown[0].label == "rows 2, cols 2"
    assert {p.network for p in shown} == {"tiny", "twin"}


def test_edp_bars_are_ratios_to_the_first_point(shown):
    for ax, network in zip(plots.edp_figure(points.Compared(shown), "t").axes, ("tiny", "twin"), strict=False):
        mine = [p for p in shown if p.network == network]
        ratios = [p.figures["edp_pj_s"] / mine[0].figures["edp_pj_s"] for p in mine]
        assert [bar.get_width() for bar in ax.patches] == pytest.approx(ratios)
        assert [t.get_text() for t in ax.get_yticklabels()] == [p.label for p in mine]
        assert ax.get_xlabel() == "energy-delay product over the baseline's (ratio, less is better)"
        assert ax.get_title(loc="left").startswith(f"{network}: the baseline (grey) has ")
        assert ax.get_title(loc="left").endswith(" s")


@pytest.mark.parametrize(
    ("kind", "total", "axis"),
    [
        ("energy", "total_energy_pj", "energy (uJ), by component"),
        ("cycles", "cycles", "cycles (k), by what the units do"),
        ("shares", "", "share of unit-cycles (%), by what the units do"),
    ],
)
def test_stacked_bars_sum_to_the_total(shown, kind, total, axis):
    ax = plots.parts_figure(points.Compared(shown), "t", kind).axes[0]
    mine = [p for p in shown if p.network == "tiny"]
    sums = [0.0] * len(mine)
    for container in ax.containers:
        for i, bar in enumerate(container):
            sums[i] += bar.get_width()
    factor = {"energy": 1e-6, "cycles": 1e-3}.get(kind)
    assert sums == pytest.approx([p.figures[total] * factor if total else 100 for p in mine])
    assert ax.get_xlabel() == axis
    assert ("dram" if kind == "energy" else "DRAM stall") in texts(ax.get_legend())
    if kind == "shares":
        assert f" {words.percent(mine[0].figures['occupancy'])}" in texts(ax)


def test_the_front_is_marked_and_every_point_of_it_is_named(shown):
    pair = ("cycles", "total_energy_pj")
    on = choose.on_front(shown, pair)
    for i, point in enumerate(shown):
        rivals = [p for p in shown if p.network == point.network]
        beaten = any(
            all(p.figures[o] <= point.figures[o] for o in pair) and any(p.figures[o] < point.figures[o] for o in pair)
            for p in rivals
        )
        assert (i in on) == (not beaten)
    figure = plots.pareto_figure(points.Compared(shown), on, pair, "t")
    for ax, network in zip(figure.axes, ("tiny", "twin"), strict=True):
        names = {p.label for i, p in enumerate(shown) if i in on and p.network == network}
        written = " ".join(t.get_text() for t in ax.findobj(Annotation))
        assert all(name in written for name in names)
        assert len(ax.collections[1].get_offsets()) == len(names)
        assert ax.get_xlabel().startswith("cycles")
        assert ax.get_ylabel() == "energy (uJ)"


def test_long_fronts_are_numbered_with_their_names_below(shown):
    figure = plots.pareto_figure(points.Compared(shown), range(30), ("cycles", "total_energy_pj"), "t")
    assert {"1", "15"} <= set(texts(figure))
    assert any(t.startswith("15  rows ") for t in texts(figure))


def test_a_heat_map_shows_the_figure_of_every_cell_and_frames_the_best(shown):
    mine = [p for p in shown if p.network == "tiny"]
    ax = plots.heatmap_figure(points.Compared(mine), ("params.rows", "params.cols"), "cycles", "t").axes[0]
    table = ax.images[0].get_array()
    assert table.shape == (4, 4)
    assert table.mask.sum() == 1
    point = next(p for p in mine if p.axes == {"machine": "systolic_ws", "params.rows": 4, "params.cols": 8})
    assert table[2, 1] == pytest.approx(point.figures["cycles"] / 1e3)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("rows", "cols")
    assert ax.get_title(loc="left") == "tiny: cycles (k)"
    best = min(mine, key=lambda p: p.figures["cycles"])
    frame = ax.lines[0]
    assert (sum(frame.get_xdata()[:4]) / 4, sum(frame.get_ydata()[:4]) / 4) == pytest.approx(
        ((2, 4, 8, 16).index(best.axes["params.rows"]), (2, 4, 8, 16).index(best.axes["params.cols"]))
    )


def test_conditions_choose_what_is_drawn(rows):
    assert len(choose.rows(rows, "./tiny.yaml", "params.rows == 4 and cycles > 0")) == 4
    with pytest.raises(ConfigError, match=r"not every point has 'params\.row'"):
        choose.rows(rows, None, "params.row == 4")
    with pytest.raises(ConfigError, match="no point has the network 'x'"):
        choose.rows(rows, "x", None)


def test_a_report_is_read_back_as_it_was_written(tmp_path):
    result = accelsim.simulate(accelsim.load_arch("edge_npu"), accelsim.load_network("alexnet"))
    (tmp_path / "report.json").write_text(to_json(result))
    assert result.layers
    assert document(read_report(tmp_path / "report.json")) == document(result)


@pytest.mark.parametrize("content", ["{", "[]", '{"schema": 99}', '{"schema": 1}'])
def test_what_is_no_report_is_said_so(tmp_path, content):
    (tmp_path / "r.json").write_text(content)
    with pytest.raises(ConfigError, match="report"):
        read_report(tmp_path / "r.json")


@pytest.mark.parametrize("kind", ["edp", "pareto", "breakdown", "account", "utilization", "heatmap"])
def test_every_kind_is_drawn_of_a_store(folder, tmp_path, kind):
    assert command("plot", folder / "s.db", kind, "-o", tmp_path / "p.png").strip() == str(tmp_path / "p.png")
    assert (tmp_path / "p.png").stat().st_size > 10_000


def test_reports_are_drawn_side_by_side(tmp_path):
    for name in ("systolic_ws", "systolic_os"):
        result = accelsim.simulate(accelsim.load_arch(name), accelsim.load_network("alexnet"))
        (tmp_path / f"{name}.json").write_text(to_json(result))
    both = tmp_path / "systolic_ws.json", tmp_path / "systolic_os.json"
    for kind in ("edp", "pareto", "account", "breakdown", "utilization"):
        command("plot", *both, kind, "-o", tmp_path / "p.png")
    for kind in ("roofline", "breakdown", "account", "utilization", "timeline"):
        command("plot", both[0], kind, "-o", tmp_path / "p.png")
    for kind in ("roofline", "timeline"):
        command("plot", *both, kind, "-o", tmp_path / "p.png", code=2)


def test_a_picture_without_a_name_lies_beside_its_report(tmp_path, monkeypatch):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "report.json").write_text(to_json(accelsim.simulate("systolic_ws", "alexnet", layers="fc8")))
    monkeypatch.chdir(tmp_path)
    assert command("plot", "out/report.json", "utilization") == "out/report-utilization.png\n"
    assert sorted(path.name for path in tmp_path.rglob("*.png")) == ["report-utilization.png"]
    assert (tmp_path / "out" / "report-utilization.png").exists()


def test_the_commands_sweep_export_and_merge(tmp_path):
    path = write(tmp_path)
    assert command("sweep", path, "--dry-run") == "16 points, 15 to run, 1 ruled out beforehand\n"
    for i in (1, 2):
        command("sweep", path, "--store", tmp_path / f"{i}.db", "--shard", f"{i}/2", "--workers", 0, "--keep", "layers")
    assert "7 points of the sweep have no result yet" in command("export", tmp_path / "1.db", "-o", tmp_path / "1.csv")
    merged = command("merge", tmp_path / "1.db", tmp_path / "2.db", "-o", tmp_path / "m.db")
    assert merged == f"16 points: {tmp_path}/m.db\n"
    command("export", tmp_path / "m.db", "-o", tmp_path / "m.csv")
    lines = (tmp_path / "m.csv").read_text().splitlines()
    assert len(lines) == 17
    assert lines[0].startswith("point,machine,network,params.rows,params.cols,status,reason,cycles,time_s,")
    assert lines[16] == (
        "15,systolic_ws,./tiny.yaml,16,16,excluded,constraint: params.rows * params.cols <= 128"
        + "," * (lines[0].count(",") - 6)
    )
    command("export", tmp_path / "m.db", "--layers", "-o", tmp_path / "l.csv")
    assert len((tmp_path / "l.csv").read_text().splitlines()) == 1 + 15 * 3
    assert command("sweep", path, "--store", tmp_path / "m.db", "--workers", 0).startswith(
        "16 points, 0 to run, 15 done"
    )


def test_an_export_to_parquet_holds_the_same_values(folder, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet", reason="the extra 'table' is not installed")
    command("export", folder / "s.db", "-o", tmp_path / "s.parquet")
    found = parquet.read_table(tmp_path / "s.parquet").to_pylist()
    with store.open_reader(folder / "s.db") as opened:
        assert [row["cycles"] for row in found] == [row["cycles"] for row in opened.rows()]


def test_json_in_a_store_keeps_the_order_of_the_axes(folder):
    with store.open_reader(folder / "s.db") as opened:
        axes = json.loads(opened.meta()["axes"])
    assert [axis["name"] for axis in axes] == ["params.rows", "params.cols"]


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["s.db", "pareto", "-o", "x.pdf"], "pictures are PNG files: end 'x.pdf' in .png."),
        (["s.db", "edp", "--x", "params.rows"], "--x is for a heatmap, not for edp."),
        (["report.json", "breakdown", "--where", "cycles > 1"], "--where is for stores: a report.json holds one run."),
    ],
)
def test_an_option_that_would_do_nothing_is_refused(words, problem, folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["plot", *[str(folder / w) if w == "s.db" else w for w in words]])
    assert done.exit_code == 2
    assert problem in done.output
    assert list(tmp_path.iterdir()) == []
