"""Plans and closed forms at their edges: what fits exactly, folds that overlap, and counts made by hand."""

from fractions import Fraction

import numpy as np
import pytest

from accelsim.activity import Transfer
from accelsim.engine import Machine
from accelsim.engines import registry
from accelsim.engines.bitfusion import params as fusion
from accelsim.engines.bitfusion.tilecost import best_inner
from accelsim.engines.gamma.kernel import cache_rows
from accelsim.engines.systolic.kernel import walk_tile
from accelsim.engines.systolic.tilecost import IS, OS, WS, tile_cost
from accelsim.engines.vector.tiles import lrn_taps
from accelsim.memory.dram import DramModel
from accelsim.operands.handle import of
from accelsim.workload.layers import LayerView, Tensor
from accelsim.workload.shapes import Conv2d, Linear

MACHINE = Machine({"core": Fraction(100)}, DramModel(Fraction(8), 0, 1))


def run(name, shape, params, bits=8, mapping=None):
    """Return what an engine says of a dense layer all of whose tensors have the same width."""
    view = LayerView(
        "layer",
        shape,
        (Tensor("x", shape.input_shapes[0], bits),),
        (Tensor("w", shape.weight_shape, bits, weight=True),),
        (Tensor("y", shape.output_shape, bits),),
    )
    engine = registry.get(name)
    found = engine.params_schema.model_validate(params)
    pinned = engine.mapping_schema.model_validate(mapping or {})
    plan = engine.plan(view, of(view), found, pinned, MACHINE)
    activity = engine.run(plan)
    activity.check(engine.units(found))
    return activity


def dram(activity):
    """Return tensor and direction -> bits across the DRAM boundary."""
    return {flow[1:]: bits for flow, bits in activity.traffic.items() if flow.boundary == "dram" and bits}


# --- overlapped folds


@pytest.mark.parametrize(
    ("flow", "rows", "cols", "m", "n", "k", "cycles"),
    [
        # Folds 16x32, 1x32, 16x1, 1x1 start at 16 (16 words held), 23 (7 streamed), 39 (16 held), 46; each ends at
        # start + 7 + r + c - 2: 69, 61, 61, 53. The first one drains last.
        (IS, 16, 32, 33, 7, 17, 69),
        # the same array and sizes with the roles of m and n exchanged
        (WS, 16, 32, 7, 33, 17, 69),
        # 9x3, 1x3 start at 9 and 14 (5 streamed): 9 + 5 + 10 = 24, 14 + 5 + 2 = 21: the full rows drain last
        (WS, 9, 3, 5, 3, 10, 24),
        # 2x9, 2x1 start at 2 and 5 (3 streamed): 2 + 3 + 9 = 14, 5 + 3 + 1 = 9: the full columns drain last
        (WS, 2, 9, 3, 10, 2, 14),
        # outputs still: 4x9, 4x1 start at 0 and 2 (k = 2 streamed): 0 + 2 + 11 = 13, 2 + 2 + 3 = 7
        (OS, 4, 9, 4, 10, 2, 13),
    ],
)
def test_the_last_result_of_overlapped_folds_may_come_from_a_fold_long_past(flow, rows, cols, m, n, k, cycles):
    one = np.ones(1, dtype=np.int64)
    cost = tile_cost(flow, rows, cols, True, one, m * one, n * one, k * one)
    assert cost.cycles.tolist() == [cycles]
    nothing = np.zeros((1, 1, 1), dtype=np.int64)
    assert walk_tile(flow, rows, cols, True, m, n, k, False, nothing, nothing, nothing)[0] == cycles


def test_the_closed_form_equals_the_walk_on_folds_that_overlap_a_wide_array():
    nothing = np.zeros((1, 1, 1), dtype=np.int64)
    rng = np.random.default_rng(7)
    for flow in (OS, WS, IS):
        for rows, cols, m, n, k in rng.integers(1, 40, (40, 5)).tolist():
            ones = np.ones(1, dtype=np.int64)
            cost = tile_cost(flow, rows, cols, True, ones, m * ones, n * ones, k * ones)
            counts = walk_tile(flow, rows, cols, True, m, n, k, False, nothing, nothing, nothing)
            assert counts.tolist() == [int(column[0]) for column in cost], (flow, rows, cols, m, n, k)


# --- orders inside a tile of a fusion array


