"""The sizes and the pipeline of a configuration of NVDLA."""

from __future__ import annotations

from pydantic import Field, model_validator

from accelsim.config.schema import Strict
from accelsim.units import KIB_BITS

ACCUMULATOR_BITS = 34
"""Of a partial sum of int8 products (unit description, CACC)."""
POST = ("sdp", "pdp", "cdp")
"""Pipelines behind the array: element-wise, pooling, normalisation across channels."""


class Params(Strict):
    """A configuration. Cycles are counted as in `docs/decisions/0085-nvdla.md`, whose rules they belong to."""

    channels: int = Field(ge=1, le=1024, description="input channels that a MAC cell multiplies at a time (atomic_c)")
    kernels: int = Field(ge=1, le=256, description="kernels at a time (atomic_k)")
    wide_kernels: int | None = Field(None, ge=1, le=256, description="kernels at a time of 16-bit operands")
    banks: int = Field(ge=2, le=64, description="banks of the convolution buffer")
    bank_kib: int = Field(ge=1, le=1024, description="size of a bank")
    atom_bytes: int = Field(8, ge=1, le=128, description="channels of a pixel that stand together in memory")
    port_bytes: int = Field(8, ge=1, le=128, description="bytes of a beat of the memory port")
    outstanding_beats: int = Field(256, ge=1, le=4096, description="beats that are on their way at most")
    outstanding_cycles: int = Field(3, ge=0, le=1000, description="from a beat to the request that its place allows")
    weight_beats_first: int = Field(4, ge=0, le=1000, description="weights that come before data and weights alternate")
    request_cycles: int = Field(27, ge=0, le=1000, description="from the start to the first beat, latency apart")
    line_buffer: bool = Field(
        True, description="data pass a buffer line by line; else each beat is written as it comes"
    )
    data_write_cycles: int = Field(14, ge=0, le=1000, description="from a beat of data to the buffer")
    wide_line_cycles: int = Field(3, ge=0, le=1000, description="the same, more for three or four surfaces of a line")
    data_ready_cycles: int = Field(40, ge=1, le=1000, description="from the last write of data to the first product")
    weight_ready_cycles: int = Field(
        44, ge=1, le=1000, description="from the last beat of a group to its first product"
    )
    stripe: int = Field(16, ge=2, le=256, description="output pixels that share a load of weights, at most")
    image_stripe: int = Field(16, ge=1, le=256, description="the same in image mode")
    package_cycles: int = Field(8, ge=1, le=256, description="least cycles of a stripe: the next weights come in")
    result_cycles: int = Field(15, ge=0, le=1000, description="from the data of a result to the post-processing")
    gap_cycles: int = Field(1, ge=0, le=100, description="cycles without an element between two output pixels")
    credits: int = Field(16, ge=1, le=4096, description="output pixels that wait for the post-processing at most")
    credit_cycles: int = Field(23, ge=0, le=1000, description="from the end of a pixel to the return of its credit")
    end_cycles: int = Field(23, ge=0, le=1000, description="from the last element to the end of the layer")
    turn_cycles: int = Field(65, ge=1, le=1000, description="from the last product of a layer to the next one's first")
    overlap_layers: bool = Field(
        False, description="a layer loads while the one before computes, if it may and their banks are split alike"
    )
    post_elements: int = Field(1, ge=1, le=64, description="elements that the post-processing takes per cycle")
    sdp_cycles: int = Field(59, ge=0, le=1000, description="of an element-wise layer beside elements and latency")
    pdp_cycles: int = Field(61, ge=0, le=1000, description="of a pooling layer beside elements and latency")
    fly_cycles: int = Field(73, ge=0, le=1000, description="of pooling behind an element-wise layer, the same")
    cdp_cycles: int = Field(82, ge=0, le=1000, description="of a normalisation beside elements and latency")
    cdp_line_cycles: int = Field(
        9, ge=0, le=1000, description="of each further line of eight pixels of a normalisation"
    )

    @model_validator(mode="after")
    def _coherent(self) -> Params:
        if self.credits < self.stripe:
            raise ValueError(f"a stripe of {self.stripe} pixels needs as many credits; raise credits")
        if self.credits < self.image_stripe:
            raise ValueError(f"a stripe of {self.image_stripe} image pixels needs as many credits; raise credits")
        if self.wide_kernels is not None and 2 * self.wide_kernels > self.kernels:
            raise ValueError(
                f"{self.wide_kernels} kernels of 16 bits take the multipliers of {2 * self.wide_kernels} of 8 bits, "
                f"there are {self.kernels}; lower wide_kernels"
            )
        return self

    @property
    def multipliers(self) -> int:
        """8-bit multipliers."""
        return self.channels * self.kernels

    @property
    def widest_bits(self) -> int:
        """Width of the widest operand."""
        return 8 if self.wide_kernels is None else 16

    @property
    def bank_bytes(self) -> int:
        """Bytes of a bank."""
        return self.bank_kib * KIB_BITS // 8


class Mapping(Strict):
    """How a layer is cut and shares the convolution buffer; what is left out is chosen."""

    data_banks: int | None = Field(None, ge=1, description="banks for data")
    weight_banks: int | None = Field(None, ge=1, description="banks for weights")
    bands: int | None = Field(None, ge=1, description="bands of output rows, one hardware layer each")
    strips: int | None = Field(None, ge=1, description="strips of columns into which a pooling layer is cut")
    flying: bool = Field(False, description="pooling takes what the element-wise unit passes on, not the memory's")
    image: bool = Field(False, description="read up to four channels of a pixel as they stand in an image")
