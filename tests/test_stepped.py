"""The ledger of the references, by hand: what it adds up, and that it knows no plan."""

import ast
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from accelsim import stepped
from accelsim.activity import Event, Flow, Step, Transfer
from accelsim.contract import view_of
from accelsim.mapping.brute import BruteNest
from accelsim.mapping.loopnest import Tiling
from accelsim.memory.dram import DramModel
from accelsim.operands.handle import of
from accelsim.stepped import Ledger, SteppedConv, SteppedWhole
from accelsim.workload.shapes import Conv2d, Linear, Pool

DRAM = DramModel(Fraction(8), 3, 64)


def test_bits_across_a_boundary_add_up():
    ledger = Ledger(DRAM)
    for way, bits in (("read", 5), ("read", 7), ("write", 1)):
        ledger.add("glb", "input", way, bits)
    assert ledger.flows == {Flow("glb", "input", "read"): 12, Flow("glb", "input", "write"): 1}
    assert ledger.dram_bits() == 0


def test_each_run_over_the_bus_is_whole_bursts_and_no_bits_are_no_transfer():
    ledger = Ledger(DRAM)
    assert ledger.move("input", "read", 65, 3) == [Transfer("input", "read", 65, 3)]
    assert ledger.move("index", "read", 64) == [Transfer("index", "read", 64)]
    assert ledger.move("weight", "write", 0, 3) == ledger.move("weight", "write", 5, 0) == []
    # 65 bits take two bursts of 64, 63 bits more than asked for
    expected = {("input", "read"): 195, ("index", "read"): 64, ("other", "read"): 189}
    assert {flow[1:]: bits for flow, bits in ledger.flows.items() if bits} == expected
    assert ledger.dram_bits() == 195 + 64 + 189


def test_neighbours_in_dram_are_a_run():
    ledger = Ledger(DRAM)
    assert ledger.move_elements("input", "read", [9, 8, 3, 2], 10) == [Transfer("input", "read", 20, 2)]
    assert ledger.move_elements("input", "read", [0, 1, 2], 10) == [Transfer("input", "read", 30, 1)]
    assert ledger.move_elements("input", "read", [], 10) == []
    assert ledger.flows[Flow("dram", "other", "read")] == 2 * 44 + 34
    with pytest.raises(AssertionError, match="several lengths"):
        ledger.move_elements("input", "read", [0, 1, 3], 10)


def test_a_report_has_the_tiles_in_order_and_the_cycles_of_all():
    ledger = Ledger(DRAM, ("busy", "zero"))
    load, store = ledger.move("input", "read", 64), ledger.move("output", "write", 64)
    ledger.step(load, 3, store)
    ledger.step([], 4, before=load, after=store)
    ledger.causes["busy"] += 7
    activity = ledger.activity("lanes", {Event("macs", "mac"): 7}, performed_macs=7)
    assert activity.compute_cycles == 7
    assert activity.accounts == {"lanes": {"busy": 7, "zero": 0}}
    assert activity.schedule == (
        Step(tuple(load), 3, tuple(store)),
        Step((), 4, (), tuple(load), tuple(store)),
    )
    assert (activity.events, activity.traffic) == ({Event("macs", "mac"): 7}, ledger.flows)
    activity.check({"lanes": 1})


def layer(**shape):
    view = view_of(Conv2d(**shape), np.random.default_rng(1))
    return SteppedConv(view, of(view, 1), None, DRAM, ("busy", "zero"))


