"""ExTensor: an example by hand, rules of intersection, tiles given and searched, the published counts, mistakes."""

import numpy as np
import pytest

import accelsim
from accelsim.engines import registry
from accelsim.engines.extensor import tiles
from accelsim.engines.extensor.kernel import intersect
from accelsim.engines.extensor.reference import reference, skip_ahead
from accelsim.errors import ConfigError, MappingError
from accelsim.layer import machine_view
from accelsim.operands.handle import of
from accelsim.workload.csr_matrix import from_dense
from accelsim.workload.matrix_make import make_matrix
from accelsim.workload.matrix_names import find_data
from accelsim.workload.matrix_network import network_of

ENGINE = registry.get("extensor")
A = from_dense(np.array([[1, 0, 0, 2], [0, 3, 4, 5]]))
B = from_dense(np.array([[0, 6], [7, 0], [0, 8], [9, 0]]))


def case_of(a, b=None, **given):
    arch = accelsim.load_arch("extensor", [(f"params.{key}", value) for key, value in given.items()])
    net = network_of("case", a, b)
    view = net.view(net.layers[0])
    return view, of(view, 0, net.values), arch.units[0].params, ENGINE.mapping_schema(), machine_view(arch)


def walked(*matrices, **given):
    view, operands, *rest = case_of(*matrices, **given)
    return ENGINE.run(ENGINE.plan(view, operands, *rest), operands)


@pytest.mark.parametrize(
    ("left", "right", "cycles", "matches"),
    [
        ([], [1, 2], 0, 0),
        ([1, 2, 3], [9], 1, 0),  # one run of skips
        ([1, 2, 9], [9], 2, 1),
        ([1, 4], [2, 3, 5], 3, 0),  # left, right (twice), left, and the left list has ended
        ([1, 2, 3], [1, 2, 3], 3, 3),
        ([1, 3, 5], [2, 3, 4, 5], 5, 2),  # left to 3, right to 3, match, right to 5, match
        ([1, 2, 4, 9], [2, 9], 4, 2),  # a match between two skips of one side ends the run
        ([1, 3, 4, 5], [2, 3, 5], 5, 2),
    ],
)
def test_a_run_of_skips_takes_a_cycle_and_a_match_another(left, right, cycles, matches):
    found = intersect(np.array(left, np.int64), 0, len(left), np.array(right, np.int64), 0, len(right))
    twin = skip_ahead(left, right)
    assert found[:2] == (cycles, matches)
    assert (twin[0], len(twin[1]), twin[2]) == found


