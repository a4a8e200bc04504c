"""Layers that join the products ahead of them in a run: which, what it takes, what it gives, what is refused."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import CliRunner

import accelsim
from accelsim import posts
from accelsim.activity import Loop, Step, Transfer, walk
from accelsim.cli import app
from accelsim.config.packaged import find
from accelsim.errors import ConfigError
from accelsim.explore.sweep import evaluate
from accelsim.explore.sweep.schema import OptionsSpec
from accelsim.operands.layer_values import layer_reals
from accelsim.passes.fold import fold, scaled
from accelsim.report import clocked, words
from accelsim.report.document import to_json
from accelsim.report.markdown import to_markdown
from accelsim.report.reader import read_report
from accelsim.workload.layers import LayerView
from accelsim.workload.nets.builder import Builder
from accelsim.workload.network import Network

L2 = yaml.safe_load(Path(find("arch_configs", "edge_npu_l2")[0]).read_text())


def values(lanes=32, ops=("relu", "clip6", "add", "affine")):
    found = json.loads(json.dumps(L2))
    found["units"][0]["post_ops"] = {"ops": list(ops), "lanes": lanes}
    return found


def machine(*args, **kwargs):
    return accelsim.load_arch(values(*args, **kwargs))


def ran(arch, network, **options):
    return accelsim.simulate(arch, network, schedule="network", **options)


def small(build=None):
    """Return a convolution of 3 x 16 x 16 to 8 channels, with what ``build`` puts behind it, and another one."""
    b = Builder()
    x = b.conv("conv1", b.input("x", 3, 16, 16), 8, 3, 1, pad=1)
    b.conv("conv2", x if build is None else build(b, x), 4, 1)
    return Network("small", tuple(b.layers), b.tensors)


def chain(b, x):
    x = b.norm("bn", b.elementwise("relu", "relu", b.norm("ahead", x)))
    return b.elementwise("bias", "add", x, constants=(b.constant("k", 1),))


def hosts(network, rule, arch=None):
    """Return what joins which layer how."""
    arch = machine() if arch is None else arch
    ready = accelsim.simulation.prepare(arch, network, None, None, None)
    found = posts.folded_for(ready, rule, lambda view: arch.units[view.kind != "conv2d"])
    return {post.name: post.into for layer in found.network.layers for post in layer.post}


@pytest.mark.parametrize(
    ("name", "weights", "lanes"),
    [("onnx:resnet50", 53, 33), ("onnx:inception_v1", 0, 57), ("net:mobilenet_v2", 52, 35)],
)
def test_as_many_layers_of_whole_networks_fold_in_a_run_as_in_a_plan(name, weights, lanes):
    ways = list(hosts(accelsim.load_network(name), "hardware").values())
    assert (ways.count("weights"), ways.count("lanes")) == (weights, lanes)
    assert list(hosts(accelsim.load_network(name), "weights").values()) == ["weights"] * weights
    assert hosts(accelsim.load_network(name), "none") == {}


def test_scaling_joins_weights_only_ahead_of_what_hardware_does():
    assert hosts(small(chain), "hardware") == {"ahead": "weights", "relu": "lanes", "bn": "lanes", "bias": "lanes"}
    assert hosts(small(chain), "weights") == {"ahead": "weights"}
    without = machine(ops=("relu", "add"))
    assert hosts(small(chain), "hardware", without) == {"ahead": "weights", "relu": "lanes"}  # bn ends the chain


def test_a_result_at_home_on_the_chip_passes_no_lanes():
    network = small(lambda b, x: b.elementwise("relu", "relu", x))
    inside = network.with_tensors(
        {n: replace(network.tensors[n], home="chip") for n in ("conv1.output", "relu.output")}
    )
    assert hosts(inside, "hardware") == {}


def test_a_folded_run_says_what_joined_what_and_what_that_saves(tmp_path):
    network = small(chain)
    result = ran(machine(), network)
    plain = accelsim.simulate(machine(), network, schedule="isolated")
    assert [(layer.name, layer.folded_into) for layer in result.layers] == [
        ("conv1", ""), ("ahead", "conv1"), ("relu", "conv1"), ("bn", "conv1"), ("bias", "conv1"), ("conv2", ""),
    ]  # fmt: skip
    assert result.layers[0].details["post_ops"] == "relu, bn, bias"
    alone = {layer.name: layer for layer in plain.layers}
    assert result.layers[0].cycles == alone["conv1"].cycles
    schedule = result.schedule
    assert [(fold.layer, fold.host, fold.into) for fold in schedule.folded] == [
        ("ahead", "conv1", "weights"), ("relu", "conv1", "lanes"), ("bn", "conv1", "lanes"), ("bias", "conv1", "lanes"),
    ]  # fmt: skip
    assert [factor.what for factor in schedule.factors[:2]] == ["layer by layer", "folded"]
    assert schedule.isolated_cycles == schedule.factors[0].cycles == plain.cycles
    assert schedule.factors[1].cycles == alone["conv1"].cycles + alone["conv2"].cycles == result.isolated_cycles
    assert schedule.isolated_dram_bits == plain.dram_bits
    assert clocked.folds(schedule) == ["conv1: ahead, relu, bn, bias"]
    assert "4 layers into the products ahead of them, 1 into weights and 3 by post" in to_markdown(result)
    path = tmp_path / "report.json"
    path.write_text(to_json(result))
    assert to_json(read_report(path)) == path.read_text()


def test_machines_that_fold_differently_are_compared_over_the_whole_network(tmp_path):
    path = tmp_path / "m.yaml"
    path.write_text(yaml.safe_dump({**values(), "name": "lanes"}))
    found = accelsim.compare(["edge_npu_l2", str(path)], ["onnx:squeezenet"])
    plain, lanes = found.rows
    assert [layer.name for layer in lanes.whole.layers] == [layer.name for layer in plain.whole.layers]
    assert len(lanes.whole.schedule.layers) < len(plain.whole.schedule.layers)
    for row in (plain, lanes):
        assert row.over.cycles == row.whole.schedule.cycles, "nothing is left out, so both are on their clocks"


def test_each_result_costs_its_operations_once():
    """8 x 16 x 16 results: relu a compare; scale and shift a product and a sum; a bias a sum."""
    conv = ran(machine(), small(chain)).layers[0]
    assert conv.events["array.post_ops"] == {"add": 2 * 2048, "mul": 2048, "compare": 2048}
    assert conv.energy_pj["array.post_ops"] > 0
    assert "array.post_ops" not in accelsim.simulate("edge_npu_l2", small()).layers[0].energy_pj
    assert accelsim.simulate(machine(), small()).area_mm2["array.post_ops"] > 0


def test_lanes_that_do_not_keep_up_hold_tiles_up_by_the_rule():
    """Tiles of 10 cycles that store 64 and 8 results of 8 bits, three times each, and one of 1 cycle with 3 results."""

    def step(cycles, results):
        return Step((), cycles, (Transfer("output", "write", 8 * results),))

    lanes = posts._Lanes(2, 8)
    found = lanes.tiles((Loop(3, (step(10, 64), step(10, 8))), step(1, 3)))
    assert [(tile.compute_cycles, times) for tile, times in walk(found, 1)] == [(32, 3), (10, 3), (2, 1)]
    assert lanes.added_cycles == 3 * 22 + 1


def test_a_slow_edge_takes_time_as_fill_and_drain_and_accounts_close():
    network = small(chain)
    fast, slow = (ran(machine(lanes=lanes), network).layers[0] for lanes in (1024, 1))
    more = slow.compute_cycles - fast.compute_cycles
    assert more > 0
    assert slow.compute_cycles >= 2048
    assert slow.details["cycles_without_post_ops"] == fast.cycles
    assert slow.accounts["pes"].causes["fill_drain"] - fast.accounts["pes"].causes.get("fill_drain", 0) == 1024 * more
    assert sum(slow.accounts["pes"].causes.values()) == 1024 * slow.cycles
    plain = accelsim.simulate(machine(), network, schedule="isolated")
    assert ran(machine(lanes=1), network).schedule.isolated_cycles == plain.cycles


def test_layers_one_after_another_fold_nothing():
    everything = ["conv1", "ahead", "relu", "bn", "bias", "conv2"]
    alone = accelsim.simulate(machine(), small(chain), schedule="isolated")
    assert [layer.name for layer in alone.layers] == everything
    assert [layer.name for layer in ran(machine(), small(chain), fold="none").layers] == everything


@pytest.mark.parametrize("fold", ["none", "weights", "hardware"])
def test_a_point_of_a_sweep_folds_as_a_run_does(fold):
    """What joined a layer counts among the layers that ran."""
    arch, network = machine(lanes=2), small(chain)
    context = evaluate.Context({"m": arch.document}, {"n": network}, Path(), columnar=True)
    row = evaluate.run_point(context, evaluate.Job("", "m", "n", (("schedule.fold", fold),), OptionsSpec()))
    result = ran(arch, network, fold=fold)
    assert row.totals["cycles"] == result.cycles
    assert row.totals["energy_pj"] == pytest.approx(result.energy_pj)
    assert set(row.ran.names) == {"conv1", "ahead", "relu", "bn", "bias", "conv2"}


@pytest.mark.parametrize("workers", [1, 2])
def test_values_of_products_are_checked_in_a_folded_run(workers):
    result = ran(machine(), small(chain), check=True, workers=workers)
    assert [layer.checked for layer in result.layers if not layer.folded_into] == [True, True]
    assert dict(words.totals(result))["values"] == "equal to the reference in 2 of 2 layers"


def test_a_folded_product_and_what_joined_it_give_what_the_layers_give():
    network, rng = small(chain), np.random.default_rng(5)
    given = {n: rng.normal(size=t.shape) for n, t in network.tensors.items() if t.weight or n == "x"}
    truth = dict(given)
    for layer in network.layers:
        view = network.view(layer)
        truth[layer.outputs[0]] = layer_reals(view, [truth[n] for n in layer.inputs], [truth[n] for n in layer.weights])
    ready = accelsim.simulation.prepare(machine(), network, None, None, None)
    folded = posts.folded_for(ready, "hardware", lambda view: machine().units[0]).network
    conv = folded.layers[0]
    bn, *rest = conv.post
    filters, bias = scaled(given[conv.weights[0]], *(given[name] for name in bn.weights))
    found = layer_reals(folded.view(conv), [given["x"]], [filters]) + bias.reshape(1, -1, 1, 1)
    for post in rest:
        tensor = folded.tensors[conv.outputs[0]]
        view = LayerView(post.name, post.shape, (tensor,), tuple(folded.tensors[n] for n in post.weights), (tensor,))
        found = layer_reals(view, [found], [given[n] for n in post.weights])
    assert np.allclose(found, truth[network.layers[-1].inputs[0]], rtol=1e-12, atol=1e-12)


def test_a_plan_asks_no_machine():
    assert {post.into for layer in fold(small(chain)).network.layers for post in layer.post} == {""}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"ops": ["relu", "softmax"], "lanes": 4}, "units.0.post_ops.ops.1"),
        ({"ops": [], "lanes": 4}, "units.0.post_ops.ops"),
        ({"ops": ["relu"], "lanes": 0}, "units.0.post_ops.lanes"),
        ({"ops": ["relu"]}, "units.0.post_ops.lanes"),
        ({"ops": ["relu"], "lanes": 4, "rate": 1}, "units.0.post_ops.rate"),
    ],
)
def test_post_ops_that_make_no_sense_are_named(change, said):
    wrong = values()
    wrong["units"][0]["post_ops"] = change
    with pytest.raises(ConfigError, match=said):
        accelsim.load_arch(wrong)


def test_a_unit_that_models_its_own_memory_has_none():
    view = accelsim.simulation.prepare(machine(), small(), None, None, None)
    unit, activity = machine().units[0], accelsim.activity.Activity(10, {}, {}, {}, None)
    first = view.view(view.layers[0])
    with pytest.raises(ConfigError, match=r"'array' models its own memory.*; remove post_ops from it"):
        posts.with_posts(activity, first, (first,), unit, {}, None)


def test_machines_show_what_they_do_on_the_way_out_and_take_it_by_set(tmp_path):
    assert all("post_ops" not in unit for unit in accelsim.load_arch("edge_npu_l2").config["units"])
    assert machine().config["units"][0]["post_ops"] == {"ops": ["relu", "clip6", "add", "affine"], "lanes": 32}
    file = tmp_path / "m.yaml"
    file.write_text(yaml.safe_dump(values()))
    done = CliRunner().invoke(app, ["show", str(file)])
    assert done.exit_code == 0, done.output
    assert "post_ops" in done.output


def test_a_network_that_does_not_run_whole_goes_layer_by_layer_and_folds_nothing():
    def build(b, x):
        return b.elementwise("relu", "relu", b.norm("bn", x))

    values_alone = values()
    values_alone["units"] = values_alone["units"][:1]  # nothing pools
    b = Builder()
    x = build(b, b.conv("conv1", b.input("x", 3, 16, 16), 8, 3, 1, pad=1))
    b.conv("conv2", b.pool("pool", x, "max", 2, 2), 4, 1)
    network = Network("small", tuple(b.layers), b.tensors)
    result = accelsim.simulate(accelsim.load_arch(values_alone), network)
    assert result.schedule is None
    assert [layer.name for layer in result.layers] == ["conv1", "bn", "relu", "pool", "conv2"]
    assert not any("folded" in note for note in result.notes)
    arch = accelsim.load_arch(values_alone)
    context = evaluate.Context({"m": arch.document}, {"n": network}, Path(), columnar=True)
    row = evaluate.run_point(context, evaluate.Job("", "m", "n", (), OptionsSpec()))
    assert row.totals["cycles"] == result.cycles
    assert set(row.ran.names) == {"conv1", "conv2"}
