"""Sums of two activations that join a product: which, when their loads come, what they cost, what they give."""

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from random import Random
from typing import get_args

import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from network_cases import random_network

import accelsim
from accelsim import network_time, posts, rooms
from accelsim.activity import Step, Transfer, flatten
from accelsim.cli import app
from accelsim.config.packaged import find
from accelsim.config.schema import PostOp
from accelsim.errors import ConfigError
from accelsim.explore.sweep import evaluate
from accelsim.explore.sweep.schema import OptionsSpec
from accelsim.memory import network as clock
from accelsim.memory.dram import DramModel
from accelsim.memory.network import Edge, Program
from accelsim.memory.network_reference import stepped
from accelsim.operands.layer_values import layer_reals
from accelsim.passes.fold import fold
from accelsim.report.document import to_json
from accelsim.report.reader import read_report
from accelsim.workload.layers import LayerView, Tensor
from accelsim.workload.nets.builder import Builder
from accelsim.workload.network import Network
from accelsim.workload.shapes import Matmul

L2 = yaml.safe_load(Path(find("arch_configs", "edge_npu_l2")[0]).read_text())
OPS = ("relu", "add", "affine", "residual")


def machine(ops=OPS, lanes=32, **buffer):
    values = json.loads(json.dumps(L2))
    values["units"][0]["post_ops"] = {"ops": list(ops), "lanes": lanes}
    values["memory"]["buffers"][0] |= buffer
    return accelsim.load_arch(values)


def ran(network, arch=None, **options):
    return accelsim.simulate(machine() if arch is None else arch, network, schedule="network", **options)


def network(build, name="n"):
    """Return a convolution of 8 x 12 x 12 to 8 channels, what ``build`` puts behind it, and a pooling."""
    b = Builder()
    b.pool("last", build(b, b.conv("conv1", b.input("x", 8, 12, 12), 8, 3)), "max", 2, 2)
    return Network(name, tuple(b.layers), b.tensors)


def block(b, x):
    """Return a residual block: relu(conv2(relu(x)) + relu(x))."""
    x = b.elementwise("relu1", "relu", x)
    return b.elementwise("relu2", "relu", b.elementwise("sum", "add", b.conv("conv2", x, 8, 3), x))


def own(result):
    """Return the layers that take time of their own."""
    return [layer for layer in result.layers if not layer.folded_into]


def hosts(network, arch=None, rule="hardware"):
    arch = machine() if arch is None else arch
    ready = accelsim.simulation.prepare(arch, network, None, None, None)
    return posts.folded_for(ready, rule, lambda view: arch.units[not view.macs]).hosts


# ------------------------------------------------------------------------------------------ who leaves


def later_of_two(b, x):
    x = b.elementwise("relu1", "relu", x)
    one, two = b.conv("one", x, 8, 3), b.conv("two", x, 8, 1)
    return b.elementwise("sum", "add", one, two)


def pooled_behind(b, x):
    y = b.conv("conv2", x, 8, 3)
    return b.elementwise("sum", "add", y, b.pool("pool", x, "max", 3, 1, pad=1))


def twice(b, x):
    y = b.elementwise("sum", "add", b.conv("conv2", x, 8, 3), x)
    return b.elementwise("more", "add", y, "x")


def read_elsewhere(b, x):
    y = b.conv("conv2", x, 8, 3)
    return b.elementwise("twice", "add", b.elementwise("sum", "add", x, y), b.pool("pool", y, "max", 3, 1, pad=1))


def small_other(b, x):
    y = b.average("average", x)
    return b.elementwise("sum", "add", b.conv("conv2", x, 8, 3), y)


