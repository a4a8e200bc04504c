"""Candidates of tiled nests: what the mapper is told of each is what the plan then does."""

from fractions import Fraction

import numpy as np
import pytest
from contract import MACHINE, random_case

import accelsim
from accelsim.config.schema import MappingSpec
from accelsim.engine import Engine, Machine
from accelsim.engines import registry
from accelsim.errors import MappingError
from accelsim.mapping import search, tile_forms, tile_kernel
from accelsim.mapping.choose import choose
from accelsim.mapping.loopnest import Widths
from accelsim.memory import timeline
from accelsim.memory.dram import DramModel
from accelsim.operands.handle import of
from accelsim.workload.shapes import Conv2d, Linear

BROAD = Machine(MACHINE.clocks_mhz, DramModel(Fraction(10**15), 0, 1))
"""DRAM that takes no time and moves single bits: estimates have nothing to round."""

SHAPES = [
    Conv2d(n=2, c=12, k=20, h=9, w=7, r=3, s=3, groups=2, pad=(1, 1, 1, 1), stride=(2, 1)),
    Conv2d(n=1, c=3, k=40, h=15, w=15, r=5, s=5, stride=(2, 2)),
    Conv2d(n=1, c=10, k=10, h=8, w=8, r=3, s=3, groups=10, pad=(1, 1, 1, 1)),
    Linear(n=3, c=200, k=70),
]


WITH_CANDIDATES = [name for name in registry.modules() if type(registry.get(name)).candidates is not Engine.candidates]
DRAMS = (DramModel(Fraction(1, 3), 0, 8), DramModel(Fraction(96, 5), 7, 64), DramModel(Fraction(70), 400, 24))


def simulated(case, machine, columns, place):
    """Return mapping, activity and timeline of a candidate, feature maps uncoded."""
    mapping = case.engine.mapping_schema.model_validate({key: column[place].item() for key, column in columns.items()})
    plan = case.engine.plan(case.view, of(case.view), case.params, mapping, machine)
    activity = case.engine.closed_form(plan) or case.engine.run(plan)
    return mapping, activity, timeline.run(activity.schedule, machine.dram)


def dense(case):
    """Return a case without zeros, whose steps and codes no operand decides."""
    params = case.params
    if case.engine.name == "bitserial":
        params = params.model_copy(update={"machine": "stripes", "trim": "layer", "recoding": "none"})
        params = params.model_copy(update={"column_registers": 0, "fc_columns": "steps"})
    if case.engine.name == "row_stationary":
        params = params.model_copy(update={"zero_gating": False, "rlc": False})
    return case._replace(params=params)


@pytest.mark.parametrize("name", WITH_CANDIDATES)
def test_bounds_are_the_traffic_of_every_candidate_and_no_more_than_its_cycles(name):
    rng = np.random.default_rng(1)
    seen = 0
    for seed in range(40):
        case, machine = dense(random_case(name, seed)), Machine(MACHINE.clocks_mhz, DRAMS[seed % 3])
        if case.engine.supports(case.view, case.params):
            continue
        try:
            columns = case.engine.candidates(case.view, case.params, machine)
        except MappingError:
            continue
        bounds = case.engine.bounds(case.view, case.params, machine, columns)
        count = len(bounds.cycles)
        places = rng.choice(count, min(12, count), replace=False)
        timed = bounds.cycles[places] if bounds.timed is None else bounds.timed(places)
        for place, cycles in zip(places.tolist(), timed.tolist(), strict=True):
            mapping, activity, ran = simulated(case, machine, columns, place)
            assert cycles == ran.cycles, (seed, mapping)
            assert bounds.cycles[place] <= ran.cycles, (seed, mapping)
            told: dict[tuple[str, str], int] = {}
            for flow, bits in activity.traffic.items():
                told[flow.boundary, flow.direction] = told.get((flow.boundary, flow.direction), 0) + bits
            found = {key: int(np.broadcast_to(bits, count)[place]) for key, bits in bounds.traffic.items()}
            assert {k: v for k, v in found.items() if v} == {k: v for k, v in told.items() if v}, (seed, mapping)
            assert bounds.dram_bits[place] == sum(told.get(("dram", way), 0) for way in ("read", "write"))
            events = {key: int(np.broadcast_to(n, count)[place]) for key, n in bounds.events.items()}
            assert {k: n for k, n in events.items() if n} == {
                (e.component, e.action): n for e, n in activity.events.items() if n
            }, (seed, mapping)
            seen += 1
    assert seen > 100


