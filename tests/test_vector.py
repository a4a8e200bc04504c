"""The vector unit: small layers worked out by hand. Unless a test says otherwise: 2 lanes, special 3, latency 5."""

import numpy as np
import pytest
from contract import MACHINE, Case, random_case, reference_of

from accelsim.activity import Event, Flow, Transfer, flatten
from accelsim.engines import registry
from accelsim.engines.vector.engine import ENGINE
from accelsim.engines.vector.program import BINARY, INTEGER, UNARY
from accelsim.errors import MappingError
from accelsim.memory import timeline
from accelsim.operands.golden import golden
from accelsim.operands.handle import of
from accelsim.workload.layers import LayerView, Tensor
from accelsim.workload.shapes import Conv2d, Elementwise, Normalization, Pool, Softmax, View

PARAMS = {"lanes": 2, "special_cycles": 3, "latency_cycles": 5, "buffer_kib": 1}


def params(**changes):
    return ENGINE.params_schema.model_validate(PARAMS | changes)


def layer(shape, weights=(), bits=8):
    inputs = tuple(Tensor(f"in{i}", dims, bits) for i, dims in enumerate(shape.input_shapes))
    constants = tuple(Tensor(f"w{i}", dims, bits, weight=True) for i, dims in enumerate(weights))
    return LayerView("layer", shape, inputs, constants, (Tensor("out", shape.output_shape, bits),))


def case(shape, given=(), weights=(), rows=1, channels=1, bits=8, **changes):
    """Return a case with the given input and weight values, one nested list per tensor."""
    view = layer(shape, weights, bits)
    names = [t.name for t in (*view.inputs, *view.weights)]
    values = {name: np.array(v, dtype=np.int64) for name, v in zip(names, given, strict=False)}
    cut = ENGINE.mapping_schema(rows=rows, channels=channels)
    return Case(ENGINE, view, of(view, 1, values), params(**changes), cut, MACHINE)


def walk(c):
    """Walk a case with its values; everything that must agree with the walk is compared on the way."""
    walked = ENGINE.run(c.plan(), c.operands)
    assert ENGINE.closed_form(c.plan()).same_integers(walked) == []
    assert reference_of(c).same_integers(walked) == []
    np.testing.assert_allclose(walked.values, golden(c.operands), rtol=1e-12)
    walked.check({"lanes": c.params.lanes})
    return walked


def ops(activity):
    return {event.action: count for event, count in activity.events.items() if count}


def causes(activity):
    return {cause: n for cause, n in activity.accounts["lanes"].items() if n}


def test_relu_compares_two_elements_per_cycle_and_idles_a_lane_at_the_end():
    ran = walk(case(Elementwise("relu", (1, 3)), [[[-1, 0, 2]]], rows=3))
    assert ran.values.tolist() == [[0, 0, 2]]
    assert ran.compute_cycles == 2 + 5
    assert causes(ran) == {"busy": 3, "unmapped": 1, "fill_drain": 10}
    assert ops(ran) == {"compare": 3}


def test_three_operands_are_added_in_two_steps_of_each_group():
    shape = Elementwise("add", (2, 2), ((2, 2),) * 3)
    ran = walk(case(shape, [[[1, 2], [3, 4]], [[5, 6], [7, 8]], [[1, 1], [1, 1]]], rows=4))
    assert ran.values.tolist() == [[7, 9], [11, 13]]
    assert ran.compute_cycles == 2 * 2 + 5
    assert ops(ran) == {"add": 8}
    assert ran.traffic[Flow("glb", "input", "read")] == 3 * 4 * 8


def test_a_quotient_occupies_the_lanes_for_the_cycles_of_a_special_operation():
    ran = walk(case(Elementwise("div", (1, 2), ((1, 2),) * 2), [[[3, 8]], [[2, 4]]], rows=2))
    assert ran.values.tolist() == [[1.5, 2.0]]
    assert ran.compute_cycles == 3 + 5
    assert ops(ran) == {"special": 2}


