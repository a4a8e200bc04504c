"""Row stationary by small examples: what moves when, what must fit, what the mapper picks."""

import os
import subprocess
import sys
from fractions import Fraction
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from contract import random_case

import accelsim
from accelsim.activity import Flow, flatten
from accelsim.config.schema import MappingSpec
from accelsim.engine import Machine
from accelsim.engines import registry
from accelsim.engines.row_stationary import candidates, traffic
from accelsim.engines.row_stationary.candidates import best, bounds, mappings
from accelsim.engines.row_stationary.cut import Cut
from accelsim.engines.row_stationary.params import Mapping, Params
from accelsim.engines.row_stationary.reference import reference
from accelsim.errors import MappingError
from accelsim.mapping.choose import Bounds, choose, dynamic_pj
from accelsim.memory import timeline
from accelsim.memory.dram import DramModel
from accelsim.operands.golden import golden
from accelsim.operands.handle import of
from accelsim.operands.rlc import Rlc
from accelsim.workload.layers import LayerView, Tensor
from accelsim.workload.shapes import Conv2d, Linear, Pool

ENGINE = registry.get("row_stationary")
CHIP = accelsim.load_arch("eyeriss").units[0].params
MACHINE = Machine({"core": Fraction(200)}, DramModel(Fraction(96, 5), 0, 64))


def view_of(shape, input_density=1.0, output_density=1.0):
    weight = (Tensor("w", shape.weight_shape, 16, weight=True),) if shape.weight_shape else ()
    inputs = (Tensor("x", shape.input_shapes[0], 16, density=input_density),)
    return LayerView("layer", shape, inputs, weight, (Tensor("y", shape.output_shape, 16, density=output_density),))


def conv(**sizes):
    return Conv2d(**({"n": 1, "c": 1, "k": 1, "h": 3, "w": 3, "r": 2, "s": 2} | sizes))


def mapped(**factors):
    return Mapping(**({"m": 1, "n": 1, "e": 1, "p": 1, "q": 1, "r": 1, "t": 1} | factors))


def run(shape, mapping, params=CHIP, values=False, **densities):
    view = view_of(shape, **densities)
    operands = of(view)
    plan = ENGINE.plan(view, operands, params, mapping, MACHINE)
    return ENGINE.run(plan, operands if values else None)


def chip(**changes):
    return CHIP.model_copy(update=changes)


def bits(activity, boundary, tensor, direction):
    return activity.traffic.get(Flow(boundary, tensor, direction), 0)


# --- time


def test_the_worked_example_takes_thirteen_cycles():
    small = run(conv(), mapped(e=2), chip(rows=2, cols=2))
    # 1 for the filters, 9 ifmap words, 2 for the last window's multiplications, 1 until its psum is in the buffer
    assert small.compute_cycles == 13
    causes = small.accounts["pes"]
    assert (causes["busy"], causes["starved"], causes["fill_drain"], causes["conflict"]) == (16, 4, 24 + 8, 0)


def test_a_pass_costs_its_filters_its_first_window_and_its_multiplications():
    # 64 filters at 4 per cycle, 8 channels x 3 rows x 3 columns, then p q S per window
    shape = conv(c=8, k=8, h=3, w=40, r=3, s=3)
    two_sets = run(shape, mapped(m=8, p=8, q=4, r=2))
    filters, window, slot, windows, last_psums = 8 * 8 * 9 // 4, 8 * 3 * 3, 8 * 4 * 3, 38, 8 // 4
    assert two_sets.compute_cycles == filters + window + slot * windows + last_psums


