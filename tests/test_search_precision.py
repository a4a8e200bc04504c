"""Search for widths: costs are the simulator's, methods against brute force, files that run, and mistakes."""

import json
from itertools import product

import numpy as np
import pytest
from click.testing import CliRunner

import accelsim
from accelsim.cli import app, main
from accelsim.config.yamlfile import parse
from accelsim.errors import WorkloadError
from accelsim.explore.precision.search import search
from accelsim.explore.precision.space import PrecisionSpace
from accelsim.passes.precision import dump_precision
from accelsim.passes.quantize import Settings
from accelsim.workload.yaml_network import build

TABLE = """\
name: table
isolated: true
layers:
  - {name: conv, kind: conv2d, c: 16, k: 32, h: 14, w: 14, r: 3, s: 3, pad: 1}
  - {name: again, kind: conv2d, c: 16, k: 32, h: 14, w: 14, r: 3, s: 3, pad: 1}
  - {name: fc, kind: linear, c: 512, k: 96}
"""
GRAPH = """\
name: graph
isolated: false
inputs: [image]
layers:
  - {name: conv1, kind: conv2d, c: 8, k: 16, h: 8, w: 8, r: 3, s: 3, pad: 1, inputs: [image], outputs: [a]}
  - {name: relu1, kind: elementwise, op: relu, shape: [1, 16, 8, 8], inputs: [a], outputs: [b]}
  - {name: left, kind: conv2d, c: 16, k: 16, h: 8, w: 8, r: 1, s: 1, inputs: [b], outputs: [c]}
  - {name: right, kind: conv2d, c: 16, k: 16, h: 8, w: 8, r: 3, s: 3, pad: 1, inputs: [b], outputs: [d]}
  - {name: add, kind: elementwise, op: add, shape: [1, 16, 8, 8], operand_shapes: [[1, 16, 8, 8], [1, 16, 8, 8]],
     inputs: [c, d], outputs: [e]}
  - {name: last, kind: conv2d, c: 16, k: 8, h: 8, w: 8, r: 1, s: 1, inputs: [e], outputs: [f]}
"""
WIDTHS = (2, 4, 8)


def space(text=TABLE, machine="loom", widths=WIDTHS, settings=Settings(limits="mse"), **more):  # noqa: B008
    return PrecisionSpace(accelsim.load_arch(machine), build(parse(text, "n.yaml")), widths, settings, **more)


@pytest.fixture(scope="module")
def table():
    return space()


def every(space):
    return np.array(list(product(range(len(space.widths)), repeat=len(space.knobs))))


@pytest.mark.parametrize(("text", "machine"), [(TABLE, "loom"), (TABLE, "pragmatic"), (GRAPH, "edge_npu")])
def test_costs_are_those_of_a_run_with_the_profile(tmp_path, text, machine):
    found = space(text, machine)
    (tmp_path / "n.yaml").write_text(text)
    rng = np.random.default_rng(0)
    for choice in rng.integers(0, len(WIDTHS), (3, len(found.knobs))):
        costs = found.costs(choice)
        (tmp_path / "p.yaml").write_text(dump_precision(found.network, found.types(choice), "test"))
        result = accelsim.simulate(
            machine, str(tmp_path / "n.yaml"), precision=tmp_path / "p.yaml", schedule="isolated"
        )
        assert costs.cycles[0] == result.cycles
        assert costs.energy_pj[0] == pytest.approx(result.total_energy_pj, rel=1e-12)


def test_layers_that_are_alike_are_simulated_once_per_widths():
    found = space()
    found.costs(every(found)[::7])
    assert found.simulated == 2 * len(WIDTHS) ** 2
    found.costs(every(found))
    assert found.simulated == 2 * len(WIDTHS) ** 2


