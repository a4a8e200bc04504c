"""Searches: the same designs whatever the workers and interruptions, and honest about their distance."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner
from sweep_files import SLOWLY, SPACE, listens, rows_in, table, wait_for, write_space

import accelsim
from accelsim.cli import app
from accelsim.errors import ConfigError
from accelsim.explore.search import design as search
from accelsim.explore.search.design import Settings
from accelsim.explore.sweep import identity, store
from accelsim.explore.sweep import run as sweep
from accelsim.explore.sweep.grid import Grid
from accelsim.explore.sweep.schema import read_sweep

BUDGET = 90


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder of the space, with a store of all its points."""
    folder = tmp_path_factory.mktemp("space")
    sweep.run(write_space(folder), folder / "all.db", workers=0)
    return folder


@pytest.fixture(scope="module")
def undisturbed(whole):
    """Method -> (what it found, the rows of its store)."""
    found = {}
    for method in ("nsga2", "cma", "random"):
        path = whole / f"{method}.db"
        end = search.run(whole / "space.yaml", path, Settings(method, BUDGET), against=whole / "all.db", workers=0)
        found[method] = (end, table(path))
    return found


def command(*words, code=0):
    done = CliRunner().invoke(app, ["search", "design", *map(str, words)])
    assert done.exit_code == code, done.output
    return done.output


def front_of(path):
    """Return the different points of the front of a sweep's store, found by comparing all with all."""
    with store.open_reader(path) as opened:
        values = {(r["cycles"], r["area_mm2"]) for r in opened.rows() if r["status"] == "ok"}
    return {a for a in values if not any(b != a and b[0] <= a[0] and b[1] <= a[1] for b in values)}


def test_a_small_space_is_run_whole_and_its_front_is_that_of_the_sweep(tmp_path, whole):
    said = command(write_space(tmp_path), "--store", tmp_path / "s.db", "--budget", 324, "--workers", 0)
    assert "324 designs tried of 360 (324 of them legal), 324 points simulated" in said
    assert "exhaustive: the budget covers all legal designs, so all were run and the front is exact" in said
    found = search.run(tmp_path / "space.yaml", tmp_path / "s.db", Settings(budget=324), workers=0)
    assert {design.values for design in found.front} == front_of(whole / "all.db")
    assert found.simulated == 0


@pytest.mark.parametrize("method", ["nsga2", "cma"])
def test_workers_do_not_change_a_search(tmp_path, undisturbed, method):
    path = write_space(tmp_path)
    found = search.run(path, tmp_path / "two.db", Settings(method, BUDGET), workers=2)
    assert table(tmp_path / "two.db") == undisturbed[method][1]
    assert found.front == undisturbed[method][0].front


@pytest.mark.parametrize("method", ["nsga2", "cma"])
def test_numpys_global_generator_is_neither_read_nor_moved(tmp_path, undisturbed, method):
    np.random.seed(5)
    search.run(write_space(tmp_path), tmp_path / "s.db", Settings(method, BUDGET), workers=0)
    assert np.random.random() == np.random.RandomState(5).random()
    assert table(tmp_path / "s.db") == undisturbed[method][1]


def test_a_killed_search_goes_on_to_the_same_end(tmp_path, undisturbed):
    path, db = write_space(tmp_path), tmp_path / "s.db"
    words = ["space.yaml", "--store", "s.db", "--budget", str(BUDGET), "--workers", "1"]
    ours = os.pathsep.join((os.path.dirname(os.path.dirname(accelsim.__file__)), os.path.dirname(__file__)))
    environment = {**os.environ, "PYTHONPATH": ours}
    for send, wanted in ((signal.SIGKILL, 10), (signal.SIGINT, 45)):
        process = subprocess.Popen(
            [sys.executable, "-c", SLOWLY, "search", "design", *words], cwd=tmp_path, env=environment,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, preexec_fn=listens,
        )  # fmt: skip
        wait_for(lambda wanted=wanted: rows_in(db) >= wanted, process)
        process.send_signal(send)
        said = process.communicate(timeout=60)[1]
        assert rows_in(db) < BUDGET, "it was over before it was stopped"
    assert process.returncode == 130
    assert "the same command goes on from there" in said
    assert "Traceback" not in said
    stored = rows_in(db)
    found = search.run(path, db, Settings("nsga2", BUDGET), against=None, workers=0)
    assert found.simulated == BUDGET - stored
    assert table(db) == undisturbed["nsga2"][1]
    assert found.front == undisturbed["nsga2"][0].front


def test_a_larger_budget_goes_on_from_a_smaller_one(tmp_path, undisturbed):
    path, db = write_space(tmp_path), tmp_path / "s.db"
    search.run(path, db, Settings("cma", 50), workers=0)
    found = search.run(path, db, Settings("cma", BUDGET), workers=0)
    assert found.simulated == BUDGET - 50
    assert table(db) == undisturbed["cma"][1]


