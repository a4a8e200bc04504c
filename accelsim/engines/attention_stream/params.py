"""What a machine that streams attention is, and what a layer may pin."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from accelsim.config.schema import Strict
from accelsim.units import KIB_BITS


class Params(Strict):
    """Two arrays of multipliers with a softmax between them, two buffers, and what is left out."""

    multipliers: int = Field(512, ge=1, le=1 << 16, description="of each array: Q x K, and prob x V")
    operand_bits: int = Field(12, ge=2, le=16, description="widest query, key and value; words of the buffers")
    word_bits: tuple[int, ...] = Field(
        (), strict=False, description="widths that DRAM may hold, others take the next; none: any width"
    )
    buffer_kib: int = Field(192, ge=1, le=1 << 20, description="buffer of the keys, and of the values")
    buffer_halves: Literal[1, 2] = Field(2, description="2: the next keys and values come while these are used")
    buffer_rows: int = Field(
        2, ge=2, le=1 << 10, description="rows at most that the buffers hold, if each has own keys"
    )
    softmax_lanes: int = Field(8, ge=1, le=1 << 12, description="exponentials a cycle")
    softmax: Literal["row", "lazy", "two_pass"] = Field(
        "row", description="row: on the chip; lazy: chunk by chunk, divided at the end; two_pass: scores go to DRAM"
    )
    chunk_keys: int = Field(64, ge=1, le=1 << 20, description="keys of a chunk of the lazy softmax")
    score_bits: int = Field(16, ge=2, le=32, description="a score or probability between the arrays")
    score_shift: int = Field(0, ge=0, le=30, description="steps of queries and keys: scores are divided by 2^shift")
    select: Literal["none", "greedy", "topk", "threshold"] = Field(
        "none", description="keys by greedy candidates, or values by top-k or by a threshold"
    )
    iterations: float = Field(0.5, gt=0, le=1 << 12, description="greedy: steps of the selection, a share of the keys")
    post_threshold: float = Field(0.05, ge=0, lt=1, description="greedy: least exponential beside the row's largest")
    keep_values: float = Field(1.0, gt=0, le=1, description="topk: values that a row keeps, a share of its keys")
    threshold: float = Field(0.0, ge=0, lt=1, description="threshold: least probability of a value that is used")
    fetch_skipped: bool = Field(True, description="whether values that a row does not use are fetched all the same")
    low_bits: int = Field(0, ge=0, le=8, description="bits of a key that are fetched only where they are needed")
    refetch_threshold: float = Field(
        0.1, ge=0, le=1, description="with low_bits: a row whose largest probability is below fetches them"
    )
    topk: Literal["serial", "overlapped"] = Field("serial", description="whether the next row waits for the top-k")
    topk_parallel: int = Field(16, ge=1, le=1 << 12, description="values that the top-k compares a cycle")
    pivot: Literal["expected", "seeded", "middle"] = Field("expected", description="pivots of the quick-select")
    pivot_seed: int = Field(0, ge=0, le=1 << 31, description="of seeded pivots")
    row_cycles: int = Field(0, ge=0, le=1 << 12, description="of a row in which no stage works")
    latency_cycles: int = Field(103, ge=0, le=1 << 16, description="of the pipeline, once a layer")
    stages_behind: int = Field(
        1, ge=0, le=4, description="passes over a row's lines that follow when the last row ends"
    )
    linear: bool = Field(False, description="whether the arrays also run fully connected layers")

    @model_validator(mode="after")
    def _words(self) -> Self:
        if any(not 1 <= bits <= 32 for bits in self.word_bits):
            raise ValueError("a word of DRAM has 1 to 32 bits; correct word_bits")
        if self.softmax != "row" and (self.select in ("greedy", "topk") or self.low_bits):
            raise ValueError("greedy, topk and low_bits look at all scores of a row; use softmax: row")
        if self.select == "greedy" and self.low_bits:
            raise ValueError("greedy candidates are found on whole keys; use low_bits: 0")
        return self

    @property
    def half_bits(self) -> int:
        """What the part of a buffer holds that is filled at a time."""
        return self.buffer_kib * KIB_BITS // self.buffer_halves

    def stored_bits(self, bits: int) -> int | None:
        """Return the width in DRAM of elements of ``bits``, None where no word holds them."""
        return min((word for word in self.word_bits if word >= bits), default=None) if self.word_bits else bits


class Pick(Strict):
    """What is known of a layer's rows beforehand: of a trace, or of a profile."""

    values: int | None = Field(
        None, ge=1, description="values that each row keeps; by default what the machine selects"
    )
    refetched: int | None = Field(
        None, ge=0, description="rows that fetch the low bits, spread evenly; by default what their values say"
    )