def test_noise_adds_up_over_the_tensors_and_more_bits_are_less(table):
    widest, narrowest = table.costs([[2] * 6, [0] * 6]).noise
    assert widest < 0.01 < narrowest
    one = np.array([2, 2, 2, 2, 2, 0])
    assert table.costs(one).noise[0] == pytest.approx(
        widest + table.knobs[5].noise[0] - table.knobs[5].noise[2], rel=1e-12
    )
    assert sum(table.tensor_noise(one).values()) == pytest.approx(table.costs(one).noise[0], rel=1e-12)


def test_the_noise_of_a_tensor_counts_for_every_layer_that_reads_it():
    found = space(GRAPH, "edge_npu")
    once = found.tensor_noise([0] * 7)
    assert found.knobs[2].noise[0] == 2 * once["b"]
    assert found.knobs[0].noise[0] == once["image"]


def test_the_size_is_that_of_the_filters(table):
    (size,) = table.costs([[0] * 6]).size_bits
    assert size == 2 * (2 * 16 * 32 * 9 + 512 * 96)


@pytest.mark.parametrize(
    "budgets", [{"cycles": 0.5}, {"energy_pj": 0.7}, {"size_bits": 0.4}, {"cycles": 0.6, "energy_pj": 0.8}]
)
def test_the_exact_method_equals_brute_force_and_the_others_come_near(table, budgets):
    limits = {name: share * table.widest(name) for name, share in budgets.items()}
    costs = table.costs(every(table))
    inside = np.all([getattr(costs, name) <= most for name, most in limits.items()], axis=0)
    least = costs.noise[inside].min()
    found = {m: search(table, limits, m, next(iter(limits)), points=3).best for m in ("exact", "evolution", "greedy")}
    assert found["exact"].noise == pytest.approx(least, rel=1e-9)
    assert least <= found["evolution"].noise * (1 + 1e-12)
    assert found["evolution"].noise <= found["greedy"].noise <= 1.6 * least
    for point in found.values():
        assert all(getattr(point, name) <= most for name, most in limits.items())


def test_the_front_is_undominated_and_no_worse_than_any_uniform_width(table):
    found = search(table, {}, "evolution", "energy_pj", points=4)
    assert found.best is None
    energy, noise = [p.energy_pj for p in found.front], [p.noise for p in found.front]
    assert energy == sorted(energy)
    assert noise == sorted(noise, reverse=True)
    for uniform in found.uniform:
        assert any(p.energy_pj <= uniform.energy_pj and p.noise <= uniform.noise for p in found.front)


def test_a_seed_gives_the_same_again(table):
    limits = {"cycles": 0.4 * table.widest("cycles")}
    first, again = (search(table, limits, "evolution", points=3, seed=4) for _ in range(2))
    assert first == again


def test_tensors_that_only_memory_bound_layers_read_follow_what_comes_of_them():
    found = space(GRAPH, "edge_npu")
    assert [knob.name for knob in found.knobs] == [
        "image", "conv1.weight", "b", "left.weight", "right.weight", "e", "last.weight",
    ]  # fmt: skip
    names = {name: {found.knobs[i].name for i in knobs} for name, knobs in found.bound.items()}
    assert (names["a"], names["c"], names["d"]) == ({"b"}, {"e"}, {"e"})
    assert "f" not in names
    types = found.types([2, 2, 0, 2, 2, 1, 2])
    assert (types["a"].bits, types["b"].bits, types["d"].bits) == (2, 2, 4)


def test_together_gives_inputs_and_filters_one_width():
    found = space(GRAPH, "edge_npu", together=True)
    assert [knob.tensors for knob in found.knobs] == [
        ("image", "conv1.weight"), ("b", "left.weight", "right.weight"), ("e", "last.weight"),
    ]  # fmt: skip


def test_widths_that_the_machine_does_not_run_cost_infinitely_much():
    found = space(machine="bismo", widths=(4, 8, 12))
    cycles = found.costs(np.array([[0] * 6, [1] * 6, [2] * 6])).cycles
    assert np.isfinite(cycles).tolist() == [True, True, False]
    best = search(found, {"cycles": float(cycles[1])}, "evolution", points=3).best
    assert max(best.choice) == 1
    with pytest.raises(WorkloadError, match="no layer of 'table' that multiplies runs on 'bismo' at 12, 16 bits"):
        space(machine="bismo", widths=(12, 16))