@pytest.mark.filterwarnings("ignore:invalid value")  # the kernel as plain Python
def test_a_quotient_by_zero_is_what_numpy_makes_of_it():
    ran = walk(case(Elementwise("div", (1, 3), ((1, 3),) * 2), [[[1, -1, 0]], [[0, 0, 0]]], rows=3))
    np.testing.assert_array_equal(ran.values, [[np.inf, -np.inf, np.nan]])


def test_a_sigmoid_is_an_exponential_an_addition_and_a_quotient():
    ran = walk(case(Elementwise("sigmoid", (1, 2)), [[[0, 1]]], rows=2))
    np.testing.assert_allclose(ran.values, [[0.5, 0.7310585786300049]], rtol=1e-15)
    assert ran.compute_cycles == 3 + 1 + 3 + 5
    assert ops(ran) == {"add": 2, "special": 4}


def test_integers_beyond_the_reach_of_doubles_stay_exact():
    big = 2**31 - 1
    ran = walk(case(Elementwise("mul", (1, 1), ((1, 1),) * 2), [[[big]], [[big]]], bits=32))
    assert int(ran.values[0, 0]) == big * big


def test_a_max_pool_skips_the_taps_outside_the_image():
    image = [[[[1, 2], [3, 4]]]]
    ran = walk(case(Pool("max", 1, 1, 2, 2, 2, 2, pad=(1, 1, 0, 0)), [image], rows=2))
    # windows end at the four pixels: they hold 1, 2, 2 and 4 pixels of 4 taps
    assert ran.values.tolist() == [[[[1, 2], [3, 4]]]]
    assert ran.compute_cycles == 2 * 4 + 5
    assert causes(ran) == {"busy": 9, "padding": 7, "fill_drain": 10}
    assert ops(ran) == {"compare": 9}
    assert ran.traffic[Flow("glb", "input", "read")] == 9 * 8


def test_an_average_divides_by_the_taps_inside_unless_padding_counts():
    image, pool = [[[[1, 2], [3, 4]]]], ("average", 1, 1, 2, 2, 2, 2, (1, 1), (1, 1, 0, 0))
    ran = walk(case(Pool(*pool), [image], rows=2))
    assert ran.values.tolist() == [[[[1, 1.5], [2, 2.5]]]]
    assert ran.compute_cycles == 2 * (4 + 3) + 5
    assert ops(ran) == {"add": 9, "special": 4}
    counted = walk(case(Pool(*pool, count_pad=True), [image], rows=2))
    assert counted.values.tolist() == [[[[0.25, 0.75], [1, 2.5]]]]


def test_tiles_of_pooling_fetch_the_rows_that_they_share_twice():
    ran = walk(case(Pool("max", 1, 1, 4, 2, 2, 2), rows=2))
    # output rows 0-1 need input rows 0-2, output row 2 needs rows 2-3
    assert [step.loads for step in flatten(ran.schedule)] == [
        (Transfer("input", "read", 3 * 2 * 8),),
        (Transfer("input", "read", 2 * 2 * 8),),
    ]


def test_tiles_of_some_channels_are_fetched_in_runs_of_those_channels():
    ran = walk(case(Pool("average", 1, 3, 2, 2, 2, 2), rows=1, channels=2))
    assert [step.loads for step in flatten(ran.schedule)] == [
        (Transfer("input", "read", 2 * 8, runs=4),),
        (Transfer("input", "read", 1 * 8, runs=4),),
    ]


def test_batch_normalisation_scales_and_shifts_and_fetches_its_constants_once():
    ran = walk(case(Normalization("batch", (1, 2, 1, 2)), weights=[(2,)] * 4, rows=2))
    assert ran.compute_cycles == 2 * (2 + 5)
    assert ops(ran) == {"add": 4, "mul": 4}
    assert ran.traffic[Flow("dram", "weight", "read")] == 4 * 2 * 8
    assert ran.traffic[Flow("glb", "weight", "read")] == 2 * 4 * 8
    first, second = flatten(ran.schedule)
    assert (len(first.loads), len(second.loads)) == (5, 1)
    assert ran.buffers["glb"] == (8192, 4 * 2 * 8 + 2 * 2 * 16)