@pytest.mark.parametrize("objective", ["cycles", "dram"])
@pytest.mark.parametrize("name", ["systolic", "diannao", "unpu", "bitfusion", "bitserial"])
def test_the_search_finds_what_timing_every_candidate_finds(name, objective):
    seen = 0
    for seed in range(60):
        case, machine = dense(random_case(name, 1000 + seed)), Machine(MACHINE.clocks_mhz, DRAMS[seed % 3])
        if case.engine.supports(case.view, case.params) or getattr(case.params, "whole_weight_tiles", False):
            continue
        try:
            columns = case.engine.candidates(case.view, case.params, machine)
        except MappingError:
            continue
        bounds = case.engine.bounds(case.view, case.params, machine, columns)
        cycles, places = bounds.timed(np.arange(len(bounds.cycles))), np.arange(len(bounds.cycles))
        keys = (cycles, bounds.dram_bits) if objective == "cycles" else (bounds.dram_bits, cycles)
        best = np.lexsort((places, *keys[::-1]))[0]
        choice = case.engine.search(case.view, case.params, machine, objective, None, 0.0)
        assert choice.row == {key: column[best].item() for key, column in columns.items()}, seed
        assert choice.candidates == len(places)
        spec = MappingSpec(objective=objective)
        assert choose(columns, bounds, spec, lambda *_: 0.0).row == choice.row
        seen += 1
    assert seen > 20


def draw_form(rng, kind):
    def r(most):
        return int(rng.integers(1, most + 1))

    if kind == tile_forms.PRODUCT:
        return (kind, r(20) - 1, r(9), r(4), r(8), r(8), r(10) - 1, r(8), r(4))
    if kind == tile_forms.STREAM:
        return (kind, r(8), r(9), r(8), r(16))
    return (kind, r(3) - 1, r(9), r(9), r(2) - 1, r(4))


@pytest.mark.parametrize("kind", [tile_forms.PRODUCT, tile_forms.STREAM, tile_forms.FOLDS])
def test_no_cut_makes_the_parts_of_a_tile_faster_than_its_bound(kind):
    rng = np.random.default_rng(kind)
    for _ in range(30_000):
        form = search.form_row(draw_form(rng, kind))
        whole = [int(rng.integers(1, most)) for most in (5, 25, 25, 25)]
        axis = int(rng.integers(4))
        first, second = list(whole), list(whole)
        first[axis] = int(rng.integers(1, max(2, whole[axis])))
        second[axis] = whole[axis] - first[axis]
        least = tile_kernel.least_cycles(form, *whole)
        assert least <= tile_kernel.tile_cycles(form, *whole)
        if second[axis]:
            parts = tile_kernel.least_cycles(form, *first) + tile_kernel.least_cycles(form, *second)
            assert least <= parts, (form, whole, axis)


def nest_of(conv, widths, halves, k_units, c_unit):
    form = search.Variant({}, (tile_forms.PRODUCT, 0, 1, 1, 1, 1, 1, 1, 1))
    return search.TiledNest("l", conv, widths, halves, k_units, c_unit, (form,))


