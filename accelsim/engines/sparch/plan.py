"""The machine of SpArch, what a walk of a product needs, and what it counts."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Literal, NamedTuple

from pydantic import Field

from accelsim.config.schema import Strict
from accelsim.workload.csr_matrix import CsrMatrix

if TYPE_CHECKING:
    from accelsim.memory.device.door import Door


class Params(Strict):
    """A SpArch machine; each technique can be switched off."""

    layers: int = Field(6, ge=1, le=8, description="layers of the merge tree, which merges 2^layers streams")
    merger_width: int = Field(16, ge=1, le=64, description="elements per cycle that the merger of a layer emits")
    multiplier_groups: int = Field(2, ge=1, le=64, description="entries of A multiplied at once")
    multiplier_lanes: int = Field(8, ge=1, le=64, description="products per group and cycle")
    lookahead: int = Field(8192, ge=1, le=1 << 24, description="entries of A in the look-ahead FIFO")
    prefetch_lines: int = Field(1024, ge=1, le=1 << 24, description="lines of the row prefetcher")
    line_elements: int = Field(48, ge=1, le=1 << 16, description="elements of a row of B per line")
    tree_fifo: int = Field(1024, ge=1, le=1 << 24, description="elements between two layers, and before the first")
    writer_fifo: int = Field(1024, ge=1, le=1 << 24, description="elements waiting to be written")
    layer_latency_cycles: int = Field(5, ge=0, le=1024, description="through merger, adders and zero eliminator")
    channels: int = Field(16, ge=1, le=1024, description="DRAM channels; they share the machine's bandwidth")
    element_bits: int = Field(96, ge=1, le=512, description="value and column of an entry of A or B")
    partial_bits: int = Field(128, ge=1, le=512, description="value, row and column of an element of a partial product")
    pointer_bits: int = Field(32, ge=1, le=64, description="start of a row of A or B")
    output_bits: int = Field(128, ge=1, le=512, description="an element of C: with its row (COO) or without (CSR)")
    condense: bool = Field(True, description="leaves are condensed columns; else the columns of A")
    huffman: bool = Field(True, description="lightest nodes first; else in the order of plain_schedule")
    prefetch: bool = Field(True, description="keep rows of B; else read one for each entry of A")
    pipeline_merge: bool = Field(True, description="merge products on the fly; else write and read them all first")
    weights: Literal["exact", "sum"] = Field("exact", description="of a merged node: its size, or its children's")
    plain_schedule: Literal["fresh", "running"] = Field(
        "fresh", description="without huffman: a full round of the oldest nodes, or new ones and the running result"
    )

    @property
    def ways(self) -> int:
        """Streams that the tree merges."""
        return int(2**self.layers)


class Plan(NamedTuple):
    """Both matrices, the parameters and the DRAM; ``ticks`` per cycle make every rate a whole number."""

    a: CsrMatrix
    b: CsrMatrix
    params: Params
    bits_per_cycle: Fraction
    latency_cycles: int
    ticks: int
    door: Door | None = None


class Round(NamedTuple):
    """One round, or the multiplication of all leaves where merging is not pipelined."""

    cycles: int
    bound_cycles: int
    bound_by: int
    """Index into `UNITS`: the unit whose work alone takes ``bound_cycles``."""
    new_leaves: int
    partials: int
    """Partial products that come back from DRAM."""
    a_read: int
    b_read: int
    partial_read: int
    written: int
    pointers: int
    """Of rows of A and B, or of columns of A, read."""


UNITS = ("multipliers", "mergers", "fetchers", "channels")
"""What can bound a round."""


class Tally(NamedTuple):
    """What all rounds add up to: elements and ticks; see `activity`."""

    rounds: tuple[Round, ...]
    leaves: int
    b_used: int
    products: int
    slots: int
    layer_elements: int
    scans: int
    memory_ticks: int
    conflict_ticks: int
    control_ticks: int
    bus_ticks: int
    peak_lines: int

    def total(self, name: str) -> int:
        """Return a field of the rounds, summed."""
        return sum(getattr(made, name) for made in self.rounds)

    @property
    def output(self) -> int:
        """Elements of C, which the last round writes."""
        return self.rounds[-1].written if self.rounds else 0