def test_a_method_that_proposes_nothing_new_is_ended_and_that_is_said(tmp_path, monkeypatch):
    class Stubborn:
        def ask(self):
            return np.zeros((3, 5), dtype=np.int64)

        def tell(self, designs, values):
            assert len({tuple(row) for row in values.tolist()}) == 1

    monkeypatch.setattr(search.optimise, "make", lambda method, task: Stubborn())
    said = command(write_space(tmp_path), "--store", tmp_path / "s.db", "--budget", 9, "--workers", 0)
    assert "1 designs tried of 360" in said
    assert "ended before the budget was spent: the method proposed nothing new for many generations" in said


def test_another_seed_is_another_search(tmp_path, undisturbed):
    search.run(write_space(tmp_path), tmp_path / "s.db", Settings("nsga2", BUDGET, seed=1), workers=0)
    assert table(tmp_path / "s.db") != undisturbed["nsga2"][1]


@pytest.mark.parametrize("method", ["nsga2", "cma", "random"])
def test_no_design_that_breaks_a_constraint_is_tried(whole, undisturbed, method):
    assert undisturbed[method][0].tried == BUDGET
    with store.open_reader(whole / f"{method}.db") as opened:
        rows = list(opened.rows())
    assert len(rows) == BUDGET
    assert {r["status"] for r in rows} == {"ok"}
    assert all(r["params.rows"] * r["params.cols"] <= 256 for r in rows)


def test_the_distance_is_that_of_the_definition(whole, undisturbed):
    exact = front_of(whole / "all.db")
    for method, (found, _) in undisturbed.items():
        ours = {design.values for design in found.front}
        assert (found.distance.exact, found.distance.missed) == (len(exact), len(exact - ours)), method
        factor = max(min(max(a / b for a, b in zip(o, e, strict=True)) for o in ours) for e in exact)
        assert found.distance.factor == pytest.approx(factor)
        assert found.distance.hypervolume == pytest.approx(_area(ours, exact) / _area(exact, exact))


def _area(points, exact):
    """Return what two-dimensional points dominate up to 1.1 times the worst of the exact front, by slices."""
    limit = [1.1 * max(e[i] for e in exact) for i in (0, 1)]
    total, last = 0.0, limit[1]
    for x, y in sorted(points):
        if x < limit[0] and y < last:
            total += (limit[0] - x) * (last - y)
            last = y
    return total


def test_a_store_that_knows_the_whole_space_says_how_far_a_search_is(whole, tmp_path):
    db = tmp_path / "s.db"
    db.write_bytes((whole / "all.db").read_bytes())
    found = search.run(whole / "space.yaml", db, Settings("random", 30), workers=0)
    assert found.simulated == 0
    assert found.distance.exact == len(front_of(whole / "all.db"))
    with store.open_reader(db) as opened:
        assert len(list(opened.rows())) == 30


def test_a_store_of_less_than_the_whole_space_is_no_measure(tmp_path, whole, monkeypatch):
    path = write_space(tmp_path)
    search.run(path, tmp_path / "part.db", Settings("random", 30), workers=0)
    with pytest.raises(ConfigError, match="lacks 294 of the 324 legal designs"):
        search.run(path, tmp_path / "s.db", Settings(budget=9), against=tmp_path / "part.db", workers=0)
    monkeypatch.setattr(identity, "model_version", lambda: "9.9+other")
    monkeypatch.setattr(search, "model_version", lambda: "9.9+other")
    with pytest.raises(ConfigError, match="they do not compare"):
        search.run(path, tmp_path / "s.db", Settings(budget=9), against=whole / "all.db", workers=0)
    assert not (tmp_path / "s.db").exists()


def test_objectives_of_several_networks_are_geometric_means(tmp_path):
    text = SPACE.replace("[./one.yaml]", "[./one.yaml, ./two.yaml]").replace(
        "params.rows: [2, 3,", "params.rows: [2]\n#"
    )
    path = write_space(tmp_path, text)
    (tmp_path / "two.yaml").write_text((tmp_path / "one.yaml").read_text().replace("k: 32", "k: 999"))
    found = search.run(path, tmp_path / "s.db", Settings(budget=99, objectives=("cycles",)), workers=0)
    best = found.front[0]
    with store.open_reader(tmp_path / "s.db") as opened:
        rows = [r for r in opened.rows() if all(r[key] == value for key, value in best.axes)]
    assert [r["network"] for r in rows] == ["./one.yaml", "./two.yaml"]
    assert best.values == (pytest.approx((rows[0]["cycles"] * rows[1]["cycles"]) ** 0.5),)


def test_a_design_that_leaves_out_layers_is_not_compared(tmp_path):
    text = (
        "name: two\nmachines: [systolic_ws, edge_npu]\nnetworks: [./one.yaml]\n"
        "axes: {memory.dram.gb_per_s: [1, 2, 4]}\nobjectives: [cycles]\n"
    )
    path = write_space(tmp_path, text)
    (tmp_path / "one.yaml").write_text(
        (tmp_path / "one.yaml").read_text()
        + "  - {name: p, kind: pool, op: max, c: 8, h: 8, w: 8, r: 2, s: 2, stride: 2}\n"
    )
    found = search.run(path, tmp_path / "s.db", workers=0)
    assert {design.points[0].machine for design in found.front} == {"edge_npu"}
    assert (found.tried, found.partial) == (6, 3)


