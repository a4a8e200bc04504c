"""The parameters of a systolic array."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from accelsim.config.schema import Strict


class Params(Strict):
    """A systolic array and its scratchpads."""

    rows: int = Field(ge=1, le=4096, description="PE rows")
    cols: int = Field(ge=1, le=4096, description="PE columns")
    dataflow: Literal["ws", "os", "is"] = Field(description="operand held still: weights, outputs or inputs")
    overlap_folds: bool = Field(
        False, description="a second register per PE: the next fold's operand loads and follows behind the current"
    )
    drain: Literal["none", "rows", "cols"] = Field(
        "none", description="in os: the side along which results leave, a cycle per row or column; none: they stay"
    )
    output_registers: int = Field(0, ge=0, le=64, description="in os: registers behind a multiplier")
    whole_weight_tiles: bool = Field(
        False,
        description="in ws: weights come from DRAM in blocks of the whole array, padding included, a run each",
    )
    operand_bits: int = Field(8, ge=1, le=32, description="widest input and weight that a PE multiplies")
    accumulator_bits: int = Field(32, ge=2, le=64, description="width of a partial sum")
    input_kib: int = Field(ge=1, le=1 << 22, description="input scratchpad, both halves")
    weight_kib: int = Field(ge=1, le=1 << 22, description="weight scratchpad, both halves")
    output_kib: int = Field(ge=1, le=1 << 22, description="accumulator scratchpad, both halves")

    @model_validator(mode="after")
    def _coherent(self) -> Params:
        if self.dataflow != "os" and self.tail:
            raise ValueError(f"results of dataflow {self.dataflow} leave as they are made; remove drain and registers")
        if self.dataflow != "ws" and self.whole_weight_tiles:
            raise ValueError(f"weights are not held still in dataflow {self.dataflow}; remove whole_weight_tiles")
        return self

    @property
    def hold(self) -> int:
        """Cycles in which a fold's results leave; the next fold's do not follow sooner."""
        return {"none": 0, "rows": self.rows, "cols": self.cols}[self.drain]

    @property
    def tail(self) -> int:
        """Cycles from the last multiplication of a fold to the last result."""
        return self.output_registers + self.hold
