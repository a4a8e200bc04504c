"""What the mapper picks, and how it breaks ties."""

import numpy as np
import pytest

from accelsim.errors import MappingError
from accelsim.mapping.choose import choose
from accelsim.seam import Bounds
from accelsim.spec.schema import MappingSpec


def pick(objective, cycles, dram_bits, own=None):
    columns = {"tile": np.arange(len(cycles))}
    formula = None if own is None else ("area x cycles", np.array(own, dtype=float))
    bounds = Bounds(np.array(cycles), np.array(dram_bits), {("dram", "read"): np.array(dram_bits)}, formula)
    return choose(columns, bounds, MappingSpec(objective=objective), lambda boundary, direction: 2.0)


def test_equal_cycles_are_told_apart_by_dram_bits():
    assert pick("cycles", [5, 5, 6], [9, 8, 1]).row == {"tile": 1}


def test_an_engine_may_bring_its_own_objective():
    choice = pick("engine", [5, 6, 7], [1, 1, 1], own=[3, 1, 2])
    assert choice.row == {"tile": 1}
    assert choice.why == "area x cycles 1, next best 2"


def test_what_an_own_objective_does_not_tell_apart_goes_by_order_not_by_cycles():
    assert pick("engine", [6, 5], [2, 1], own=[1, 1]).row == {"tile": 0}


def test_an_engine_without_an_objective_says_so():
    with pytest.raises(MappingError, match="no objective of its own"):
        pick("engine", [1], [1])
