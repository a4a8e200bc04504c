"""What a walk of an attention needs."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from accelsim.engine import Machine
from accelsim.engines.attention_stream.params import Params, Pick
from accelsim.units import ceil_div
from accelsim.workload.layers import LayerView
from accelsim.workload.shapes import Attention

MAX_BLOCKS = 1 << 16
"""Tiles of a layer, those of fetching again apart."""


class Plan(NamedTuple):
    """What a walk of an attention needs; ``known`` and ``expected`` as `kernel.walk` takes them."""

    view: LayerView
    shape: Attention
    params: Params
    pick: Pick
    machine: Machine
    known: np.ndarray
    expected: np.ndarray
    held_bits: int
    """What a head's keys take in their buffer."""

    @property
    def resident(self) -> bool:
        """Whether a head's keys and values come once for all of its rows."""
        return self.params.softmax == "lazy" or self.held_bits <= self.params.half_bits

    @property
    def group(self) -> int:
        """Rows of a head of keys."""
        return self.shape.heads // self.shape.kv_heads * self.shape.q

    @property
    def in_block(self) -> int:
        """Rows of a tile."""
        p, groups = self.params, self.shape.batch * self.shape.kv_heads
        if not self.resident:
            return ceil_div(self.group * groups, MAX_BLOCKS)
        together = 1
        if self.group == 1:
            together = min(p.buffer_rows // p.buffer_halves, p.half_bits // self.held_bits)
        return self.group * max(together, ceil_div(groups, MAX_BLOCKS))
