"""The fusion array by hand, and beside the released model."""

import numpy as np
import pytest
from bit_serial_runs import run, view
from contract import MACHINE
from oracles.bricks import fused_product, fusion
from pydantic import ValidationError

import accelsim
from accelsim.engines.bitfusion.engine import ENGINE
from accelsim.engines.bitfusion.kernel import fused_product as by_kernel
from accelsim.engines.bitfusion.params import Params, fuse, supported
from accelsim.errors import MappingError
from accelsim.operands.handle import of
from accelsim.workload.shapes import Conv2d

KIB = {"input_kib": 64, "weight_kib": 64, "output_kib": 64}
X, W = np.ones((3, 4)), np.ones((2, 4))


@pytest.mark.parametrize(("widths", "cycles"), [((8, 8), 9), ((4, 4), 6), ((2, 8), 6), ((16, 16), 27), ((16, 8), 15)])
def test_words_times_passes_and_the_wavefront(widths, cycles):
    assert run("bitfusion", X, W, *((bits, True) for bits in widths)).compute_cycles == cycles


def test_widths_round_up_to_the_next_supported_one():
    for narrow, wide in ((1, 2), (3, 4), (5, 8), (7, 8), (9, 16)):
        got = run("bitfusion", X, W, (narrow, True), (8, True)).compute_cycles
        assert got == run("bitfusion", X, W, (wide, True), (8, True)).compute_cycles


def test_units_fuse_as_the_brick_model_says():
    params = Params(rows=2, cols=2, **KIB)
    for a in range(1, 17):
        for w in range(1, 17):
            fused, expected = fuse(a, w, 99, params), fusion(a, w)
            assert (fused.bricks, fused.products, fused.passes) == (
                expected.bricks,
                expected.products,
                expected.passes,
            )


def test_products_equal_the_brick_model():
    rng = np.random.default_rng(0)
    params = Params(rows=1, cols=1, **KIB)
    for a_bits, w_bits, a_signed, w_signed in ((8, 8, True, False), (3, 16, False, True), (16, 16, True, True)):
        a = rng.integers(-(2 ** (a_bits - 1)) if a_signed else 0, 2 ** (a_bits - 1), 50)
        w = rng.integers(-(2 ** (w_bits - 1)) if w_signed else 0, 2 ** (w_bits - 1), 50)
        widths = supported(a_bits, params), supported(w_bits, params)
        ours = [by_kernel(x, y, *widths, 2, a_signed, w_signed) for x, y in zip(a, w, strict=True)]
        np.testing.assert_array_equal(ours, fused_product(a, w, a_bits, w_bits, a_signed, w_signed))


def test_banks_must_hold_whole_words():
    with pytest.raises(
        ValidationError, match=r"output_kib: 8192 bits do not fill whole words of 48 .* multiple of 3 KiB"
    ):
        Params(rows=16, cols=2, input_kib=1, weight_kib=3, output_kib=1, brick_bits=2, accumulator_bits=24)


def test_widths_must_be_powers_of_two_times_the_brick():
    with pytest.raises(ValidationError, match="spatial_bits is no power of two times brick_bits"):
        Params(rows=2, cols=2, brick_bits=2, spatial_bits=6, **KIB)


def test_a_layer_whose_smallest_tile_does_not_fit_says_what_would():
    big = Conv2d(n=1, c=4, k=4, h=200, w=200, r=80, s=80)
    params = Params(rows=2, cols=2, input_kib=8, weight_kib=8, output_kib=8)
    with pytest.raises(MappingError, match=r"weight needs 51,200 bits, has 32,768.*raise params.input_kib to"):
        ENGINE.candidates(view(big, (8, True), (8, True)), params, MACHINE)


@pytest.mark.parametrize(("net", "release"), [("cifar10", 1771584), ("vgg7", 1032192), ("rnn", 131072)])
def test_cycles_without_fill_and_drain_equal_the_released_models(net, release):
    result = accelsim.simulate(accelsim.load_arch("bitfusion"), accelsim.load_network(f"bitfusion_{net}"))
    assert sum(layer.details["word_cycles"] for layer in result.layers) == release


def test_low_widths_need_more_channels_to_fill_the_rows():
    def filled(bits):
        return run("bitfusion", np.ones((1, 6)), np.ones((2, 6)), (bits, True), (bits, True)).details

    assert [filled(bits)["row_utilization_ppm"] for bits in (8, 4, 2)] == [1_000_000, 750_000, 187_500]


def test_more_bandwidth_is_never_slower():
    net = accelsim.load_network("bitfusion_lenet5")
    arch = accelsim.load_arch("bitfusion")
    cycles = [accelsim.simulate(arch.replace("memory.dram.gb_per_s", gb), net).cycles for gb in (3.0, 12.0, 48.0)]
    assert cycles == sorted(cycles, reverse=True)


def test_deeprecon_refuses_what_it_cannot_compose():
    params = accelsim.load_arch("deeprecon").units[0].params
    assert params.max_bits == params.spatial_bits == 8
    assert ENGINE.units(params)["bricks"] == 16 * params.rows * params.cols


TABLE_8 = {
    # what changes -> which hard or soft rule sees it, as the survey's Table 8 has it for BitFusion
    "input channels": {"rows", "input", "weight"},
    "input bits": {"rows", "input", "weight"},
    "weight bits": {"rows", "weight"},
    "output channels": {"columns", "weight", "output"},
    "kernel": {"weight"},
    "feature map": {"input", "output"},
}
"""Of the released model the input bits decide the WBUF through its padding to the array, which the engine does not
fetch: that cell is the release's alone."""


@pytest.mark.parametrize("what", TABLE_8)
def test_every_cell_of_the_surveys_table_shows(what):
    base = {"c": 40, "k": 48, "h": 12, "r": 3, "a": 8, "w": 8}
    more = {"input channels": {"c": 41}, "input bits": {"a": 4}, "weight bits": {"w": 4}, "output channels": {"k": 49},
            "kernel": {"r": 5}, "feature map": {"h": 13}}[what]  # fmt: skip

    def seen(c, k, h, r, a, w):
        layer = view(Conv2d(n=1, c=c, k=k, h=h, w=h, r=r, s=r), (a, True), (w, True))
        params = Params(rows=16, cols=32, input_kib=64, weight_kib=256, output_kib=64)
        conv = layer.shape.as_conv()
        tiling = {"groups": 1, "n": 1, "e": conv.e, "f": conv.f, "k": k, "c": c, "order": "mkc", "inner": "os"}
        plan = ENGINE.plan(layer, of(layer), params, ENGINE.mapping_schema.model_validate(tiling), MACHINE)
        done = ENGINE.closed_form(plan)
        tile = plan.nest.largest_bits
        rows, columns = (done.details[f"{side}_utilization_ppm"] for side in ("row", "column"))
        return {"rows": rows, "columns": columns} | tile

    before, after = seen(**base), seen(**(base | more))
    changed = {key for key in before if before[key] != after[key]}
    release_only = {"weight"} if what == "input bits" else set()
    by_the_halo = {"output"} if what == "kernel" else set()  # a larger kernel leaves fewer outputs of an image
    assert changed == TABLE_8[what] - release_only | by_the_halo
