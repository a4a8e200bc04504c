"""Candidates of tiled nests: what the mapper is told of each is what the plan then does."""

from fractions import Fraction

import numpy as np
import pytest
from bit_serial_runs import view
from contract import MACHINE

import accelsim
from accelsim.engines import registry
from accelsim.errors import MappingError
from accelsim.mapping import tilings
from accelsim.mapping.loopnest import Widths
from accelsim.memory.dram import DramModel
from accelsim.operands.handle import of
from accelsim.seam import Machine
from accelsim.workload.shapes import Conv2d, Linear

BROAD = Machine(MACHINE.clocks_mhz, DramModel(Fraction(10**15), 0, 1))
"""DRAM that takes no time and moves single bits: estimates have nothing to round."""

SHAPES = [
    Conv2d(n=2, c=12, k=20, h=9, w=7, r=3, s=3, groups=2, pad=(1, 1, 1, 1), stride=(2, 1)),
    Conv2d(n=1, c=3, k=40, h=15, w=15, r=5, s=5, stride=(2, 2)),
    Conv2d(n=1, c=10, k=10, h=8, w=8, r=3, s=3, groups=10, pad=(1, 1, 1, 1)),
    Linear(n=3, c=200, k=70),
]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", ["stripes", "loom", "dadiannao", "bitfusion", "unpu"])
def test_bounds_tell_the_cycles_and_dram_bits_of_the_plan(name, shape):
    unit = accelsim.load_arch(name).units[0]
    engine, layer = registry.get(unit.engine), view(shape, (5, True), (3, True))
    params = unit.params.model_copy(update={"input_kib": 2, "weight_kib": 2, "output_kib": 4, "lanes": 4, "outputs": 8})
    columns = engine.candidates(layer, params, BROAD)
    bounds = engine.bounds(layer, params, BROAD, columns)
    rng = np.random.default_rng(0)
    for i in rng.choice(len(columns["k"]), min(25, len(columns["k"])), replace=False):
        mapping = engine.mapping_schema.model_validate({key: column[i].item() for key, column in columns.items()})
        activity = engine.closed_form(engine.plan(layer, of(layer), params, mapping, BROAD))
        dram = {way: sum(b for f, b in activity.traffic.items() if f.boundary == "dram" and f.direction == way)
                for way in ("read", "write")}  # fmt: skip
        assert bounds.cycles[i] == activity.compute_cycles, mapping
        assert bounds.dram_bits[i] == dram["read"] + dram["write"], mapping
        assert {way: int(bounds.traffic["dram", way][i]) for way in dram} == dram, mapping


def test_parts_of_the_input_channels_are_whole_words_where_they_can_be():
    conv = Conv2d(n=1, c=100, k=8, h=4, w=4, r=1, s=1)
    table = tilings.tilings(
        conv, Widths(8, 8, 8, 32), {"input": 8 * 50, "weight": 10**6, "output": 10**6}, (8,), True, 16
    )
    assert 48 in table["c"]
    assert 50 in table["c"]


def test_uncut_channels_that_do_not_fit_say_what_would():
    conv = Conv2d(n=1, c=100, k=8, h=4, w=4, r=1, s=1)
    halves = {"input": 799, "weight": 10**6, "output": 10**6}
    with pytest.raises(MappingError, match=r"input needs 800 bits, has 799\); raise params.input_kib to 1"):
        tilings.tilings(conv, Widths(8, 8, 8, 32), halves, (8,), cut_c=False)
