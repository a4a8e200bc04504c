"""SCNN and the sparse machines beside it: worked examples, limits, and what must hold between them."""

import itertools
import runpy
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import accelsim
from accelsim.engine import Machine
from accelsim.engines import registry
from accelsim.engines.scnn.cut import Axis
from accelsim.errors import MappingError
from accelsim.memory.dram import DramModel
from accelsim.operands.handle import of
from accelsim.operands.zero_run import ZeroRun
from accelsim.workload.layers import LayerView, Tensor
from accelsim.workload.shapes import Conv2d, Linear

ROOT = Path(__file__).parents[1]
MACHINE = Machine({"core": Fraction(1000)}, DramModel(Fraction(400), 100, 512))
SMALL = {"pe_rows": 2, "pe_cols": 2, "f": 2, "i": 2, "drain_entries_per_cycle": 8}


def view_of(shape, weight=1.0, given=1.0, home="dram", signed=True, output=1.0):
    return LayerView(
        "layer",
        shape,
        (Tensor("x", shape.input_shapes[0], 8, signed, given, home=home),),
        (Tensor("w", shape.weight_shape, 8, True, weight, True),),
        (Tensor("y", shape.output_shape, 8, True, output),),
    )


def run(name, shape, params=None, seed=0, given=None, values=False, **kw):
    engine = registry.get(name)
    view = view_of(shape, **kw)
    operands = of(view, seed, given)
    settings = engine.params_schema.model_validate(params or {})
    assert engine.refuses(view, settings) is None
    plan = engine.plan(view, operands, settings, engine.mapping_schema(), MACHINE)
    return engine.run(plan, operands) if values else engine.run(plan)


def planes(*rows):
    return np.array(rows, dtype=np.int64).reshape(1, 1, len(rows), -1)


def test_four_activations_and_two_weights_take_two_steps_and_a_drain():
    walked = run("scnn", Conv2d(1, 1, 2, 4, 4, 1, 1), SMALL)
    assert walked.compute_cycles == 3
    assert {k: v for k, v in walked.accounts["multipliers"].items() if v} == {"busy": 32, "fill_drain": 16}


def test_three_zeros_in_every_tile_leave_half_filled_vectors():
    x = np.zeros((1, 1, 4, 4), np.int64)
    x[0, 0, ::2, ::2] = 5
    walked = run("scnn", Conv2d(1, 1, 2, 4, 4, 1, 1), SMALL, given={"x": x})
    found = {k: v for k, v in walked.accounts["multipliers"].items() if v}
    assert (walked.compute_cycles, found) == (2, {"busy": 8, "padding": 8, "fill_drain": 16})


def test_a_strict_bank_stalls_and_a_queue_hides_it_until_the_end():
    shape, one_bank = Conv2d(1, 1, 2, 4, 4, 1, 1), {**SMALL, "banks": 1}
    strict, queued, free = (run("scnn", shape, {**one_bank, "queue_depth": q}) for q in (0, 8, "unlimited"))
    assert strict.compute_cycles == queued.compute_cycles == 9
    assert free.compute_cycles == 3


def test_a_deeper_queue_is_never_slower():
    shape = Conv2d(1, 6, 8, 9, 9, 3, 3, pad=(1, 1, 1, 1))
    depths = (0, 1, 2, 4, 8, 64, "unlimited")
    cycles = [run("scnn", shape, {"queue_depth": q}, weight=0.5, given=None).compute_cycles for q in depths]
    assert cycles == sorted(cycles, reverse=True)
    assert cycles[0] > cycles[-1]


def test_waiting_for_each_other_at_every_channel_is_never_faster():
    shape = Conv2d(1, 12, 8, 32, 32, 3, 3, pad=(1, 1, 1, 1))
    x = np.random.default_rng(0).integers(0, 2, (1, 12, 32, 32))
    group, channel = (run("scnn", shape, {"barrier": b}, given={"x": x}) for b in ("group", "channel"))
    assert group.compute_cycles < channel.compute_cycles


def test_an_empty_pair_costs_a_cycle_only_where_the_machine_says_so():
    shape, nothing = Conv2d(1, 5, 2, 8, 8, 1, 1), {"x": np.zeros((1, 5, 8, 8), np.int64)}
    free, charged = (run("scnn", shape, {"empty_costs_a_cycle": e}, given=nothing) for e in (False, True))
    assert charged.compute_cycles == free.compute_cycles + 5
    assert charged.accounts["multipliers"]["control"] == 5 * 1024


