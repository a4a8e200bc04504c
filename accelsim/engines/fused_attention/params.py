"""What a fused-attention machine is, and which of its parameters go together."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from accelsim.config.schema import Strict
from accelsim.units import KIB_BITS

DESIGNS = {
    (False, "three_pass", "mac", False): "unfused",
    (True, "three_pass", "mac", False): "flat",
    (True, "one_pass", "mac", False): "cascade",
    (True, "one_pass", "max_add_exp", False): "architecture",
    (True, "one_pass", "max_add_exp", True): "binding",
}


class Params(Strict):
    """An array for products, and a row of lanes beside it."""

    rows: int = Field(256, ge=1, le=4096, description="rows of PEs: keys of a tile")
    cols: int = Field(256, ge=1, le=4096, description="columns of PEs, and lanes: queries of a tile")
    fused: bool = Field(True, description="false: scores, softmax and context one after another, through DRAM")
    softmax: Literal["three_pass", "one_pass"] = Field("one_pass", description="one_pass: with a running maximum")
    pe: Literal["mac", "max_add_exp"] = Field("max_add_exp", description="what a PE can do beside multiplying")
    interleave: bool = Field(True, description="two tiles at a time, so that none waits for its maximum")
    keep: tuple[Literal["q", "k", "v", "scores"], ...] = Field(
        (), strict=False, description="of a three-pass softmax: what stays on the chip"
    )
    buffer_kib: int = Field(16384, ge=1, le=1 << 24, description="shared buffer")
    operand_bits: int = Field(16, ge=2, le=24, description="widest operand, and width of scores")
    accumulator_bits: int = Field(32, ge=2, le=64, description="partial sums of the array")
    pe_registers: int = Field(16, ge=1, le=256, description="words of operand_bits in a PE")

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        if (self.fused, self.softmax, self.pe, self.interleave) not in DESIGNS:
            raise ValueError(
                "no design has fused, softmax, pe and interleave of these values; interleave: true needs pe: "
                "max_add_exp, which needs softmax: one_pass, which needs fused: true"
            )
        if self.keep and self.design != "flat":
            raise ValueError(f"'keep' is for softmax: three_pass, fused; design '{self.design}' says itself what stays")
        return self

    @property
    def design(self) -> str:
        """The design of the sources: unfused, flat, cascade, architecture or binding."""
        return DESIGNS[self.fused, self.softmax, self.pe, self.interleave]

    @property
    def buffer_bits(self) -> int:
        """Size of the buffer."""
        return self.buffer_kib * KIB_BITS

    @property
    def flags(self) -> tuple[int, int, int, int]:
        """Whether: fused, one pass, PEs with maxima and exponentials, interleaved."""
        return int(self.fused), int(self.softmax == "one_pass"), int(self.pe != "mac"), int(self.interleave)
