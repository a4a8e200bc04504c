"""Frozen figures: the same build has no differences, another figure is named with its old and new value."""

import pytest

from benchmarks.oracles import __main__ as oracles
from benchmarks.oracles import figures, frozen, plan
from benchmarks.oracles.plan import Run

POINTS = [
    plan._sweep("systolic_ws_8", "alexnet", {"params.rows": [4, 8], "mapping.objective": ["cycles", "energy"]}),
    plan._sweep("diannao", "alexnet", {"memory.dram.gb_per_s": [1, 10]}, options={"layers": "conv[45]"}),
]
RUNS = [
    Run("diannao", "alexnet", {"mapping.objective": "dram"}, {"layers": "conv5"}),
    Run("diannao", "alexnet", {"params.input_kib": 1}, {"layers": "conv1"}),
]


def few():
    yield from figures.points(POINTS)
    for run in RUNS:
        yield run.name, figures.report(run)


def test_every_packaged_machine_has_a_report_and_there_are_at_least_sixty():
    assert {run.machine for run in plan.RUNS} == set(plan.packaged.names("arch_configs"))
    assert len({run.name for run in plan.RUNS}) == len(plan.RUNS) >= 60


def test_the_same_build_has_the_same_bytes_and_no_difference(tmp_path):
    assert frozen.write(tmp_path / "a.gz", few()) == 8
    assert frozen.write(tmp_path / "b.gz", few()) == 8
    assert (tmp_path / "a.gz").read_bytes() == (tmp_path / "b.gz").read_bytes()
    assert list(frozen.differences(frozen.read(tmp_path / "a.gz"), few())) == []


def test_neither_version_nor_model_make_a_difference(tmp_path, monkeypatch):
    frozen.write(tmp_path / "a.gz", few())
    monkeypatch.setattr("accelsim.version.__version__", "9.9")
    monkeypatch.setattr("accelsim.report.document.__version__", "9.9")
    monkeypatch.setattr("accelsim.explore.sweep.run.model_version", lambda: "another", raising=False)
    assert list(frozen.differences(frozen.read(tmp_path / "a.gz"), few())) == []


def test_a_changed_constant_is_named_with_its_figures(tmp_path, monkeypatch):
    frozen.write(tmp_path / "a.gz", few())
    from accelsim.engines.diannao import engine

    def slower(*args):
        cost = plain(*args)
        return cost._replace(cycles=cost.cycles + 1)

    plain = engine.DianNao.cost
    monkeypatch.setattr(engine.DianNao, "cost", slower)
    found = [str(d) for d in frozen.differences(frozen.read(tmp_path / "a.gz"), few())]
    assert found
    assert all(line.startswith("diannao on alexnet") for line in found)
    report = [line for line in found if "layers=conv5: layers." in line and ".compute_cycles: " in line]
    assert len(report) == 1
    old, new = (int(x.replace(",", "")) for x in report[0].split(".compute_cycles: ")[1].split(" (")[0].split(" -> "))
    assert old < new
    assert any("memory.dram.gb_per_s=10: cycles: " in line for line in found)


def test_missing_and_new_figures_are_differences():
    lines = ['["a",{"x":1,"y":[1,2]}]\n', '["b",{"x":0.5}]\n']
    today = [("a", {"x": 1, "y": [1, 3], "z": None}), ("c", {"x": 2})]
    assert [str(d) for d in frozen.differences(lines, today)] == [
        "a: y[1]: 2 -> 3 (+50 %)",
        "a: z: nothing -> null",
        'c: all: nothing -> "new"',
        'b: all: "frozen" -> nothing',
    ]
    assert [str(d) for d in frozen.differences(lines[:1], [("a", {"y": [1, 2], "x": 1})])] == [
        'a: all: order of its keys: ["x", "y"] -> ["y", "x"]'
    ]
    assert [str(d) for d in frozen.differences(['["b",{"x":1}]\n'], [("b", {"x": 1.0})])] == ["b: x: 1 -> 1.0 (+0 %)"]


def test_the_command_says_by_its_status_whether_something_differs(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(oracles, "PARTS", {"points": lambda: iter([("p", {"cycles": cycles[0]})])})
    cycles = [10]
    assert oracles.main(["freeze", "--folder", str(tmp_path)]) == 0
    assert oracles.main(["check", "--folder", str(tmp_path)]) == 0
    cycles[0] = 11
    assert oracles.main(["check", "--folder", str(tmp_path)]) == 1
    assert "points: p: cycles: 10 -> 11 (+10 %)" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="2"):
        oracles.main(["check", "--folder", str(tmp_path / "nowhere")])