def test_a_long_run_of_zeros_takes_a_placeholder_that_is_multiplied():
    x = np.zeros((1, 1, 1, 20), np.int64)
    x[..., 19] = 1
    walked = run("scnn", Conv2d(1, 1, 1, 1, 20, 1, 1), {"pe_rows": 1, "pe_cols": 1}, given={"x": x})
    assert (walked.performed_macs, walked.details["placeholder_products"]) == (2, 1)


def test_strides_waste_no_product_on_coordinates_between_outputs():
    shape = Conv2d(1, 1, 1, 8, 8, 2, 2, stride=(2, 2))
    walked = run("scnn", shape, {"pe_rows": 1, "pe_cols": 1})
    assert (walked.performed_macs, walked.details["dropped_products"]) == (64, 0)


def test_inputs_that_do_not_fit_come_in_bands_and_weights_come_again():
    shape = Conv2d(1, 64, 16, 24, 24, 3, 3, pad=(1, 1, 1, 1))
    small, large = (run("scnn", shape, {"pe_rows": 4, "pe_cols": 4, "iaram_kib": k}) for k in (2, 64))
    assert (large.details["passes"], large.details["inputs_stay"]) == (1, 1)
    assert small.details["passes"] > 1
    flows = {f.tensor: bits for f, bits in small.traffic.items() if (f.boundary, f.direction) == ("dram", "read")}
    whole = {f.tensor: bits for f, bits in large.traffic.items() if (f.boundary, f.direction) == ("dram", "read")}
    assert flows["weight"] == small.details["passes"] * whole["weight"]
    assert "input" not in whole


def test_a_tensor_at_home_on_the_chip_that_does_not_fit_is_refused_by_name():
    shape = Conv2d(1, 64, 16, 128, 128, 3, 3)
    with pytest.raises(MappingError, match="layer 'layer': 'x' is at home on the chip"):
        run("scnn", shape, home="chip")


def test_an_input_row_larger_than_the_ram_is_refused_with_its_size():
    with pytest.raises(MappingError, match=r"layer 'layer': one output row takes .* bits .* raise params\.iaram_kib"):
        run("scnn", Conv2d(1, 4096, 4, 1, 9, 1, 1), {"pe_rows": 1, "pe_cols": 1, "iaram_kib": 1})


def test_a_fully_connected_layer_is_named_with_the_reason():
    engine = registry.get("scnn")
    assert "no plane" in engine.supports(view_of(Linear(1, 4, 4)), engine.params_schema())


def test_the_output_after_relu_survives_encoding():
    shape = Conv2d(1, 3, 4, 9, 9, 3, 3, pad=(1, 1, 1, 1))
    walked = run("scnn", shape, {"queue_depth": 2}, values=True, weight=0.5)
    rectified = np.maximum(walked.values, 0)
    codec = ZeroRun(value_bits=24)
    np.testing.assert_array_equal(codec.decode(codec.encode(rectified)), rectified)


def test_dcnn_costs_the_published_product_of_ceilings():
    shape = Conv2d(1, 32, 48, 13, 13, 3, 3, pad=(1, 1, 1, 1))
    assert run("dcnn", shape).compute_cycles == 2 * 2 * 9 * 32 * 48 // 16


def test_gating_saves_multiplications_and_compression_dram_bits_but_no_cycles():
    shape = Conv2d(1, 16, 16, 64, 64, 3, 3, pad=(1, 1, 1, 1))
    small = {"activation_kib": 1}
    x = np.random.default_rng(0).integers(0, 2, (1, 16, 64, 64))
    plain = run("dcnn", shape, small, given={"x": x})
    opt = run("dcnn", shape, {**small, "gating": True, "compressed_dram": True}, given={"x": x})
    assert plain.compute_cycles == opt.compute_cycles
    assert opt.performed_macs < plain.performed_macs
    moved = [sum(b for f, b in a.traffic.items() if f.boundary == "dram") for a in (plain, opt)]
    assert moved[1] < moved[0]