def test_local_response_normalisation_squares_each_tap_again():
    ran = walk(case(Normalization("lrn", (1, 2, 1, 1), 3), [[[[3]], [[4]]]]))
    # windows of 3 channels hold 2 of them; 3 taps of 2 operations, then 2 and 2 special ones
    scale = (1 + 1e-4 / 3 * 25) ** 0.75
    np.testing.assert_allclose(ran.values.ravel(), [3 / scale, 4 / scale], rtol=1e-14)
    assert ran.compute_cycles == 3 * 2 + 2 + 2 * 3 + 5
    assert causes(ran) == {"busy": 24, "padding": 4, "fill_drain": 10}
    assert ops(ran) == {"mul": 6, "add": 6, "special": 4}


def test_softmax_spreads_a_row_over_the_lanes_and_combines_pairwise():
    ran = walk(case(Softmax((1, 3), 3), [[[0, 0, 0]]]))
    np.testing.assert_allclose(ran.values, [[1 / 3] * 3], rtol=1e-15)
    # 2 groups of: max 1, subtract 1, exp 3, add 1, quotient 3; 2 reductions of one step; latency
    assert ran.compute_cycles == 2 * 9 + 2 + 5
    assert causes(ran) == {"busy": 3 * 9 + 2, "unmapped": 9, "imbalance": 2, "fill_drain": 10}
    assert ops(ran) == {"compare": 4, "add": 7, "special": 6}
    assert ran.traffic[Flow("array", "psum", "write")] == 2 * 1 * 32
    assert ran.traffic[Flow("array", "psum", "read")] == 2 * 2 * 32
    assert ran.traffic[Flow("glb", "psum", "write")] == 3 * 32


def test_seven_partial_results_take_three_steps():
    ran = walk(case(Softmax((1, 7), 7), lanes=7, latency_cycles=0))
    assert ran.compute_cycles == 9 + 2 * 3
    assert ran.accounts["lanes"]["imbalance"] == 2 * (3 * 7 - 6)


def test_layer_normalisation_adds_gain_and_shift_only_where_the_layer_has_them():
    row = [[[1, 3]]]
    plain = walk(case(Normalization("layer", (1, 2)), row))
    np.testing.assert_allclose(plain.values, [[-1 / np.sqrt(1 + 1e-5), 1 / np.sqrt(1 + 1e-5)]], rtol=1e-14)
    # 5 operations, 2 reductions of one step, quotient, quotient, addition and root on one lane
    assert plain.compute_cycles == 5 + 2 + 10 + 5
    assert causes(plain) == {"busy": 10 + 2 + 10, "imbalance": 2 + 10, "fill_drain": 10}
    whole = walk(case(Normalization("layer", (1, 2)), row, weights=[(2,), (2,)]))
    assert whole.compute_cycles == plain.compute_cycles + 2
    assert whole.traffic[Flow("glb", "weight", "read")] == 2 * 2 * 8


def test_a_constant_operand_is_taken_in_like_any_other():
    ran = walk(case(Elementwise("mul", (1, 2, 1, 2)), [[[[[1, 2]], [[3, 4]]]], [[[10]], [[100]]]], [(2, 1, 1)], rows=2))
    assert ran.values.ravel().tolist() == [10, 20, 300, 400]
    assert ran.traffic[Flow("dram", "weight", "read")] == 2 * 8
    assert ran.traffic[Flow("glb", "weight", "read")] == 4 * 8


def test_an_operand_met_only_by_a_scalar_constant_takes_one_operation():
    assert ops(walk(case(Elementwise("mul", (1, 4)), rows=4))) == {"mul": 4}


