"""What a walk needs, after every check."""

from __future__ import annotations

from typing import NamedTuple

from accelsim.engine import Machine
from accelsim.engines.row_stationary.cut import Cut
from accelsim.engines.row_stationary.fmaps import Fmap
from accelsim.workload.layers import LayerView


class Plan(NamedTuple):
    """The cut layer, its feature maps in DRAM, and its multiplications by their operands."""

    view: LayerView
    cut: Cut
    machine: Machine
    source: Fmap
    sink: Fmap
    effective_macs: int
    input_macs: int
    """Multiplications with a non-zero input."""