LEAVES = {
    "block": (block, {"relu1": "conv1", "sum": "conv2", "relu2": "conv2"}),
    "later_of_two": (later_of_two, {"relu1": "conv1", "sum": "two"}),
    "input": (lambda b, x: b.elementwise("s", "sum", "x", x), {"s": "conv1"}),
    "pooled_behind": (pooled_behind, {}),
    "second": (twice, {"sum": "conv2"}),
    "read_elsewhere": (read_elsewhere, {}),
    "with_itself": (lambda b, x: b.elementwise("sum", "add", x, x), {}),
    "small_other": (small_other, {}),
    "another_operation": (lambda b, x: b.elementwise("mul", "mul", b.conv("conv2", x, 8, 3), x), {}),
    "three": (lambda b, x: b.elementwise("sum", "sum", b.conv("conv2", x, 8, 3), x, "x"), {}),
}


@pytest.mark.parametrize("name", LEAVES)
def test_a_sum_leaves_if_the_other_operand_is_there_when_the_host_begins(name):
    build, expected = LEAVES[name]
    assert hosts(network(build)) == expected


def test_a_machine_says_whether_it_adds_activations_and_a_plan_adds_none():
    assert hosts(network(block), machine(("relu", "add"))) == {"relu1": "conv1"}
    assert hosts(network(block), rule="weights") == {}
    assert hosts(network(block), rule="none") == {}
    assert fold(network(block)).hosts == {"relu1": "conv1"}
    assert [layer.name for layer in ran(network(block), fold="none").simulated] == [
        "conv1", "relu1", "conv2", "sum", "relu2", "last",
    ]  # fmt: skip


def test_an_operand_that_an_engine_keeps_by_itself_is_not_added():
    made = network(block)
    inside = made.with_tensors({"relu1.output": replace(made.tensors["relu1.output"], home="chip")})
    assert hosts(inside) == {}


@pytest.mark.parametrize(
    ("name", "layers", "left"), [("onnx:resnet50", 175, 118), ("net:resnet18", 68, 45), ("net:mobilenet_v2", 151, 97)]
)
def test_residual_additions_of_whole_networks_fold_and_what_follows_them_too(name, layers, left):
    """Layers of one input, additions, and the ReLUs behind those: 86 + 16 + 16; 20 + 9 + 8 + 8; 87 + 10."""
    given = accelsim.load_network(name)
    assert sum(not accelsim.workload.network.is_view(layer) for layer in given.layers) == layers
    assert len(hosts(given, machine(("relu", "clip6", "affine", "residual")))) == left


# ------------------------------------------------------------------------------------------ time


@pytest.mark.parametrize(
    ("home", "read", "write", "end", "dram_bits"), [(None, None, None, 34, 176), ("l2", 8, 4, 38, 80)]
)
def test_the_example_of_the_decision_takes_what_it_says(home, read, write, end, dram_bits):
    def step(w, x, c, s):
        return Step((Transfer("weight", "read", w), Transfer("input", "read", x)), c, (Transfer("output", "write", s),))

    a = rooms._Places((None,), home, False).step(step(16, 16, 10, 32))
    lanes = posts._Lanes(64, 8, 8)
    place = rooms._Places((home,), None, False, home)
    b = [place.step(tile) for tile in lanes.tiles((step(8, 16, 5, 16),) * 2)]
    tensor = Tensor("a", (4,), 8)
    view = LayerView("b", Matmul(1, 1, 1, 1), (tensor,), (replace(tensor, weight=True),), (tensor,), joins=(tensor,))
    made = network_time.made_by_others(view, {"a"})
    programs = [
        Program("array", "A", (a,), (), (), frozenset()),
        Program("array", "B", tuple(b), (Edge(0, "dram" if home is None else "l2.write"),), (), made),
    ]
    buses = {"dram": DramModel(Fraction(8), 0, 8), "l2.read": read and DramModel(Fraction(read), 0, 1),
             "l2.write": write and DramModel(Fraction(write), 0, 1)}  # fmt: skip
    assert clock.run(programs, buses).cycles == stepped(programs, buses).cycles == end
    assert lanes.added_cycles == 0
    assert sum(t.bits for tile in (a, *b) for t in (*tile.loads, *tile.stores) if t.place == "dram") == dram_bits