def test_a_tap_meets_the_input_under_it_or_the_padding():
    conv = layer(n=1, c=4, k=2, h=5, w=6, r=2, s=3, groups=2, stride=(2, 1), dilation=(1, 2), pad=(1, 2, 0, 0))
    conv.x[:] = 100 * np.arange(4)[:, None, None] + 10 * np.arange(5)[:, None] + np.arange(6)
    conv.w[:] = np.arange(conv.w.size).reshape(conv.w.shape)
    assert conv.out.shape == (1, 2, 3, 4)
    # row 2 e + r - 1, column f + 2 s - 2; the filters of the second group meet channels 2 and 3
    assert conv.pair((0, 1, 2), 0, (1, 1, 2)) == (100 + 10 * 2 + 4, 6 + 3 + 2)
    assert conv.pair((0, 1, 2), 1, (1, 1, 2)) == (300 + 10 * 2 + 4, 12 + 6 + 3 + 2)
    assert conv.pair((0, 0, 2), 1, (0, 0, 1)) == (0, 13)
    assert conv.pair((0, 1, 1), 1, (0, 0, 0)) == (0, 12)
    assert conv.pair((0, 0, 3), 0, (0, 1, 2)) == (5, 5)


def test_a_multiplication_is_a_unit_cycle_and_a_term_of_its_output():
    conv = layer(n=1, c=1, k=2, h=1, w=3, r=1, s=2)
    conv.x[:], conv.w[:] = np.array([2, 0, 5]), np.array([[3, 4], [0, 6]]).reshape(2, 1, 1, 2)
    for f in range(2):
        for k in range(2):
            for s in range(2):
                conv.multiply((0, 0, f), k, (0, 0, s))
    assert conv.out.tolist() == [[[[6, 20]], [[0, 30]]]]
    assert conv.causes == {"busy": 3, "zero": 5}
    assert conv.activity("lanes", {}).values.tolist() == conv.out.tolist()


def test_a_reference_meets_inputs_as_their_producer_left_them_and_gives_the_layers_own_shape():
    view = view_of(Linear(2, 3, 4), np.random.default_rng(2))
    conv = SteppedConv(view, of(view, 3), None, DRAM, ())
    assert (conv.x.shape, conv.w.shape, conv.out.shape) == ((2, 3, 1, 1), (4, 3, 1, 1), (2, 4, 1, 1))
    assert conv.bits == {"input": view.input.bits, "weight": view.weight.bits, "output": view.output.bits}
    assert conv.activity("lanes", {}).values.shape == (2, 4)
    assert conv.described(of(view, 3)).shape == conv.out.shape


def held_whole(shape, home="dram"):
    """Return a layer whose tensors, 8 bits wide, are all on the chip: inputs 1, 2, 3, ... row by row."""
    view = view_of(shape, np.random.default_rng(1))
    view = replace(
        view,
        inputs=tuple(replace(t, bits=8, home=home) for t in view.inputs),
        outputs=tuple(replace(t, bits=8, home=home) for t in view.outputs),
        weights=tuple(replace(t, bits=8) for t in view.weights),
    )
    given = {"input0": np.arange(1, view.input.elements + 1).reshape(view.input.shape)}
    return SteppedWhole(view, of(view, 1, given), None, DRAM, ("busy", "zero", "unmapped"))


STORES = {"input": ("glb", 1000), "weight": ("glb.weights", 500), "output": ("glb", 1000)}


@pytest.mark.parametrize(
    ("op", "count_pad", "values", "action"),
    [
        ("max", False, [1, 3, 7, 9], "compare"), ("min", False, [1, 2, 4, 5], "compare"),
        ("sum", False, [1, 5, 11, 28], "add"), ("average", False, [1, 2.5, 5.5, 7], "add"),
        ("average", True, [0.25, 1.25, 2.75, 7], "add"),
    ],
)  # fmt: skip
def test_pooling_takes_what_lies_in_the_image(op, count_pad, values, action):
    # 3 x 3 pixels in windows of 2 x 2 that begin one row and column before: 1 | 2 3 / 4 7 | 5 6 8 9
    layer = held_whole(Pool(op, 1, 1, 3, 3, 2, 2, (2, 2), (1, 1, 0, 0), count_pad=count_pad))
    for e, f, r, s in np.ndindex(2, 2, 2, 2):
        layer.take((0, e, f), 0, (0, r, s))
    found = layer.finish("pes", 16, STORES)
    assert found.values.ravel().tolist() == values
    assert found.accounts == {"pes": {"busy": 16, "zero": 0, "unmapped": 0}}
    divisions = {Event("alu", "special"): 4} if op == "average" else {}
    assert found.events == {Event("pool", action): 16} | divisions
    assert (found.performed_macs, found.buffers) == (0, {"glb": (1000, 13 * 8), "glb.weights": (500, 0)})
    assert found.schedule == (Step((Transfer("input", "read", 72),), 16, (Transfer("output", "write", 32),)),)


