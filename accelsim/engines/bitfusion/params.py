"""What a fusion array is made of, and how it fuses for a layer's widths."""

from __future__ import annotations

from typing import Literal, NamedTuple

from pydantic import Field, model_validator

from accelsim.config.schema import Strict
from accelsim.mapping.loopnest import Tiling
from accelsim.units import KIB_BITS

INNER = ("is", "os", "ws")
"""Loop orders within a tile, in order of preference."""


class Params(Strict):
    """An array of fusion units and its buffers."""

    rows: int = Field(ge=1, le=1024, description="rows of units: input channels")
    cols: int = Field(ge=1, le=1024, description="columns of units: output channels")
    brick_bits: int = Field(2, ge=1, le=8, description="width of a brick's operands: the narrowest supported width")
    spatial_bits: int = Field(8, ge=1, le=16, description="widest operand that bricks fuse to in space")
    max_bits: int = Field(16, ge=1, le=16, description="widest operand: above spatial_bits, in pieces over time")
    im2col_channels: int = Field(
        3, ge=0, le=16, description="layers of at most so many channels fill rows with filter positions too"
    )
    accumulator_bits: int = Field(32, ge=8, le=64, description="width of a partial sum")
    input_kib: int = Field(ge=1, le=1 << 22, description="IBUF, both halves, one bank per row")
    weight_kib: int = Field(ge=1, le=1 << 22, description="WBUF, both halves, one bank per unit")
    output_kib: int = Field(ge=1, le=1 << 22, description="OBUF, both halves, one bank per column")

    @model_validator(mode="after")
    def _coherent(self) -> Params:
        for low, high in (("brick_bits", "spatial_bits"), ("spatial_bits", "max_bits")):
            times, rest = divmod(getattr(self, high), getattr(self, low))
            if rest or times < 1 or times & (times - 1):
                raise ValueError(f"{high} is no power of two times {low}; use {getattr(self, low)} times 1, 2, 4, ...")
        word = self.spatial_bits**2 // self.brick_bits
        banks = {
            "weight_kib": self.rows * self.cols * word,
            "input_kib": self.rows * word,
            "output_kib": self.cols * self.accumulator_bits,
        }
        for key, unit in banks.items():
            if (bits := getattr(self, key) * KIB_BITS) % unit:
                raise ValueError(
                    f"{key}: {bits} bits do not fill whole words of {unit} bits over all banks; use a multiple of "
                    f"{_whole_kib(unit)}"
                )
        return self

    @property
    def unit_bricks(self) -> int:
        """Bricks of a unit: one product of the widest operands in space."""
        return (self.spatial_bits // self.brick_bits) ** 2


class FusionTiling(Tiling):
    """A tiling, and the order of the loops inside a tile: which operand stays."""

    inner: Literal["is", "os", "ws"] = Field("os", description="operand that stays inside a tile")


class Fused(NamedTuple):
    """The array as a layer's widths fuse it.

    Attributes
    ----------
    lanes : int
        Products that add up in a column: rows times products of a unit.
    bricks, products, passes : int
        Bricks per product; products of a unit per cycle; cycles per product.
    packed : int
        Whether filter positions share the rows with channels.
    inner : int
        Which operand stays inside a tile: a place in `INNER`.
    """

    rows: int
    cols: int
    lanes: int
    bricks: int
    products: int
    passes: int
    unit_bricks: int
    packed: int
    inner: int


def supported(bits: int, params: Params) -> int:
    """Return the narrowest supported width that holds ``bits``."""
    width = params.brick_bits
    while width < bits:
        width *= 2
    return width


def fuse(a_bits: int, w_bits: int, channels: int, params: Params, inner: str = "os") -> Fused:
    """Return the fused array for operands of two widths, channels of a group, and the operand that stays."""
    bricks = passes = 1
    for bits in (a_bits, w_bits):
        width = supported(bits, params)
        bricks *= min(width, params.spatial_bits) // params.brick_bits
        passes *= max(1, width // params.spatial_bits)
    products = params.unit_bricks // bricks
    packed = int(channels <= params.im2col_channels)
    return Fused(
        params.rows, params.cols, params.rows * products, bricks, products, passes, params.unit_bricks, packed,
        INNER.index(inner),
    )  # fmt: skip


def _whole_kib(bits: int) -> str:
    kib = 1
    while kib * KIB_BITS % bits:
        kib += 1
        if kib > 1 << 20:
            return "another size"
    return f"{kib} KiB"