def test_the_next_pass_waits_for_its_filters_but_not_for_the_last_psums():
    shape = conv(c=8, k=8, h=3, w=40, r=3, s=3)
    once, twice = (run(shape, mapped(m=8, p=p, q=4, r=2)).compute_cycles for p in (8, 4))
    assert twice - 1 == 2 * (4 * 8 * 9 // 4 + 8 * 3 * 3 + 4 * 4 * 3 * 38)
    assert twice - once == 8 * 3 * 3 - 1


def test_a_slower_filter_network_delays_every_pass_by_as_much():
    shape = conv(c=4, k=8, h=5, w=20, r=3, s=3)
    fast, slow = (run(shape, mapped(m=8, e=3, p=4, q=4), chip(filter_words_per_cycle=w)) for w in (4, 1))
    words = 4 * 4 * 9
    assert slow.compute_cycles - fast.compute_cycles == 2 * (words - words // 4)


def test_one_channel_per_pass_is_bound_by_the_psum_networks():
    shape = conv(c=1, k=16, h=10, w=102, r=3, s=3)
    bound = run(shape, mapped(m=16, e=8, p=16))
    # 16 filters x 8 rows per window take 32 cycles at 4 words, but with 48 multiplications they hide
    assert bound.accounts["pes"]["conflict"] < bound.accounts["pes"]["busy"] / 100
    more = run(shape, mapped(m=16, e=8, p=4, t=4))
    # the same words in windows of 12 multiplications do not
    assert more.compute_cycles >= 100 * 32
    assert more.accounts["pes"]["conflict"] > more.accounts["pes"]["busy"]


def test_few_filters_per_pass_are_bound_by_the_ifmap_network():
    shape = conv(c=4, k=1, h=10, w=52, r=3, s=3)
    bound = run(shape, mapped(e=8, q=4))
    words = 4 * 10 * 52
    assert words < bound.compute_cycles < words + 40
    assert bound.accounts["pes"]["starved"] > bound.accounts["pes"]["busy"]


def test_zeros_cost_no_cycle_less_but_are_not_multiplied():
    shape = conv(c=4, k=4, h=8, w=8, r=3, s=3)
    mapping = mapped(m=4, e=6, p=4, q=4)
    dense, sparse = (run(shape, mapping, input_density=d) for d in (1.0, 0.25))
    assert dense.compute_cycles == sparse.compute_cycles
    assert dense.performed_macs == shape.macs
    nonzero = np.lib.stride_tricks.sliding_window_view(of(view_of(shape, 0.25)).input.mask, (3, 3), axis=(2, 3))
    assert sparse.performed_macs == 4 * int(nonzero.sum())
    assert bits(sparse, "pe.filters", "weight", "read") == sparse.performed_macs * 16
    ungated = run(shape, mapping, chip(zero_gating=False), input_density=0.25)
    assert ungated.performed_macs == shape.macs


def test_loads_and_dumps_of_feature_maps_overlap_no_processing():
    shape = conv(c=6, k=8, h=8, w=20, r=3, s=3)
    activity = run(shape, mapped(m=8, e=6, p=8, q=2))
    ran = timeline.run(activity.schedule, MACHINE.dram)
    steps = flatten(activity.schedule)
    alone = sum(MACHINE.dram.bus_cycles(s.before) + MACHINE.dram.bus_cycles(s.after) for s in steps)
    first_filters = MACHINE.dram.bus_cycles(steps[0].loads)
    assert ran.stall_cycles == first_filters + alone
    assert activity.details["processing_cycles"] == ran.cycles - ran.stall_cycles


@pytest.mark.parametrize("network", ["filter_words_per_cycle", "ifmap_words_per_cycle", "psum_words_per_cycle"])
def test_a_wider_network_is_never_slower(network):
    for seed in range(40):
        case = random_case("row_stationary", seed)
        narrow = case.engine.run(case.plan()).compute_cycles
        wide = case.params.model_copy(update={network: 2 * getattr(case.params, network)})
        assert case.engine.run(case._replace(params=wide).plan()).compute_cycles <= narrow


# --- the multicast that waits for the slowest destination, where random cases seldom look


SLOW = {
    "filter_spad_words": 16, "fmap_banks": 5, "filter_banks": 1, "bank_kib": 1, "filter_words_per_cycle": 2,
}  # fmt: skip


@pytest.mark.parametrize(
    ("what", "shape", "params", "mapping"),
    [
        (
            "a set with fewer channels has room for more columns",
            conv(n=2, c=6, k=8, h=7, w=6, s=1, groups=2, stride=(3, 1)),
            {"rows": 4, "cols": 5, "ifmap_spad_words": 2, "psum_spad_words": 1, "ifmap_words_per_cycle": 2,
             "psum_words_per_cycle": 1},
            mapped(m=4, n=3, e=2, q=2, t=4),
        ),
        (
            "a word that no window meets waits for nobody",
            conv(n=2, c=1, k=1, h=4, w=6, s=1, stride=(3, 3), pad=(0, 1, 0, 1)),
            {"rows": 3, "cols": 5, "ifmap_spad_words": 2, "psum_spad_words": 2, "ifmap_words_per_cycle": 2,
             "psum_words_per_cycle": 2},
            mapped(m=12, n=2, q=2, t=4),
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_the_kernel_steps_like_the_reference_where(what, shape, params, mapping):
    view = view_of(shape)
    operands, machine = of(view), MACHINE
    chosen = Params(**SLOW, **params)
    plan = ENGINE.plan(view, operands, chosen, mapping, machine)
    assert ENGINE.run(plan).same_integers(reference(view, operands, chosen, mapping, machine)) == []


# --- traffic


def test_a_strip_is_read_whole_also_where_it_leaves_the_image():
    # 5 output rows in strips of 2: three strips of 4 rows each, 12 rows where the image has 7
    activity = run(conv(h=7, w=9, r=3, s=3), mapped(e=2))
    assert bits(activity, "glb.fmaps", "input", "read") == 12 * 9 * 16
    # DRAM is asked only for rows that exist: 4 + 4 + 3
    assert bits(activity, "dram", "input", "read") == 11 * 9 * 16


def test_every_pass_reads_and_writes_its_psums_or_only_those_between_passes():
    shape, mapping = conv(c=6, k=2, h=6, w=6, r=3, s=3), mapped(m=2, e=4, p=2, q=2)
    outputs = 2 * 4 * 4 * 16
    every = run(shape, mapping)
    assert bits(every, "glb.fmaps", "psum", "read") == bits(every, "glb.fmaps", "psum", "write") == 3 * outputs
    between = run(shape, mapping, chip(psum_counting="between_passes"))
    assert bits(between, "glb.fmaps", "psum", "read") == bits(between, "glb.fmaps", "psum", "write") == 2 * outputs


def test_filters_come_again_for_every_strip_and_image_block():
    shape = conv(n=3, c=2, k=4, h=9, w=9, r=3, s=3)
    activity = run(shape, mapped(m=4, n=2, e=3, p=4, q=2))
    assert bits(activity, "dram", "weight", "read") == 4 * 2 * 9 * 16 * 3 * 2


def test_a_map_without_zeros_is_not_coded_and_one_with_many_is():
    shape, mapping = conv(c=4, k=4, h=16, w=16, r=3, s=3), mapped(m=4, e=14, p=4, q=4)
    dense = run(shape, mapping)
    assert (dense.details["input_coded"], dense.details["output_coded"]) == (0, 0)
    sparse = run(shape, mapping, input_density=0.2, output_density=0.1)
    assert (sparse.details["input_coded"], sparse.details["output_coded"]) == (1, 1)
    operands = of(view_of(shape, 0.2))
    assert bits(sparse, "dram", "input", "read") == Rlc().encode(operands.input.values).bits
    never = run(shape, mapping, chip(rlc=False), input_density=0.2)
    assert bits(never, "dram", "input", "read") == 4 * 16 * 16 * 16


def test_a_map_that_coding_would_enlarge_stays_as_it_is():
    # a pair takes 21 bits and a third of a mark, so that three quarters of the words is the limit
    shape, mapping = conv(c=4, k=4, h=40, w=40, r=3, s=3), mapped(m=4, e=2, p=4, q=4)
    coded = [run(shape, mapping, input_density=d).details["input_coded"] for d in (0.65, 0.85)]
    assert coded == [1, 0]


# --- what must fit


@pytest.mark.parametrize(
    ("shape", "mapping", "message"),
    [
        (conv(c=4, k=32, s=3, w=8), mapped(m=32, p=24, q=4), "288 words of p q S in the filter spad"),
        (conv(c=8, s=2), mapped(q=7), "14 words of q S in the ifmap spad"),
        (conv(k=32), mapped(m=32, p=32), "32 words of p in the psum spad"),
        (conv(c=8, r=3, h=9), mapped(r=5), "15 rows of r R on the array"),
        (conv(c=24, k=96, r=6, s=2, h=20, w=20), mapped(m=96, p=8, q=6, t=12), "6,912 filter words"),
        (conv(k=4, h=226, w=226, r=3, s=3), mapped(m=4, e=56, p=4), "32 banks for 13,108 ifmap and 50,176 psum"),
        (conv(), mapped(e=3), "3 output rows of e"),
        (conv(k=8, h=31, w=31, r=5, s=5), mapped(m=8, e=27, t=2), "4 shelves of r R rows"),
        (conv(k=8), mapped(m=3, p=2), "m = 3, which is neither a multiple of p t = 2 nor all 8"),
    ],
)
def test_what_does_not_fit_is_named_with_its_size(shape, mapping, message):
    with pytest.raises(MappingError, match="layer 'layer': the mapping needs") as error:
        run(shape, mapping)
    assert message in str(error.value)


def test_a_wide_set_is_folded_and_what_is_left_over_shares_a_shelf():
    # width 18 on 14 columns: one full segment per stack, and segments of 4, three to a shelf
    assert not Cut(conv(k=4, h=19, w=19), CHIP, mapped(m=4, e=18, t=4)).misfits()
    assert Cut(conv(k=5, h=19, w=19), CHIP, mapped(m=5, e=18, t=5)).misfits() == [
        "7 shelves of r R rows for t stacks of width e, where there are 6"
    ]


@pytest.mark.parametrize(
    ("shape", "reason"),
    [
        (conv(h=30, r=13), "the filter has 13 rows, the machine takes 12"),
        (conv(w=30, s=13), "the filter has 13 columns, the machine takes 12"),
        (conv(h=9, w=9, dilation=(2, 2)), "a PE slides over neighbouring words: no dilation"),
    ],
)
def test_layers_that_cannot_run_say_why(shape, reason):
    assert ENGINE.supports(view_of(shape), CHIP) == reason


def test_only_products_run():
    view = LayerView("p", Pool("max", 1, 4, 8, 8, 2, 2), (Tensor("x", (1, 4, 8, 8), 16),), (), ())
    assert ENGINE.supports(view, CHIP) == "a row-stationary array has no pool unit"


# --- values


@pytest.mark.parametrize(
    ("shape", "mapping"),
    [
        (conv(c=2, k=3, h=17, w=15, r=12, s=12), mapped(m=3, e=4, p=3)),
        (conv(n=2, c=3, k=4, h=31, w=31, r=11, s=11, stride=(4, 4)), mapped(m=4, e=4, p=2, t=2)),
        (conv(n=3, c=5, k=7, h=9, w=9, r=3, s=3, pad=(1, 1, 1, 1)), mapped(m=7, n=2, e=4, p=2, q=2, r=2, t=2)),
        (conv(c=4, k=6, h=27, w=9, r=5, s=5, pad=(2, 2, 2, 2)), mapped(m=6, e=27, p=6, q=2)),
        (conv(c=6, k=9, h=9, w=8, r=3, s=2, groups=3, stride=(2, 3)), mapped(m=3, e=4, p=3, q=2)),
        (conv(n=2, c=5, k=5, h=9, w=9, r=3, s=3, groups=5, pad=(1, 0, 2, 1)), mapped(n=2, e=10)),
        (Linear(n=5, c=37, k=41), mapped(m=41, n=4, p=3, q=8, r=4, t=14)),
    ],
)
def test_values_are_those_of_numpy(shape, mapping):
    activity = run(shape, mapping, values=True)
    np.testing.assert_array_equal(activity.values, golden(of(view_of(shape))))


# --- choosing


TINY = chip(rows=6, cols=4, filter_spad_words=24, ifmap_spad_words=6, psum_spad_words=5, fmap_banks=6, filter_banks=1,
            bank_kib=1)  # fmt: skip


def every_legal_mapping(shape):
    """Try all factors; none larger than what it divides."""
    limits = {"m": shape.k, "n": shape.n, "e": shape.e, "p": 5, "q": shape.c, "r": min(shape.c, 6), "t": shape.k}
    for values in product(*(range(1, limit + 1) for limit in limits.values())):
        factors = dict(zip(limits, values, strict=True))
        if factors["q"] * shape.s <= 6 and not Cut(shape, TINY, Mapping(**factors)).misfits():
            yield values


@pytest.mark.parametrize(
    "shape",
    [
        conv(n=3, c=5, k=7, h=8, w=8, r=3, s=3),
        conv(n=2, c=7, k=5, h=6, w=9, r=1, s=1),
        conv(n=1, c=3, k=8, h=9, w=7, r=2, s=3, stride=(2, 1)),
    ],
    ids=["3x3", "1x1", "strided"],
)
def test_pruning_to_break_points_loses_no_best_mapping(shape):
    kept = mappings(shape, TINY)
    columns = dict(zip(kept, np.array(list(every_legal_mapping(shape))).T, strict=True))
    assert len(columns["m"]) > 1.5 * len(kept["m"])
    every = lambda found: np.arange(len(found.cycles))  # noqa: E731
    for objective in (lambda f: f.own[1], lambda f: f.timed(every(f)), lambda f: f.dram_bits):
        pruned, whole = (objective(bounds(shape, TINY, MACHINE.dram, c)).min() for c in (kept, columns))
        assert pruned == whole


def columns_of(mapping):
    return {name: np.array([value]) for name, value in mapping.model_dump().items()}


def test_the_objective_is_200_dram_words_plus_6_buffer_words_times_cycles():
    # 2 x 2 filters, strips of 2 rows: 3 x 9 ifmap words twice, one pass each
    shape = conv(h=5, w=9, r=2, s=2)
    dram = 2 * 4 + 2 * 3 * 9 + 4 * 8
    buffer = 2 * 3 * 9 + 2 * 4 * 8
    # the ifmap network is the slowest: 27 words, after 4 filter words in a cycle
    cycles = 2 * (27 + 1)
    name, score = bounds(shape, CHIP, MACHINE.dram, columns_of(mapped(e=2))).own
    assert name == "(200 DRAM words + 6 buffer words) x cycles"
    assert score.tolist() == [(200 * dram + 6 * buffer) * cycles]


@pytest.mark.parametrize(
    ("shape", "mapping"),
    [
        (conv(c=16, k=32, h=15, w=15, r=3, s=3), mapped(m=32, e=13, p=16, q=4, r=2, t=2)),
        (conv(c=4, k=1, h=10, w=52, r=3, s=3), mapped(e=8, q=4)),
        (conv(c=1, k=16, h=10, w=102, r=3, s=3), mapped(m=16, e=8, p=4, t=4)),
    ],
    ids=["multiplications", "ifmap network", "psum networks"],
)
def test_the_estimate_knows_what_binds(shape, mapping):
    fast = DramModel(Fraction(10**9), 0, 64)
    estimate = bounds(shape, CHIP, fast, columns_of(mapping)).cycles[0]
    assert estimate == pytest.approx(run(shape, mapping).compute_cycles, rel=0.1)


def test_every_mapping_that_is_offered_fits():
    shape = conv(n=3, c=20, k=30, h=17, w=17, r=3, s=3)
    columns = mappings(shape, CHIP)
    rows = np.stack(list(columns.values()), axis=1)
    assert len(rows) > 100
    for row in rows[:: len(rows) // 50]:
        assert not Cut(shape, CHIP, Mapping(**dict(zip(columns, row.tolist(), strict=True)))).misfits()


def test_among_equals_the_mapping_with_more_pes_comes_first():
    columns = mappings(conv(c=4, k=8, h=10, w=10, r=3, s=3), CHIP)
    used = columns["e"] * columns["r"] * columns["t"]
    assert (np.diff(used) <= 0).all()


def test_a_buffer_too_small_for_the_smallest_strip_says_so():
    with pytest.raises(MappingError, match="even the smallest needs 3 banks for 4,000 ifmap and 1,000 psum words"):
        mappings(conv(h=4, w=1000, r=4, s=1), chip(fmap_banks=2))


@pytest.mark.parametrize("objective", ["cycles", "energy", "edp", "dram", "engine"])
def test_every_objective_can_be_chosen(objective):
    arch = accelsim.load_arch("eyeriss", [("mapping.objective", objective)])
    layer = accelsim.simulate(arch, accelsim.load_network("alexnet"), layers="conv2").simulated[0]
    assert layer.mapping_source == "searched"
    word = "buffer words" if objective == "engine" else objective
    assert word in layer.details["mapping_why"]
    assert layer.details["mapping_candidates"] > 1000


@pytest.mark.parametrize("name", ["vgg16", "resnet18", "mobilenet_v1", "squeezenet1_0"])
def test_common_networks_run_whole(name):
    result = accelsim.simulate(accelsim.load_arch("eyeriss"), accelsim.load_network(name))
    assert result.coverage["macs"] == 1
    assert 0.01 < result.occupancy < 1


def test_larger_arrays_are_faster_on_alexnet():
    network = accelsim.load_network("alexnet")
    results = [
        accelsim.simulate(accelsim.load_arch(name), network, batch=4, layers="conv*")
        for name in ("eyeriss", "eyeriss_256", "eyeriss_1024")
    ]
    assert [result.simulated[0].units for result in results] == [168, 256, 1024]
    assert results[0].cycles > results[1].cycles > results[2].cycles


def test_the_pictures_can_be_made(tmp_path):
    root = Path(__file__).parents[1]
    script = root / "examples" / "eyeriss_chip" / "draw.py"
    path = {"PYTHONPATH": os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])}
    subprocess.run([sys.executable, str(script), str(tmp_path)], check=True, capture_output=True,
                   env={**os.environ, **path})  # fmt: skip
    for made in ("eyeriss_chip.png", "eyeriss_pass.png"):
        assert (tmp_path / made).read_bytes().startswith(b"\x89PNG")


def test_more_banks_only_add_to_the_list():
    shape = conv(n=3, c=5, k=29, h=8, w=8, r=3, s=3)
    before: set[tuple[int, ...]] = set()
    for banks in range(2, 20):
        columns = mappings(shape, chip(fmap_banks=banks, bank_kib=1))
        rows = set(zip(*(column.tolist() for column in columns.values()), strict=True))
        assert before <= rows
        before = rows


@pytest.mark.parametrize("dram", [DramModel(Fraction(7, 3), 0, 64), DramModel(Fraction(40), 300, 512)])
def test_no_walk_is_shorter_than_its_bound_and_the_search_proves_the_best_of_the_list(dram):
    shape = conv(n=2, c=5, k=7, h=9, w=7, r=2, s=3, stride=(2, 1))
    told = bounds(shape, TINY, dram, mappings(shape, TINY))
    walked = told.timed(np.arange(len(told.cycles)))
    assert (walked >= told.cycles).all()
    assert walked.min() < 1.1 * told.cycles.min()
    for objective, least in (("cycles", walked.min()), ("dram", told.dram_bits.min())):
        choice = best(shape, TINY, dram, objective)
        chosen = bounds(shape, TINY, dram, {name: np.array([value]) for name, value in choice.row.items()})
        assert {"cycles": chosen.timed(np.arange(1))[0], "dram": chosen.dram_bits[0]}[objective] == least
        assert choice.candidates == len(walked)


def test_under_energies_and_the_authors_objective_the_search_chooses_as_from_the_whole_list():
    rng = np.random.default_rng(3)

    def draw(least, most):
        return int(rng.integers(least, most + 1))

    for _ in range(25):
        r, s = draw(1, 3), draw(1, 3)
        shape = conv(n=draw(1, 3), c=draw(1, 9), k=draw(1, 9), h=draw(4, 12), w=draw(4, 12), r=r, s=s,
                     stride=(draw(1, 2), draw(1, 2)))  # fmt: skip
        dram = DramModel(Fraction(draw(1, 90), draw(1, 9)), draw(0, 200), draw(1, 64) * 8)
        prices, leak = rng.choice([0.0, 0.011, 0.3, 1.7, 41.0], 20), draw(0, 3) / 7

        def price(name, action, prices=prices):
            return float(prices[sum((name + action).encode()) % len(prices)])

        columns = mappings(shape, TINY)
        told = bounds(shape, TINY, dram, columns)
        for objective in ("energy", "edp"):
            spec = MappingSpec(objective=objective)
            assert best(shape, TINY, dram, objective, price, leak) == choose(columns, told, spec, price, leak)
        found = best(shape, TINY, dram, "engine")
        whole = candidates._in_order(np.concatenate(list(candidates._listed(shape, TINY))))
        own = candidates.own(shape, TINY, whole)
        nothing = np.zeros(len(own[1]), dtype=np.int64)
        told = Bounds(nothing, nothing, {}, own)
        assert found == choose(whole, told, MappingSpec(objective="engine"), price, leak)


def test_the_list_holds_the_largest_m_of_every_break_point_that_fits():
    # by what `Cut` says of each mapping alone
    rng = np.random.default_rng(5)
    for _ in range(30):
        rows, taps = int(rng.integers(2, 7)), int(rng.integers(1, 3))
        conv = Conv2d(n=int(rng.integers(1, 3)), c=int(rng.integers(1, 7)), k=int(rng.integers(1, 9)), h=6, w=24,
                      r=taps, s=taps, stride=(int(rng.integers(1, 3)), 1))  # fmt: skip
        params = Params(rows=rows, cols=int(rng.integers(1, 6)), filter_spad_words=int(rng.integers(2, 9)),
                        ifmap_spad_words=int(rng.integers(2, 12)), psum_spad_words=int(rng.integers(1, 5)),
                        fmap_banks=int(rng.integers(2, 5)), filter_banks=1, bank_kib=1, word_bits=32)  # fmt: skip
        counts = {"n": conv.n, "e": conv.e, "p": conv.k, "q": conv.c, "r": conv.c, "t": conv.k}
        expected = set()
        for n, e, p, q, r, t in product(*(range(1, size + 1) for size in counts.values())):
            of = {"n": conv.n, "e": conv.e, "r": conv.c, "t": conv.k, "q": -(-conv.c // r), "p": -(-conv.k // t)}
            factors = {"n": n, "e": e, "p": p, "q": q, "r": r, "t": t}
            if any(factors[x] > 1 and (factors[x] > of[x] or -(-of[x] // (factors[x] - 1)) == -(-of[x] // factors[x]))
                   for x in of) or n > params.max_images:  # fmt: skip
                continue
            for m in range(conv.k, 0, -1):
                if not Cut(conv, params, Mapping(m=m, **factors)).misfits():
                    expected.add((m, n, e, p, q, r, t))
                    break
        listed = [tuple(row) for part in candidates._listed(conv, params) for row in part.tolist()]
        assert len(listed) == len(set(listed))
        assert set(listed) == expected


def test_what_costs_least_is_kept_over_speeds_of_dram_and_chosen_as_if_it_were_not():
    """Without leakage no speed decides an energy, ties apart: what is kept of the list chooses as the list does."""
    conv = Conv2d(n=2, c=24, h=13, w=13, k=20, r=3, s=3, stride=(1, 1), pad=(1, 1, 1, 1))
    params = accelsim.load_arch("eyeriss").units[0].params
    table = {"dram": 200.0, "array": 2.0, "glb.fmaps": 6.0, "glb.filters": 6.0}

    def price(name, action):
        return table.get(name, 1.0)

    spec = MappingSpec(objective="energy")
    for rate in (Fraction(1, 3), Fraction(7), Fraction(96, 5)):
        dram = DramModel(rate, 20, 64)
        found = candidates.best(conv, params, dram, "energy", price)
        columns = candidates.mappings(conv, params)
        listed = choose(columns, candidates.bounds(conv, params, dram, columns), spec, price)
        assert (found.row, found.candidates) == (listed.row, listed.candidates)


def test_what_is_left_out_by_its_floor_costs_more_and_without_rounded_bursts_floors_are_exact():
    conv = Conv2d(n=3, c=10, h=13, w=11, k=14, r=3, s=3, stride=(2, 1), pad=(1, 1, 2, 0), groups=2)
    params = chip(fmap_banks=5)
    columns = mappings(conv, params)
    read, write = traffic.least_moved(conv, params, columns)
    for burst_bits in (16, 64, 512):
        moved = traffic.moved(conv, params, DramModel(Fraction(1), 0, burst_bits), columns)
        assert (read <= moved.weights + moved.inputs).all()
        assert (write <= moved.outputs).all()
        exact = burst_bits == params.word_bits
        assert bool((read == moved.weights + moved.inputs).all() and (write == moved.outputs).all()) == exact


def test_the_cheapest_are_those_of_the_whole_list_with_ties_in_its_order_however_it_is_cut(monkeypatch):
    conv = Conv2d(n=2, c=12, h=9, w=9, k=24, r=3, s=3, stride=(1, 1), pad=(1, 1, 1, 1))
    params, dram = chip(), DramModel(Fraction(1), 0, 4096)
    rows = np.concatenate([some for some, _ in candidates._numbered(conv, params)])
    for far, near in ((200.0, 1.5), (0.0, 1.5), (1.0, 0.0)):  # by DRAM alone many cost the same
        prices = tuple((key, far if key[0] == "dram" else near) for key in candidates._priced(conv, params, dram))
        told = bounds(conv, params, dram, candidates._columns(rows))
        energy = dynamic_pj(told, lambda *key, known=dict(prices): known[key])
        for walked, at_a_time in ((5, 8192), (60, 100), (10**6, 300)):
            monkeypatch.setattr(candidates, "AT_A_TIME", at_a_time)
            monkeypatch.setattr(candidates, "most_walked", lambda _, walked=walked: walked)
            whole = np.concatenate([some for some, _ in candidates._numbered(conv, params)])
            order = np.lexsort(rows.T), np.lexsort(whole.T)
            energy_of = np.empty(len(whole))
            energy_of[order[1]] = energy[order[0]]
            expected = np.flatnonzero(energy_of <= np.sort(energy_of)[: walked + 1][-1])
            kept, places, number = candidates._cheapest.__wrapped__(conv, params, dram, prices)
            assert number == len(whole)
            np.testing.assert_array_equal(places, expected)
            np.testing.assert_array_equal(kept, whole[expected])