def test_an_average_at_the_end_that_rounding_up_added_counts_no_padding_behind_it():
    layer = held_whole(Pool("average", 1, 1, 1, 4, 1, 3, (1, 2), (0, 0, 0, 0), ceil=True, count_pad=True))
    for f, s in np.ndindex(2, 3):
        layer.take((0, 0, f), 0, (0, 0, s))
    assert layer.finish("pes", 6, STORES).values.ravel().tolist() == [2, 3.5]


@pytest.mark.parametrize("home", ["dram", "chip"])
def test_a_product_held_whole_comes_at_first_and_leaves_at_last_if_it_is_not_at_home(home):
    layer = held_whole(Linear(1, 3, 2), home)
    layer.w[:] = np.array([[1, 0, 2], [3, 4, 5]]).reshape(layer.w.shape)
    for k, c in np.ndindex(2, 3):
        layer.take((0, 0, 0), k, (c, 0, 0))
    found = layer.finish("pes", 6, STORES)
    assert found.values.tolist() == [[7, 26]]
    assert (found.events, found.performed_macs) == ({Event("macs", "mac"): 6}, 6)
    moved = {flow: bits for flow, bits in found.traffic.items() if flow.boundary != "dram"}
    filled = {Flow("glb", "input", "write"): 24, Flow("glb", "output", "read"): 16} if home == "dram" else {}
    assert moved == {Flow("glb.weights", "weight", "write"): 48} | filled
    assert found.buffers == {"glb": (1000, 40), "glb.weights": (500, 48)}


def test_outputs_at_home_leave_for_the_buffer_of_inputs_and_what_is_at_home_lies_there_whole():
    conv, ledger = Conv2d(n=1, c=2, k=3, h=1, w=4, r=1, s=1), Ledger(DRAM)
    tiling = Tiling(groups=1, n=1, e=1, f=2, k=3, c=2, order="mkc")
    bits = {"input": 8, "weight": 4, "output": 16, "psum": 32}
    nest = BruteNest(conv, tiling, bits, ledger, {"input", "output"})
    for _, cycles in nest.walk():
        cycles.append(5)
    assert [step.compute_cycles for step in ledger.steps] == [5, 5]
    assert ledger.flows == {
        Flow("dram", "weight", "read"): 24, Flow("dram", "other", "read"): 40,
        Flow("glb.weights", "weight", "write"): 24, Flow("glb.outputs", "output", "read"): 12 * 32,
        Flow("glb.inputs", "output", "write"): 12 * 16,
    }  # fmt: skip
    # two tiles of outputs, one of weights; inputs and finished outputs whole
    assert nest.buffers({"input": 1, "weight": 1, "output": 1}) == {
        "glb.inputs": (8192, 8 * 8 + 12 * 16), "glb.weights": (8192, 24), "glb.outputs": (8192, 2 * 6 * 32),
    }  # fmt: skip


def test_the_ledger_sees_neither_engines_nor_plans():
    source = ast.parse(Path(stepped.__file__).read_text())
    modules = {node.module for node in ast.walk(source) if isinstance(node, ast.ImportFrom)}
    ours = {name.split(".")[1] for name in modules if name.startswith("accelsim.")}
    assert ours == {"activity", "memory", "operands", "workload"}