def test_the_other_operand_comes_in_runs_of_as_many_elements_as_are_stored():
    """5 results of 6 bits per run, 3 runs, and 2 more beside no computation; 10 bits are added to each."""
    stores, after = (Transfer("output", "write", 30, 3),), (Transfer("output", "write", 12),)
    spills = Step((), 4, (Transfer("psum", "write", 32),))
    (tile, spill) = posts._Lanes(8, 6, 10).tiles((Step((), 4, stores, (), after), spills))
    assert tile.loads == (Transfer("residual", "read", 50, 3), Transfer("residual", "read", 20))
    assert spill == spills


def joined(seed):
    """Return a random network whose tiles that store load as much again of another activation, and what waits."""
    programs, buses, prefetch = random_network(seed)
    rng = Random(seed)
    found, buses = [], buses | {"chip.read": rng.choice((None, DramModel(Fraction(3, 2), 0, 1)))}
    for program in programs:
        if program.schedule is None:
            found.append(program)
            continue
        width = rng.choice((1, 2, 3))
        schedule = posts._Lanes(4, 1, width).tiles(program.schedule)
        for before, after in zip(flatten(program.schedule), flatten(schedule), strict=True):
            results = [t.bits for t in (*before.stores, *before.after) if t.tensor == "output"]
            assert [t.bits for t in after.loads[len(before.loads) :]] == [width * bits for bits in results]
            assert after.compute_cycles == max(before.compute_cycles, -(-sum(results) // 4))
            assert after[2:] == before[2:]
        if rng.random() < 0.4:
            schedule = rooms._rehoused(schedule, rooms._Places((None,), None, False, "chip"), buses["dram"]).schedule
        made = {"psum", *(name for name in ("input", "residual") if rng.random() < 0.7)}
        found.append(replace(program, schedule=schedule, made=frozenset(made)))
    return found, buses, prefetch


@pytest.mark.parametrize("seed", range(100))
def test_events_are_what_stepping_gives_with_loads_of_other_operands(seed):
    programs, buses, prefetch = joined(seed)
    assert clock.run(programs, buses, prefetch) == stepped(programs, buses, prefetch)


def test_a_run_is_what_stepping_its_programs_gives():
    arch = machine(lanes=2, read_bits_per_cycle=24, write_bits_per_cycle=16)
    arch = arch.replace("memory.dram.gb_per_s", 3)
    for keep in ("exact", "none"):
        result = ran(network(block), arch, residency=keep, trace=True)
        folded = posts.folded_for(
            accelsim.simulation.prepare(arch, network(block), None, None, None), "hardware",
            lambda view: arch.units[not view.macs],
        ).network  # fmt: skip
        homes = rooms.homes(arch, folded, own(result), keep)
        moves = rooms.moves(folded, own(result), homes.places)
        programs = network_time.programs_of(folded, own(result), homes, moves)
        assert [program.layer for program in programs] == ["conv1", "conv2", "last"]
        assert "residual" in programs[1].made
        buses = {"dram": accelsim.layer.machine_view(arch).dram, **rooms.ports(arch)}
        assert stepped(programs, buses).cycles == result.cycles


def test_who_makes_the_other_operand_is_waited_for_and_a_network_input_is_not():
    """The other operand of the second product is pooled on the other unit; that of the third comes from outside."""
    b = Builder()
    side = b.pool("pool", b.input("y", 8, 12, 12), "max", 3, 1, pad=1)
    x = b.conv("conv1", b.input("x", 8, 12, 12), 8, 3)
    b.elementwise("sum1", "add", x, side)
    b.elementwise("sum2", "add", b.conv("conv2", "x", 8, 3), "x")
    made = Network("n", tuple(b.layers), b.tensors)
    arch = machine()
    result = ran(made, arch, trace=True, residency="none")
    folded = posts.folded_for(
        accelsim.simulation.prepare(arch, made, None, None, None), "hardware", lambda view: arch.units[not view.macs]
    ).network
    pool, one, two = network_time.programs_of(folded, own(result))
    assert (pool.producers, one.producers, two.producers) == ((), (Edge(0, "dram"),), ())
    assert (one.made, two.made) == ({"psum", "residual"}, {"psum"})
    spans = {time.name: time for time in result.schedule.layers}
    assert spans["conv1"].start_cycle > spans["pool"].end_cycle, "what it adds must be stored first"


# ------------------------------------------------------------------------------------------ traffic, energy, accounts


def test_traffic_and_operations_of_a_sum_are_those_of_its_other_operand_and_each_element_once():
    """8 x 12 x 12 results of 8 bits, in runs that are whole bursts or not."""
    for channels in (8, 5):
        b = Builder()
        x = b.conv("conv1", b.input("x", 8, 7, 7), channels, 3)
        b.elementwise("sum", "add", b.conv("conv2", x, channels, 3), x)
        made = Network("n", tuple(b.layers), b.tensors)
        result = ran(made, residency="none", trace=True)
        conv = result.layers[1]
        elements = channels * 49
        rows = {(row.tensor, row.direction): row.bits for row in conv.traffic if row.boundary == "dram"}
        assert rows["residual", "read"] == 8 * elements
        loads = [t for step in flatten(conv.tiles.schedule) for t in step.loads]
        assert conv.dram_read_bits == sum(conv.tiles.dram.bus_bits(t) for t in loads), "bursts too"
        assert conv.events["array.post_ops"] == {"add": elements}
        plain = accelsim.simulate(machine(), made, schedule="isolated")
        assert result.schedule.isolated_cycles == plain.cycles
        assert result.schedule.isolated_dram_bits == plain.dram_bits
        assert conv.details["dram_bits_without_post_ops"] == plain.layers[1].dram_bits
        assert conv.details["cycles_without_post_ops"] == plain.layers[1].cycles
        assert result.dram_bits == sum(layer.dram_bits for layer in result.simulated)
        for unit, kinds in result.schedule.accounts.items():
            for account in kinds.values():
                assert sum(account.causes.values()) == account.units * result.cycles, unit


def test_slow_lanes_take_time_by_the_rule_of_the_other_operations():
    fast, slow = (ran(network(block), machine(lanes=lanes)).layers for lanes in (1024, 1))
    conv = next(layer for layer in slow if layer.name == "conv2")
    before = next(layer for layer in fast if layer.name == "conv2")
    more = conv.compute_cycles - before.compute_cycles
    assert conv.compute_cycles >= 8 * 144
    assert conv.account["fill_drain"] - before.account.get("fill_drain", 0) == 1024 * more


def test_another_operand_in_a_buffer_passes_its_port_and_spares_dram():
    there, away = ran(network(block)), ran(network(block), residency="none")
    assert {kept.storage: (kept.first, kept.last) for kept in there.schedule.kept}["relu1.output"] == (0, 1)
    time = next(time for time in there.schedule.layers if time.name == "conv2")
    assert time.homes == {"relu1.output": "l2", "relu2.output": "l2"}
    bits = 8 * 8 * 144
    conv = next(layer for layer in there.layers if layer.name == "conv2")
    inputs = sum(row.bits for row in conv.traffic if (row.boundary, row.tensor) == ("dram", "input"))
    last = next(layer for layer in there.layers if layer.name == "last")
    pooled = sum(row.bits for row in last.traffic if (row.boundary, row.tensor) == ("dram", "input"))
    (buffer,) = there.schedule.buffers
    assert buffer.read_bits == inputs + bits + pooled
    assert buffer.written_bits == 2 * bits
    weights = sum(
        row.bits for layer in there.layers for row in layer.traffic
        if row.boundary == "dram" and row.tensor == "weight"
    )  # fmt: skip
    assert there.dram_read_bits == weights + 8 * 8 * 144
    assert there.dram_bits < away.dram_bits
    assert there.energy_pj["array.post_ops"] == away.energy_pj["array.post_ops"]


def test_another_operand_lives_until_it_is_added_also_where_nothing_else_of_its_reader_is_kept():
    """The pooled tensor waits over a convolution; what comes from outside and what leaves are in DRAM."""
    b = Builder()
    side = b.pool("pool", b.input("y", 8, 12, 12), "max", 3, 1, pad=1)
    b.conv("conv1", b.input("x", 8, 12, 12), 8, 3)
    b.elementwise("sum", "add", b.conv("conv2", "x", 8, 3), side)
    result = ran(Network("n", tuple(b.layers), b.tensors))
    (kept,) = result.schedule.kept
    assert (kept.storage, kept.first, kept.last) == ("pool.output", 0, 2)
    time = result.schedule.layers[2]
    assert time.homes == {"pool.output": "l2"}
    assert time.dram_bits == result.layers[2].details["dram_bits_without_post_ops"]
    (buffer,) = result.schedule.buffers
    assert buffer.read_bits == buffer.written_bits == 8 * 8 * 144


def test_whoever_overwrites_the_other_operand_waits_for_the_layer_that_adds_it():
    """Room for two tensors: what ``three`` writes lies where relu1 was, which a convolution reads and adds."""

    def build(b, x):
        return b.conv("four", b.pool("three", block(b, x), "max", 3, 1, pad=1), 8, 3)

    result = ran(network(build), machine(kib=3, word_bits=8))
    kept = {kept.storage: kept for kept in result.schedule.kept}
    assert kept["relu1.output"].address_bits == kept["three.output"].address_bits
    time = {time.name: time for time in result.schedule.layers}
    assert time["three"].start_cycle >= time["conv2"].end_cycle


# ------------------------------------------------------------------------------------------ values


def test_a_product_with_a_sum_gives_what_the_layers_give():
    made, rng = network(block), np.random.default_rng(7)
    truth = {n: rng.normal(size=t.shape) for n, t in made.tensors.items() if t.weight or n == "x"}
    given = dict(truth)
    for layer in made.layers:
        args = [truth[n] for n in layer.inputs], [truth[n] for n in layer.weights]
        truth[layer.outputs[0]] = layer_reals(made.view(layer), *args)
    arch = machine()
    ready = accelsim.simulation.prepare(arch, made, None, None, None)
    folded = posts.folded_for(ready, "hardware", lambda view: arch.units[not view.macs]).network
    for layer in folded.layers:
        found = layer_reals(folded.view(layer), [given[n] for n in layer.inputs], [given[n] for n in layer.weights])
        for view, post in zip(posts.views(folded, layer), layer.post, strict=True):
            found = layer_reals(view, [found, *(given[n] for n in post.inputs)], [])
        given[layer.outputs[0]] = found
    assert [layer.name for layer in folded.layers] == ["conv1", "conv2", "last"]
    assert np.array_equal(given["last.output"], truth["last.output"])


@pytest.mark.parametrize("workers", [1, 2])
def test_a_run_with_sums_is_checked_and_the_same_for_any_number_of_workers(workers, tmp_path):
    result = ran(network(block), check=True, workers=workers)
    assert {layer.checked for layer in own(result)} == {True}
    assert to_json(result) == to_json(ran(network(block), check=True))
    path = tmp_path / "report.json"
    path.write_text(to_json(result))
    assert to_json(read_report(path)) == path.read_text()


def test_another_operand_is_as_wide_as_it_is_and_layers_alike_but_for_it_are_not_taken_for_each_other():
    def build(b, x):
        y = b.elementwise("sum2", "add", b.conv("conv2", x, 8, 3), x)
        return b.elementwise("sum3", "add", b.conv("conv3", y, 8, 3), b.input("wide", 8, 12, 12))

    made = network(build)
    wide = made.with_tensors({"wide": replace(made.tensors["wide"], bits=16)})
    rows = {layer.name: [row.bits for row in layer.traffic if row.tensor == "residual"] for layer in ran(wide).layers}
    assert (rows["conv2"], rows["conv3"]) == ([8 * 8 * 144], [16 * 8 * 144])


# ------------------------------------------------------------------------------------------ around it


def test_a_point_of_a_sweep_adds_as_a_run_does():
    arch, made = machine(), network(block)
    context = evaluate.Context({"m": arch.document}, {"n": made}, Path(), columnar=True)
    seen = set()
    for ops in (OPS, ("relu",)):
        axis = (("units.array.post_ops.ops", list(ops)),)
        row = evaluate.run_point(context, evaluate.Job("", "m", "n", axis, OptionsSpec()))
        result = ran(made, machine(ops))
        assert row.totals["cycles"] == result.cycles
        assert row.totals["energy_pj"] == pytest.approx(result.energy_pj)
        assert set(row.ran.names) == {"conv1", "relu1", "conv2", "sum", "relu2", "last"}
        seen.add(result.cycles)
    assert len(seen) == 2


def test_what_could_be_added_is_said_where_it_could_be():
    plain = accelsim.simulate("edge_npu_l2", network(block))
    assert plain.joins == {"relu1": "conv1", "sum": "conv2", "relu2": "conv2"}
    assert accelsim.simulate("edge_npu_l2", network(pooled_behind)).joins == {}
    assert ran(network(block), machine(("relu",))).joins == {"sum": "conv2", "relu2": "conv2"}
    assert ran(network(block)).joins == {}
    assert accelsim.simulate(compressing(), network(block)).joins == {"relu1": "conv1"}


def compressing(**changes):
    """Return a machine that stores its results compressed."""
    values = json.loads(json.dumps(L2))
    params = accelsim.load_arch("scnn").config["params"]
    values["units"][0] = {"name": "pes", "engine": "scnn", "params": params, **changes}
    values["memory"].pop("buffers")
    values["units"][1].pop("rooms")
    values.pop("sources")
    return values


@pytest.mark.parametrize(
    ("change", "said"),
    [({"ops": ["residuals"], "lanes": 4}, "units.0.post_ops.ops.0"), ({"ops": "residual"}, "units.0.post_ops.ops")],
)
def test_an_operation_that_is_none_is_named(change, said):
    values = json.loads(json.dumps(L2))
    values["units"][0]["post_ops"] = change
    with pytest.raises(ConfigError, match=said):
        accelsim.load_arch(values)


def test_results_that_are_not_stored_one_after_the_other_are_not_added_to():
    adds = compressing(post_ops={"ops": ["relu", "residual"], "lanes": 4})
    with pytest.raises(ConfigError, match=r"what unit 'pes' stores of layer 'conv2' is not one result after the other"):
        accelsim.simulate(adds, network(block))
    assert accelsim.simulate(adds, network(block), fold="weights").complete


def test_set_show_and_schema_know_the_operation(tmp_path):
    arch = accelsim.load_arch("edge_npu_l2", [("units.array.post_ops", {"ops": ["residual"], "lanes": 8})])
    assert arch.config["units"][0]["post_ops"] == {"ops": ["residual"], "lanes": 8}
    done = CliRunner().invoke(app, ["schema", "arch"])
    assert done.exit_code == 0, done.output
    assert '"residual"' in done.output


@pytest.mark.parametrize("name", ["onnx:resnet50", "net:mobilenet_v2", "net:bert_base"])
def test_what_is_said_to_be_able_to_join_joins_on_a_machine_that_does_everything(name):
    said = accelsim.simulate("edge_npu_l2", name, schedule="isolated").joins
    found = accelsim.simulate(machine(get_args(PostOp)), name)
    assert {fold.layer: fold.host for fold in found.schedule.folded} == said
    assert found.joins == {}
