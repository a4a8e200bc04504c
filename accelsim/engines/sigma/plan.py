"""The machine of SIGMA, what a walk of a layer needs, and what it counts."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

from pydantic import Field

from accelsim.config.schema import Strict
from accelsim.workload.csr_matrix import CsrMatrix
from accelsim.workload.layers import LayerView

if TYPE_CHECKING:
    from accelsim.memory.device.door import Door


class Params(Strict):
    """A SIGMA machine."""

    dpes: int = Field(128, ge=1, le=4096, description="flexible dot-product engines")
    dpe_pes: int = Field(128, ge=1, le=4096, description="multipliers of each, and the chunk of k")
    load_words: int = Field(128, ge=1, le=1 << 20, description="stationary words loaded per cycle")
    word_bits: int = Field(32, ge=1, le=64, description="word of both operands and of the result")
    sram_kib: int = Field(32768, ge=1, le=1 << 24, description="on-chip memory")
    pipeline: bool = Field(False, description="add the depth of the reduction tree to each group; off as published")

    @property
    def pes(self) -> int:
        """All multipliers."""
        return self.dpes * self.dpe_pes


class Plan(NamedTuple):
    """The matrices of a batch, A held still and B streamed, and the machine."""

    pairs: tuple[tuple[CsrMatrix, CsrMatrix], ...]
    params: Params
    bits_per_cycle: Fraction
    view: LayerView
    door: Door | None = None


class Tally(NamedTuple):
    """What all groups add up to."""

    load_cycles: int
    stream_cycles: int
    drain_cycles: int
    groups: int
    held: int
    """Non-zeros of A."""
    slots: int
    """Multipliers that hold one, times columns streamed past."""
    products: int
    partials: int
    """Results that leave the trees."""
    streamed: int
    """Words of B read, zeros included."""
