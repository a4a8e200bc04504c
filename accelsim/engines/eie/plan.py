"""The machine of EIE and what a walk of a layer needs."""

from __future__ import annotations

from typing import Literal, NamedTuple

from pydantic import Field

from accelsim.config.schema import Strict
from accelsim.engine import Machine
from accelsim.engines.eie.passes import Geometry, Slices
from accelsim.operands.handle import Operands

LARGEST_BYTES = 1 << 26
"""Upper bound of a memory of a PE."""


class Params(Strict):
    """The PEs, what they share, and the format of the weights."""

    pes: int = Field(ge=1, le=1024, description="PEs of a channel; row i of a pass belongs to PE i mod pes")
    channels: int = Field(1, ge=1, le=64, description="groups of PEs, each working on a vector of its own")
    queue_depth: int = Field(ge=1, le=4096, description="inputs waiting in front of each PE")
    value_bits: int = Field(ge=2, le=16, description="value field of an entry: a code, or the weight itself")
    run_bits: int = Field(ge=1, le=16, description="run field of an entry: zeros since the non-zero before")
    pointer_bits: int = Field(16, ge=4, le=40, description="start of a column's slice, counted in entries of the pass")
    codebook_bits: int = Field(0, ge=0, le=32, description="width of a decoded weight; 0: values are weights")
    input_bits: int = Field(16, ge=2, le=32, description="widest input")
    accumulator_bits: int = Field(16, ge=2, le=64, description="width of a destination register; sums are not rounded")
    registers: int = Field(ge=1, le=1 << 20, description="source registers per PE, and destination registers")
    pass_rows: int = Field(0, ge=0, le=1 << 31, description="outputs of a pass at most; 0: by the registers")
    row_entries: int = Field(8, ge=1, le=64, description="entries in a row of the matrix memory")
    pointer_banks: int = Field(2, ge=1, le=2, description="2: both pointers of a column in one cycle")
    bypass: bool = Field(True, description="an accumulator can be used in two neighbouring cycles")
    padding_cycle: bool = Field(True, description="a padding entry costs a cycle")
    empty_cycle: bool = Field(True, description="a column that is empty in a PE costs it a cycle")
    pipeline_stages: int = Field(4, ge=1, le=16, description="from issue to the written accumulator")
    weights: Literal["resident", "streamed"] = Field("resident", description="in the PEs beforehand, or from DRAM")
    matrix_bytes: int = Field(ge=1, le=LARGEST_BYTES, description="entries, per PE")
    pointer_bytes: int = Field(ge=1, le=LARGEST_BYTES, description="pointers, per PE, all banks")
    activation_bytes: int = Field(ge=1, le=LARGEST_BYTES, description="inputs and outputs of a layer, per PE")


class Plan(NamedTuple):
    """What a walk needs: the cut layer with its compressed masks, and where its tensors are."""

    geometry: Geometry
    params: Params
    machine: Machine
    operands: Operands
    slices: tuple[Slices, ...]
    resident: bool
    kept: bool