def test_a_list_keeps_what_it_has_when_a_buffer_grows():
    conv = Conv2d(n=2, c=24, k=40, h=11, w=9, r=3, s=3, pad=(1, 1, 1, 1))
    small, widths = {"input": 3000, "weight": 4000, "output": 5000}, Widths(8, 8, 8, 32)

    def rows(halves):
        table = search.tilings(nest_of(conv, widths, halves, (8,), 4))
        return set(zip(*(column.tolist() for column in table.values()), strict=True))

    for tensor in small:
        assert rows(small) < rows({**small, tensor: 3 * small[tensor]})


def test_parts_of_the_input_channels_are_whole_words_where_they_can_be():
    conv = Conv2d(n=1, c=100, k=8, h=4, w=4, r=1, s=1)
    table = search.tilings(
        nest_of(conv, Widths(8, 8, 8, 32), {"input": 8 * 64, "weight": 10**6, "output": 10**6}, (8,), 16)
    )
    assert {50, 64, 32, 25} <= set(table["c"].tolist())


def test_uncut_channels_that_do_not_fit_say_what_would():
    conv = Conv2d(n=1, c=100, k=8, h=4, w=4, r=1, s=1)
    halves = {"input": 799, "weight": 10**6, "output": 10**6}
    with pytest.raises(MappingError, match=r"input needs 800 bits, has 799\); raise params.input_kib to 1"):
        search.tilings(nest_of(conv, Widths(8, 8, 8, 32), halves, (8,), 0))


def test_blocks_of_rows_and_columns_are_tried():
    """SqueezeNet's fire4.expand3x3 on DianNao: a pinned block of 2 x 6 pixels was 15 % faster than the search."""
    arch = accelsim.load_arch("diannao")
    layer = accelsim.simulate(arch, accelsim.load_network("squeezenet1_1"), layers="fire4.expand3x3")
    (found,) = [each for each in layer.layers if each.simulated]
    assert found.cycles <= 151_671


def test_of_equal_tilings_the_first_of_the_list_is_chosen():
    """A DRAM so slow that many tilings take the cycles of their bits alone."""
    conv = Conv2d(n=1, c=14, k=566, h=44, w=20, r=1, s=3, stride=(1, 4), pad=(1, 1, 1, 1), dilation=(2, 1))
    limits = dict.fromkeys(search.ROLES, 16384)
    variants = (search.Variant({}, (tile_forms.STREAM, 38, 20, 16, 7)),)
    nest = search.TiledNest("l", conv, Widths(14, 6, 11, 16), limits, (8,), 4, variants)
    dram = DramModel(Fraction(1, 1000), 100, 512)
    columns = search.tilings(nest)
    bounds = search.bounds(nest, dram, columns, lambda _: {})
    cycles = bounds.timed(np.arange(len(columns["k"])))
    order = np.lexsort((bounds.dram_bits, cycles))
    assert len(set(zip(cycles[order[:2]].tolist(), bounds.dram_bits[order[:2]].tolist(), strict=True))) == 1
    chosen = search.best(nest, dram, "cycles").row
    assert chosen == {key: column[order[0]].item() for key, column in columns.items()}


@pytest.mark.parametrize("machine", ["systolic_ws", "diannao", "bitfusion"])
def test_two_tiles_that_follow_each_other_never_overfill_a_buffer(machine, tmp_path):
    layers = "{name: c, kind: conv2d, c: 32, h: 16, w: 16, k: 32, r: 3, s: 3, pad: 1}"
    path = tmp_path / "n.yaml"
    path.write_text(f"name: n\nsource: made up\nisolated: true\nlayers:\n  - {layers}\n")
    arch = accelsim.load_arch(machine)
    for tensor in ("input", "weight", "output"):
        arch = arch.replace(f"params.{tensor}_kib", 4)
    (layer,) = accelsim.simulate(arch, accelsim.load_network(str(path))).layers
    assert layer.simulated, layer.reason
    for name, use in layer.buffers.items():
        assert 0 < use.peak_bits <= use.capacity_bits, name