def test_the_example_of_the_decision_by_hand():
    """docs/decisions/0103-extensor.md, worked out there entry by entry."""
    whole = walked(A, B, tile_elements=2, m1_tiles=1, k1_tiles=2, n1_tiles=1)
    d = whole.details
    assert (d["k2_intersections"], d["k1_intersections"], d["k0_intersections"]) == (1, 2, 9)
    assert (d["products"], d["additions"], d["partial_outputs"], d["tile_pairs"]) == (5, 1, 0, 2)
    dram = {(flow.tensor, flow.direction): bits // 8 for flow, bits in whole.traffic.items() if flow.boundary == "dram"}
    assert dram == {("input", "read"): 120, ("weight", "read"): 128, ("output", "write"): 64, ("psum", "read"): 0,
                    ("psum", "write"): 0}  # fmt: skip
    assert whole.compute_cycles == 1 + 5
    assert whole.accounts["pes"] == {"busy": 5, "control": 4, "imbalance": 128 * 5 - 9, "starved": 128, "memory": 0}
    parted = walked(A, B, tile_elements=2, m1_tiles=1, k1_tiles=1, n1_tiles=1)
    assert parted.details["partial_outputs"] == 1
    assert parted.details["k2_intersections"] == 2


def test_two_pes_in_turn_take_other_tiles_than_the_one_that_is_free():
    """Three pairs of tiles of 4, 1 and 1 cycles: in turn 4 + 1 and 1, to the free one 4 and 1 + 1."""
    a = np.zeros((1, 12), np.int64)
    a[0, [0, 1, 2, 3, 4, 8]] = 1
    given = {"pes": 2, "tile_elements": 4, "m1_tiles": 1, "k1_tiles": 4, "n1_tiles": 1, "sequencers": 9}
    one, other = (walked(from_dense(a), from_dense(a.T), deal=deal, **given) for deal in ("turn", "free"))
    assert one.details["k0_intersections"] == other.details["k0_intersections"] == 6
    assert (one.accounts["pes"]["imbalance"], other.accounts["pes"]["imbalance"]) == (2 * 5 - 6, 2 * 4 - 6)


def test_given_partial_outputs_take_the_place_of_those_counted_and_nothing_else_changes():
    matrix = make_matrix("rmat:n=40,nnz=200,seed=3")
    given = {"tile_elements": 4, "m1_tiles": 2, "k1_tiles": 2, "n1_tiles": 3}
    counted, told = walked(matrix, **given), walked(matrix, partial_bytes=1001, **given)
    moved = {flow: bits for flow, bits in told.traffic.items() if flow.tensor == "psum" and flow.boundary == "dram"}
    assert sorted(moved.values()) == [4004, 4004]
    assert counted.details["partial_outputs"] > 0
    plain = [{flow: bits for flow, bits in each.traffic.items() if flow not in moved} for each in (counted, told)]
    assert plain[0] == plain[1]
    buses = [sum(phase.bus_bits for phase in each.phases) for each in (counted, told)]
    assert buses == [sum(bits for flow, bits in each.traffic.items() if flow.boundary == "dram")
                     for each in (counted, told)]  # fmt: skip


@pytest.mark.parametrize("llb_kib", [30720, 40, 20])
def test_searched_tiles_fit_and_none_that_fits_moves_less_before_anything_is_skipped(llb_kib):
    matrix = make_matrix("powerlaw:n=60,nnz=300,longest=20,seed=4")
    *_, params, _, _ = case_of(matrix, tile_elements=8, llb_kib=llb_kib)
    columns = matrix.transposed()
    cut, held = tiles.choose(matrix, columns, matrix, params)
    assert held.peak(params.output_bits) <= llb_kib * 8192
    assert (cut.k1, cut.n1, cut.m1) == (8, 8, 8) or llb_kib < 30720

    def moved(found):
        return found.b.sum() + len(found.b) * found.a.sum() + 2 * found.again.sum() * params.output_bits

    for m1, k1, n1 in np.ndindex(4, 4, 4):
        other = tiles.held(matrix, columns, matrix, tiles.Cut(8, 2**m1, 2**k1, 2**n1), params)
        assert moved(other) >= moved(held) or other.peak(params.output_bits) > llb_kib * 8192


def test_smaller_buffers_lead_to_smaller_tiles_and_the_product_stays():
    matrix = make_matrix("rmat:n=300,nnz=3000,seed=1")
    products, tile_rows = set(), []
    for llb_kib in (30720, 256, 64):
        result = walked(matrix, tile_elements=16, llb_kib=llb_kib)
        capacity, peak = result.buffers["glb.llb"]
        assert peak <= capacity
        products.add(result.details["products"])
        tile_rows.append(result.details["m1_tiles"])
    assert len(products) == 1
    assert tile_rows == sorted(tile_rows, reverse=True)
    assert tile_rows[0] > tile_rows[-1]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"llb_kib": 1, "tile_elements": 16}, "no tiles fit a buffer of 1 KiB"),
        ({"llb_kib": 16, "m1_tiles": 99, "k1_tiles": 99, "n1_tiles": 99}, "no tiles fit a buffer of 16 KiB"),
        ({"tile_elements": 1, "m1_tiles": 1, "k1_tiles": 1, "n1_tiles": 1}, "in 1,048,576 steps"),
        ({"coordinate_bits": 6}, "coordinates of 6 bits do not reach"),
        ({"pointer_bits": 6}, "pointers of 6 bits do not reach"),
    ],
)
def test_what_does_not_fit_is_one_line(given, says):
    view, operands, *rest = case_of(make_matrix("uniform:n=300,nnz=3000,seed=1"), **given)
    with pytest.raises(MappingError, match=says) as caught:
        ENGINE.plan(view, operands, *rest)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("key", [name for name in tiles.Params.model_fields if name != "deal"])
def test_a_parameter_below_its_least_is_one_line_that_names_it(key):
    least = -2 if key == "partial_bytes" else -1
    with pytest.raises(ConfigError, match=key) as caught:
        accelsim.load_arch("extensor", [(f"params.{key}", least)])
    assert "\n" not in str(caught.value)


def test_a_deal_that_there_is_not_is_one_line():
    with pytest.raises(ConfigError, match="deal"):
        accelsim.load_arch("extensor", [("params.deal", "random")])


@pytest.mark.parametrize(
    ("name", "m1", "k0", "products", "a", "b"),
    [("wiki-Vote", 12, 55_682_881, 4_542_805, 1_783_800, 1_719_856),
     ("p2p-Gnutella31", 32, 29_738_344, 538_318, 14_356_896, 4_540_128)],
)  # fmt: skip
def test_real_matrices_have_the_published_counts(name, m1, k0, products, a, b):
    if find_data(name) is None:
        pytest.skip(f"ACCELSIM_DATA has no {name}")
    result = accelsim.simulate(
        accelsim.load_arch("extensor", [("params.m1_tiles", m1), ("params.k1_tiles", 64), ("params.n1_tiles", 128)]),
        f"matrix:{name}", check=True,
    )  # fmt: skip
    (layer,) = result.layers
    assert layer.checked
    assert (layer.details["k0_intersections"], layer.details["products"]) == (k0, products)
    read = {row.tensor: row.bits // 8 for row in layer.traffic if (row.boundary, row.direction) == ("dram", "read")}
    assert (read["input"], read["weight"]) == (a, b)


def test_the_twin_agrees_on_real_numbers_to_the_last_bit():
    matrix = make_matrix("rmat:n=30,nnz=150,seed=2")
    reals = matrix.__class__(matrix.shape, matrix.pointers, matrix.columns, np.sin(matrix.values + matrix.columns))
    view, operands, *rest = case_of(reals, tile_elements=4, k1_tiles=2)
    one, other = ENGINE.run(ENGINE.plan(view, operands, *rest), operands), reference(view, operands, *rest)
    assert one.same_integers(other) == []
    np.testing.assert_array_equal(one.values.values, other.values.values)
