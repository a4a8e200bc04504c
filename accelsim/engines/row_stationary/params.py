"""The machine's parameters and the mapping, in the authors' symbols."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from accelsim.config.schema import Strict


class Params(Strict):
    """An array of PEs with spads, the global buffer, and the networks between them."""

    rows: int = Field(ge=1, le=1024, description="PE rows; the tallest filter")
    cols: int = Field(ge=1, le=1024, description="PE columns")
    word_bits: int = Field(16, ge=4, le=32, description="width of every word: inputs, filters, psums and outputs")
    filter_spad_words: int = Field(ge=1, le=1 << 16, description="filter spad of a PE")
    ifmap_spad_words: int = Field(
        ge=1, le=1 << 12, description="ifmap spad of a PE, and depth of the FIFO in front of it"
    )
    psum_spad_words: int = Field(ge=1, le=1 << 12, description="psum spad of a PE")
    fmap_banks: int = Field(ge=2, le=1 << 16, description="banks of the buffer, each wholly ifmap or wholly psum")
    filter_banks: int = Field(ge=1, le=1 << 16, description="banks that prefetch the filters of the next pass")
    bank_kib: int = Field(ge=1, le=1 << 10, description="size of a bank")
    filter_words_per_cycle: int = Field(4, ge=1, le=64, description="global filter network")
    ifmap_words_per_cycle: int = Field(1, ge=1, le=64, description="global ifmap network")
    psum_words_per_cycle: int = Field(4, ge=1, le=64, description="global psum networks, each way")
    max_images: int = Field(4, ge=1, le=64, description="most images in a pass that the mapper tries")
    bus_mm: float | None = Field(
        None,
        gt=0,
        le=100,
        allow_inf_nan=False,
        description="length of a bus across the array; null: of the placed area",
    )
    zero_gating: bool = Field(True, description="a zero ifmap word stops the filter read and the multiplication")
    rlc: bool = Field(True, description="run-length code feature maps in DRAM where that makes them smaller")
    psum_counting: Literal["every_pass", "between_passes"] = Field(
        "every_pass",
        description="buffer accesses of psums: a read and a write in every pass, or only between passes of an output",
    )


class Mapping(Strict):
    """One pass, and what stays in the buffer between passes. C and M are per group."""

    m: int = Field(ge=1, description="filters whose psums stay in the buffer; a multiple of p t, or all")
    n: int = Field(ge=1, description="images in a pass")
    e: int = Field(ge=1, description="output rows of a strip: width of a PE set")
    p: int = Field(ge=1, description="filters interleaved in a PE")
    q: int = Field(ge=1, description="channels interleaved in a PE")
    r: int = Field(ge=1, description="PE sets on top of each other, on different channels")
    t: int = Field(ge=1, description="stacks of PE sets, on different filters")