def test_a_fusion_arrays_order_counts_sums_both_as_they_are_written_and_as_they_are_read():
    # 4 rows of one 8-bit product: 16 channels are 4 words deep. 100 pixels, 4 filters in one block.
    # Inputs stay or outputs stay: inputs 100 x 16 x 8, weights again for each pixel 100 x 64 x 8, sums once, in and
    # out: 2 x 400 x 32, together 89,600 bits. Weights stay: 12,800 + 64 x 8 + 2 x 400 x 4 x 32 = 115,712 bits.
    # Counted one way only, the sums would be 12,800 and 51,200 bits, and weights would seem to be the ones to keep.
    sizes = {"rows": 4, "cols": 4, "input_kib": 64, "weight_kib": 64, "output_kib": 64}
    array = fusion.fuse(8, 8, 16, fusion.Params(**sizes, im2col_channels=0))
    assert (array.lanes, array.passes, array.packed) == (4, 1, 0)
    g, m, k, c = (np.array([count]) for count in (1, 100, 4, 16))
    assert [fusion.INNER[i] for i in best_inner(array, 1, (8, 8, 32), g, m, k, c)] == ["is"]


# --- DRAM


def test_the_bus_is_busy_to_the_end_of_its_last_cycle():
    # 19.2 bits a cycle: 96 bits are 5 cycles, 97 are 6; runs of 3 x 7 bits in bursts of 8 are 24 bits
    model = DramModel(Fraction(96, 5), 0, 1)
    assert [model.bus_cycles((Transfer("input", "read", bits),)) for bits in (95, 96, 97)] == [5, 5, 6]
    assert model._replace(burst_bits=8).bus_cycles((Transfer("input", "read", 7, 3),)) == 2


# --- buffers


def test_the_row_stationary_buffer_holds_the_filters_of_a_pass_and_the_psums_of_a_residency():
    # 8 filters of 2 channels, 2x2 taps; a pass has p t = 2 of them, a residency all 8. Strips of 2 output rows of 2:
    # 3 x 3 ifmap words a channel. Words of 16 bits.
    params = {
        "rows": 2, "cols": 2, "filter_spad_words": 64, "ifmap_spad_words": 8, "psum_spad_words": 8, "fmap_banks": 4,
        "filter_banks": 2, "bank_kib": 1, "rlc": False,
    }  # fmt: skip
    shape = Conv2d(n=1, c=2, k=8, h=3, w=3, r=2, s=2)
    mapping = {"m": 8, "n": 1, "e": 2, "p": 2, "q": 2, "r": 1, "t": 1}
    held = {
        name: peak for name, (_, peak) in run("row_stationary", shape, params, bits=16, mapping=mapping).buffers.items()
    }
    assert held == {
        "glb.filters": 2 * 2 * 4 * 16,
        "glb.fmaps": (2 * 9 + 8 * 4) * 16,
        "pe.filters": 2 * 2 * 2 * 16,
        "pe.inputs": 2 * 2 * 16,
        "pe.psums": 2 * 16,
    }


