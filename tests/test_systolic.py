"""The systolic array: worked examples, and the closed form against the walk over a whole grid of small tiles."""

from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from contract import MACHINE, view_of

from accelsim.engine import Machine
from accelsim.engines.systolic import engine, tilecost
from accelsim.engines.systolic.kernel import walk_tile
from accelsim.engines.systolic.reference import reference
from accelsim.errors import MappingError
from accelsim.memory.dram import DramModel
from accelsim.operands.handle import of
from accelsim.workload.shapes import Conv2d, Linear


def params(**changes):
    plain = {"rows": 2, "cols": 2, "dataflow": "ws", "input_kib": 1, "weight_kib": 1, "output_kib": 1}
    return engine.Params.model_validate(plain | changes)


def whole(shape):
    conv = shape.as_conv()
    sizes = {"n": conv.n, "e": conv.e, "f": conv.f, "k": conv.k // conv.groups, "c": conv.c // conv.groups}
    return engine.Tiling(groups=1, order="mkc", **sizes)


def walk(shape, mapping=None, machine=MACHINE, **changes):
    view = view_of(shape, np.random.default_rng(0))
    found, tiling = params(**changes), mapping or whole(shape)
    plan = engine.ENGINE.plan(view, of(view), found, tiling, machine)
    walked = engine.ENGINE.run(plan)
    assert walked.same_integers(engine.ENGINE.closed_form(plan)) == []
    assert walked.same_integers(reference(view, of(view), found, tiling, machine)) == []
    return walked


@pytest.mark.parametrize("flow", ["os", "ws", "is"])
@pytest.mark.parametrize("overlap", [False, True])
def test_the_closed_form_equals_the_walk_on_every_small_tile(flow, overlap):
    nothing = np.zeros((1, 1, 1), dtype=np.int64)
    sizes = list(product((1, 2), (1, 2, 5), range(1, 8), range(1, 8)))
    g, m, n, k = (np.array(column, dtype=np.int64) for column in zip(*sizes, strict=True))
    for rows, cols in ((1, 1), (1, 4), (2, 2), (2, 6), (3, 6), (4, 3), (5, 1)):
        cost = tilecost.tile_cost(tilecost.FLOWS[flow], rows, cols, overlap, g, m, n, k)
        for i, (gi, mi, ni, ki) in enumerate(sizes):
            groups = np.zeros((gi, 1, 1), dtype=np.int64)
            array = (tilecost.FLOWS[flow], rows, cols, overlap)
            counts = walk_tile(*array, mi, ni, ki, False, groups, nothing, nothing)
            assert counts.tolist() == [int(column[i]) for column in cost], (rows, cols, gi, mi, ni, ki)


def test_an_earlier_larger_fold_may_drain_last():
    # 3 x 6, ws, one word: folds 3x6, 1x6, 3x1, 1x1 start at 3, 4, 7, 8; the first ends at 3 + 1 + 3 + 6 - 2 = 11
    walked = walk(Linear(n=1, c=4, k=7), rows=3, cols=6, overlap_folds=True)
    assert walked.compute_cycles == 11


def test_one_fold_takes_load_stream_and_skew():
    walked = walk(Linear(n=3, c=2, k=2))
    assert walked.compute_cycles == 2 + 3 + 2
    assert walked.accounts["pes"]["fill_drain"] == 4 * 7 - 12


def test_depthwise_groups_run_one_after_another():
    alone = walk(Conv2d(n=1, c=1, k=1, h=5, w=5, r=3, s=3), output_kib=4)
    four = walk(Conv2d(n=1, c=4, k=4, h=5, w=5, r=3, s=3, groups=4), output_kib=4)
    assert four.compute_cycles == 4 * alone.compute_cycles


def test_padding_is_not_fetched_but_multiplied():
    bare = walk(Conv2d(n=1, c=2, k=2, h=6, w=6, r=3, s=3), output_kib=4)
    padded = walk(Conv2d(n=1, c=2, k=2, h=6, w=6, r=3, s=3, pad=(1, 1, 1, 1)), output_kib=4)
    reads = [f for f in bare.traffic if f.boundary == "dram" and f.tensor == "input"]
    assert [bare.traffic[f] for f in reads] == [padded.traffic[f] for f in reads]
    assert padded.performed_macs > bare.performed_macs
    assert padded.accounts["pes"]["zero"] > 0


def test_partial_sums_leave_only_when_channels_are_not_innermost():
    shape = Linear(n=4, c=4, k=4)
    inside = engine.Tiling(groups=1, n=2, e=1, f=1, k=4, c=2, order="mkc")
    outside = engine.Tiling(groups=1, n=2, e=1, f=1, k=4, c=2, order="cmk")
    spilled = {f.tensor for f in walk(shape, outside).traffic if f.boundary == "dram"}
    kept = {f.tensor for f in walk(shape, inside).traffic if f.boundary == "dram"}
    assert "psum" in spilled
    assert "psum" not in kept


def test_a_tile_that_does_not_fit_says_by_how_much():
    with pytest.raises(MappingError, match=r"output tile takes 12,800 bits, half .* 4,096; .*kib to 4"):
        walk(Linear(n=20, c=2, k=20))


def test_counts_that_would_overflow_are_refused():
    view = view_of(Linear(n=2**20, c=2**20, k=2**20), np.random.default_rng(0))
    huge = params(input_kib=1 << 22, weight_kib=1 << 22, output_kib=1 << 22)
    with pytest.raises(MappingError, match="64-bit"):
        engine.ENGINE.plan(view, of(view), huge, engine.Tiling(groups=1, n=1, e=1, f=1, k=1, c=1, order="mkc"), MACHINE)


def test_a_faster_dram_never_slows_a_fixed_mapping():
    from accelsim.memory import timeline

    shape = Conv2d(n=2, c=3, k=5, h=8, w=8, r=3, s=3, pad=(1, 1, 1, 1))
    mapping = engine.Tiling(groups=1, n=1, e=2, f=8, k=2, c=1, order="kmc")
    cycles = []
    for bits in (1, 2, 3, 7, 19, 64, 1000):
        machine = Machine(MACHINE.clocks_mhz, DramModel(Fraction(bits), 5, 64))
        cycles.append(timeline.run(walk(shape, mapping, machine).schedule, machine.dram).cycles)
    assert cycles == sorted(cycles, reverse=True)
    assert cycles[0] > cycles[-1]