@pytest.mark.parametrize("op", [*UNARY, *BINARY])
def test_every_operation_gives_integers_exactly_when_numpy_does(op):
    shape = Elementwise(op, (1, 4), ((1, 4),) * (2 if op in BINARY else 1))
    ran = walk(case(shape, [[[-9, -1, 2, 8]], [[1, -2, 3, 5]]], rows=3))
    assert (ran.values.dtype.kind == "i") == (golden(case(shape).operands).dtype.kind == "i") == (op in INTEGER)


@pytest.mark.parametrize("op", UNARY)
def test_constants_beside_the_operand_of_a_function_are_fetched_and_change_no_value(op):
    shape = Elementwise(op, (2, 3), ((2, 3),))
    alone, beside = walk(case(shape, rows=2)), walk(case(shape, weights=[(1,), (1,)], rows=2))
    assert np.array_equal(alone.values, beside.values, equal_nan=True)
    assert beside.traffic[Flow("dram", "weight", "read")] == 2 * 8


@pytest.mark.parametrize("seed", range(40))
def test_kernel_and_reference_agree_on_layers_with_constants(seed):
    rng = np.random.default_rng(seed)
    drawn = random_case("vector", seed)
    dims = (int(rng.integers(1, 4)), int(rng.integers(1, 6)), 2, 2)
    shape, weights = [
        (Normalization("layer", dims[:2]), [(dims[1],)] * int(rng.integers(0, 3))),
        (Normalization("batch", dims), [(dims[1],)] * int(rng.integers(0, 5))),
        (Elementwise("sub", dims, (dims, (*dims[:1], 1, 1, 2))), [(1,), dims]),
    ][seed % 3]
    c = case(shape, weights=weights, rows=int(rng.integers(1, 9)))
    walk(c._replace(params=drawn.params))


def test_the_mapper_sees_exact_cycles():
    view = layer(Elementwise("add", (1, 3000), ((1, 3000),) * 2))
    columns = ENGINE.candidates(view, params(), MACHINE)
    bounds = ENGINE.bounds(view, params(), MACHINE, columns)
    assert len(columns["rows"]) > 1
    for i, rows in enumerate(columns["rows"].tolist()):
        ran = ENGINE.run(ENGINE.plan(view, of(view), params(), ENGINE.mapping_schema(rows=rows), MACHINE))
        assert bounds.cycles[i] == timeline.run(ran.schedule, MACHINE.dram).cycles
        assert bounds.dram_bits[i] == sum(bits for flow, bits in ran.traffic.items() if flow.boundary == "dram")


def test_every_candidate_fits_and_even_pieces_are_tried_in_whole_groups_of_lanes():
    for shape in (Elementwise("relu", (1, 1000)), Pool("max", 2, 6, 9, 9, 3, 3), Softmax((50, 20), 20)):
        view = layer(shape)
        columns = ENGINE.candidates(view, params(lanes=4), MACHINE)
        for rows, channels in zip(columns["rows"].tolist(), columns["channels"].tolist(), strict=True):
            cut = ENGINE.mapping_schema(rows=rows, channels=channels)
            ENGINE.plan(view, of(view), params(lanes=4), cut, MACHINE)
    relu = ENGINE.candidates(layer(Elementwise("relu", (1, 1000))), params(lanes=4), MACHINE)
    # half of the scratchpad holds 256 elements in and out: 64 groups, or 4 even tiles, also rounded up to whole groups
    assert relu["rows"].tolist()[:3] == [256, 252, 250]


@pytest.mark.parametrize(
    "shape", [Elementwise("relu", (1, 1000)), Pool("max", 2, 6, 30, 9, 3, 3), Softmax((50, 20), 20)]
)
def test_a_larger_scratchpad_keeps_every_cut(shape):
    before: set[tuple[int, int]] = set()
    for kib in range(1, 12):
        columns = ENGINE.candidates(layer(shape), params(lanes=7, buffer_kib=kib), MACHINE)
        cuts = set(zip(columns["rows"].tolist(), columns["channels"].tolist(), strict=True))
        assert before <= cuts
        before = cuts