def test_what_cannot_be_mapped_is_counted_and_never_on_the_front(tmp_path):
    text = SPACE.replace("params.dataflow: [ws, os, is]", "mapping.fixed: [{}, {order: none}]")
    found = search.run(write_space(tmp_path, text), tmp_path / "s.db", Settings("nsga2", 60), workers=0)
    assert 0 < found.unmapped < 60
    assert all(dict(design.axes)["mapping.fixed"] == {} for design in found.front)


def test_a_space_too_large_to_list_is_searched(tmp_path):
    axis = "{from: 1, to: 200, step: 1}"
    text = SPACE.replace("[2, 3, 4, 6, 8, 12, 16, 24, 32, 48]", axis).replace("{from: 2, to: 16, factor: 2}", axis)
    text = text.replace("gb_per_s: [1, 2, 4]", f"gb_per_s: {axis}")
    for method in ("nsga2", "cma", "random"):
        found = search.run(write_space(tmp_path, text), tmp_path / f"{method}.db", Settings(method, 50), workers=0)
        assert (found.space, found.legal, found.tried) == (24_000_000, None, 50)
        assert all(np.prod([dict(d.axes)[k] for k in ("params.rows", "params.cols")]) <= 256 for d in found.front)


def test_a_space_without_legal_designs_is_a_mistake(tmp_path):
    text = SPACE.replace("<= 256", "<= 3")
    with pytest.raises(ConfigError, match=r"space.yaml:9: constraints: no design of the space is legal"):
        search.run(write_space(tmp_path, text), tmp_path / "s.db", workers=0)
    assert not (tmp_path / "s.db").exists()


def test_legality_of_designs_is_that_of_the_sweep(whole):
    grid = Grid(read_sweep(whole / "space.yaml"))
    rng = np.random.default_rng(0)
    designs = np.stack([rng.integers(0, n, 60) for n in grid.sizes], axis=1)
    rows = [dict(mine[0].sets) for mine in grid.points(designs)]
    assert grid.legal(designs).tolist() == [r["params.rows"] * r["params.cols"] <= 256 for r in rows]
    assert [list(r.values()) for r in rows] == [
        [axis.steps[s][0] for axis, s in zip(grid.space.axes, d[1:], strict=True)] for d in designs
    ]


def test_the_command_prints_the_front_with_units_and_its_distance(tmp_path, whole, undisturbed):
    words = [whole / "space.yaml", "--store", tmp_path / "s.db", "--budget", BUDGET, "--workers", 0]
    said = command(*words, "--against", whole / "all.db")
    front = undisturbed["nsga2"][0].front
    head, first, *_ = said.splitlines()
    for name in ("machine", "params.rows", "memory.dram.gb_per_s", "cycles", "area (mm2)"):
        assert name in head
    assert first.split()[:2] == ["systolic_ws", str(dict(front[0].axes)["params.rows"])]
    assert f"{BUDGET} designs tried of 360 (324 of them legal)" in said
    assert "against the exact front: " in said
    assert "area leaves out clock, array, bus of systolic_ws" in said
    assert "'accelsim sweep" in command(*words[:3], "--budget", 9, "--workers", 0)
    rows = command(*words, "--format", "csv", "--objective", "cycles").splitlines()
    assert rows[0] == "machine,params.rows,params.cols,params.dataflow,memory.dram.gb_per_s,cycles"
    picture = tmp_path / "p.png"
    command_of_plot = CliRunner().invoke(app, ["plot", str(tmp_path / "s.db"), "pareto", "-o", str(picture)])
    assert command_of_plot.exit_code == 2, "one objective makes no front"
    command(*words)
    assert CliRunner().invoke(app, ["plot", str(tmp_path / "s.db"), "pareto", "-o", str(picture)]).exit_code == 0
    assert picture.stat().st_size > 10_000


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (Settings("hill"), "--method: no method 'hill'; known: nsga2, cma, random"),
        (Settings(budget=0), "--budget: a budget of 0; give at least 1 design"),
        (Settings(objectives=("speed",)), "--objective: no objective 'speed'; known: cycles, time_s"),
    ],
)
def test_wrong_settings_are_refused_before_anything_is_written(tmp_path, settings, message):
    with pytest.raises(ConfigError) as error:
        search.run(write_space(tmp_path), tmp_path / "s.db", settings, workers=0)
    assert message in str(error.value)
    assert not (tmp_path / "s.db").exists()


@pytest.mark.parametrize(("method", "package"), [("nsga2", "pymoo"), ("cma", "cma")])
def test_a_method_whose_package_is_missing_says_how_to_get_it(tmp_path, monkeypatch, method, package):
    for name in ("genetic", "evolution"):
        monkeypatch.delitem(sys.modules, f"accelsim.explore.search.{name}", raising=False)
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setitem(sys.modules, f"{package}.algorithms.moo.nsga2", None)
    with pytest.raises(ConfigError, match=r"needs the package .*; pip install 'accelsim\[search\]'"):
        search.run(write_space(tmp_path), tmp_path / "s.db", Settings(method, 9), workers=0)