@pytest.mark.parametrize("bricks", [15, 16, 17, 33])
def test_cnvlutin_without_zeros_costs_whole_rounds_of_lanes(bricks):
    walked = run("cnvlutin", Linear(1, 16 * bricks, 16))
    assert walked.compute_cycles == -(-bricks // 16) * 16


def test_a_first_layer_with_few_channels_is_not_skipped():
    shape, x = Conv2d(1, 3, 16, 8, 8, 3, 3), {"x": np.zeros((1, 3, 8, 8), np.int64)}
    assert run("cnvlutin", shape, given=x).compute_cycles == run("cnvlutin", shape).compute_cycles == 36 * 9


def test_cambricon_x_dense_costs_ceilings_of_blocks():
    for length, k in itertools.product((1, 16, 17, 256, 300), (1, 16, 17)):
        walked = run("cambricon_x", Linear(1, length, k), {"skip_zeros": False})
        assert walked.compute_cycles == -(-k // 16) * (length // 256 * 16 + -(-(length % 256) // 16))


def test_a_barrier_at_every_block_is_never_faster_than_one_per_group():
    w = (np.random.default_rng(1).random((32, 1024)) < 0.2).astype(np.int64)
    group, block = (run("cambricon_x", Linear(1, 1024, 32), {"barrier": b}, given={"w": w}) for b in ("group", "block"))
    assert group.compute_cycles < block.compute_cycles


def test_nullhop_takes_a_cycle_per_pixel_and_position_that_lands():
    walked = run("nullhop", Conv2d(1, 1, 8, 1, 3, 1, 3, pad=(0, 1, 0, 1)), given={"x": planes([1, 0, 1])})
    assert walked.compute_cycles == 2 + 2


def test_snapea_stops_where_the_sum_falls_below_zero():
    shape, given = Conv2d(1, 1, 1, 1, 4, 1, 4), {"x": planes([1, 1, 1, 1]), "w": planes([-2, 3, -2, -5])}
    stopped = run("snapea", shape, given=given, signed=False, values=True)
    signed = run("snapea", shape, given=given, signed=True, values=True)
    assert (stopped.performed_macs, signed.performed_macs) == (3, 4)
    assert stopped.values.ravel().tolist() == signed.values.ravel().tolist() == [0]


def test_sparse_machines_check_on_a_network():
    network = accelsim.load_network("alexnet")
    for name in ("scnn", "scnn_strict", "dcnn_opt", "cnvlutin", "cambricon_x", "nullhop", "snapea"):
        small = replace(network, layers=tuple(layer for layer in network.layers if layer.name == "conv5"))
        result = accelsim.simulate(accelsim.load_arch(name), small, check=True, layers="conv5")
        assert result.layers[0].simulated, result.layers[0].reason
        assert result.layers[0].checked


def test_the_density_study_runs_on_one_layer():
    study = runpy.run_path(str(ROOT / "examples" / "scnn_density" / "draw.py"))
    speed, energy = study["collect"]((0.2, 1.0), layers="inception_5b_1x1")
    assert all(values[0] > values[1] for values in speed.values())
    assert energy["scnn"][0] < energy["dcnn_opt"][0] < 1
    assert study["crossing"]((0.0, 1.0), [0.0, 2.0], [1.0, 1.0]) == pytest.approx(0.5)


@pytest.mark.parametrize("depth", [0, 1, 8])
def test_queues_walked_eight_banks_at_a_time_wait_as_queues_walked_product_by_product(depth):
    shape = Conv2d(1, 8, 24, 28, 28, 3, 3, pad=(1, 1, 1, 1))
    params, densities = {"queue_depth": depth, "barrier": "channel", "banks": 16}, {"weight": 0.5}
    for seed in range(3):
        x = np.random.default_rng(seed).integers(0, 2, (1, 8, 28, 28))
        densities["given"] = {"x": x}
        quick, slow = (run("scnn", shape, params, seed, values=values, **densities) for values in (False, True))
        assert quick.same_integers(slow) == []
        assert quick.accounts["multipliers"]["conflict"] > 0


def test_the_picture_of_sparse_machines_has_shares_that_sum_to_one(tmp_path):
    picture = runpy.run_path(str(ROOT / "examples" / "sparse_cycles" / "draw.py"))
    machines = [m for m in picture["MACHINES"] if m[0] != "eie"]
    found = {"alexnet": picture["collect"]("alexnet", machines, layers="conv5")}
    assert [name for name, *_ in machines] == list(found["alexnet"])
    for result in found["alexnet"].values():
        assert sum(picture["shares"](result).values()) == pytest.approx(1)
    assert picture["left_out"](found) == []
    first = {"alexnet": picture["collect"]("alexnet", [("nullhop", "NullHop", "conv[12]")])}
    assert picture["left_out"](first) == ["nullhop leaves out conv1 of AlexNet: a 11 x 11 kernel exceeds 7 x 7."]
    assert found["alexnet"]["snapea"].simulated[0].details["stops"] == 1
    picture["draw"](found, tmp_path / "picture.png")
    assert (tmp_path / "picture.png").stat().st_size > 5000


def test_diannao_pads_the_channels_of_each_tap_and_cambricon_x_does_not():
    shape = Conv2d(n=1, c=3, k=32, h=10, w=10, r=3, s=3)
    dense = run("cambricon_x", shape, {"skip_zeros": False})
    assert dense.compute_cycles == 64 * 2 * 2  # 27 synapses are two rows of 16, twice for 32 outputs
    diannao, view = registry.get("diannao"), view_of(shape)
    tiling = diannao.mapping_schema(groups=1, n=1, e=2, f=8, k=16, c=3, order="kmc")
    plan = diannao.plan(view, of(view), diannao.params_schema(), tiling, MACHINE)
    padded = diannao.closed_form(plan)
    assert padded.compute_cycles == 64 * 9 * 2
    assert padded.accounts["multipliers"]["unmapped"] == 64 * 9 * 2 * 13 * 16


def test_diannao_reads_a_synapse_for_each_product_and_keeps_sums_while_a_tile_has_inputs():
    shape = Conv2d(n=1, c=32, k=16, h=4, w=4, r=1, s=1)
    diannao, view = registry.get("diannao"), view_of(shape)

    def walk(order, c):
        tiling = diannao.mapping_schema(groups=1, n=1, e=1, f=4, k=16, c=c, order=order)
        plan = diannao.plan(view, of(view), diannao.params_schema(), tiling, MACHINE)
        flows = diannao.closed_form(plan).traffic
        return {key: flows.get(key, 0) for key in flows}

    def bits(flows, boundary, tensor, direction):
        return sum(n for f, n in flows.items() if tuple(f) == (boundary, tensor, direction))

    whole, halves = walk("mck", 32), walk("mkc", 16)
    assert bits(whole, "glb.weights", "weight", "read") == shape.macs * 8
    assert bits(whole, "glb.outputs", "psum", "write") == 16 * 16 * 16
    assert bits(whole, "glb.outputs", "psum", "read") == 0
    # two tiles of 16 channels: every sum goes to NBout twice and comes back once
    assert bits(halves, "glb.outputs", "psum", "write") == 2 * bits(halves, "glb.outputs", "psum", "read") == 2 * 4096
    assert bits(halves, "dram", "psum", "write") == 0


def calls(side):
    """Return how many calls of Python functions a layer takes to plan and count on side x side PEs."""
    counted = 0

    def count(frame, event, argument):
        nonlocal counted
        counted += event == "call"

    shape = Conv2d(1, 4, 4, 28, 28, 3, 3, pad=(1, 1, 1, 1))
    engine, view = registry.get("scnn"), view_of(shape, weight=0.5, given=0.5)
    settings = engine.params_schema.model_validate({"pe_rows": side, "pe_cols": side, "queue_depth": "unlimited"})
    operands = of(view, 0)
    engine.closed_form(engine.plan(view, operands, settings, engine.mapping_schema(), MACHINE))
    sys.setprofile(count)
    try:
        engine.closed_form(engine.plan(view, operands, settings, engine.mapping_schema(), MACHINE))
    finally:
        sys.setprofile(None)
    return counted


def test_the_work_in_python_does_not_grow_with_the_grid_of_pes():
    assert calls(256) < 2 * calls(2)


def test_tiles_and_halo_of_a_band_follow_from_the_definition():
    """Tile i holds inputs; it reaches the outputs whose window holds one of them, and owns an even share of all."""
    rng = np.random.default_rng(4)
    for _ in range(300):
        size, taps, dilation, stride, pad, parts = (int(rng.integers(1, high)) for high in (30, 6, 4, 4, 4, 40))
        outputs = max(1, (size + 2 * pad - (taps - 1) * dilation - 1) // stride + 1)
        begin = int(rng.integers(outputs))
        end = int(rng.integers(begin + 1, outputs + 1))
        axis = Axis(stride, pad, dilation, taps, size, begin, end, parts)
        edges, owned = axis.edges.tolist(), axis.owned_edges.tolist()
        for part in range(parts):
            tile = range(edges[part], edges[part + 1])
            reached = [
                o for o in range(begin, end) if tile and o * stride - pad - tile[-1] <= 0
                and o * stride - pad + (taps - 1) * dilation - tile[0] >= 0
            ]  # fmt: skip
            assert axis.reach[part] == len(reached), (axis, part)
            assert axis.own[part] == len([o for o in reached if owned[part] <= o < owned[part + 1]])