@pytest.mark.parametrize("rows", [1, 7, 13, 96, 250])
def test_for_each_size_that_twice_the_rows_may_take_there_is_one_of_half_of_them_with_no_more_and_no_larger_tiles(rows):
    def tiles_of(count):
        sizes = ENGINE.candidates(layer(Elementwise("relu", (1, count))), params(lanes=5), MACHINE)["rows"].tolist()
        return [[min(size, count - start) for start in range(0, count, size)] for size in sizes]

    half = tiles_of(rows)
    for tiles in tiles_of(2 * rows):
        assert any(len(few) <= len(tiles) and all(a <= b for a, b in zip(few, tiles, strict=False)) for few in half)


def test_wide_images_are_cut_into_channels():
    view = layer(Pool("average", 1, 64, 7, 7, 7, 7))
    columns = ENGINE.candidates(view, params(), MACHINE)
    # half of 1 KiB holds 49 inputs and an output of 10 channels, so 64 / 8
    assert columns["channels"].max() == 8


def test_a_softmax_over_a_row_that_does_not_fit_reads_it_three_times():
    # whole: 300 x (8 + 8 + 32) bits, twice, of 8,192; pieces: 8,192 / (2 x 16 x 2) = 128 groups of 2 lanes
    ran = walk(case(Softmax((1, 300), 300)))
    groups, pieces = 128 + 22, 2
    # max 1; subtract 1, exp 3, add 1; subtract 1, exp 3, quotient 3; 2 reductions of one step
    assert ran.compute_cycles == groups * (1 + 5 + 7) + 2 + 3 * pieces * 5 == 1982
    assert ops(ran) == {"compare": 301, "add": 300 * 3 + 1, "special": 300 * 3}
    assert ran.traffic[Flow("dram", "input", "read")] == 3 * 300 * 8
    assert ran.traffic[Flow("dram", "output", "write")] == 300 * 8
    assert ran.traffic[Flow("glb", "input", "read")] == 3 * 300 * 8
    assert ran.traffic.get(Flow("glb", "psum", "write"), 0) == 0
    assert ran.buffers["glb"] == (8192, 2 * 256 * 16)
    assert ran.details == {"tiles": 3 * pieces, "passes": 3}


def test_a_layer_normalisation_over_rows_that_do_not_fit_fetches_gains_and_shifts_with_the_last_pass():
    ran = walk(case(Normalization("layer", (2, 300)), weights=[(300,), (300,)]))
    # pieces: 8,192 / (2 x 32 x 2) = 64 groups of 2 lanes, so 3 of them
    groups, pieces = 150, 3
    # add; subtract, square, add; subtract, scale, gain, shift; 2 reductions; mean 3, variance 3, epsilon 1, root 3
    assert ran.compute_cycles == 2 * (groups * (1 + 3 + 4) + 2 + 10 + 3 * pieces * 5)
    assert ran.traffic[Flow("dram", "input", "read")] == 2 * 3 * 300 * 8
    assert ran.traffic[Flow("dram", "weight", "read")] == 2 * 2 * 300 * 8
    assert ran.buffers["glb"] == (8192, 2 * 128 * 32)
    loads = [[t.tensor for t in step.loads] for step in flatten(ran.schedule)]
    assert ran.details == {"tiles": 2 * 3 * pieces, "passes": 3, "refetched": 2}
    assert loads == 2 * (6 * [["input"]] + 3 * [["input", "weight", "weight"]])


def test_a_row_that_fits_beside_nothing_but_itself_passes_in_one_piece():
    ran = walk(case(Softmax((2, 120), 120)))
    assert ran.details == {"tiles": 2 * 3, "passes": 3}
    assert walk(case(Softmax((2, 85), 85))).details == {"tiles": 2}  # 2 x 85 x 48 = 8,160