def test_a_network_without_products_for_the_machine_is_refused():
    text = "name: n\nisolated: true\nlayers: [{name: r, kind: elementwise, op: relu, shape: [1, 8]}]\n"
    with pytest.raises(WorkloadError, match="no layer of 'n' that multiplies runs on 'loom'"):
        space(text)


def test_given_numbers_decide_noise_and_the_time_of_machines_that_skip_bits():
    sparse = np.zeros((1, 512))
    sparse[0, 0] = 1.0
    even, odd = (space(machine="pragmatic", given={"fc.input": x}) for x in (np.ones((1, 512)), sparse))
    widest = np.full(6, 2)
    assert odd.costs(widest).cycles[0] < even.costs(widest).cycles[0]
    assert odd.knobs[4].noise.tolist() == [0, 0, 0]


def run(tmp_path, *args):
    (tmp_path / "n.yaml").write_text(TABLE)
    return CliRunner().invoke(
        app, ["search", "precision", "loom", str(tmp_path / "n.yaml"), "--widths", "2,4,8", "--points", "3", *args],
        catch_exceptions=False,
    )  # fmt: skip


def test_the_command_writes_a_profile_that_meets_the_budget_and_a_picture(tmp_path):
    files = ["-o", str(tmp_path / "p.yaml"), "--plot", str(tmp_path / "f.png")]
    done = run(tmp_path, "--budget", "cycles=50%", "--format", "json", *files)
    document = json.loads(done.stdout)
    result = accelsim.simulate("loom", str(tmp_path / "n.yaml"), precision=tmp_path / "p.yaml")
    assert result.cycles == document["best"]["cycles"] <= document["budgets"]["cycles"]
    assert [layer["name"] for layer in document["best"]["layers"]] == ["conv", "again", "fc"]
    assert sum(layer["noise_share"] for layer in document["best"]["layers"]) == pytest.approx(1)
    assert (tmp_path / "f.png").read_bytes().startswith(b"\x89PNG")
    assert run(tmp_path, "--budget", "cycles=50%", "--format", "json").stdout == done.stdout


def test_the_table_shows_the_assignment_uniform_widths_and_the_front(tmp_path):
    text = run(tmp_path, "--budget", "time_ms=0.05", "--budget", "size_kib=20", "--method", "exact").stdout
    assert "found by exact" in text
    assert "all 4 bits" in text
    assert "front: greedy" in text
    assert run(tmp_path, "--format", "csv").stdout.startswith("origin,cycles,energy_pj,size_bits,noise,sqnr_db\n")


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--budget", "cycles=1"], "--budget: cycles of 1 cannot be met; the narrowest widths need "),
        (["--budget", "cylces=5"], "--budget: 'cylces=5' is no budget; write QUANTITY=VALUE or =VALUE%, of cycles, "),
        (["--budget", "cycles=-5%"], "'cycles=-5%' is no budget"),
        (["--budget", "cycles=50%", "--budget", "time_ms=1"], "'time_ms=1' limits what another budget limits"),
        (["--widths", "8-2"], "--widths: '8-2' are no widths; give 2-8 or 2,4,8, from 1 to 16"),
        (["--widths", "2,17"], "from 1 to 16"),
        (["-o", "p.yaml"], "-o: without a budget there is no best assignment to write; add --budget cycles=50%"),
        (["--budget", "cycles=50%", "-o", "p.txt"], "p.txt: the file must end in .yaml; choose another name"),
        (["--plot", "p.pdf"], "p.pdf: the file must end in .png"),
    ],
)
def test_a_mistake_is_one_line(tmp_path, capsys, monkeypatch, args, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "n.yaml").write_text(TABLE)
    with pytest.raises(SystemExit) as stopped:
        main(["search", "precision", "loom", "n.yaml", "--widths", "2,4,8", *args])
    assert stopped.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert words in said
    assert said.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["n.yaml"]
