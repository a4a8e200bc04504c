"""Products made of 2-bit bricks: what a fusion unit computes, brick by brick.

Source: H. Sharma et al., "Bit Fusion: Bit-Level Dynamically Composable Architecture for Accelerating Deep Neural
Networks", ISCA 2018: a brick multiplies two 2-bit digits, each with its own sign bit; sixteen bricks form a fusion
unit and fuse in space up to 8 x 8 bits; 16-bit operands pass as 8-bit halves in time.

An operand of p bits is extended to 2, 4, 8 or 16 bits and cut into 2-bit digits, of which the top one alone may be
signed. A signed digit reads its two bits as -2..1, an unsigned one as 0..3. So a = sum(a_i 4^i), and a product is
the sum of the bricks a_i b_j shifted by 2 (i + j).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from accelsim.errors import WorkloadError
from accelsim.units import ceil_div

BRICK_BITS = 2
"""Width of a brick's operands, without the sign bit."""

SPATIAL_BITS = 8
"""The widest operand that bricks fuse to in space."""

UNIT_BRICKS = (SPATIAL_BITS // BRICK_BITS) ** 2
"""Bricks of a fusion unit: one product of the widest operands."""

WIDTHS = (2, 4, 8, 16)
"""The widths a unit runs at; every other width is rounded up."""

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Fusion:
    """How a fusion unit arranges its bricks for a pair of widths.

    Attributes
    ----------
    bricks : int
        Bricks fused into one product.
    products : int
        Products side by side in a unit.
    passes : int
        Cycles until these products are complete: above one when an operand passes in 8-bit halves.
    """

    bricks: int
    products: int
    passes: int


def supported_width(bits: int) -> int:
    """Return the narrowest of ``WIDTHS`` that holds ``bits``.

    Raises
    ------
    WorkloadError
        For a width outside 1..16.
    """
    if not 1 <= bits <= WIDTHS[-1]:
        raise WorkloadError(f"operands of {bits} bits are not supported", f"use 1 to {WIDTHS[-1]} bits")
    return next(width for width in WIDTHS if width >= bits)


def fusion(a_bits: int, b_bits: int) -> Fusion:
    """Return the arrangement for operands of ``a_bits`` and ``b_bits``; errors as in ``supported_width``."""
    bricks = passes = 1
    for bits in (a_bits, b_bits):
        width = supported_width(bits)
        bricks *= min(width, SPATIAL_BITS) // BRICK_BITS
        passes *= ceil_div(width, SPATIAL_BITS)
    return Fusion(bricks, UNIT_BRICKS // bricks, passes)


def brick(a: ArrayLike, b: ArrayLike, a_signed: bool, b_signed: bool) -> Ints:
    """Multiply 2-bit codes (0..3) as a brick does: nine AND gates, of which the sign bits' rows subtract.

    Parameters
    ----------
    a, b : integer arrays
        The two bits of each digit as a number 0..3; they broadcast.
    a_signed, b_signed : bool
        Whether bit 1 of a digit is a sign.

    Returns
    -------
    int64 array
        Products from -6 to 9.
    """
    product: Any = np.int64(0)
    for i, a_bit in enumerate(_three_bits(a, a_signed)):
        for j, b_bit in enumerate(_three_bits(b, b_signed)):
            term = (a_bit & b_bit) << (i + j)
            product = product - term if (i == 2) != (j == 2) else product + term
    return np.asarray(product, dtype=np.int64)


def digits(values: ArrayLike, bits: int, signed: bool) -> Ints:
    """Cut two's complement values of ``bits`` bits into 2-bit codes, lowest first, along a new last axis.

    Returns
    -------
    int64 array, shape ``values.shape + (supported_width(bits) / 2,)``
        Codes 0..3. If ``signed``, the last digit is the signed one.

    Raises
    ------
    WorkloadError
        For a value that does not fit in ``bits``, or a width outside 1..16.
    """
    width = supported_width(bits)
    array = np.asarray(values)
    if array.dtype.kind not in "iu":
        raise WorkloadError(f"operands of type {array.dtype} are not integers", "quantise them first")
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    outside = (array < low) | (array > high)
    if outside.any():
        kind = "signed" if signed else "unsigned"
        raise WorkloadError(
            f"the value {int(array[outside].flat[0])} does not fit in {bits} {kind} bits",
            f"keep values in {low}..{high}",
        )
    shifts = np.arange(0, width, BRICK_BITS, dtype=np.int64)
    return (array.astype(np.int64)[..., None] >> shifts) & 3


def fused_product(
    a: ArrayLike, b: ArrayLike, a_bits: int, b_bits: int, a_signed: bool = True, b_signed: bool = True
) -> Ints:
    """Multiply integers, element by element, by fused bricks; shapes broadcast.

    Every pass fuses bricks in space, shifted by their digits; passes add up shifted by 8 bits per half.
    Errors as in ``digits``.
    """
    a_codes, b_codes = digits(a, a_bits, a_signed), digits(b, b_bits, b_signed)
    per_pass = SPATIAL_BITS // BRICK_BITS
    total: Any = np.int64(0)
    for a_start in range(0, a_codes.shape[-1], per_pass):
        for b_start in range(0, b_codes.shape[-1], per_pass):
            one_pass: Any = np.int64(0)
            for i in range(a_start, min(a_start + per_pass, a_codes.shape[-1])):
                for j in range(b_start, min(b_start + per_pass, b_codes.shape[-1])):
                    a_top = a_signed and i == a_codes.shape[-1] - 1
                    b_top = b_signed and j == b_codes.shape[-1] - 1
                    part = brick(a_codes[..., i], b_codes[..., j], a_top, b_top)
                    one_pass = one_pass + (part << BRICK_BITS * (i - a_start + j - b_start))
            total = total + (one_pass << BRICK_BITS * (a_start + b_start))
    return np.asarray(total, dtype=np.int64)


def fused_matmul(
    a: ArrayLike, b: ArrayLike, a_bits: int, b_bits: int, a_signed: bool = True, b_signed: bool = True
) -> Ints:
    """Multiply matrices ``(..., m, k)`` and ``(k, n)`` digit plane by digit plane, as units of bricks accumulate.

    The sum over k of the bricks of one pair of digits is formed first and shifted once. Planes are multiplied in
    floating point, exactly: a brick's product is at most 9 in magnitude, so that k may reach 2^49.

    Returns
    -------
    int64 array, shape ``(..., m, n)``
        Equal to the integer product as long as that fits in 63 bits. Errors as in ``digits``.
    """
    a_planes, b_planes = (
        [_plane_values(codes, i, signed) for i in range(codes.shape[-1])]
        for codes, signed in ((digits(a, a_bits, a_signed), a_signed), (digits(b, b_bits, b_signed), b_signed))
    )
    total: Any = np.int64(0)
    for i, a_plane in enumerate(a_planes):
        for j, b_plane in enumerate(b_planes):
            total = total + ((a_plane @ b_plane).astype(np.int64) << BRICK_BITS * (i + j))
    return np.asarray(total, dtype=np.int64)


def _three_bits(codes: ArrayLike, signed: bool) -> tuple[Any, Any, Any]:
    """Return bit 0, bit 1 and the sign bit of the 3-bit number that a digit is inside a brick."""
    array = np.asarray(codes, dtype=np.int64)
    top = (array >> 1) & 1
    return array & 1, top, top if signed else top * 0


def _plane_values(codes: Ints, i: int, signed: bool) -> NDArray[np.float64]:
    """Return digit ``i`` of every operand as the number a brick takes it for."""
    plane = codes[..., i]
    if signed and i == codes.shape[-1] - 1:
        plane = (plane ^ 2) - 2  # two bits as two's complement
    return plane.astype(np.float64)