def test_one_row_at_a_time_is_all_that_is_tried_of_rows_that_do_not_fit():
    view = layer(Softmax((4, 1000), 1000))
    columns = ENGINE.candidates(view, params(), MACHINE)
    assert {name: column.tolist() for name, column in columns.items()} == {"rows": [1], "channels": [1]}
    with pytest.raises(MappingError, match="two tiles of 2 rows"):
        case(Softmax((4, 1000), 1000), rows=2).plan()


@pytest.mark.parametrize("lanes", [2, 3, 7])
def test_a_constant_too_large_to_stay_is_fetched_with_each_tile(lanes):
    # 2 x 600 elements and 600 constants of 8 bits: 4,800 bits stay beside a scratchpad of 8,192; 1,100 do not fit
    stays = walk(case(Elementwise("add", (2, 600)), weights=[(600,)], rows=60, lanes=lanes))
    assert stays.traffic[Flow("dram", "weight", "read")] == 600 * 8
    moves = walk(case(Elementwise("add", (2, 1100)), weights=[(1100,)], rows=110, lanes=lanes))
    assert moves.traffic[Flow("dram", "weight", "read")] == 2 * 1100 * 8
    assert moves.buffers["glb"] == (8192, 2 * 110 * 24)
    assert (stays.details, moves.details) == ({"tiles": 20}, {"tiles": 20, "refetched": 1})


def test_channel_constants_too_large_to_stay_are_fetched_with_each_tile():
    ran = walk(case(Normalization("batch", (2, 700, 1, 1)), weights=[(700,)] * 2, rows=100))
    assert ran.traffic[Flow("dram", "weight", "read")] == 2 * 2 * 700 * 8


def test_a_row_of_which_not_even_a_group_of_lanes_fits_names_the_size_that_would():
    view = layer(Softmax((1, 1000), 1000))
    with pytest.raises(MappingError, match=r"96,000 bits, the scratchpad holds 8,192; .*params.buffer_kib to 12"):
        ENGINE.candidates(view, params(lanes=512), MACHINE)
    assert ENGINE.candidates(view, params(lanes=512, buffer_kib=12), MACHINE)["rows"].tolist() == [1]


def test_a_pinned_cut_that_does_not_fit_says_by_how_much():
    case(Elementwise("relu", (1, 1000)), rows=256).plan()
    with pytest.raises(MappingError, match=r"two tiles of 257 rows .* take 8,224 bits, the scratchpad holds 8,192"):
        case(Elementwise("relu", (1, 1000)), rows=257).plan()


@pytest.mark.parametrize(
    ("shape", "reason"),
    [
        (Conv2d(1, 1, 1, 2, 2, 1, 1), "a vector unit has no conv2d unit"),
        (View("reshape", ((1, 2),), (2, 1)), "a vector unit has no view unit"),
        (Elementwise("cosh", (1, 2)), "a vector unit has no operation 'cosh'"),
        (Elementwise("copy", (1, 4), ((1, 3),)), "'copy' from (1, 3) to (1, 4) moves elements"),
        (Elementwise("relu", (1, 2)), None),
    ],
)
def test_it_says_why_a_layer_cannot_run(shape, reason):
    assert ENGINE.supports(layer(shape), params()) == reason


def test_operands_wider_than_a_lane_are_refused():
    assert ENGINE.refuses(layer(Softmax((1, 2), 2)), params(lane_bits=4)) == "'in0' has 8 bits, the lanes take 4"


def test_a_copy_that_permutes_elements_runs():
    ran = walk(case(Elementwise("copy", (2, 3), ((3, 2),)), rows=6))
    assert ran.values.shape == (2, 3)
    assert ops(ran) == {"add": 6}


def test_reports_say_what_is_assumed_and_not_modelled():
    notes = registry.get("vector").notes
    assert any("Ports and banks" in note for note in notes.not_modelled)
    assert any("special_cycles" in note for note in notes.assumed)
    assert Event("lanes", "special").action in ENGINE.components(params())[0].actions
