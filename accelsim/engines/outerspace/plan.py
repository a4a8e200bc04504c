"""The machine of OuterSPACE, and what a walk of a product needs."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

from pydantic import Field

from accelsim.config.schema import Strict
from accelsim.workload.csr_matrix import CsrMatrix

if TYPE_CHECKING:
    from accelsim.memory.device.door import Door


class Params(Strict):
    """An OuterSPACE machine."""

    tiles: int = Field(16, ge=1, le=1024, description="processing tiles")
    tile_pes: int = Field(16, ge=1, le=1024, description="processing elements per tile, multiply phase")
    merge_pes: int = Field(128, ge=1, le=1 << 20, description="elements that merge; the others rest")
    cache_kib: int = Field(16, ge=1, le=1 << 16, description="cache of a tile")
    scratchpad_elements: int = Field(170, ge=2, le=1 << 20, description="heads of chunks that a merging element holds")
    element_bits: int = Field(96, ge=1, le=4096, description="index and value")
    pointer_bits: int = Field(32, ge=1, le=64, description="pointer to a column, row or list")

    @property
    def pes(self) -> int:
        """All processing elements."""
        return self.tiles * self.tile_pes


class Plan(NamedTuple):
    """A by columns and rows, B by rows, and the machine in cycles."""

    columns_of_a: CsrMatrix
    a: CsrMatrix
    b: CsrMatrix
    params: Params
    bits_per_cycle: Fraction
    latency_cycles: int
    burst_bits: int
    door: Door | None = None