@pytest.mark.parametrize("size", range(1, 9))
@pytest.mark.parametrize("channels", range(1, 8))
def test_windows_over_channels_have_the_taps_that_exist(channels, size):
    around = [(c - (size - 1) // 2, c + size // 2) for c in range(channels)]
    met = sum(low <= other <= high for low, high in around for other in range(channels))
    assert lrn_taps(channels, size) == met


CNVLUTIN = {"units": 2, "filters": 4, "lanes": 4, "brick": 4, "skip_zeros": False, "neuron_kib": 1, "synapse_kib": 1}


def test_cnvlutin_keeps_weights_that_fill_its_synapse_memory_exactly():
    # 32 x 32 weights of 8 bits are 8,192 bits: 1 KiB
    fits = run("cnvlutin", Linear(n=1, c=32, k=32), CNVLUTIN)
    assert dram(fits) == {}
    assert fits.buffers["glb.synapses"] == (8192, 8192)
    assert dram(run("cnvlutin", Linear(n=1, c=32, k=33), CNVLUTIN)) == {("weight", "read"): 32 * 33 * 8}


def test_cnvlutin_keeps_neurons_that_fill_their_memory_exactly():
    # (32 + 32) neurons of 8 bits for 16 vectors are 1 KiB
    assert dram(run("cnvlutin", Linear(n=16, c=32, k=32), CNVLUTIN)) == {}
    found = dram(run("cnvlutin", Linear(n=17, c=32, k=32), CNVLUTIN))
    assert found == {("input", "read"): 17 * 32 * 8, ("output", "write"): 17 * 32 * 8}


def test_a_brick_of_cnvlutin_stores_offsets_from_0_to_its_last_neuron():
    # bricks of 4: offsets 0 to 3 take 2 bits; 8 bricks of inputs, 8 of outputs
    params = CNVLUTIN | {"skip_zeros": True, "stay": False}
    found = dram(run("cnvlutin", Linear(n=1, c=32, k=32), params))
    assert found["index", "read"] == 32 * 2
    assert found["index", "write"] == 32 * 2


def test_cambricon_x_streams_its_inputs_once_if_they_fill_the_buffer_exactly():
    # 2 PEs and 4 outputs: two output groups. 32 x 32 inputs of 8 bits are 1 KiB.
    params = {"pes": 2, "multipliers": 4, "input_kib": 1, "block": 16}
    assert dram(run("cambricon_x", Linear(n=32, c=32, k=4), params))["input", "read"] == 8192
    assert dram(run("cambricon_x", Linear(n=33, c=32, k=4), params))["input", "read"] == 2 * 33 * 32 * 8


def test_cambricon_x_stores_a_count_of_every_output_in_every_block():
    # 4 outputs x 32 dense synapses in 2 blocks of 16: 128 steps of 8 bits, 8 counts of 16
    params = {"pes": 2, "multipliers": 4, "input_kib": 1, "block": 16}
    assert dram(run("cambricon_x", Linear(n=1, c=32, k=4), params))["index", "read"] == 128 * 8 + 8 * 16


def test_dcnn_keeps_activations_that_fill_its_rams_exactly():
    # one PE: 32 x 16 inputs and as many outputs of 8 bits are 1 KiB
    params = {"pe_rows": 1, "pe_cols": 1, "lanes": 4, "activation_kib": 1}
    assert dram(run("dcnn", Conv2d(n=1, c=1, k=1, h=32, w=16, r=1, s=1), params)) == {("weight", "read"): 8}
    # a row more takes two bands, which read the weight each
    found = dram(run("dcnn", Conv2d(n=1, c=1, k=1, h=33, w=16, r=1, s=1), params))
    assert found == {("weight", "read"): 2 * 8, ("input", "read"): 33 * 128, ("output", "write"): 33 * 128}


def test_scnn_keeps_activations_that_fill_its_rams_exactly():
    # one PE: 32 x 32 values of 4 bits with a run of 4 bits each are 1 KiB, inputs and outputs alike
    params = {"pe_rows": 1, "pe_cols": 1, "f": 2, "i": 2, "iaram_kib": 1, "oaram_kib": 1}
    fits = run("scnn", Conv2d(n=1, c=1, k=1, h=32, w=32, r=1, s=1), params, bits=4)
    assert {tensor for tensor, _ in dram(fits)} == {"weight", "index"}
    assert fits.buffers["pe.iaram"] == fits.buffers["pe.oaram"] == (8192, 8192)
    more = run("scnn", Conv2d(n=1, c=1, k=1, h=32, w=33, r=1, s=1), params, bits=4)
    assert dram(more)["input", "read"] == dram(more)["output", "write"] == 32 * 33 * 4


def test_eie_keeps_weights_and_activations_that_fill_its_memories_exactly():
    # one PE, 4 x 4 entries of 4 + 4 bits: 16 bytes; 5 pointers of 16 bits: 10 bytes; 4 inputs and 4 outputs of 4 bits
    params = {
        "pes": 1, "queue_depth": 8, "value_bits": 4, "run_bits": 4, "pointer_bits": 16, "registers": 4,
        "matrix_bytes": 16, "pointer_bytes": 10, "activation_bytes": 4,
    }  # fmt: skip
    moved = dram(run("eie", Linear(n=1, c=4, k=4), params, bits=4))
    assert moved == {("input", "read"): 16, ("output", "write"): 16}
    streamed = params | {"matrix_bytes": 32, "pointer_bytes": 20, "weights": "streamed"}
    moved = dram(run("eie", Linear(n=1, c=4, k=4), streamed, bits=4))
    assert moved == {
        ("weight", "read"): 16 * 4,
        ("index", "read"): 16 * 4 + 5 * 16,
        ("input", "read"): 16,
        ("output", "write"): 16,
    }


def test_a_row_as_large_as_the_fiber_cache_stays_in_it():
    uses, pointers = np.array([0, 0, 1, 0]), np.array([0, 4, 9])
    # row 0 has 4 elements and stays; row 1 has 5, more than the cache, and pushes nothing out
    assert cache_rows(uses, pointers, 4, np.zeros(uses.size, np.int8)).tolist() == [2, 4 + 5, 4]
    assert cache_rows(uses, pointers, 3, np.zeros(uses.size, np.int8)).tolist() == [2, 4 + 4 + 5 + 4, 0]


def test_the_least_recently_used_row_leaves_the_fiber_cache_first():
    # rows of 2 elements, room for two of them: 0 is used again before 2 comes, so that 1 leaves and 0 stays
    uses, pointers = np.array([0, 1, 0, 2, 0, 1]), np.array([0, 2, 4, 6])
    assert cache_rows(uses, pointers, 4, np.zeros(uses.size, np.int8)).tolist() == [3, 2 + 2 + 0 + 2 + 0 + 2, 4]
