"""The parameters of a systolic array."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from accelsim.config.schema import Strict


class Params(Strict):
    """A systolic array and its scratchpads."""

    rows: int = Field(ge=1, le=4096, description="PE rows")
    cols: int = Field(ge=1, le=4096, description="PE columns")
    dataflow: Literal["ws", "os", "is"] = Field(description="operand held still: weights, outputs or inputs")
    overlap_folds: bool = Field(
        False, description="a second register per PE: the next fold's operand loads and follows behind the current"
    )
    operand_bits: int = Field(8, ge=1, le=32, description="widest input and weight that a PE multiplies")
    accumulator_bits: int = Field(32, ge=2, le=64, description="width of a partial sum")
    input_kib: int = Field(ge=1, le=1 << 22, description="input scratchpad, both halves")
    weight_kib: int = Field(ge=1, le=1 << 22, description="weight scratchpad, both halves")
    output_kib: int = Field(ge=1, le=1 << 22, description="accumulator scratchpad, both halves")
